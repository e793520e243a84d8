//! What handlers write into.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use annals_core::{Error, ErrorKind};
use tokio_postgres::types::{ToSql, Type};

use crate::errors;
use crate::names::Names;
use crate::roles::Right;
use crate::row::PostgresRow;
use crate::session::{Encoded, Session};

/// How many statements a model remembers the parameters of.
const STATEMENTS_MAX: usize = 256;

/// The savepoint of a look, behind which nothing is kept but what was found.
const FITTING: &str = "annals_fitting";

/// What a statement of a handler may begin with.
const VERBS: [&str; 7] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES",
];

/// The tables of a model in the step that is under way: what the handlers of a projection write into.
///
/// Names of tables stand in braces, so that the models of two versions can stand beside each other: `{orders}` is
/// `orders_v2`, in the schema of the models, for version 2. Values are parameters, `$1` and on, and of the types that
/// [`tokio_postgres::types`](annals_store_postgres::tokio_postgres::types) lists.
///
/// A handler changes rows of its own tables, and reads whatever its role may read. It neither begins nor ends a
/// transaction, for that is the sink's, or the application's: a statement that is no `SELECT`, `INSERT`, `UPDATE`,
/// `DELETE`, `MERGE`, `WITH` or `VALUES` is refused.
///
/// Each call waits for the database. An inline projection ([`PostgresInline`](crate::PostgresInline)) does so while
/// every other append to the log waits: one statement an event is what it should take.
///
/// ```
/// use annals_codec::JsonCodec;
/// use annals_macros::Event;
/// use annals_projection::Projection;
/// use annals_read_postgres::PostgresModel;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(category = "account")]
/// struct Deposited { cents: i64 }
///
/// let balances = Projection::<PostgresModel>::builder("balances", 1)?
///     .on(JsonCodec, |model, event: &Deposited, recorded| {
///         model.execute(
///             "INSERT INTO {balances} AS b VALUES ($1, $2) ON CONFLICT (account) DO UPDATE SET cents = b.cents + $2",
///             &[&recorded.stream().as_str(), &event.cents],
///         )?;
///         Ok(())
///     })
///     .build()?;
/// # Ok::<(), annals_core::Error>(())
/// ```
pub struct PostgresModel {
    session: Option<Session>,
    names: Names,
    /// What its statements take.
    right: Right,
    known: Known,
    is_begun: bool,
    /// Why the step can't go on, whatever a handler makes of it.
    broken: Option<Broken>,
}

/// What broke a step.
#[derive(Clone, Debug)]
struct Broken {
    kind: ErrorKind,
    message: String,
    /// What the server called it.
    code: Option<String>,
}

/// The statements of handlers as they wrote them, with the names of one model in them, and the types of their
/// parameters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(Arc<Mutex<HashMap<String, Prepared>>>);

#[derive(Clone, Debug)]
struct Prepared {
    text: Arc<str>,
    types: Arc<[Type]>,
}

impl PostgresModel {
    pub(crate) fn new(names: Names) -> Self {
        Self {
            session: None,
            names,
            right: Right::Rows,
            known: Known::default(),
            is_begun: false,
            broken: None,
        }
    }

    /// The model in a transaction that has begun.
    pub(crate) fn within(session: Session, names: Names, known: Known) -> Self {
        Self {
            session: Some(session),
            names,
            right: Right::Rows,
            known,
            is_begun: true,
            broken: None,
        }
    }

    /// The model in a transaction that only reads, and has this savepoint.
    pub(crate) fn looked_at(session: Session, names: Names) -> Result<Self, Error> {
        session.batch(&format!("SAVEPOINT {FITTING}"))?;
        Ok(Self {
            right: Right::Read,
            ..Self::within(session, names, Known::default())
        })
    }

