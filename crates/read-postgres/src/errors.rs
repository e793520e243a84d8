//! Errors of PostgreSQL, sorted by what the caller does next.

use annals_core::{Error, ErrorKind};
use annals_store_postgres::error::{StatementError, of_statement};

/// What the classes of SQLSTATE begin with that tell of a statement, or of a value in it: a cardinality, data, a
/// constraint, what hangs on what is dropped, a role that may not, syntax, a view's check, what a function raised, a name
/// that is not there.
const OF_THE_STATEMENT: [&str; 9] = ["0A", "21", "22", "23", "2B", "42", "44", "P0", "3F"];

/// The name of the fact that is the code of what the server said.
pub(crate) const CODE: &str = "code";

/// An error of a statement.
pub(crate) fn of(error: impl Into<StatementError>) -> Error {
    let error = error.into();
    // Without a code it is of the connection, or of a value that does not fit its parameter.
    let is_of_the_statement = error.is_survived()
        && error.code().is_some_and(|code| {
            let mut classes = OF_THE_STATEMENT.iter();
            classes.any(|class| code.starts_with(class))
        });
    if !is_of_the_statement {
        return of_statement(error);
    }
    let text = |said: Option<&str>| said.unwrap_or_default().to_owned();
    let (said, code) = (text(error.message()), text(error.code()));
    Error::new(
        ErrorKind::Invalid,
        "the database refuses the statement; see what it said",
    )
    .with("said", said)
    .with(CODE, code)
    .caused_by(error)
}

/// Whether an error is of the database and not of the statement, so that it says nothing of an event.
pub(crate) fn is_of_the_database(kind: ErrorKind) -> bool {
    !matches!(kind, ErrorKind::Invalid)
}

/// Whether the server gave something up for the sake of another transaction, so that it may be asked again.
pub(crate) fn is_passing(error: &Error) -> bool {
    let mut context = error.context();
    context.any(|(name, said)| name == CODE && matches!(said, "40001" | "40P01"))
}

/// What the server gave as the code of an error, if it did.
pub(crate) fn code(error: &Error) -> Option<String> {
    fact(error, CODE)
}

/// What the server said, if it did.
pub(crate) fn said(error: &Error) -> Option<String> {
    fact(error, "said")
}

fn fact(error: &Error, name: &str) -> Option<String> {
    let mut context = error.context();
    let fact = context.find(|(fact, _)| *fact == name);
    fact.map(|(_, fact)| fact.to_owned())
}

/// Whether the server found that a value is none of its type, or of its domain.
pub(crate) fn is_of_a_value(error: &Error) -> bool {
    code(error).is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

/// Whether a lock was not to be had in time.
pub(crate) fn is_locked(error: &Error) -> bool {
    code(error).as_deref() == Some("55P03")
}

/// Whether there is no table of this name.
pub(crate) fn is_no_table(error: &Error) -> bool {
    code(error).as_deref() == Some("42P01")
}

/// What is asked of a session that has ended.
pub(crate) fn lost() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the connection of the read model is lost; open the sink again",
    )
}
