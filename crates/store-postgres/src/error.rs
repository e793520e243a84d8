//! Errors of PostgreSQL as errors of the contract.

use annals_core::{BoxError, Error, ErrorKind};
use deadpool_postgres::PoolError;
use tokio_postgres::error::{Severity, SqlState};

/// What an error of the client says of a statement that was sent, sorted by what the caller does next.
///
/// [`ErrorKind::NoSpace`], [`ErrorKind::Overloaded`] and [`ErrorKind::Corrupt`] where the server said so; else
/// [`ErrorKind::Unavailable`], with what it said.
pub fn of_statement(error: tokio_postgres::Error) -> Error {
    let kind = error.code().map_or(ErrorKind::Unavailable, kind_of);
    described(kind, error)
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
pub fn of_change(error: tokio_postgres::Error) -> Error {
    if is_certain(&error) {
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
pub(crate) fn unknown(cause: impl std::fmt::Display) -> Error {
    let message =
        "the connection was lost while the append was on its way; send it again with the same id";
    Error::new(ErrorKind::Unknown, message).with("cause", cause)
}

pub(crate) fn kind_of(code: &SqlState) -> ErrorKind {
    if *code == SqlState::DISK_FULL || *code == SqlState::OUT_OF_MEMORY {
        return ErrorKind::NoSpace;
    }
    if *code == SqlState::TOO_MANY_CONNECTIONS || *code == SqlState::CONFIGURATION_LIMIT_EXCEEDED {
        return ErrorKind::Overloaded;
    }
    if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED {
        return ErrorKind::Corrupt;
    }
    ErrorKind::Unavailable
}

fn described(kind: ErrorKind, error: tokio_postgres::Error) -> Error {
    let described = Error::new(kind, message_of(kind, error.code().is_some()));
    let described = match error.as_db_error() {
        Some(said) => described
            .with("said", said.message())
            .with("code", said.code().code()),
        None => described.with("cause", &error),
    };
    described.caused_by(error)
}

/// What an error of this kind says, of a server that answered or did not.
pub(crate) fn message_of(kind: ErrorKind, is_answered: bool) -> &'static str {
    match kind {
        ErrorKind::NoSpace => "the database is out of space; free some, then retry",
        ErrorKind::Overloaded => "the database takes no more connections; retry later",
        ErrorKind::Corrupt => "the database has damaged data; restore it",
        _ if is_answered => "the database refused; see what it said",
        _ => "the database did not answer; see the cause",
    }
}
