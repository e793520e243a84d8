//! A table that is compared.

use std::fmt::Write as _;

use annals_core::Error;
use annals_projection::{ModelRow, ModelValue, RowKey};
use serde_json::{Map, Value};
use tokio_postgres::types::ToSql;

use crate::model::PostgresModel;
use crate::names::quoted;
use crate::row::PostgresRow;

#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) rows: u64,
    columns: Vec<Column>,
    /// The places of the columns by which its rows are told apart.
    key: Vec<usize>,
    /// Whether those are its primary key, which has an index and no NULL.
    is_keyed: bool,
}

#[derive(Debug)]
struct Column {
    name: String,
    /// The type as SQL writes it, without what cuts or rounds a value to its length.
    of: String,
    read: Read,
}

/// How a value is read.
#[derive(Clone, Copy, Debug)]
enum Read {
    Bool,
    Integer,
    Real,
    Bytes,
    /// As the text that PostgreSQL writes.
    Text,
}

impl Table {
    pub(super) fn new(
        model: &mut PostgresModel,
        schema: &str,
        name: String,
    ) -> Result<Self, Error> {
        let whole = model.names().whole(&name);
        let query = "SELECT a.attname::text, format_type(a.atttypid, -1), a.atttypid::regtype::text, \
                     CASE WHEN array_position(i.indkey::int2[], a.attnum) < i.indnkeyatts \
                     THEN array_position(i.indkey::int2[], a.attnum) END \
                     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
                     LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary \
                     WHERE n.nspname = $1::text AND c.relname = $2::text ORDER BY a.attnum";
        // The array of an index counts from 0, and has the columns that it only includes last.
        let rows = model.query(query, &[&schema, &whole])?;
        let (mut columns, mut key) = (Vec::new(), Vec::new());
        for (place, row) in rows.iter().enumerate() {
            let (of, bare): (String, &str) = (row.get(1)?, row.get(2)?);
            columns.push(Column {
                name: row.get(0)?,
                of,
                read: Read::of(bare),
            });
            if let Some(at) = row.get::<Option<i32>>(3)? {
                key.push((at, place));
            }
        }
        let is_keyed = !key.is_empty();
        key.sort_unstable();
        let key = if is_keyed {
            key.into_iter().map(|(_, place)| place).collect()
        } else {
            (0..columns.len()).collect()
        };
        let count = model.query_opt(&format!("SELECT count(*) FROM {{{name}}}"), &[])?;
        let count: i64 = count.map_or(Ok(0), |row| row.get(0))?;
        Ok(Self {
            name,
            rows: u64::try_from(count).unwrap_or_default(),
            columns,
            key,
            is_keyed,
        })
    }

    /// Up to so many rows, at even distances in the order of the key, beginning at another place with another seed.
    pub(super) fn sample(
        &self,
        model: &mut PostgresModel,
        rows_max: u64,
        seed: u64,
    ) -> Result<Vec<ModelRow>, Error> {
        let by: Vec<String> = if self.is_keyed {
            self.key().map(|column| quoted(&column.name)).collect()
        } else {
            vec!["ctid".to_owned(), "tableoid".to_owned()]
        };
        // Of all rows only what tells them apart is numbered; the columns are read of those that are taken. Its names
        // are behind an alias each, so that no column of the table clashes with one.
        let places = by.iter().zip(0..);
        let numbered: Vec<String> = places.map(|(by, at)| format!("{by} AS k{at}")).collect();
        let places = by.iter().zip(0..);
        let joined: Vec<String> = places.map(|(by, at)| format!("t.{by} = q.k{at}")).collect();
        // A row is taken wherever its share of the sample goes up by one.
        let query = format!(
            "SELECT {} FROM (SELECT {}, row_number() OVER (ORDER BY {}) AS number FROM {{{name}}}) AS q \
             JOIN {{{name}}} AS t ON {} \
             WHERE div((q.number + $2::bigint)::numeric * $1::bigint, $3::bigint) \
             > div((q.number + $2::bigint - 1)::numeric * $1::bigint, $3::bigint) ORDER BY q.number LIMIT $1::bigint",
            self.selected("t."),
            numbered.join(", "),
            by.join(", "),
            joined.join(" AND "),
            name = self.name
        );
        let number = |number| i64::try_from(number).unwrap_or(i64::MAX);
        let Some(first) = seed.checked_rem(self.rows) else {
            return Ok(Vec::new());
        };
        let (rows_max, first, rows) = (number(rows_max), number(first), number(self.rows));
        let rows = model.query(&query, &[&rows_max, &first, &rows])?;
        rows.iter().map(|row| self.row(row)).collect()
    }

