//! Trying again: how often, how patiently, after which errors.

pub(crate) mod policy;
pub(crate) mod retrier;
pub(crate) mod tries;
