//! What a load passed over.

use std::sync::Arc;

/// The events of an aggregate that its codec passed over, as its policy says: how many, and for what
/// reasons.
#[derive(Clone, Debug, Default)]
pub struct Skipped {
    count: u64,
    reasons: Vec<Arc<annals_codec::Error>>,
}

impl Skipped {
    /// How many reasons are kept: those of the first events.
    pub const REASONS_MAX: usize = 16;

    /// How many events were passed over.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether every event was folded.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Why the first [`REASONS_MAX`](Self::REASONS_MAX) of them were; each names stream, version and
    /// position.
    pub fn reasons(&self) -> impl Iterator<Item = &annals_codec::Error> {
        self.reasons.iter().map(|reason| &**reason)
    }

    pub(crate) fn push(&mut self, reason: annals_codec::Error) {
        self.count = self.count.saturating_add(1);
        if self.reasons.len() < Self::REASONS_MAX {
            self.reasons.push(Arc::new(reason));
        }
    }
}
