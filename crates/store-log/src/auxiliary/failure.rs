//! What can go wrong with a file, in terms of what the caller does next.

use std::io;
use std::path::Path;

use annals_core::{Error, ErrorKind};

/// The error of a caller whose file could not be read or written.
pub(super) fn of_io(error: io::Error, path: &Path) -> Error {
    let (kind, message) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (
            ErrorKind::NoSpace,
            "the disk is full; free some space, then try again",
        ),
        _ => (
            ErrorKind::Unavailable,
            "the file can't be read or written; see the cause, then try again",
        ),
    };
    Error::new(kind, message)
        .with("file", path.display())
        .with("cause", &error)
        .caused_by(error)
}

/// The error of a file that a newer version of this crate wrote.
pub(super) fn newer_format(path: &Path, found: u32, known: u32) -> Error {
    let message =
        "the file is of a newer format; open the store with the version of annals that wrote it";
    Error::new(ErrorKind::Unsupported, message)
        .with("file", path.display())
        .with("format", found)
        .with("newest_known", known)
}
