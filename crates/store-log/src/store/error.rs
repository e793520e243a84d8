//! Errors of the engine and of the index, as errors of the contract.

use std::borrow::Cow;

use annals_core::{Error, ErrorKind, Position};
use annals_log::ErrorKind as LogErrorKind;

use crate::record::BadRecord;

/// Stored data is damaged.
pub(crate) fn corrupt(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

/// What the engine says after something was written that it can't call durable.
pub(crate) fn unknown(error: annals_log::Error) -> Error {
    Error::new(ErrorKind::Unknown, error.to_string()).caused_by(error)
}

/// What the engine says, sorted by what the caller of a store does next.
pub(crate) fn from_log(error: annals_log::Error) -> Error {
    let kind = match error.kind() {
        LogErrorKind::Invalid => ErrorKind::Invalid,
        // A place that the index names holds no record.
        LogErrorKind::Corrupt => ErrorKind::Corrupt,
        LogErrorKind::NoSpace => ErrorKind::NoSpace,
        LogErrorKind::Unknown => ErrorKind::Unknown,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, error.to_string()).caused_by(error)
}

/// Whether a store can't be opened to be written because it is open to be written already, here or in another process.
///
/// ```
/// use annals_store_log::{LogStore, is_locked};
///
/// # let directory = tempfile::tempdir()?;
/// let _store = LogStore::builder(directory.path()).create()?;
/// let error = LogStore::builder(directory.path()).open().unwrap_err();
/// assert!(is_locked(&error));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn is_locked(error: &Error) -> bool {
    let cause = std::error::Error::source(error);
    let engine = cause.and_then(|cause| cause.downcast_ref::<annals_log::Error>());
    engine.is_some_and(|engine| engine.kind() == LogErrorKind::Locked)
}

/// A record that is whole by its checksum is no event of this format.
pub(crate) fn bad_record(bad: BadRecord, position: Position) -> Error {
    corrupt("record is no event of this format; verify the store")
        .with("position", position)
        .caused_by(bad)
}
