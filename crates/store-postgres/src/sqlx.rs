//! A transaction of sqlx as what statements are asked through: the same statements, values and answers.

use std::borrow::Cow;
use std::error::Error as StdError;

use annals_core::{Error, ErrorKind};
use bytes::BytesMut;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::{BoxDynError, DatabaseError};
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgConnection, PgRow, PgTypeInfo};
use sqlx::{Arguments, AssertSqlSafe, Postgres, Row, ValueRef};
use tokio::sync::Mutex;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{self as types, FromSql, ToSql};

use crate::ask::{Ask, Cells, Values};
use crate::error::{kind_of, message_of};

/// A connection that is lent, for one statement at a time.
pub(crate) struct Borrowed<'a>(Mutex<&'a mut PgConnection>);

/// A value as it is sent.
struct Sent {
    of: PgTypeInfo,
    bytes: Option<BytesMut>,
}

impl<'a> Borrowed<'a> {
    pub(crate) fn new(connection: &'a mut PgConnection) -> Self {
        Self(Mutex::new(connection))
    }
}

impl Ask for Borrowed<'_> {
    type Answer = PgRow;

    async fn ask(&self, text: &str, values: Values<'_>) -> Result<Vec<PgRow>, Error> {
        let mut arguments = PgArguments::default();
        for (value, of) in values {
            let sent = Sent::new(*value, of).map_err(unfit)?;
            arguments.add(sent).map_err(unfit)?;
        }
        // Safe: names are quoted, and everything else is a value.
        let query = sqlx::query_with(AssertSqlSafe(text.to_owned()), arguments);
        let mut connection = self.0.lock().await;
        query.fetch_all(&mut **connection).await.map_err(of_sqlx)
    }
}

impl Cells for PgRow {
    fn cell<'a, T: FromSql<'a>>(&'a self, column: usize) -> Result<T, Error> {
        let value = self.try_get_raw(column).map_err(of_sqlx)?;
        let oid = value.type_info().oid();
        let of = oid.and_then(|oid| types::Type::from_oid(oid.0));
        let of = of.filter(T::accepts).ok_or_else(|| {
            let message = "column is of another type than was asked for; report this as a defect";
            Error::new(ErrorKind::Corrupt, message).with("column", column)
        })?;
        let read = if value.is_null() {
            T::from_sql_null(&of)
        } else {
            value.as_bytes().and_then(|bytes| T::from_sql(&of, bytes))
        };
        read.map_err(unfit)
    }
}

impl Sent {
    fn new(
        value: &(dyn ToSql + Sync),
        of: &types::Type,
    ) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        let mut bytes = BytesMut::new();
        let is_null = value.to_sql_checked(of, &mut bytes)?;
        Ok(Self {
            of: PgTypeInfo::with_oid(Oid(of.oid())),
            bytes: matches!(is_null, types::IsNull::No).then_some(bytes),
        })
    }
}

impl Encode<'_, Postgres> for Sent {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        match &self.bytes {
            Some(bytes) => {
                buffer.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.of.clone())
    }
}

impl sqlx::Type<Postgres> for Sent {
    fn type_info() -> PgTypeInfo {
        // Never asked: each value says what it produces.
        PgTypeInfo::with_oid(Oid(types::Type::UNKNOWN.oid()))
    }
}

/// As for the client of this crate.
fn of_sqlx(error: sqlx::Error) -> Error {
    let said = error.as_database_error();
    let code = said.and_then(DatabaseError::code).map(Cow::into_owned);
    let kind = code.as_deref().map_or(ErrorKind::Unavailable, |code| {
        kind_of(&SqlState::from_code(code))
    });
    let described = Error::new(kind, message_of(kind, code.is_some()));
    let described = match (said, &code) {
        (Some(said), Some(code)) => described.with("said", said.message()).with("code", code),
        _ => described.with("cause", &error),
    };
    described.caused_by(error)
}

fn unfit(error: Box<dyn StdError + Sync + Send>) -> Error {
    let message = "value does not fit its parameter or its column; report this as a defect";
    Error::new(ErrorKind::Corrupt, message).caused_by(error)
}
