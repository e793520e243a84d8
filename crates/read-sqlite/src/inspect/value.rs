//! Rows and keys as JSON.

use std::fmt::Write as _;

use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::table::SqlValue;
use crate::view::own_columns;

/// The longest text or bytes that stand whole in a row.
const VALUE_BYTES_MAX: usize = 4 * 1024;

/// How much of a longer one is shown.
const SHOWN_BYTES_MAX: usize = 32;

/// A row as an object of its columns.
pub(super) fn row_of(row: &Row<'_>) -> rusqlite::Result<Value> {
    let fields = own_columns(row).map(|(index, name)| {
        let value = row.get_ref(index)?;
        Ok((name.to_owned(), shown(value)))
    });
    let fields: rusqlite::Result<Map<String, Value>> = fields.collect();
    fields.map(Value::Object)
}

/// The key of a row of this table, by the values of these columns.
pub(super) fn key_of(row: &Row<'_>, table: &str, columns: &[String]) -> rusqlite::Result<String> {
    let values = columns.iter().map(|column| {
        let value = row.get_ref(column.as_str())?;
        Ok(exact(value))
    });
    let values: rusqlite::Result<Vec<Value>> = values.collect();
    Ok(format!("{table} {}", Value::Array(values?)))
}

/// The table and the values that a key names.
pub(super) fn parse_key(key: &str) -> Option<(String, Vec<SqlValue>)> {
    let (table, values) = key.split_once(' ')?;
    let Ok(Value::Array(values)) = serde_json::from_str(values) else {
        return None;
    };
    let values: Option<Vec<SqlValue>> = values.iter().map(parsed).collect();
    Some((table.to_owned(), values?))
}

/// A value to compare and to look at: short, and another for another value.
fn shown(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Text(text) if text.len() > VALUE_BYTES_MAX => {
            let begin = text.get(..SHOWN_BYTES_MAX).unwrap_or_default();
            let begin = String::from_utf8_lossy(begin);
            json!({"text_bytes": text.len(), "begins": begin, "sha256": digest(text)})
        }
        ValueRef::Blob(bytes) if bytes.len() > VALUE_BYTES_MAX => {
            let begin = hex(bytes.get(..SHOWN_BYTES_MAX).unwrap_or_default());
            json!({"blob_bytes": bytes.len(), "begins": begin, "sha256": digest(bytes)})
        }
        ValueRef::Real(number) if number.is_finite() => number.into(),
        value => exact(value),
    }
}

/// A value as JSON, from which it can be read again. Texts of SQLite are UTF-8 where Rust wrote them.
fn exact(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        // A text of its shortest exact digits: a number of JSON may come back as its neighbour.
        ValueRef::Real(number) => json!({"real": format!("{number:?}")}),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => json!({"bytes": hex(bytes)}),
    }
}

fn parsed(value: &Value) -> Option<SqlValue> {
    match value {
        Value::Null => Some(SqlValue::Null),
        Value::Number(number) => number.as_i64().map(SqlValue::Integer),
        Value::String(text) => Some(SqlValue::Text(text.clone())),
        Value::Object(value) => {
            let text = |name: &str| value.get(name).and_then(Value::as_str);
            let real = || Some(SqlValue::Real(text("real")?.parse().ok()?));
            real().or_else(|| Some(SqlValue::Blob(unhex(text("bytes")?)?)))
        }
        _ => None,
    }
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
        let values = [
            ValueRef::Null,
            ValueRef::Integer(i64::MIN),
            ValueRef::Real(0.1),
            ValueRef::Real(f64::INFINITY),
            ValueRef::Text(b"a \"b\""),
            ValueRef::Blob(&[0, 255]),
        ];
        let written: Vec<Value> = values.iter().map(|value| exact(*value)).collect();
        let key = format!("orders {}", Value::Array(written));
        let (table, read) = parse_key(&key).unwrap();
        assert_eq!(table, "orders");
        assert_eq!(
            read,
            [
                SqlValue::Null,
                SqlValue::Integer(i64::MIN),
                SqlValue::Real(0.1),
                SqlValue::Real(f64::INFINITY),
                SqlValue::Text("a \"b\"".to_owned()),
                SqlValue::Blob(vec![0, 255]),
            ]
        );
        for nonsense in [
            "",
            "orders",
            "orders {}",
            "orders [true]",
            "orders [{\"bytes\":\"x\"}]",
        ] {
            assert_eq!(parse_key(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn long_values_are_short_and_still_told_apart() {
        let (one, mut other) = (vec![b'a'; 10_000], vec![b'a'; 10_000]);
        other[9_999] = b'b';
        for of in [ValueRef::Blob, ValueRef::Text] {
            let (one, other) = (shown(of(&one)), shown(of(&other)));
            assert_ne!(one, other);
            assert!(one.to_string().len() < 300, "{one}");
        }
    }
}
