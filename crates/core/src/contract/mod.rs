//! What a backend implements, and what callers get on top of it.

pub(crate) mod checkpoint_store;
pub(crate) mod event_store;
pub(crate) mod event_store_ext;
pub(crate) mod history;
pub(crate) mod observer;
pub(crate) mod optimizable;
pub(crate) mod snapshot_store;
pub(crate) mod state_keeper;
pub(crate) mod vitals;
