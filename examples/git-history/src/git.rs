//! The git half: a repository's mainline, read as plain data that knows nothing of events.

mod commit;
mod mainline;
mod mode;
mod path;
mod repository;
mod revision;
mod tree;

pub use commit::{Action, Change, Commit, Commits};
pub use gix::ObjectId;
pub use mainline::{Link, Mainline, Root};
pub use mode::Mode;
pub use path::{GitPath, MalformedPath, decode_path, encode_path, shorten};
pub use repository::Repository;
pub use tree::{Entry, GitBinary, TreeSource};
