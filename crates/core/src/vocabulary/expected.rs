//! What an append takes for granted of a stream.

use std::fmt;

use super::number::Version;

/// The state in which an append, or a check, expects a stream to be.
///
/// On a soft-deleted stream (see [`StreamPolicy`](crate::StreamPolicy)) only `Any` and `NoStream` hold,
/// until the next append: who read events that were deleted since is told so. Versions go on all the same.
/// A tombstoned stream fails every expectation, `Any` included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// Any state.
    Any,
    /// No event, ever or since a soft delete.
    NoStream,
    /// At least one event since the last soft delete.
    StreamExists,
    /// Exactly this many events so far, and not soft-deleted; `Exactly(Version::ABSENT)` is a stream that
    /// never had one.
    Exactly(Version),
}

impl Expected {
    /// Whether a stream in this state meets the expectation (tombstones apart).
    pub fn holds(self, version: Version, soft_deleted: bool) -> bool {
        let exists = version > Version::ABSENT && !soft_deleted;
        match self {
            Self::Any => true,
            Self::NoStream => !exists,
            Self::StreamExists => exists,
            Self::Exactly(expected) => expected == version && !soft_deleted,
        }
    }

    /// Whether an event of this version stands against a failed expectation: those after the expected
    /// version, and every one where no stream was expected.
    pub fn is_offended_by(self, version: Version) -> bool {
        match self {
            Self::Any | Self::StreamExists => false,
            Self::NoStream => true,
            Self::Exactly(expected) => version > expected,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any version"),
            Self::NoStream => f.write_str("no stream"),
            Self::StreamExists => f.write_str("an existing stream"),
            Self::Exactly(version) => write!(f, "version {version}"),
        }
    }
}
