//! What a processor, its consumers and their sinks agree on.

pub(crate) mod batch;
pub(crate) mod choice;
pub(crate) mod consumer;
pub(crate) mod failure_policy;
pub(crate) mod model_id;
pub(crate) mod page;
pub(crate) mod parked;
pub(crate) mod partition;
pub(crate) mod progress;
pub(crate) mod sink;
