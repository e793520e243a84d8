//! Building a version of a projection beside the one that is read, and cutting over to it.

mod capped;
pub(crate) mod comparison;
pub(crate) mod difference;
pub(crate) mod live;
pub(crate) mod memory;
pub(crate) mod plan;
mod record;
pub(crate) mod rows;
pub(crate) mod running;
pub(crate) mod settings;
pub(crate) mod value;
pub(crate) mod versions;
