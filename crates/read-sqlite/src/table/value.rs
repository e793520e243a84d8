//! A value of a row.

use annals_core::{Error, ErrorKind};
use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlResult, ToSqlOutput, Value, ValueRef};

/// A value of a row, as SQLite knows them.
///
/// ```
/// use annals_read_sqlite::SqlValue;
///
/// assert_eq!(SqlValue::from(7_u32), SqlValue::Integer(7));
/// assert_eq!(SqlValue::from(None::<&str>), SqlValue::Null);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SqlValue {
    /// No value.
    Null,
    /// A whole number.
    Integer(i64),
    /// A whole number that SQLite can't hold as one: it is refused where it is written.
    TooLarge(u64),
    /// A number with a fraction.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl From<u64> for SqlValue {
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Self::TooLarge(number), Self::Integer)
    }
}

impl From<usize> for SqlValue {
    fn from(number: usize) -> Self {
        Self::from(number as u64)
    }
}

impl From<f64> for SqlValue {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for SqlValue {
    fn from(truth: bool) -> Self {
        Self::Integer(truth.into())
    }
}

impl From<String> for SqlValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for SqlValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for SqlValue {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<Vec<u8>> for SqlValue {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Blob(bytes)
    }
}

impl From<&[u8]> for SqlValue {
    fn from(bytes: &[u8]) -> Self {
        Self::Blob(bytes.to_owned())
    }
}

impl<T: Into<Self>> From<Option<T>> for SqlValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

macro_rules! from_integer {
    ($($number:ty),+) => {$(
        impl From<$number> for SqlValue {
            fn from(number: $number) -> Self {
                Self::Integer(number.into())
            }
        }
    )+};
}

from_integer!(i8, i16, i32, i64, u8, u16, u32);

impl ToSql for SqlValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::TooLarge(number) => {
                let message = "number is over what SQLite holds (2^63 - 1)";
                let error = Error::new(ErrorKind::Invalid, message).with("number", number);
                return Err(rusqlite::Error::ToSqlConversionFailure(error.into()));
            }
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl FromSql for SqlValue {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match Value::column_result(value)? {
            Value::Null => Self::Null,
            Value::Integer(number) => Self::Integer(number),
            Value::Real(number) => Self::Real(number),
            Value::Text(text) => Self::Text(text),
            Value::Blob(bytes) => Self::Blob(bytes),
        })
    }
}
