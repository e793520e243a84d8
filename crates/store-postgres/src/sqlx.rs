//! A transaction of sqlx as what statements are asked through: the same statements, values and answers.

use std::error::Error as StdError;
use std::fmt;

use annals_core::{Error, ErrorKind};
use bytes::BytesMut;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgConnection, PgRow, PgTypeInfo, PgTypeKind};
use sqlx::{
    Arguments, AssertSqlSafe, Column, Either, Executor, Postgres, Row, SqlSafeStr, Statement,
    TypeInfo, ValueRef,
};
use tokio::sync::Mutex;
use tokio_postgres::types::{self as types, Field, FromSql, Kind, ToSql};

use crate::ask::{Ask, Cells, Values};
use crate::error::{StatementError, of_statement};

/// A connection of sqlx that is lent, for one statement at a time.
///
/// No statement stays prepared on it: sqlx would know it by its text alone, whatever the types of its values, and keep it
/// in place of the application's own.
pub struct Borrowed<'a>(Mutex<&'a mut PgConnection>);

/// A value as it is sent.
struct Sent {
    of: PgTypeInfo,
    bytes: Option<BytesMut>,
}

impl<'a> Borrowed<'a> {
    /// Borrows the connection of a transaction.
    pub fn new(transaction: &'a mut sqlx::Transaction<'_, Postgres>) -> Self {
        Self(Mutex::new(transaction))
    }
}

impl Ask for Borrowed<'_> {
    type Answer = PgRow;

    async fn ask(&self, text: &str, values: Values<'_>) -> Result<Vec<PgRow>, StatementError> {
        let query = sqlx::query_with(safe(text), arguments(values)?).persistent(false);
        let mut connection = self.0.lock().await;
        Ok(query.fetch_all(&mut **connection).await?)
    }

    async fn change(&self, text: &str, values: Values<'_>) -> Result<u64, StatementError> {
        let query = sqlx::query_with(safe(text), arguments(values)?).persistent(false);
        let mut connection = self.0.lock().await;
        Ok(query.execute(&mut **connection).await?.rows_affected())
    }

    async fn batch(&self, text: &str) -> Result<(), StatementError> {
        let query = sqlx::raw_sql(safe(text));
        let mut connection = self.0.lock().await;
        query.execute(&mut **connection).await?;
        Ok(())
    }

    async fn describe(&self, text: &str) -> Result<Vec<types::Type>, StatementError> {
        let mut connection = self.0.lock().await;
        let statement = connection.prepare(safe(text).into_sql_str()).await?;
        let parameters = match statement.parameters() {
            Some(Either::Left(parameters)) => parameters,
            _ => &[],
        };
        Ok(parameters.iter().map(type_of).collect())
    }
}

impl Cells for PgRow {
    fn cell<'a, T: FromSql<'a>>(&'a self, column: usize) -> Result<T, Error> {
        let value = self.try_get_raw(column).map_err(of_statement)?;
        let of = type_of(&value.type_info());
        if !T::accepts(&of) {
            let message = "column is of another type than was asked for; ask for it as what it is";
            let error = Error::new(ErrorKind::Corrupt, message).with("column", column);
            return Err(error.with("type", of));
        }
        let read = if value.is_null() {
            T::from_sql_null(&of)
        } else {
            value.as_bytes().and_then(|bytes| T::from_sql(&of, bytes))
        };
        read.map_err(|source| of_statement(sqlx::Error::Decode(source)))
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.columns()
            .iter()
            .position(|column| column.name() == name)
    }
}

/// Names are quoted, and everything else is a value, or is written by whoever wrote the handlers.
fn safe(text: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(text.to_owned())
}

fn arguments(values: Values<'_>) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    for (value, of) in values {
        let sent = Sent::new(*value, of).map_err(sqlx::Error::Encode)?;
        arguments.add(sent).map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// A type as the client of this crate knows it, those of the application's own among them.
fn type_of(info: &PgTypeInfo) -> types::Type {
    let oid = info.oid().map_or(0, |oid| oid.0);
    if let Some(known) = types::Type::from_oid(oid) {
        return known;
    }
    let kind = match info.kind() {
        PgTypeKind::Simple => Kind::Simple,
        PgTypeKind::Pseudo => Kind::Pseudo,
        PgTypeKind::Domain(of) => Kind::Domain(type_of(of)),
        PgTypeKind::Array(of) => Kind::Array(type_of(of)),
        PgTypeKind::Range(of) => Kind::Range(type_of(of)),
        PgTypeKind::Enum(values) => Kind::Enum(values.to_vec()),
        PgTypeKind::Composite(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(name, of)| Field::new(name.clone(), type_of(of)));
            Kind::Composite(fields.collect())
        }
    };
    types::Type::new(bare(info.name()), oid, kind, String::new())
}

/// The name of a type without its schema and its quotes, which sqlx leaves at it.
fn bare(name: &str) -> String {
    match name.strip_suffix('"') {
        Some(quoted) => {
            let begin = quoted.rfind(".\"").map_or(1, |point| point + 2);
            let quoted = quoted.get(begin..).unwrap_or_default();
            quoted.replace("\"\"", "\"")
        }
        None => name.rsplit('.').next().unwrap_or(name).to_owned(),
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

impl fmt::Debug for Borrowed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Borrowed").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_types_are_without_schema_and_quotes() {
        for (name, expected) in [
            ("mood", "mood"),
            ("models.mood_v1", "mood_v1"),
            ("\"Mood\"", "Mood"),
            ("models.\"a \"\"b\"\"\"", "a \"b\""),
            ("\"my models\".\"Mood\"", "Mood"),
        ] {
            assert_eq!(bare(name), expected);
        }
    }
}
