//! Given-when-then tests and laws for applications on annals

mod counting_ids;
mod faulty_store;
pub mod laws;
mod manual_clock;
mod report;

pub use counting_ids::CountingIds;
pub use faulty_store::{Fault, FaultyStore};
pub use manual_clock::ManualClock;
