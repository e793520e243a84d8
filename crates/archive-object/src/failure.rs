//! What is made of the errors of object stores.

use std::io;

use object_store::Error;

/// Whether asking again may help: it is none of the answers that a store gives again.
pub(crate) fn is_passing(error: &Error) -> bool {
    !matches!(
        error,
        Error::NotFound { .. }
            | Error::InvalidPath { .. }
            | Error::NotSupported { .. }
            | Error::AlreadyExists { .. }
            | Error::Precondition { .. }
            | Error::NotModified { .. }
            | Error::NotImplemented { .. }
            | Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::UnknownConfigurationKey { .. }
    )
}

/// Whether the store has no such operation.
pub(crate) fn is_unsupported(error: &Error) -> bool {
    matches!(
        error,
        Error::NotSupported { .. } | Error::NotImplemented { .. }
    )
}

/// The error as those of files are.
pub(crate) fn told(error: Error) -> io::Error {
    let kind = match &error {
        Error::NotFound { .. } => io::ErrorKind::NotFound,
        Error::AlreadyExists { .. } => io::ErrorKind::AlreadyExists,
        Error::NotSupported { .. } | Error::NotImplemented { .. } => io::ErrorKind::Unsupported,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            let message = format!("the store refuses these keys, or has none: {error}");
            return io::Error::new(io::ErrorKind::PermissionDenied, message);
        }
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
