//! A table that is declared.

use std::fmt::Write as _;
use std::sync::Arc;

use annals_core::{BoxError, Error, ErrorKind, RecordedEvent};
use rusqlite::params_from_iter;

use super::change::{Assigned, Change, ChangeKind};
use super::value::SqlValue;
use crate::model::SqliteModel;
use crate::names;

/// A table of a model that is declared: it is made, and events are turned into its rows, without any SQL.
///
/// Cheap to clone.
///
/// ```
/// use annals_codec::JsonCodec;
/// use annals_macros::Event;
/// use annals_projection::Projection;
/// use annals_read_sqlite::{Change, ColumnType, SqliteSink, Table};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(category = "order")]
/// enum OrderEvent {
///     Placed { customer: String, cents: i64 },
///     Cancelled,
/// }
///
/// let orders = Table::new("orders")
///     .key("id", ColumnType::Text)
///     .column("customer", ColumnType::Text)
///     .number("cents")
///     .indexed("customer")
///     .build()?;
/// let projection = Projection::builder("orders", 1)?
///     .on(JsonCodec, orders.rows(|event: &OrderEvent, recorded| {
///         let id = recorded.stream().as_str();
///         match event {
///             OrderEvent::Placed { customer, cents } => {
///                 Change::upsert().key("id", id).set("customer", customer).set("cents", *cents)
///             }
///             OrderEvent::Cancelled => Change::delete().key("id", id),
///         }
///     }))
///     .build()?;
/// # let path = tempfile::tempdir().unwrap().path().join("orders.sqlite");
/// let sink = SqliteSink::builder(path).table(&orders).build()?;
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    declared: Arc<Declared>,
}

#[derive(Debug)]
struct Declared {
    name: &'static str,
    columns: Vec<Column>,
    schema: String,
}

#[derive(Debug)]
struct Column {
    name: &'static str,
    holds: ColumnType,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Key,
    Required,
    Optional,
    /// Begins as 0.
    Number,
}

/// What a column holds; SQLite refuses anything else (`STRICT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// A whole number of 64 bits, with a sign.
    Integer,
    /// A number with a fraction, of 64 bits.
    Real,
    /// A text.
    Text,
    /// Bytes.
    Blob,
}

/// A [`Table`] in the making.
#[derive(Debug)]
#[must_use = "call `build` to have a table"]
pub struct TableBuilder {
    name: &'static str,
    columns: Vec<Column>,
    indexed: Vec<&'static str>,
}

impl Table {
    /// Begins a table of this name: 1 to 64 ASCII letters, digits and `_`, not beginning with a digit.
    #[expect(clippy::new_ret_no_self, reason = "a table begins as its builder")]
    pub fn new(name: &'static str) -> TableBuilder {
        TableBuilder {
            name,
            columns: Vec::new(),
            indexed: Vec::new(),
        }
    }

    /// A handler that turns each event into changes of this table: one ([`Change`]), perhaps one (`Option`), or several
    /// (arrays, `Vec`).
    pub fn rows<E, C>(
        &self,
        changes: impl Fn(&E, &RecordedEvent) -> C + Send + Sync + 'static,
    ) -> impl Fn(&mut SqliteModel, &E, &RecordedEvent) -> Result<(), BoxError> + Send + Sync + 'static
    where
        C: IntoIterator<Item = Change>,
    {
        let table = self.clone();
        move |model, event, recorded| {
            for change in changes(event, recorded) {
                table.apply(model, change)?;
            }
            Ok(())
        }
    }

    /// Makes one change, in a handler that does more than that.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for columns that there are not, a key that is not whole, an update of a row that
    /// there is not, and values that the columns don't take; as for [`SqliteModel::execute`] otherwise.
    pub fn apply(&self, model: &mut SqliteModel, change: Change) -> Result<(), Error> {
        self.declared.check(&change)?;
        let sql = self.declared.sql(&change);
        let Change { kind, key, set } = change;
        let keys = key.into_iter().map(|(_, value)| value);
        let values = set.into_iter().map(|(_, assigned)| match assigned {
            Assigned::To(value) | Assigned::By(value) => value,
        });
        let values: Vec<SqlValue> = keys.chain(values).collect();
        let changed = model.execute(&sql, params_from_iter(&values))?;
        if kind == ChangeKind::Update && changed == 0 {
            let message = "no row to update has this key; insert it first, or use an upsert";
            return Err(self.declared.refused(message));
        }
        Ok(())
    }

