//! Read models of annals in PostgreSQL: the tables of projections, each with how far it got.
//!
//! [`PostgresSink`] is a [`Sink`](annals_projection::Sink): the rows of a batch, the progress and what is parked are one
//! transaction, so that an event is in the rows exactly once, whenever the process or the server dies. With it a
//! [`Processor`](annals_projection::Processor) keeps a model up with the events of any store. [`PostgresInline`] goes
//! further where the events are in the same database: the same projection, with the same tables, takes the events in the
//! transaction that appends them, together with rows of the application, so that the model is never behind. A new version
//! of a projection is compared with the live one through [`PostgresInspect`]; [`models`] and [`drop_model`] clear away what
//! is not read any more.
//!
//! It is *not* a store of events, and no mapper of objects: handlers write SQL ([`PostgresModel`]). It needs PostgreSQL
//! 14 or later and a tokio runtime.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use annals_codec::JsonCodec;
//! use annals_core::EventStore;
//! use annals_macros::Event;
//! use annals_projection::{Processor, Projection};
//! use annals_read_postgres::{PostgresModel, PostgresSink};
//! use annals_store_memory::MemoryStore;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Event, Serialize, Deserialize)]
//! #[event(category = "order")]
//! struct Placed { customer: String, cents: i64 }
//!
//! # async fn example() -> Result<(), annals_core::Error> {
//! let spending = Projection::builder("spending", 1)?
//!     .on(JsonCodec, |model: &mut PostgresModel, event: &Placed, _| {
//!         let add = "INSERT INTO {spending} AS s VALUES ($1, $2) \
//!                    ON CONFLICT (customer) DO UPDATE SET cents = s.cents + $2";
//!         model.execute(add, &[&event.customer, &event.cents])?;
//!         Ok(())
//!     })
//!     .build()?;
//! let sink = PostgresSink::builder("postgres://app@db.example/shop")
//!     .schema("CREATE TABLE {spending} (customer text PRIMARY KEY, cents bigint NOT NULL)")
//!     .build()?;
//! let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
//! let running = Processor::builder(store).project(spending, sink).build()?.start();
//! running.wait_until_live("spending").await?;
//! running.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Limits
//! Names of tables have up to 63 bytes, with their version. A model that is behind is brought up by an append on its
//! way by up to 1024 events beside the append's own; further behind, it has to catch up first. A step of a processor, and a
//! transaction that appends, wait for each statement of each handler.
//!
//! # Features
//! | feature | default | gives |
//! |---|---|---|
//! | `sqlx` | no | `PostgresInline::append_in_sqlx`: the same in a transaction of sqlx |
//! | `tls` | no | connections over rustls, with the certificates that the machine trusts; it takes a C compiler to build |

mod errors;
mod inline;
mod inline_model;
mod inspect;
mod model;
mod names;
mod progress;
mod roles;
mod row;
mod schema;
mod schema_models;
mod session;
mod sink;

pub use annals_store_postgres::tokio_postgres::types::ToSql;
pub use inline::{PostgresInline, PostgresInlineBuilder};
pub use inspect::{PostgresInspect, PostgresRows};
pub use model::PostgresModel;
pub use roles::ROLES;
pub use row::{PostgresColumn, PostgresRow};
pub use schema_models::{drop_model, models};
pub use sink::{PostgresSink, PostgresSinkBuilder};