    /// As [`query_opt`](Self::query_opt), of a model that is [looked at](Self::looked_at): `None` too where a value is
    /// none of the type that it is compared with.
    pub(crate) fn query_fitting(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<PostgresRow>, Error> {
        self.refuse_outside()?;
        match self.try_run(sql, params, Session::query) {
            Ok(rows) => Ok(rows.into_iter().next()),
            Err(error) if errors::is_of_a_value(&error) => {
                self.session()?.batch(&format!("ROLLBACK TO {FITTING}"))?;
                Ok(None)
            }
            Err(error) => Err(self.broken_by(sql, error)),
        }
    }

    /// Runs a statement, and tells how many rows it changed.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where the database refuses the statement or a value of it: a handler passes that on, and
    /// the failure policy of the projection decides. The step is over then: PostgreSQL takes no further statement of a
    /// transaction in which one failed. Any other kind is of the database: the step is given up, and tried again where
    /// that helps.
    pub fn execute(&mut self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        self.run(sql, params, Session::execute)
    }

    /// Asks for rows.
    ///
    /// # Errors
    /// As for [`execute`](Self::execute).
    pub fn query(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<PostgresRow>, Error> {
        self.run(sql, params, Session::query)
    }

    /// Asks for the first row; `None` where there is none.
    ///
    /// # Errors
    /// As for [`execute`](Self::execute).
    pub fn query_opt(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<PostgresRow>, Error> {
        Ok(self.query(sql, params)?.into_iter().next())
    }

    fn run<T>(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
        call: impl FnOnce(&Session, &Arc<str>, Vec<(Encoded, Type)>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.refuse_outside()?;
        let ran = self.try_run(sql, params, call);
        ran.map_err(|error| self.broken_by(sql, error))
    }

    fn broken_by(&mut self, sql: &str, error: Error) -> Error {
        let expanded = self.names.expand(sql);
        let named = expanded.map(|expanded| expanded.names).unwrap_or_default();
        let tables: Vec<String> = named.iter().map(|name| self.names.whole(name)).collect();
        let error = self.right.named_of(self.names.schema(), &tables, error);
        self.broken = Some(Broken {
            kind: error.kind(),
            message: error.to_string(),
            code: errors::code(&error),
        });
        error.during("project")
    }

    fn try_run<T>(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
        call: impl FnOnce(&Session, &Arc<str>, Vec<(Encoded, Type)>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let session = self.session()?;
        let Prepared { text, types } = self.prepared(sql, session)?;
        if types.len() != params.len() {
            let message = "statement takes another number of values than it was given";
            let error = Error::new(ErrorKind::Invalid, message);
            return Err(error.with("takes", types.len()).with("given", params.len()));
        }
        let values = params.iter().zip(types.iter()).map(|(value, of)| {
            let encoded = Encoded::new(*value, of).map_err(|source| {
                let message = "value is not of the type of its parameter; see the cause";
                Error::new(ErrorKind::Invalid, message).caused_by(source)
            })?;
            Ok((encoded, of.clone()))
        });
        call(session, &text, values.collect::<Result<_, Error>>()?)
    }

    fn prepared(&self, sql: &str, session: &Session) -> Result<Prepared, Error> {
        if let Some(prepared) = self.known.find(sql) {
            return Ok(prepared);
        }
        refuse_other_verbs(sql)?;
        let text: Arc<str> = self.names.expand(sql)?.text.into();
        let types = session.describe(&text)?;
        let prepared = Prepared { text, types };
        self.known.keep(sql, &prepared);
        Ok(prepared)
    }

    /// Refuses what would be outside of the step, or after its failure.
    pub(crate) fn refuse_outside(&self) -> Result<(), Error> {
        match &self.broken {
            Some(Broken { kind, message, .. }) => {
                let error =
                    Error::new(*kind, "a statement of the step has failed; nothing follows");
                Err(error.with("failed", message))
            }
            None if self.is_begun => Ok(()),
            None => {
                let message = "model is used outside of a step; open the sink and begin one";
                Err(Error::new(ErrorKind::Unavailable, message))
            }
        }
    }

    pub(crate) fn session(&self) -> Result<&Session, Error> {
        self.session.as_ref().ok_or_else(errors::lost)
    }

    /// Uses this session from now on, for the model of these names.
    pub(crate) fn set(&mut self, session: Session, names: Names) {
        *self = Self {
            session: Some(session),
            ..Self::new(names)
        };
    }

    /// Takes the session away, if there is one.
    pub(crate) fn take_session(&mut self) -> Option<Session> {
        self.is_begun = false;
        self.broken = None;
        self.session.take()
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    pub(crate) fn is_begun(&self) -> bool {
        self.is_begun
    }

    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        self.session()?.batch("BEGIN")?;
        self.is_begun = true;
        Ok(())
    }

    pub(crate) fn commit(&mut self) -> Result<(), Error> {
        self.refuse_outside()?;
        let unknown = "the connection was lost while the step was committed; open the sink again";
        self.session()?.commit(unknown)?;
        self.is_begun = false;
        Ok(())
    }

    /// Rolls back what was begun, and tells of what broke it, so that a failure of the database is not taken for one of
    /// an event.
    pub(crate) fn roll_back(&mut self) -> Result<(), Error> {
        let broken = self.broken.take();
        if !self.is_begun {
            return Ok(());
        }
        self.is_begun = false;
        self.session()?.batch("ROLLBACK")?;
        match broken {
            Some(Broken { kind, message, .. }) if errors::is_of_the_database(kind) => {
                Err(Error::new(kind, message).during("roll back"))
            }
            _ => Ok(()),
        }
    }

    /// What broke the step, where that is the database's.
    pub(crate) fn broken(&self) -> Option<Error> {
        let Broken {
            kind,
            message,
            code,
        } = self.broken.clone()?;
        if !errors::is_of_the_database(kind) {
            return None;
        }
        let error = Error::new(kind, message);
        Some(match code {
            Some(code) => error.with(errors::CODE, code),
            None => error,
        })
    }
}

impl Known {
    fn find(&self, sql: &str) -> Option<Prepared> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(sql).cloned()
    }

    fn keep(&self, sql: &str, prepared: &Prepared) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= STATEMENTS_MAX {
            known.clear();
        }
        known.insert(sql.to_owned(), prepared.clone());
    }
}

/// A statement that ends the transaction would let half a step be seen.
fn refuse_other_verbs(sql: &str) -> Result<(), Error> {
    let verb: String = sql
        .trim_start_matches(|character: char| character.is_whitespace() || character == '(')
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect();
    if VERBS.iter().any(|known| verb.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let message = "not allowed here: handlers read, and change rows of their own tables; begin with the statement's verb";
    Err(Error::new(ErrorKind::Invalid, message).with("verb", verb))
}

impl fmt::Debug for PostgresModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresModel")
            .field("names", &self.names)
            .field("is_begun", &self.is_begun)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_statements_about_rows_are_allowed() {
        for allowed in [
            "SELECT 1",
            "  insert INTO x",
            "(SELECT 1)",
            "WITH a AS (SELECT 1) DELETE FROM x",
        ] {
            assert!(refuse_other_verbs(allowed).is_ok(), "{allowed}");
        }
        for refused in [
            "COMMIT",
            "rollback",
            "END",
            "SET x = 1",
            "",
            "-- x\nCOMMIT",
            "/**/COMMIT",
            "DO $$",
            "CALL p()",
        ] {
            assert!(refuse_other_verbs(refused).is_err(), "{refused}");
        }
    }
}
