//! Feeding consumers from a store.

pub(crate) mod builder;
mod cell;
mod feed;
mod gate;
pub(crate) mod handle;
mod looking;
mod meter;
mod orders;
mod running;
pub(crate) mod settings;
pub(crate) mod status;
mod tasks;
mod worker;
