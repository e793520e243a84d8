//! What a load passed over.

use std::sync::Arc;

use annals_core::{Error, ErrorKind, StreamId};

/// The events of an aggregate that its codec passed over, as its policy says: how many, and for what
/// reasons.
#[derive(Clone, Debug, Default)]
pub struct Skipped {
    count: u64,
    reasons: Vec<Arc<annals_codec::Error>>,
}

/// Whether decisions may rest on a state that leaves out events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gaps {
    Refused,
    Allowed,
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

    /// Refuses to decide on a state that leaves out events, where that is not allowed.
    pub(crate) fn check(&self, gaps: Gaps, stream: &StreamId) -> Result<(), Error> {
        if self.is_empty() || gaps == Gaps::Allowed {
            return Ok(());
        }
        let message = "state leaves out events that the codec skipped, so no decision may rest on it; update the \
                       code so that it reads them, or allow it with `deciding_despite_skipped`";
        let error = Error::new(ErrorKind::Undecodable, message)
            .during("decide")
            .with("stream", stream)
            .with("skipped events", self.count);
        Err(match self.reasons.first() {
            Some(reason) => error.caused_by(Arc::clone(reason)),
            None => error,
        })
    }
}

/// As many events, for reasons of the same words.
impl PartialEq for Skipped {
    fn eq(&self, other: &Self) -> bool {
        let words = |skipped: &Self| -> Vec<String> {
            skipped.reasons().map(ToString::to_string).collect()
        };
        self.count == other.count && words(self) == words(other)
    }
}

impl Eq for Skipped {}
