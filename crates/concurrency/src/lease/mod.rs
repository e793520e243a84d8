//! Leases: the right to be the only one who does something, for a time, kept as events.

mod leases;
mod record;
mod settings;

pub use leases::{Acquired, Lease, Leases};
pub use settings::LeaseSettings;
