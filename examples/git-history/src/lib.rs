//! A git history as events: import, time travel, and verification against git itself.
//!
//! [`git`] reads a repository's mainline as plain data; [`events`] says what can happen to a file and
//! folds it; [`history`] records the one as the other in any event store, and reads it back; [`verify`]
//! holds the fold against the repository, and
//! [`read_model`] keeps what is asked for often in SQLite. [`run`] is the command line over all of them.
//!
//! It is *not* a backup of a repository: events name blobs, they do not hold them.

pub mod cli;
pub mod codec;
pub mod events;
pub mod git;
pub mod history;
pub mod read_model;
pub mod verify;

mod commands;
mod kept;
mod progress;
mod report;

pub use commands::{Outcome, run};
