//! Archives of annals in object stores: sealed segments are moved to a bucket, and read where they are.
//!
//! [`ObjectArchives`] opens the locations of archives that are URLs of object stores, as `s3://bucket/prefix`, for a
//! log or for the embedded store: it is given to either in its `Archives`, and all that is said of archives in
//! directories holds. It is *not* a store of events in a bucket: what is appended, the index and the newest segments
//! stay on the disk, and a log has one writer.
//!
//! ```
//! use std::sync::Arc;
//!
//! use annals_archive_object::ObjectArchives;
//! use annals_log::{Archives, Parts};
//!
//! let parts = Parts {
//!     archives: Archives::default().opened_by(Arc::new(ObjectArchives::from_env())),
//!     ..Parts::os()
//! };
//! # let _ = parts;
//! ```
//!
//! # Which URLs
//! | URL | what | feature |
//! |---|---|---|
//! | `s3://bucket/prefix`, `https://` of Amazon S3 or Cloudflare R2 | Amazon S3 and what speaks its protocol | `aws` |
//! | `gs://bucket/prefix` | Google Cloud Storage | `gcp` |
//! | `az://container/prefix`, `abfs://`, `https://` of Azure | Azure Blob Storage | `azure` |
//! | `https://server/prefix`, and `http://` with the option `allow_http` | a WebDAV server | `http` |
//! | whatever a program [gives a store for](ObjectArchives::store) | any `object_store::ObjectStore` | |
//!
//! Without any feature there are only the stores that a program gives. A URL holds no keys: it is written into the
//! manifest of the log and shown in messages. Keys, regions and endpoints are [options](ObjectArchives::option), those
//! that the `object_store` crate names, or [variables of the environment](ObjectArchives::from_env).
//!
//! # How it works
//! All requests are made on one thread, which has a runtime of its own; who asks blocks until the answer is there. The
//! embedded store asks on threads that may block, so that no runtime of the application stands still; but a call from
//! within a runtime works as well, on either kind of it.
//!
//! Reads are requests for ranges. Who reads on from where the last request ended is given more than what was asked for,
//! twice as much each time, and the same backward, so that a replay of a segment of 64 MiB takes about twenty requests and
//! not one for each block. Where the store has strong entity tags, all requests that read an object ask for the one that
//! was opened, by its tag, and another one under its name is never mixed in; elsewhere its length and the checksums of
//! what is in it tell.
//!
//! A file is put only where there is none of its name: the store itself refuses the rest where it can and the file is
//! no longer than a part ([`Settings::part_bytes`]); for longer ones, which are uploaded in parts, and where the store can't, it is
//! looked for before the upload begins and before it is completed. It is read back and compared afterwards, as in a
//! directory. Two that put a file of one name in the same moment, where the store itself can't refuse the second, may
//! write one over the other: it takes two copies of a log's directory that were made by hand. A name that has a file is
//! not removed again but by an undo.
//!
//! # Limits
//! | limit | |
//! |---|---|
//! | attempts at a request that fails | [`Settings::attempts_max`], 3 by default |
//! | an attempt | [`Settings::attempt_timeout`], 30 seconds by default |
//! | read ahead at once | 4 MiB |
//! | memory for what was read ahead, of all archives together | [`Settings::ahead_bytes_max`], 32 MiB by default |
//! | a part of an upload | [`Settings::part_bytes`], 8 MiB by default |
//!
//! Parts of an upload that ended with its process stay in the bucket, unseen, and so do those of one that could not be
//! given up, which is logged as a warning: give the bucket a rule that removes incomplete uploads.
//!
//! A WebDAV server has neither conditions nor parts. A whole segment is in memory then, and is put by one request under its
//! final name, within [`Settings::attempt_timeout`]: where that is broken off a server may keep a part of it under the
//! name. It is never taken for the segment, but refused as another file until somebody removes it. Keys for such a server
//! are given to the store that a program [gives](ObjectArchives::store).
//!
//! # Features
//! | feature | gives |
//! |---|---|
//! | `aws` | `s3://` |
//! | `azure` | `az://` |
//! | `gcp` | `gs://` |
//! | `http` | `https://`, for WebDAV servers |
//!
//! None is on by default. Each takes an HTTP client with rustls, and the roots of trust of the system. With any of them,
//! opening the first archive makes ring the process's provider of cryptography for rustls, where none was chosen yet.

mod ahead;
mod archives;
mod bridge;
mod calls;
mod failure;
mod folder;
mod object;
mod place;
mod settings;

pub use archives::ObjectArchives;
pub use object_store;
pub use settings::Settings;
