//! The contract of what keeps states between their uses.

use std::fmt;

use async_trait::async_trait;

use crate::{StreamHead, StreamId, Timestamp, Version};

/// A state that is the fold of one run of a stream's events, kept to go on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptState<S> {
    /// The state.
    pub state: S,
    /// The version of the first event that is folded in it.
    pub begins_at: Version,
    /// The version up to which it is folded.
    pub version: Version,
}

/// Keeps states of one fold, so that a long stream is not folded from its beginning each time: what `Snapshots` of the
/// crate `annals-snapshot` does by its policy, and what a process manager is given.
///
/// States are derived data: one that is lost, or was of another fold, is not given, and the events are folded.
#[async_trait]
pub trait StateKeeper<S>: fmt::Debug + Send + Sync {
    /// The newest state that is kept of a stream and that a fold from the beginning gives too, as the stream stands at
    /// this head: none that holds events which its policy hides. Never fails: what can't be read is passed over.
    async fn load_state(&self, head: &StreamHead) -> Option<KeptState<S>>;

    /// Whether a state of this version is to be kept, where so many events have come since the one that was loaded, or
    /// since the fold began.
    fn is_due(
        &self,
        stream: &StreamId,
        version: Version,
        events_since: u64,
        now: Timestamp,
    ) -> bool;

    /// Keeps a state, beside the caller.
    fn keep_state(&self, stream: &StreamId, kept: KeptState<S>, now: Timestamp);
}
