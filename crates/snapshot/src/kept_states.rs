//! Snapshots as what keeps the states of others.

use std::time::Duration;

use annals_core::{KeptState, StateKeeper, StreamHead, StreamId, Timestamp, Version};
use async_trait::async_trait;

use crate::{Folded, Occasion, Snapshots, Validity};

/// By the policy of the snapshots, but for two things that are not known: how long a fold took, and, where no snapshot
/// was loaded, when the newest was taken. A stream whose policy hides events by age is folded each time.
#[async_trait]
impl<S: Send + Sync + 'static> StateKeeper<S> for Snapshots<S> {
    async fn load_state(&self, head: &StreamHead) -> Option<KeptState<S>> {
        let (folded, _) = self.load(&head.stream, head.version).await?;
        let holds = folded.validity(head) == Validity::Holds;
        self.count_use(holds);
        holds.then_some(KeptState {
            state: folded.state,
            begins_at: folded.begins_at,
            version: folded.version,
        })
    }

    fn is_due(
        &self,
        stream: &StreamId,
        version: Version,
        events_since: u64,
        now: Timestamp,
    ) -> bool {
        Self::is_due(
            self,
            &Occasion {
                stream,
                version,
                events_since,
                fold_time: Duration::ZERO,
                taken_at: None,
                now,
            },
        )
    }

    fn keep_state(&self, stream: &StreamId, kept: KeptState<S>, now: Timestamp) {
        let folded = Folded {
            state: kept.state,
            begins_at: kept.begins_at,
            version: kept.version,
        };
        // Where too many wait it is counted, and a later event has one taken.
        let _ = self.take(stream.clone(), folded, now);
    }
}
