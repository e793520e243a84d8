//! The store that is copied to.

use std::collections::HashSet;
use std::sync::Arc;

use annals::core::{
    AppendId, EventStore as _, Expected, HistoryEntry, HistoryReader, ManualClock, PolicyAction,
    PolicyChange, RecordedEvent, StreamId, StreamPolicy, StreamState, Timestamp,
};
use annals::{AnyStore, StoreAddress};
use futures_executor::block_on;

use super::side::{Side, history_of, in_memory};
use crate::exchange::import;
use crate::exchange::line::{EventLine, Line};
use crate::failure::{Exit, Failure, Result};
use crate::output::warn;
use crate::store_at;

/// A store that records what another one did.
pub(crate) struct Target {
    store: AnyStore,
    /// The time of the append that is recorded.
    clock: ManualClock,
    soft_deleted: HashSet<StreamId>,
}

impl Target {
    /// Opens the store, or makes it.
    pub(crate) fn open_or_create(address: &StoreAddress) -> Result<Self> {
        let StoreAddress::Log(directory) = address else {
            return Self::open_any(address);
        };
        let clock = ManualClock::at(Timestamp::EPOCH);
        let at = store_at::StoreAddress::Log(directory.clone());
        let builder = at
            .builder()
            .settings(import::settings())
            .clock(Arc::new(clock.clone()));
        if !at.exists() {
            crate::commands::init::refuse_what_is_there(&at)?;
        }
        // A copy may have been killed while it made the store.
        let store = builder.open_or_create()?;
        Ok(Self::of(AnyStore::Log(Arc::new(store)), clock))
    }

    /// Opens the store that is there, to look at it; `None` where there is none.
    pub(crate) fn to_look_at(address: &StoreAddress) -> Result<Option<Side>> {
        if let StoreAddress::Log(directory) = address {
            let at = store_at::StoreAddress::Log(directory.clone());
            if !at.exists() {
                crate::commands::init::refuse_what_is_there(&at)?;
                return Ok(None);
            }
            // A copy may have been killed while it made the store.
            if !directory.join("log").join("MANIFEST").is_file() {
                return Ok(None);
            }
        }
        match super::open_source(address) {
            Err(failure) if failure.exit == Exit::Usage && *address != StoreAddress::Memory => {
                warn(&format!(
                    "nothing of the destination is looked at: {}",
                    failure.message
                ));
                Ok(None)
            }
            opened => opened.map(Some),
        }
    }

    fn open_any(address: &StoreAddress) -> Result<Self> {
        if *address == StoreAddress::Memory {
            return Err(in_memory());
        }
        let clock = ManualClock::at(Timestamp::EPOCH);
        let builder = AnyStore::at(address.clone()).clock(Arc::new(clock.clone()));
        Ok(Self::of(block_on(builder.open_or_create())?, clock))
    }

    fn of(store: AnyStore, clock: ManualClock) -> Self {
        Self {
            store,
            clock,
            soft_deleted: HashSet::new(),
        }
    }

    /// All that it holds.
    pub(super) fn history(&self) -> Result<Box<dyn HistoryReader>> {
        history_of(&self.store)
    }

    /// Learns which streams it holds are deleted, and take an append whatever is expected.
    pub(super) fn learn(&mut self, held: &Side) {
        let deleted = held.policies().iter();
        let deleted = deleted.filter(|(_, policy)| policy.state == StreamState::SoftDeleted);
        self.soft_deleted
            .extend(deleted.map(|(stream, _)| stream.clone()));
    }

    /// Records events, whole appends in their order.
    pub(super) fn import(&mut self, entries: Vec<HistoryEntry>) -> Result {
        if let AnyStore::Postgres(store) = &self.store {
            let newest = entries.iter().rev().find_map(event_of);
            if let Some(newest) = newest {
                self.clock.set(newest.appended_at());
            }
            for event in entries.iter().filter_map(event_of) {
                self.soft_deleted.remove(event.stream());
            }
            return Ok(block_on(store.import(entries))?);
        }
        let mut open: Option<(AppendId, u32, Vec<EventLine>)> = None;
        for entry in &entries {
            let Line::Event(line) = Line::of(entry) else {
                continue;
            };
            let (id, count, mut lines) = match (open.take(), line.append) {
                (None, Some((id, count))) => (id, count, Vec::new()),
                (Some(open), _) => open,
                (None, None) => continue,
            };
            lines.push(*line);
            if lines.len() < usize::try_from(count).unwrap_or(usize::MAX) {
                open = Some((id, count, lines));
            } else {
                self.append(id, lines)?;
            }
        }
        Ok(())
    }

    /// Records an append when and where it was.
    fn append(&mut self, id: AppendId, lines: Vec<EventLine>) -> Result {
        let first = lines.first();
        let place = first.and_then(|line| line.position.zip(line.appended_at));
        let (position, appended_at) = place.unwrap_or_default();
        let append = import::build(id, lines, &self.soft_deleted)?;
        for write in append.writes() {
            self.soft_deleted.remove(&write.stream);
        }
        self.clock.set(appended_at);
        let receipt = block_on(self.store.append(append))?;
        let is_in_place = !receipt.is_duplicate()
            && receipt.first_position == position
            && receipt.appended_at == appended_at;
        if is_in_place {
            return Ok(());
        }
        let message = format!(
            "append {id} was recorded at position {}, {}, and belongs to position {position}, {appended_at}",
            receipt.first_position, receipt.appended_at
        );
        Err(Failure::refused(message)
            .hint("something else appends to the destination: copy to a place of its own"))
    }

    /// Gives a stream its policy; whether it had another.
    pub(super) fn set_policy(&mut self, stream: &StreamId, policy: &StreamPolicy) -> Result<bool> {
        if policy.state == StreamState::SoftDeleted {
            self.soft_deleted.insert(stream.clone());
        }
        let before = block_on(self.store.stream_head(stream))?.policy;
        let actions = actions(&before, policy);
        let is_other = !actions.is_empty();
        for action in actions {
            block_on(self.store.change_stream_policy(PolicyChange {
                stream: stream.clone(),
                expected: Expected::Any,
                action,
            }))?;
        }
        Ok(is_other)
    }

    /// Makes everything durable.
    pub(super) fn close(self) -> Result {
        if let AnyStore::Log(store) = &self.store {
            store.close()?;
        }
        Ok(())
    }
}

fn event_of(entry: &HistoryEntry) -> Option<&RecordedEvent> {
    match entry {
        HistoryEntry::Event { event, .. } => Some(event),
        _ => None,
    }
}

/// The changes that make `after` of `before`, as few as there can be. What is truncated comes before the rules, which
/// would hide more of it at another time.
fn actions(before: &StreamPolicy, after: &StreamPolicy) -> Vec<PolicyAction> {
    let mut actions = Vec::new();
    let is_deleted = after.state != before.state && after.state == StreamState::SoftDeleted;
    if after.truncate_before > before.truncate_before && !is_deleted {
        actions.push(PolicyAction::TruncateBefore(after.truncate_before));
    }
    if (after.max_age, after.max_count) != (before.max_age, before.max_count) {
        actions.push(PolicyAction::Retain {
            max_age: after.max_age,
            max_count: after.max_count,
        });
    }
    if after.state != before.state {
        match after.state {
            StreamState::Tombstoned => actions.push(PolicyAction::Tombstone),
            StreamState::SoftDeleted => actions.push(PolicyAction::SoftDelete),
            _ => {}
        }
    }
    actions
}
