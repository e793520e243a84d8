//! Which model of which projection.

use std::fmt;

use annals_core::CheckpointName;

use super::partition::Partition;

/// Which model a sink keeps: of which projection, by which version of its code, and which part of it.
///
/// Another version is another model, so that one can be built beside the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelId {
    /// The name of the projection.
    pub name: CheckpointName,
    /// The version of the projection's code, from 1.
    pub version: u32,
    /// Which part: [`Partition::WHOLE`] unless the projection is split.
    pub partition: Partition,
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.v{}", self.name, self.version)?;
        if self.partition.is_whole() {
            return Ok(());
        }
        write!(f, ".{}", self.partition)
    }
}
