//! The store over the log and the index.

mod ahead;
mod archives;
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
mod history;
mod idle;
mod ids;
mod judge;
mod keeper;
mod kinds;
mod log_store;
mod looked;
mod lost;
mod matching;
mod notes;
mod open;
mod optimize;
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
mod vitals;

pub use self::archives::ArchiveSummary;
pub use self::error::{is_locked, is_lost};
pub use self::follower::LogFollower;
pub use self::fork::StoreFork;
pub use self::history::StoreHistory;
pub use self::log_store::LogStore;
pub use self::lost::Losses;
pub use self::open::LogStoreBuilder;
pub use self::settings::{
    CommitterThread, Durability, LostEvents, Maintenance, ReadMode, Settings,
};
pub use self::verify::{DamagedIndex, StoreVerification};
