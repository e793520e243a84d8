//! An event store of annals on NATS JetStream.

mod auxiliary;
mod error;
mod follow;
mod judge;
mod layout;
mod monitoring;
mod read;
mod record;
mod select;
mod settings;
mod shared;
mod state;
mod store;
mod subject;
mod wire;
mod writer;

pub use async_nats;
pub use settings::{Settings, Sync};
pub use store::{NatsStore, NatsStoreBuilder};
