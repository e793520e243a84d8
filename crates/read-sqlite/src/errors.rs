//! Errors of SQLite, sorted by what the caller does next.

use annals_core::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// An error of SQLite while something was done.
pub(crate) fn of(error: rusqlite::Error, operation: &'static str) -> Error {
    let code = match &error {
        rusqlite::Error::SqlInputError { error, .. } => Some(error.code),
        error => error.sqlite_error_code(),
    };
    let (kind, message) = match code {
        Some(code) => of_code(code),
        None => (
            ErrorKind::Invalid,
            "statement or value does not fit; see the cause",
        ),
    };
    Error::new(kind, message).during(operation).caused_by(error)
}

/// An error of the commit itself: what is not known to have failed may have happened.
pub(crate) fn of_commit(error: rusqlite::Error) -> Error {
    let error = of(error, "commit");
    match error.kind() {
        ErrorKind::Unavailable => {
            let message = "sqlite does not say whether the step was committed; open the sink again";
            Error::new(ErrorKind::Unknown, message)
                .during("commit")
                .caused_by(error)
        }
        _ => error,
    }
}

/// Whether an error is of the file and not of the statement, so that it says nothing of an event.
pub(crate) fn is_of_file(kind: ErrorKind) -> bool {
    !matches!(kind, ErrorKind::Invalid)
}

fn of_code(code: ErrorCode) -> (ErrorKind, &'static str) {
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => (
            ErrorKind::Overloaded,
            "another writer has the file of read models; retry later",
        ),
        ErrorCode::DiskFull => (
            ErrorKind::NoSpace,
            "no space for the read models; free some, then retry",
        ),
        ErrorCode::DatabaseCorrupt => (
            ErrorKind::Corrupt,
            "file of read models is damaged; remove it and project anew",
        ),
        ErrorCode::NotADatabase => (
            ErrorKind::Invalid,
            "file is no SQLite database; choose another path",
        ),
        ErrorCode::AuthorizationForStatementDenied => (
            ErrorKind::Invalid,
            "not allowed here: handlers change rows of their own tables and nothing else (no BEGIN, COMMIT, PRAGMA, \
             ATTACH, CREATE, DROP), and schemas create, under names in braces",
        ),
        ErrorCode::Unknown
        | ErrorCode::ConstraintViolation
        | ErrorCode::TypeMismatch
        | ErrorCode::TooBig
        | ErrorCode::ParameterOutOfRange
        | ErrorCode::ApiMisuse
        | ErrorCode::NotFound => (
            ErrorKind::Invalid,
            "sqlite refuses the statement; see the cause",
        ),
        _ => (
            ErrorKind::Unavailable,
            "sqlite can't serve now; see the cause",
        ),
    }
}
