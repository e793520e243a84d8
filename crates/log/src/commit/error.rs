//! Why a request has no answer.

use std::error::Error;
use std::fmt;

/// Why a request was not answered, by what the caller knows of it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SubmitError {
    /// The queue is full. The request did not happen; submit again when others have been answered.
    Overloaded,
    /// The group is closed. The request did not happen.
    Closed,
    /// The committer panicked. The request did not happen and none will any more.
    Poisoned,
    /// The committer panicked while it had the request, which may or may not have happened.
    Unknown,
}

impl fmt::Display for SubmitError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Overloaded => "the commit queue is full: try again later",
            Self::Closed => "the committer is closed: open it again",
            Self::Poisoned => "the committer has failed for good: open it again",
            Self::Unknown => {
                "the committer failed while it had the request: open it again and look whether it happened"
            }
        })
    }
}

impl Error for SubmitError {}
