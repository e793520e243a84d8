//! The store over the log and the index.

mod ahead;
mod batch;
mod committer;
mod dictionary;
mod doubt;
mod error;
mod follower;
mod fork;
mod frame;
mod fresh;
mod heat;
mod idle;
mod ids;
mod judge;
mod keeper;
mod log_store;
mod looked;
mod lost;
mod matching;
mod open;
mod prepared;
mod read;
mod receipts;
mod recover;
mod settings;
mod shared;
mod shown;
mod snapshot;
mod verdict;
mod verify;

pub use self::follower::LogFollower;
pub use self::fork::StoreFork;
pub use self::log_store::LogStore;
pub use self::open::LogStoreBuilder;
pub use self::settings::{CommitterThread, Durability, Maintenance, ReadMode, Settings};
pub use self::verify::{DamagedIndex, StoreVerification};
