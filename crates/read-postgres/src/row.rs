//! Rows as handlers and readers have them.

use std::fmt;

use annals_core::{Error, ErrorKind};
use annals_store_postgres::ask::Cells;
use tokio_postgres::types::FromSql;

/// A row that the database answered, whoever's transaction it was asked in.
pub struct PostgresRow(Of);

/// By whose client it came.
enum Of {
    TokioPostgres(tokio_postgres::Row),
    #[cfg(feature = "sqlx")]
    Sqlx(sqlx::postgres::PgRow),
}

/// Which column of a row: by its place, from 0, or by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostgresColumn<'a> {
    /// By its place, from 0.
    Place(usize),
    /// By its name. Of several, the first.
    Name(&'a str),
}

impl PostgresRow {
    /// What is in a column: `row.get(0)?`, or `row.get("cents")?`. What may be NULL is an `Option`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where there is no such column, or what is in it is not of this type.
    pub fn get<'a, 'c, T: FromSql<'a>>(
        &'a self,
        column: impl Into<PostgresColumn<'c>>,
    ) -> Result<T, Error> {
        let column = column.into();
        match &self.0 {
            Of::TokioPostgres(row) => read(row, column),
            #[cfg(feature = "sqlx")]
            Of::Sqlx(row) => read(row, column),
        }
    }
}

fn read<'a, T: FromSql<'a>>(row: &'a impl Cells, column: PostgresColumn<'_>) -> Result<T, Error> {
    let place = match column {
        PostgresColumn::Place(place) => Some(place),
        PostgresColumn::Name(name) => row.place(name),
    };
    let Some(place) = place else {
        let message = "row has no column of this name";
        return Err(Error::new(ErrorKind::Invalid, message).with("column", column));
    };
    row.cell(place).map_err(|source| {
        let message = "row has no such column, or what is in it is not of this type; see the cause";
        let error = Error::new(ErrorKind::Invalid, message).with("column", column);
        error.caused_by(source)
    })
}

impl From<usize> for PostgresColumn<'_> {
    fn from(place: usize) -> Self {
        Self::Place(place)
    }
}

impl<'a> From<&'a str> for PostgresColumn<'a> {
    fn from(name: &'a str) -> Self {
        Self::Name(name)
    }
}

impl From<tokio_postgres::Row> for PostgresRow {
    fn from(row: tokio_postgres::Row) -> Self {
        Self(Of::TokioPostgres(row))
    }
}

#[cfg(feature = "sqlx")]
impl From<sqlx::postgres::PgRow> for PostgresRow {
    fn from(row: sqlx::postgres::PgRow) -> Self {
        Self(Of::Sqlx(row))
    }
}

impl fmt::Display for PostgresColumn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(place) => place.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Debug for PostgresRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Of::TokioPostgres(row) => row.fmt(f),
            #[cfg(feature = "sqlx")]
            Of::Sqlx(row) => row.fmt(f),
        }
    }
}
