//! Errors of PostgreSQL as errors of the contract.

use std::fmt;

use annals_core::{BoxError, Error, ErrorKind};
use deadpool_postgres::PoolError;
use tokio_postgres::error::{Severity, SqlState};

/// What a client says of a statement that failed, whoever's client it is.
#[derive(Debug)]
pub struct StatementError {
    said: Option<Said>,
    /// Whether the client could not make or read a value, so that nothing is wrong with the server.
    is_unfit: bool,
    source: BoxError,
}

/// What the server said.
#[derive(Debug)]
struct Said {
    message: String,
    code: String,
    /// Whether the session goes on.
    is_survived: bool,
}

impl StatementError {
    /// What the server said, in words; `None` where it said nothing, as of a connection that is lost.
    pub fn message(&self) -> Option<&str> {
        self.said.as_ref().map(|said| said.message.as_str())
    }

    /// What the server said, as a SQLSTATE.
    pub fn code(&self) -> Option<&str> {
        self.said.as_ref().map(|said| said.code.as_str())
    }

    /// Whether the server refused the statement and the session goes on, so that it is of the statement, and was
    /// certainly not done.
    pub fn is_survived(&self) -> bool {
        self.said.as_ref().is_some_and(|said| said.is_survived)
    }
}

impl From<tokio_postgres::Error> for StatementError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self {
            said: error.as_db_error().map(|said| Said {
                message: said.message().to_owned(),
                code: said.code().code().to_owned(),
                is_survived: is_certain(&error),
            }),
            is_unfit: false,
            source: error.into(),
        }
    }
}

#[cfg(feature = "sqlx")]
impl From<sqlx::Error> for StatementError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error::{ColumnDecode, ColumnIndexOutOfBounds, ColumnNotFound, Decode, Encode};
        use sqlx::postgres::{PgDatabaseError, PgSeverity};
        let said = error.as_database_error();
        let said = said.and_then(|said| said.try_downcast_ref::<PgDatabaseError>());
        Self {
            said: said.map(|said| Said {
                message: said.message().to_owned(),
                code: said.code().to_owned(),
                is_survived: matches!(said.severity(), PgSeverity::Error),
            }),
            is_unfit: matches!(
                error,
                ColumnDecode { .. }
                    | ColumnIndexOutOfBounds { .. }
                    | ColumnNotFound(_)
                    | Decode(_)
                    | Encode(_)
            ),
            source: error.into(),
        }
    }
}

/// As [`of_statement`] sorts it.
impl From<StatementError> for Error {
    fn from(error: StatementError) -> Self {
        of_statement(error)
    }
}

impl fmt::Display for StatementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl std::error::Error for StatementError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.source()
    }
}

/// What an error of a client says of a statement that was sent, sorted by what the caller does next.
///
/// [`ErrorKind::NoSpace`], [`ErrorKind::Overloaded`] and [`ErrorKind::Corrupt`] where the server said so, and
/// [`ErrorKind::Invalid`] where the role lacks a right; else [`ErrorKind::Unavailable`], with what it said. A value that is
/// of another type than its parameter or its column is [`ErrorKind::Corrupt`].
pub fn of_statement(error: impl Into<StatementError>) -> Error {
    let error = error.into();
    if error.is_unfit {
        let message = "value does not fit its parameter or its column; see the cause";
        return Error::new(ErrorKind::Corrupt, message).caused_by(error.source);
    }
    let StatementError { said, source, .. } = error;
    let Some(Said { message, code, .. }) = said else {
        let kind = ErrorKind::Unavailable;
        return Error::new(kind, message_of(kind, false))
            .with("cause", &source)
            .caused_by(source);
    };
    let kind = kind_of(&SqlState::from_code(&code));
    Error::new(kind, message_of(kind, true))
        .with("said", message)
        .with("code", code)
        .caused_by(source)
}

/// The error of something that could not be asked for at all.
pub(crate) fn of_pool(error: PoolError) -> Error {
    match error {
        PoolError::Backend(error) => of_statement(error),
        other => Error::new(
            ErrorKind::Unavailable,
            "no connection to the database; retry later",
        )
        .caused_by(other),
    }
}

/// What the error of a statement that changes something says of its fate: `true` where the server refused it, so
/// that it was certainly not done.
///
/// Only an error that the session survives says so. One that ends the session may come after the commit was written,
/// as a sync that failed does, which the server answers by ending itself: what it finds when it starts again counts.
pub(crate) fn is_certain(error: &tokio_postgres::Error) -> bool {
    error
        .as_db_error()
        .is_some_and(|said| said.parsed_severity() == Some(Severity::Error))
}

/// The error of a statement that changes something and is not sent again, as of a commit: [`ErrorKind::Unknown`]
/// where the server did not certainly refuse it.
pub fn of_change(error: impl Into<StatementError>) -> Error {
    let error = error.into();
    if error.is_survived() {
        return of_statement(error);
    }
    unfinished(error)
}

/// The error of a change whose fate could not be found out.
pub(crate) fn unfinished(cause: impl Into<BoxError>) -> Error {
    let message =
        "the connection was lost while the change was on its way; look whether it was made";
    Error::new(ErrorKind::Unknown, message).caused_by(cause)
}

/// Whether the server gave up what was not done for the sake of another transaction, so that it is asked again.
pub(crate) fn is_passing(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::T_R_DEADLOCK_DETECTED || *code == SqlState::T_R_SERIALIZATION_FAILURE
    })
}

/// The answer to an append whose fate could not be found out.
pub(crate) fn unknown(cause: impl fmt::Display) -> Error {
    let message =
        "the connection was lost while the append was on its way; send it again with the same id";
    Error::new(ErrorKind::Unknown, message).with("cause", cause)
}

fn kind_of(code: &SqlState) -> ErrorKind {
    if *code == SqlState::DISK_FULL || *code == SqlState::OUT_OF_MEMORY {
        return ErrorKind::NoSpace;
    }
    if *code == SqlState::TOO_MANY_CONNECTIONS || *code == SqlState::CONFIGURATION_LIMIT_EXCEEDED {
        return ErrorKind::Overloaded;
    }
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return ErrorKind::Invalid;
    }
    if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED {
        return ErrorKind::Corrupt;
    }
    ErrorKind::Unavailable
}

/// What an error of this kind says, of a server that answered or did not.
fn message_of(kind: ErrorKind, is_answered: bool) -> &'static str {
    match kind {
        ErrorKind::NoSpace => "the database is out of space; free some, then retry",
        ErrorKind::Overloaded => "the database takes no more connections; retry later",
        ErrorKind::Corrupt => "the database has damaged data; restore it",
        ErrorKind::Invalid => {
            "the role lacks a right; `annals schema postgres --roles` prints what it needs"
        }
        _ if is_answered => "the database refused; see what it said",
        _ => "the database did not answer; see the cause",
    }
}
