//! Durable timers: set, cancelled and fired as events.

pub(crate) mod change;
pub(crate) mod event;
pub(crate) mod handle;
mod pending;
pub(crate) mod service;
pub(crate) mod settings;
