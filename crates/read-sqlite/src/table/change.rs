//! A change of one row.

use super::value::SqlValue;

/// A change of one row of a declared [`Table`](super::Table), as a value: what an event does to it.
///
/// ```
/// use annals_read_sqlite::Change;
///
/// let placed = Change::upsert().key("id", "order-7").set("cents", 250).add("events", 1);
/// let gone = Change::delete().key("id", "order-7");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a change does nothing until a table makes it"]
pub struct Change {
    pub(super) kind: ChangeKind,
    pub(super) key: Vec<(&'static str, SqlValue)>,
    pub(super) set: Vec<(&'static str, Assigned)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeKind {
    Upsert,
    Update,
    Delete,
}

/// What a column becomes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Assigned {
    /// This value.
    To(SqlValue),
    /// What it was, and this more.
    By(SqlValue),
}

impl Change {
    /// Inserts a row, or changes the one with this key. Columns that are not named keep what they have, and in a new
    /// row take their default.
    pub fn upsert() -> Self {
        Self::of(ChangeKind::Upsert)
    }

    /// Changes the row with this key. Where there is none, the event can't be handled.
    pub fn update() -> Self {
        Self::of(ChangeKind::Update)
    }

    /// Removes the row with this key, if there is one.
    pub fn delete() -> Self {
        Self::of(ChangeKind::Delete)
    }

    fn of(kind: ChangeKind) -> Self {
        Self {
            kind,
            key: Vec::new(),
            set: Vec::new(),
        }
    }

    /// Which row: this value of a column of the key. All columns of the key have to be given.
    pub fn key(mut self, column: &'static str, value: impl Into<SqlValue>) -> Self {
        self.key.push((column, value.into()));
        self
    }

    /// Sets a column.
    pub fn set(mut self, column: &'static str, value: impl Into<SqlValue>) -> Self {
        self.set.push((column, Assigned::To(value.into())));
        self
    }

    /// Adds to a column; in a new row, to nothing. A sum that SQLite can't hold can't be handled.
    pub fn add(mut self, column: &'static str, value: impl Into<SqlValue>) -> Self {
        self.set.push((column, Assigned::By(value.into())));
        self
    }
}

/// A handler may give one change where others give several.
impl IntoIterator for Change {
    type Item = Self;
    type IntoIter = std::iter::Once<Self>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self)
    }
}
