//! What a statement is asked through: a client of this crate's own, or that of whoever hands in a transaction.

use annals_core::{Error, ErrorKind};
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{GenericClient, Row};

use crate::error::of_statement;

/// Values with the types of their parameters.
pub(crate) type Values<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// A connection of the database, whoever's client it is of.
pub(crate) trait Ask: Sync {
    /// What it answers, row by row.
    type Answer: Cells + Send + Sync;

    /// Asks, in one round trip where the client can: the statement is planned for its values.
    fn ask(
        &self,
        text: &str,
        values: Values<'_>,
    ) -> impl Future<Output = Result<Vec<Self::Answer>, Error>> + Send;
}

/// A row, as columns one by one.
pub(crate) trait Cells {
    /// What is in a column.
    fn cell<'a, T: FromSql<'a>>(&'a self, column: usize) -> Result<T, Error>;
}

impl<C: GenericClient + Sync> Ask for C {
    type Answer = Row;

    async fn ask(&self, text: &str, values: Values<'_>) -> Result<Vec<Row>, Error> {
        self.query_typed(text, values).await.map_err(of_statement)
    }
}

impl Cells for Row {
    fn cell<'a, T: FromSql<'a>>(&'a self, column: usize) -> Result<T, Error> {
        self.try_get(column).map_err(of_statement)
    }
}

/// Asks for the one row that there is.
pub(crate) async fn one<A: Ask>(
    client: &A,
    text: &str,
    values: Values<'_>,
) -> Result<A::Answer, Error> {
    let rows = client.ask(text, values).await?;
    rows.into_iter().next().ok_or_else(|| {
        let message = "the log has lost the row of its head; restore it";
        Error::new(ErrorKind::Corrupt, message)
    })
}
