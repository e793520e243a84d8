//! The embedded event store of annals: durable, indexed, in one directory.
//!
//! In the making.
//!
//!
//!

mod auxiliary;
mod index;
mod record;
mod store;

pub use store::{
    CommitterThread, Durability, LogFollower, LogStore, LogStoreBuilder, Maintenance, ReadMode, Settings,
};
