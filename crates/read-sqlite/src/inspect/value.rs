//! Rows and keys as they are compared.

use annals_projection::{ModelValue, RowKey};
use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value};

use crate::table::SqlValue;
use crate::view::own_columns;

/// A row as an object of its columns.
pub(super) fn row_of(row: &Row<'_>) -> rusqlite::Result<Value> {
    let fields = own_columns(row).map(|(index, name)| {
        let value = row.get_ref(index)?;
        Ok((name.to_owned(), value_of(value).shown()))
    });
    let fields: rusqlite::Result<Map<String, Value>> = fields.collect();
    fields.map(Value::Object)
}

/// The key of a row of this table, by the values of these columns.
pub(super) fn key_of(row: &Row<'_>, table: &str, columns: &[String]) -> rusqlite::Result<RowKey> {
    let values = columns.iter().map(|column| {
        let value = row.get_ref(column.as_str())?;
        Ok(value_of(value))
    });
    let values: rusqlite::Result<Vec<ModelValue>> = values.collect();
    Ok(RowKey::new(table, values?))
}

/// The same value for a statement; `None` for what SQLite does not have.
pub(super) fn sql_of(value: ModelValue) -> Option<SqlValue> {
    Some(match value {
        ModelValue::Null => SqlValue::Null,
        ModelValue::Bool(truth) => truth.into(),
        ModelValue::Integer(number) => SqlValue::Integer(number),
        ModelValue::Real(number) => SqlValue::Real(number),
        ModelValue::Text(text) => SqlValue::Text(text),
        ModelValue::Bytes(bytes) => SqlValue::Blob(bytes),
        _ => return None,
    })
}

/// Texts of SQLite are UTF-8 where Rust wrote them.
fn value_of(value: ValueRef<'_>) -> ModelValue {
    match value {
        ValueRef::Null => ModelValue::Null,
        ValueRef::Integer(number) => ModelValue::Integer(number),
        ValueRef::Real(number) => ModelValue::Real(number),
        ValueRef::Text(text) => ModelValue::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => ModelValue::Bytes(bytes.to_owned()),
    }
}
