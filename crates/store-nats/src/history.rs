//! All that a log recorded, message after message.

use std::sync::Arc;

use annals_core::{Error, HistoryEntry, HistoryReader, Position, RecordedAppend};
use async_trait::async_trait;

use crate::record::{Raw, Record};
use crate::shared::Shared;
use crate::state::State;
use crate::store::NatsStore;

/// The most messages that are asked for at once, and their bytes.
const PAGE_MESSAGES: usize = 512;
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// All that a log recorded, from the beginning; policies where they were set.
#[derive(Debug)]
struct NatsHistory {
    shared: Arc<Shared>,
    /// The sequence that comes next.
    next: u64,
    /// The last sequence that is looked at before it is asked how far the log goes.
    last: u64,
}

impl NatsStore {
    /// Reads all that the log recorded, each message verified.
    pub fn history(&self) -> Box<dyn HistoryReader> {
        Box::new(NatsHistory {
            shared: Arc::clone(&self.shared),
            next: 1,
            last: 0,
        })
    }
}

#[async_trait]
impl HistoryReader for NatsHistory {
    async fn next(&mut self) -> Result<Vec<HistoryEntry>, Error> {
        let next = (self.next, self.last);
        let read = |shared: Arc<Shared>| async move { shared.history_after(next).await };
        let read = self.shared.aside(read).await;
        let (entries, (next, last)) = read.map_err(|error| error.during("read the history"))?;
        (self.next, self.last) = (next, last);
        Ok(entries)
    }

    async fn head(&mut self) -> Result<Position, Error> {
        self.shared.look(State::head)
    }

    fn places_policies(&self) -> bool {
        true
    }

    async fn last_policies(&mut self) -> Result<Option<Vec<HistoryEntry>>, Error> {
        Ok(Some(Vec::new()))
    }
}

impl Shared {
    /// What stands from a sequence on, up to another or to the end; where to go on.
    async fn history_after(
        &self,
        (mut next, mut last): (u64, u64),
    ) -> Result<(Vec<HistoryEntry>, (u64, u64)), Error> {
        if next > last {
            self.refresh().await?;
            last = self.look(State::sequence)?;
        }
        let mut entries = Vec::new();
        while entries.is_empty() && next <= last {
            for raw in self.messages(next, last).await? {
                next = raw.sequence + 1;
                entries.extend(entry_of(&raw, Record::of(&raw, &self.subjects)?));
            }
        }
        Ok((entries, (next, last)))
    }

    /// Messages without a hole from a sequence on, up to another: at least one, each of them sound.
    async fn messages(&self, next: u64, last: u64) -> Result<Vec<Raw>, Error> {
        let count = usize::try_from(last - next).unwrap_or(usize::MAX);
        let count = count.saturating_add(1).min(PAGE_MESSAGES);
        let everything = self.subjects.everything();
        let page = self
            .wire
            .some(self.log(), &everything, next, count, PAGE_BYTES);
        let page = page.await.unwrap_or_default();
        let sound: Vec<Raw> = (next..=last)
            .zip(page)
            .take_while(|(expected, raw)| {
                raw.sequence == *expected && Record::of(raw, &self.subjects).is_ok()
            })
            .map(|(_, raw)| raw)
            .collect();
        if sound.is_empty() {
            return Ok(vec![self.one(next).await?]);
        }
        Ok(sound)
    }
}

/// What a message says; nothing where it was made for another place.
fn entry_of(raw: &Raw, record: Record) -> Option<HistoryEntry> {
    if record.sequence() != raw.sequence {
        return None;
    }
    Some(match record {
        Record::Event(stored) => HistoryEntry::Event {
            append: (stored.index == 0).then_some(RecordedAppend {
                id: stored.append,
                events: stored.count,
            }),
            event: stored.event,
            is_reclaimed: false,
        },
        Record::Policy(policy) => HistoryEntry::Policy {
            stream: policy.stream,
            policy: policy.policy,
        },
    })
}