    /// The row of this key. Of several, one; none where the key is no value of its types.
    pub(super) fn find(
        &self,
        model: &mut PostgresModel,
        key: &RowKey,
    ) -> Result<Option<ModelRow>, Error> {
        if key.values.len() != self.key.len() {
            return Ok(None);
        }
        let mut query = format!(
            "SELECT {} FROM {{{}}} WHERE true",
            self.selected(""),
            self.name
        );
        let mut values = Vec::with_capacity(self.key.len());
        for ((column, value), place) in self.key().zip(&key.values).zip(1..) {
            let (name, of) = (quoted(&column.name), &column.of);
            let value = sql_of(value);
            // The key has an index; not every type of another column can be compared, but its text.
            // Writing into a text does not fail.
            let _ = if self.is_keyed {
                write!(query, " AND {name} = ${place}::text::{of}")
            } else {
                write!(
                    query,
                    " AND {name}::text IS NOT DISTINCT FROM (${place}::text::{of})::text"
                )
            };
            values.push(value);
        }
        query.push_str(" LIMIT 1");
        let values: Vec<&(dyn ToSql + Sync)> = values
            .iter()
            .map(|value| value as &(dyn ToSql + Sync))
            .collect();
        let found = model.query_fitting(&query, &values)?;
        found.map(|row| self.row(&row)).transpose()
    }

    fn key(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().filter_map(|place| self.columns.get(*place))
    }

    /// The columns of this table as they are read, in their order.
    fn selected(&self, table: &str) -> String {
        let columns = self.columns.iter().map(|column| {
            let name = format!("{table}{}", quoted(&column.name));
            match column.read {
                Read::Bool | Read::Bytes => name,
                Read::Integer => format!("{name}::bigint"),
                Read::Real => format!("{name}::float8"),
                Read::Text => format!("{name}::text"),
            }
        });
        columns.collect::<Vec<_>>().join(", ")
    }

    fn row(&self, row: &PostgresRow) -> Result<ModelRow, Error> {
        let values = self.columns.iter().enumerate();
        let values = values.map(|(place, column)| column.read.value(row, place));
        let values: Vec<ModelValue> = values.collect::<Result<_, Error>>()?;
        let key = self.key.iter().filter_map(|place| values.get(*place));
        let key = RowKey::new(self.name.as_str(), key.cloned());
        let fields = self.columns.iter().zip(&values);
        let fields: Map<String, Value> = fields
            .map(|(column, value)| (column.name.clone(), value.shown()))
            .collect();
        Ok(ModelRow::new(key.to_string(), Value::Object(fields)))
    }
}

impl Read {
    /// By the name of a type.
    fn of(name: &str) -> Self {
        match name {
            "boolean" => Self::Bool,
            "smallint" | "integer" | "bigint" => Self::Integer,
            "real" | "double precision" => Self::Real,
            "bytea" => Self::Bytes,
            _ => Self::Text,
        }
    }

    fn value(self, row: &PostgresRow, place: usize) -> Result<ModelValue, Error> {
        let value = match self {
            Self::Bool => row.get::<Option<bool>>(place)?.map(ModelValue::Bool),
            Self::Integer => row.get::<Option<i64>>(place)?.map(ModelValue::Integer),
            Self::Real => row.get::<Option<f64>>(place)?.map(ModelValue::Real),
            Self::Bytes => row.get::<Option<Vec<u8>>>(place)?.map(ModelValue::Bytes),
            Self::Text => row.get::<Option<String>>(place)?.map(ModelValue::Text),
        };
        Ok(value.unwrap_or(ModelValue::Null))
    }
}

/// A value as a text that PostgreSQL reads.
fn sql_of(value: &ModelValue) -> Option<String> {
    match value {
        ModelValue::Bool(truth) => Some(truth.to_string()),
        ModelValue::Integer(number) => Some(number.to_string()),
        ModelValue::Real(number) => Some(format!("{number:?}")),
        ModelValue::Text(text) => Some(text.clone()),
        ModelValue::Bytes(bytes) => {
            let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
            Some(format!("\\x{}", digits.collect::<String>()))
        }
        _ => None,
    }
}
