//! A segmented, append-only, crash-safe log of records in files.
//!
//! Records are bytes; the log knows nothing of what they mean. One process writes, any number read.
//! A batch of records is a *frame*: after a crash all of it is there or none. What [`Log::sync`]
//! returned for is there after a power loss; what is damaged is an error that says what and where, never
//! a gap. It is no queue, no key-value store, and nothing is ever overwritten.
//!
//! ```
//! use annals_log::{Kind, Log, LogSettings, Parts};
//!
//! # let directory = tempfile::tempdir().unwrap();
//! let path = directory.path().join("log");
//! let mut log = Log::create(&Parts::os(), &path, LogSettings::default(), 0)?;
//! log.reserve(64, || 0)?;
//! let mut frame = log.frame();
//! let at = frame.push(Kind::Numbered, |body| body.extend_from_slice(b"hello"));
//! frame.write()?;
//! let view = log.sync()?;
//! assert_eq!(view.record(at, &mut Vec::new())?.body, b"hello");
//! assert_eq!(view.last_number(), 1);
//! log.close()?;
//! # Ok::<(), annals_log::Error>(())
//! ```
//!
//! | limit | |
//! |---|---|
//! | a segment | 16 KiB to 1 GiB by setting, 64 MiB by default; one long frame may make it 4 GiB |
//! | a record | 2 GiB |
//! | segments | 2^32 - 1 |
//! | memory for a compressed segment that is read | 24 bytes for each block of 128 KiB; the blocks are in a bounded cache |
//!
//! | feature | |
//! |---|---|
//! | `sim` | `vfs::sim`: a file system in memory that crashes and lies, to test what is built on a log |
//! | `planted` | bugs to plant in the engine, to test such tests; never in a release |
//! | `fuzzing` | the parsers of the files, for fuzz bodies; no part of the interface |
//!
//! The files are described byte by byte in the repository's `docs/format/log.md`, with the orders that
//! matter and what is assumed of the disk.

mod archive;
mod check;
pub mod checksum;
pub mod commit;
mod compress;
mod error;
mod files;
mod follower;
mod fork;
mod format;
mod frame_builder;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod grow;
mod open;
mod place;
#[cfg(feature = "planted")]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
mod reader;
mod record_reader;
mod recover;
mod repair;
mod rotate;
mod scan;
mod segments;
mod settings;
pub mod vfs;
mod view;
mod watermark;
mod writer;

pub use archive::{Archive, ArchiveKey, Archives, OpenArchive};
pub use check::{
    ArchivedSegments, CompressedSegments, LostRange, Progress, Verification, VerifySettings,
    verify, verify_with,
};
pub use compress::{Compression, CompressionEstimate, Edit, Pace, Rewritten};
pub use error::{Damage, DamageKind, Error, ErrorKind, Result};
pub use follower::Follower;
pub use fork::{Fork, fork};
pub use format::frame::{Kind, RECORD_HEADER_BYTES};
pub use frame_builder::FrameBuilder;
pub use grow::Growth;
pub use place::{LogId, Lost, Place, RecordAt};
pub use record_reader::RecordReader;
pub use recover::{Cut, Recovery};
pub use repair::{Repair, repair};
pub use scan::{Scan, Scanned};
pub use segments::Segment;
pub use settings::{Durability, LogSettings, Parts, ReadMode};
pub use view::{Record, View};
pub use writer::{Log, SegmentInfo};