    pub(crate) fn schema(&self) -> &str {
        &self.declared.schema
    }
}

impl Declared {
    fn check(&self, change: &Change) -> Result<(), Error> {
        let named = change.set.iter().map(|(name, _)| *name);
        for (place, name) in named.clone().enumerate() {
            let column = self.columns.iter().find(|column| column.name == name);
            let complaint = match column.map(|column| column.role) {
                None => "table has no such column",
                Some(Role::Key) => "columns of the key say which row, and are not set",
                Some(_) if named.clone().take(place).any(|before| before == name) => {
                    "column is given twice"
                }
                Some(_) => continue,
            };
            return Err(self.refused(complaint).with("column", name));
        }
        let is_key = |name: &str| change.key.iter().filter(|(key, _)| *key == name).count() == 1;
        let mut keys = self
            .columns
            .iter()
            .filter(|column| column.role == Role::Key);
        if change.key.len() != keys.clone().count() || !keys.all(|column| is_key(column.name)) {
            return Err(self.refused("change does not give each column of the key once"));
        }
        let is_empty = change.set.is_empty();
        match change.kind {
            ChangeKind::Delete if !is_empty => {
                Err(self.refused("a row that goes has no columns to set"))
            }
            ChangeKind::Update if is_empty => Err(self.refused("update sets nothing")),
            _ => Ok(()),
        }
    }

    fn refused(&self, message: &'static str) -> Error {
        Error::new(ErrorKind::Invalid, message).with("table", self.name)
    }

    /// The statement of a change: first the columns of the key, then those that it sets.
    fn sql(&self, change: &Change) -> String {
        match change.kind {
            ChangeKind::Upsert => self.upsert(change),
            ChangeKind::Update => {
                let place = change.key.len() + 1;
                let set = assignments(change, |at| format!("?{}", place + at));
                format!(
                    "UPDATE {{{}}} SET {set} WHERE {}",
                    self.name,
                    of_key(change)
                )
            }
            ChangeKind::Delete => {
                format!("DELETE FROM {{{}}} WHERE {}", self.name, of_key(change))
            }
        }
    }

    fn upsert(&self, change: &Change) -> String {
        let keys = change.key.iter().map(|(name, _)| *name);
        let columns = keys.clone().chain(change.set.iter().map(|(name, _)| *name));
        let places = (1..=change.key.len() + change.set.len()).map(|place| format!("?{place}"));
        let (keys, columns) = (listed(keys), listed(columns));
        let places: Vec<String> = places.collect();
        let places = places.join(", ");
        let place = change.key.len() + 1;
        let then = if change.set.is_empty() {
            "NOTHING".to_owned()
        } else {
            let set = assignments(change, |at| format!("?{}", place + at));
            format!("UPDATE SET {set}")
        };
        format!(
            "INSERT INTO {{{}}} ({columns}) VALUES ({places}) ON CONFLICT ({keys}) DO {then}",
            self.name
        )
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
    names.join(", ")
}

fn of_key(change: &Change) -> String {
    let keys = change.key.iter().zip(1..);
    let keys: Vec<String> = keys
        .map(|((name, _), place)| format!("\"{name}\" = ?{place}"))
        .collect();
    keys.join(" AND ")
}

fn assignments(change: &Change, value: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for (at, (name, assigned)) in change.set.iter().enumerate() {
        let separator = if at == 0 { "" } else { ", " };
        let value = value(at);
        // Writing into a text does not fail.
        let _ = match assigned {
            Assigned::To(_) => write!(text, "{separator}\"{name}\" = {value}"),
            Assigned::By(_) => write!(text, "{separator}\"{name}\" = \"{name}\" + {value}"),
        };
    }
    text
}

impl TableBuilder {
    /// Adds a column to the key, which tells the rows apart.
    pub fn key(self, name: &'static str, column_type: ColumnType) -> Self {
        self.with(name, column_type, Role::Key)
    }

