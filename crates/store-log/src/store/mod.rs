//! The store over the log and the index.

mod batch;
mod committer;
mod error;
mod ids;
mod judge;
mod log_store;
mod looked;
mod matching;
mod open;
mod read;
mod receipts;
mod settings;
mod shared;
mod shown;
mod snapshot;
mod recover;

pub use self::log_store::LogStore;
pub use self::open::LogStoreBuilder;
pub use self::settings::{CommitterThread, Durability, Maintenance, ReadMode, Settings};
