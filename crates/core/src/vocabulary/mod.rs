//! The words of event sourcing as types, parsed and limited on construction.

pub(crate) mod append;
pub(crate) mod capabilities;
pub(crate) mod conflict;
pub(crate) mod criteria;
pub(crate) mod cursor;
pub(crate) mod event;
pub(crate) mod event_block;
pub(crate) mod event_type;
pub(crate) mod expected;
pub(crate) mod ids;
pub(crate) mod manual_clock;
pub(crate) mod metadata;
pub(crate) mod name;
pub(crate) mod number;
pub(crate) mod policy;
pub(crate) mod read;
pub(crate) mod receipt;
pub(crate) mod recorded_event;
pub(crate) mod serial;
pub(crate) mod stream_id;
pub(crate) mod tag;
pub(crate) mod time;