    /// Adds a column that every row has: whoever inserts a row sets it.
    pub fn column(self, name: &'static str, column_type: ColumnType) -> Self {
        self.with(name, column_type, Role::Required)
    }

    /// Adds a column that a row may leave without a value.
    pub fn optional(self, name: &'static str, column_type: ColumnType) -> Self {
        self.with(name, column_type, Role::Optional)
    }

    /// Adds a column of whole numbers that begin as 0, to add to.
    pub fn number(self, name: &'static str) -> Self {
        self.with(name, ColumnType::Integer, Role::Number)
    }

    /// Makes an index of a column, for those who look rows up by it.
    pub fn indexed(mut self, column: &'static str) -> Self {
        self.indexed.push(column);
        self
    }

    fn with(mut self, name: &'static str, column_type: ColumnType, role: Role) -> Self {
        self.columns.push(Column {
            name,
            holds: column_type,
            role,
        });
        self
    }

    /// The table.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is no name, two columns of one name, no key, and an index of a column that
    /// there is not.
    pub fn build(self) -> Result<Table, Error> {
        names::check(self.name)?;
        for (place, column) in self.columns.iter().enumerate() {
            names::check(column.name)?;
            let mut before = self.columns.iter().take(place);
            if before.any(|before| before.name.eq_ignore_ascii_case(column.name)) {
                return Err(self
                    .refused("two columns of one name")
                    .with("column", column.name));
            }
        }
        if !self.columns.iter().any(|column| column.role == Role::Key) {
            return Err(self.refused("table without a key; say by what its rows are told apart"));
        }
        let is_column = |name: &&str| self.columns.iter().any(|column| column.name == *name);
        if let Some(unknown) = self.indexed.iter().find(|name| !is_column(name)) {
            return Err(self
                .refused("index of a column that there is not")
                .with("column", unknown));
        }
        let schema = self.schema();
        let Self { name, columns, .. } = self;
        Ok(Table {
            declared: Arc::new(Declared {
                name,
                columns,
                schema,
            }),
        })
    }

    fn refused(&self, message: &'static str) -> Error {
        Error::new(ErrorKind::Invalid, message).with("table", self.name)
    }

    fn schema(&self) -> String {
        let columns: Vec<String> = self.columns.iter().map(Column::schema).collect();
        let keys = self
            .columns
            .iter()
            .filter(|column| column.role == Role::Key);
        // A single whole number is the number of the row, and any other key is what the rows are ordered by.
        let is_row_number =
            keys.clone().count() == 1 && keys.clone().all(|key| key.holds == ColumnType::Integer);
        let rows = if is_row_number { "" } else { ", WITHOUT ROWID" };
        let (name, columns, keys) = (
            self.name,
            columns.join(", "),
            listed(keys.map(|key| key.name)),
        );
        let mut schema =
            format!("CREATE TABLE {{{name}}} ({columns}, PRIMARY KEY ({keys})) STRICT{rows}");
        for column in &self.indexed {
            // Writing into a text does not fail.
            let _ = write!(
                schema,
                ";\nCREATE INDEX {{{name}_by_{column}}} ON {{{name}}} (\"{column}\")"
            );
        }
        schema
    }
}

impl Column {
    fn schema(&self) -> String {
        let column_type = match self.holds {
            ColumnType::Integer => "INTEGER",
            ColumnType::Real => "REAL",
            ColumnType::Text => "TEXT",
            ColumnType::Blob => "BLOB",
        };
        let rule = match self.role {
            Role::Key | Role::Required => " NOT NULL",
            Role::Optional => "",
            Role::Number => " NOT NULL DEFAULT 0",
        };
        format!("\"{}\" {column_type}{rule}", self.name)
    }
}
