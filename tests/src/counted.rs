//! Events to count, and their sums in SQLite: what the campaign that kills projections is about.

use annals_codec::JsonCodec;
use annals_core::Error;
use annals_macros::Event;
use annals_projection::Projection;
use annals_read_sqlite::{Change, ColumnType, SqliteModel, Table};
use serde::{Deserialize, Serialize};

/// Something was counted.
#[derive(Clone, Copy, Debug, Event, Serialize, Deserialize)]
#[event(category = "count")]
pub struct Counted {
    /// Of what.
    pub key: u32,
    /// How many.
    pub amount: i64,
}

/// How many keys there are: more than fit a page of the file, so that a batch changes several.
pub const KEYS: u32 = 500;

/// The table with a row for each key.
pub fn sums() -> Result<Table, Error> {
    Table::new("sums")
        .key("key", ColumnType::Integer)
        .number("events")
        .number("amount")
        .build()
}

/// What fills it.
pub fn projection() -> Result<Projection<SqliteModel>, Error> {
    let add = sums()?.rows(|counted: &Counted, _| {
        let change = Change::upsert().key("key", counted.key);
        change.add("events", 1).add("amount", counted.amount)
    });
    Projection::builder("sums", 1)?.on(JsonCodec, add).build()
}
