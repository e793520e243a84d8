//! What statements are sent through: a client of this crate's own, or that of whoever hands in a transaction.
//!
//! For whoever keeps something beside the log, as read models, and changes it in the transaction of an append: the same
//! code then does for a transaction of `tokio_postgres` and for one of sqlx.

use annals_core::{Error, ErrorKind};
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{GenericClient, Row};

use crate::error::{StatementError, of_statement};
#[cfg(feature = "sqlx")]
pub use crate::sqlx::Borrowed;

/// Values with the types of their parameters.
pub type Values<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// A connection of the database, whoever's client it is of.
pub trait Ask: Sync {
    /// What it answers, row by row.
    type Answer: Cells + Send + Sync;

    /// Asks for rows, in one round trip where the client can: the statement is planned for its values.
    fn ask(
        &self,
        text: &str,
        values: Values<'_>,
    ) -> impl Future<Output = Result<Vec<Self::Answer>, StatementError>> + Send;

    /// Changes rows, and tells how many.
    fn change(
        &self,
        text: &str,
        values: Values<'_>,
    ) -> impl Future<Output = Result<u64, StatementError>> + Send;

    /// Runs statements without values, one after the other.
    fn batch(&self, text: &str) -> impl Future<Output = Result<(), StatementError>> + Send;

    /// The types of a statement's parameters.
    fn describe(
        &self,
        text: &str,
    ) -> impl Future<Output = Result<Vec<Type>, StatementError>> + Send;
}

/// A row, as columns one by one.
pub trait Cells {
    /// What is in a column, by its place.
    ///
    /// # Errors
    /// Where there is no such column, or its type is another.
    fn cell<'a, T: FromSql<'a>>(&'a self, column: usize) -> Result<T, Error>;

    /// The place of the column of this name; `None` where there is none.
    fn place(&self, name: &str) -> Option<usize>;
}

impl<C: GenericClient + Sync> Ask for C {
    type Answer = Row;

    async fn ask(&self, text: &str, values: Values<'_>) -> Result<Vec<Row>, StatementError> {
        Ok(self.query_typed(text, values).await?)
    }

    async fn change(&self, text: &str, values: Values<'_>) -> Result<u64, StatementError> {
        Ok(self.execute_typed(text, values).await?)
    }

    async fn batch(&self, text: &str) -> Result<(), StatementError> {
        Ok(self.batch_execute(text).await?)
    }

    async fn describe(&self, text: &str) -> Result<Vec<Type>, StatementError> {
        Ok(self.prepare(text).await?.params().to_vec())
    }
}

impl Cells for Row {
    fn cell<'a, T: FromSql<'a>>(&'a self, column: usize) -> Result<T, Error> {
        self.try_get(column).map_err(of_statement)
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.columns()
            .iter()
            .position(|column| column.name() == name)
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
