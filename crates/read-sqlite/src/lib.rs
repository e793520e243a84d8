//! Read models in SQLite: a file that holds the tables of projections, each with how far it got.
//!
//! [`SqliteSink`] is a [`Sink`](annals_projection::Sink): the rows of a batch, the progress and what is parked are one
//! transaction, so that an event is in the rows exactly once, whenever the process dies. Handlers write into
//! [`SqliteModel`], by SQL or by a [`Table`] that is declared; readers have a [`SqliteView`], or any other program that
//! reads SQLite. A new version of a projection is compared with the live one through [`SqliteInspect`].
//!
//! It is *not* a store of events, and not a way to write into a database that the application has already: the file is
//! annals's own. SQLite is compiled from its source, so that building needs a C compiler.
//!
//! ```
//! use std::sync::Arc;
//!
//! use annals_codec::{EventCodec, JsonCodec};
//! use annals_core::{Append, EventStore, Expected, Ids, StreamId, UuidIds};
//! use annals_macros::Event;
//! use annals_projection::{Processor, Projection};
//! use annals_read_sqlite::{Change, ColumnType, SqliteSink, SqliteView, Table};
//! use annals_store_memory::MemoryStore;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Event, Serialize, Deserialize)]
//! #[event(category = "order")]
//! struct Placed { customer: String, cents: i64 }
//!
//! # futures_executor::block_on(async {
//! let spending = Table::new("spending").key("customer", ColumnType::Text).number("cents").build()?;
//! let projection = Projection::builder("spending", 1)?
//!     .on(JsonCodec, spending.rows(|event: &Placed, _| {
//!         Change::upsert().key("customer", &event.customer).add("cents", event.cents)
//!     }))
//!     .build()?;
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("models.sqlite");
//! let (id, sink) = (projection.model_id(), SqliteSink::builder(&path).table(&spending).build()?);
//!
//! let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
//! let running = Processor::builder(Arc::clone(&store)).project(projection, sink).build()?.start();
//! let placed = Placed { customer: "ada".into(), cents: 250 };
//! let append = Append::builder(UuidIds::default().append_id())
//!     .write(StreamId::parse("order-7")?, Expected::NoStream, [JsonCodec.encode(&placed)?])
//!     .build()?;
//! let receipt = store.append(append).await?;
//! running.wait_for("spending", &receipt).await?;
//!
//! let view = SqliteView::open(&path, &id)?;
//! let cents = view.query_row("SELECT cents FROM {spending} WHERE customer = ?1", ["ada"], |row| row.get(0))?;
//! assert_eq!(cents, Some(250));
//! running.stop().await;
//! # Ok::<(), annals_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Limits
//! Names of tables, indexes and columns have up to 64 bytes. SQLite holds whole numbers up to 2^63 - 1 and values of up
//! to 1 GB; one step at a time writes a file.

mod access;
mod errors;
#[cfg(test)]
mod faults;
mod file;
mod file_models;
mod inspect;
mod model;
mod names;
mod progress;
mod schema;
mod settings;
mod sink;
mod table;
mod view;

#[cfg(test)]
mod tests;

pub use file_models::{drop_model, models};
pub use inspect::{SqliteInspect, SqliteRows};
pub use model::SqliteModel;
/// The crate underneath, for what handlers and readers hand over: parameters, rows, values.
pub use rusqlite;
pub use rusqlite::{Params, Row, ToSql, params};
pub use settings::{SqliteDurability, SqliteSettings};
pub use sink::{SqliteSink, SqliteSinkBuilder};
pub use table::{Change, ColumnType, SqlValue, Table, TableBuilder};
pub use view::{NamedRow, SqliteView};
