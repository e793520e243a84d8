//! Sharing a subscription among processes, by partition.

mod checkpoints;
mod guarded;
pub(crate) mod held;
pub(crate) mod member;
mod roster;
mod rounds;
pub(crate) mod settings;
pub(crate) mod share;
