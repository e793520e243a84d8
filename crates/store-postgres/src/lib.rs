//! An event store of annals on PostgreSQL.
//!
//! [`PostgresStore`] implements every contract of `annals-core` in full: streams and all expectations, atomic appends
//! over several streams, checks, conditions (dynamic consistency boundaries), append ids that are known for as long as
//! the store lives, reads in both directions by everything and by time, subscriptions, stream policies, snapshots and
//! checkpoints. Positions have no gaps and are in the order of commits. Several processes append to one log. Whoever
//! appends at the same time in one process shares a transaction, and its cost.
//!
//! It is *not* a way around a database: it needs PostgreSQL 14 or later (tested on 14, 15, 16 and 18), with the
//! durability that its settings give, and a tokio runtime.
//!
//! ```no_run
//! use annals_core::{
//!     Append, ContentType, EventStore, EventStoreExt, EventType, Expected, Ids, NewEvent, ReadRequest, StreamId,
//!     UuidIds,
//! };
//! use annals_store_postgres::PostgresStore;
//!
//! # async fn example() -> Result<(), annals_core::Error> {
//! let store = PostgresStore::builder("postgres://app@db.example/shop").open_or_create().await?;
//! let account = StreamId::parse("account-42")?;
//! let opened = NewEvent::new(EventType::parse("opened")?, ContentType::JSON, "{}")?;
//! let append = Append::builder(UuidIds::default().append_id())
//!     .write(account.clone(), Expected::NoStream, [opened])
//!     .build()?;
//! store.append(append).await?;
//! assert_eq!(store.collect(ReadRequest::stream(account)).await?.len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Durability
//! An append is acknowledged when its transaction is committed, with `synchronous_commit` raised to `on` where it is
//! off. Where the server's `fsync` or `full_page_writes` is off, the store's capabilities say that a loss of power may
//! take the newest appends. A connection that is lost while an append is on its way is replaced, the fate of the append
//! found out by its id, and only where that takes too long the answer is *unknown*.
//!
//! # Runtime
//! The contract knows no runtime, but the client of PostgreSQL needs tokio: the store runs its connections and the task
//! that appends on the runtime that it was opened on. Its futures may be polled by any executor.
//!
//! # Limits
//! Memory: what waits to be appended, [`Settings::queue_bytes_max`]; the group commit on its way, about three times
//! [`Settings::batch_bytes_max`] or the largest append; a page for each reader. One log takes some tens of thousands of
//! appends a second, all of them one after the other in the database; another log, in another schema, waits for none
//! of them.
//!
//! # Features
//! | feature | default | gives |
//! |---|---|---|
//! | `sqlx` | no | `PostgresStore::append_in_sqlx` and `read_in_sqlx`: appends and reads within a transaction of sqlx |
//! | `tls` | no | connections over rustls, with the certificates that the machine trusts; it takes a C compiler to build |

pub mod ask;
mod auxiliary;
mod bell;
mod command;
mod connection;
pub mod error;
mod history;
mod import;
mod judge;
mod migrations;
mod policy;
mod query;
mod quick;
mod read;
mod replica;
mod row;
mod server;
mod settings;
mod sql;
#[cfg(feature = "sqlx")]
mod sqlx;
mod store;
#[cfg(feature = "tls")]
mod tls;
mod writer;

pub use connection::Connector;
pub use migrations::{MIGRATIONS, Migration, ROLES, migration_script};
pub use replica::ReplicaUse;
pub use server::{ReplicaReport, ServerReport};
pub use settings::{Settings, WakeUp};
pub use store::{PostgresStore, PostgresStoreBuilder};
pub use tokio_postgres;
