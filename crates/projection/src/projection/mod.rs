//! Projections: what builds a read model of events.

pub(crate) mod builder;
pub(crate) mod consumer;
pub(crate) mod definition;
pub(crate) mod handler;
