//! Reactions: what happens because of events, once.

pub(crate) mod append_id;
pub(crate) mod builder;
pub(crate) mod consumer;
pub(crate) mod definition;
pub(crate) mod delivery;
pub(crate) mod handler;
mod record;
pub(crate) mod start;
