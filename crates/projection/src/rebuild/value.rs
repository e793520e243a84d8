//! Rows of tables and their keys as JSON, as sinks on databases give them to compare.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use annals_core::{Error, ErrorKind};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The longest text or bytes that stand whole in a row.
const VALUE_BYTES_MAX: usize = 4 * 1024;

/// How much of a longer one is shown.
const SHOWN_BYTES_MAX: usize = 32;

/// A value of a row, of a database whose rows are compared.
///
/// What JSON does not have is an object: bytes are `{"bytes": "0a0b"}` in hexadecimal digits.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ModelValue {
    /// No value.
    Null,
    /// A truth.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// A text, and whatever a database writes as one.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// By what a row of a table is found again in another version: the table, and the values of its key.
///
/// ```
/// use annals_projection::{ModelValue, RowKey};
///
/// let key = RowKey::new("orders", [ModelValue::Text("order-7".to_owned())]);
/// assert_eq!(key.to_string(), "orders [\"order-7\"]");
/// assert_eq!("orders [\"order-7\"]".parse::<RowKey>()?, key);
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RowKey {
    /// The name of the table, without what tells versions apart.
    pub table: String,
    /// The values of its key, in the key's order.
    pub values: Vec<ModelValue>,
}

/// How many rows of a sample each table gets, of so many rows each: its share, and at least one while there is room.
pub fn sample_shares(rows_max: usize, tables: &[u64]) -> Vec<u64> {
    let mut left = u64::try_from(rows_max).unwrap_or(u64::MAX);
    let mut rows_left: u64 = tables.iter().sum();
    let shares = tables.iter().map(|rows| {
        if *rows == 0 {
            return 0;
        }
        let share = u128::from(left) * u128::from(*rows) / u128::from(rows_left.max(1));
        let share = u64::try_from(share).unwrap_or(left).max(1).min(left);
        left = left.saturating_sub(share);
        rows_left = rows_left.saturating_sub(*rows);
        share
    });
    shares.collect()
}

impl ModelValue {
    /// The value to compare and to look at: short, and another for another value. Of texts and bytes over 4 KiB the
    /// length, the beginning and a SHA-256 stand for the whole.
    pub fn shown(&self) -> Value {
        match self {
            Self::Text(text) if text.len() > VALUE_BYTES_MAX => {
                let begin = beginning(text.as_bytes());
                let begin = String::from_utf8_lossy(begin);
                let digest = digest(text.as_bytes());
                json!({"text_bytes": text.len(), "begins": begin, "sha256": digest})
            }
            Self::Bytes(bytes) if bytes.len() > VALUE_BYTES_MAX => {
                let begin = hex(beginning(bytes));
                json!({"blob_bytes": bytes.len(), "begins": begin, "sha256": digest(bytes)})
            }
            Self::Real(number) if number.is_finite() => (*number).into(),
            value => value.exact(),
        }
    }

    /// The value as JSON, from which it can be read again.
    fn exact(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(truth) => (*truth).into(),
            Self::Integer(number) => (*number).into(),
            // A text of its shortest exact digits: a number of JSON may come back as its neighbour.
            Self::Real(number) => json!({"real": format!("{number:?}")}),
            Self::Text(text) => text.as_str().into(),
            Self::Bytes(bytes) => json!({"bytes": hex(bytes)}),
        }
    }

    fn parsed(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::Null),
            Value::Bool(truth) => Some(Self::Bool(*truth)),
            Value::Number(number) => number.as_i64().map(Self::Integer),
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Object(value) => {
                let text = |name: &str| value.get(name).and_then(Value::as_str);
                let real = || Some(Self::Real(text("real")?.parse().ok()?));
                real().or_else(|| Some(Self::Bytes(unhex(text("bytes")?)?)))
            }
            Value::Array(_) => None,
        }
    }
}

impl RowKey {
    /// The key of a row of this table.
    pub fn new(table: impl Into<String>, values: impl IntoIterator<Item = ModelValue>) -> Self {
        Self {
            table: table.into(),
            values: values.into_iter().collect(),
        }
    }
}

/// `spending ["ada"]`: the table, and the values of its key as JSON.
impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.iter().map(ModelValue::exact);
        write!(f, "{} {}", self.table, Value::Array(values.collect()))
    }
}

impl FromStr for RowKey {
    type Err = Error;

    fn from_str(key: &str) -> Result<Self, Error> {
        let parsed = key.split_once(' ').and_then(|(table, values)| {
            let values: Vec<Value> = serde_json::from_str(values).ok()?;
            let values: Option<Vec<ModelValue>> = values.iter().map(ModelValue::parsed).collect();
            Some(Self::new(table, values?))
        });
        parsed.ok_or_else(|| {
            let message = "key of a row is not as a look writes it, as in: orders [\"order-7\"]";
            Error::new(ErrorKind::Invalid, message).with("key", key)
        })
    }
}

fn beginning(bytes: &[u8]) -> &[u8] {
    bytes.get(..SHOWN_BYTES_MAX).unwrap_or(bytes)
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a text does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    let bytes = digits.map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_were_written() {
        let key = RowKey::new(
            "orders",
            [
                ModelValue::Null,
                ModelValue::Bool(true),
                ModelValue::Integer(i64::MIN),
                ModelValue::Real(0.1),
                ModelValue::Real(f64::INFINITY),
                ModelValue::Text("a \"b\"".to_owned()),
                ModelValue::Bytes(vec![0, 255]),
            ],
        );
        assert_eq!(key.to_string().parse::<RowKey>().unwrap(), key);
        for nonsense in [
            "",
            "orders",
            "orders {}",
            "orders [[]]",
            "orders [{\"bytes\":\"x\"}]",
        ] {
            assert!(nonsense.parse::<RowKey>().is_err(), "{nonsense}");
        }
    }

    #[test]
    fn long_values_are_short_and_still_told_apart() {
        let (one, other) = ("a".repeat(10_000), format!("{}b", "a".repeat(9_999)));
        let of_text = |text: &String| ModelValue::Text(text.clone()).shown();
        let of_bytes = |text: &String| ModelValue::Bytes(text.clone().into_bytes()).shown();
        for (one, other) in [
            (of_text(&one), of_text(&other)),
            (of_bytes(&one), of_bytes(&other)),
        ] {
            assert_ne!(one, other);
            assert!(one.to_string().len() < 300, "{one}");
        }
    }

    #[test]
    fn each_table_has_its_share_of_a_sample() {
        for (rows_max, tables, expected) in [
            (8, vec![50, 7], vec![7, 1]),
            (10, vec![0, 5, 5], vec![0, 5, 5]),
            (1, vec![9, 9], vec![1, 0]),
            (0, vec![9], vec![0]),
        ] {
            assert_eq!(sample_shares(rows_max, &tables), expected);
        }
    }
}
