//! The store that is copied to.

use std::collections::HashSet;
use std::sync::Arc;

use annals::core::{
    AppendId, Criteria, Cursor, ErrorKind, EventStore as _, Expected, HistoryEntry, HistoryReader,
    ManualClock, PolicyAction, PolicyChange, Position, RecordedEvent, StreamId, StreamPolicy,
    StreamState, Timestamp, Version,
};
use annals::{AnyStore, StoreAddress};
use futures_executor::block_on;

use super::side::{Side, history_of, in_memory};
use crate::exchange::import;
use crate::exchange::line::{EventLine, Line};
use crate::failure::{Exit, Failure, Result};
use crate::output::note;
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
        let at = store_at::StoreAddress::new(directory.clone());
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
            let at = store_at::StoreAddress::new(directory.clone());
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
            Err(failure) if failure.exit == Exit::Usage && is_missing(&failure) => {
                note(&format!(
                    "the destination is to be made: {}",
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
        // What another writer recorded meanwhile is found before anything is recorded behind it.
        let before = Cursor::at(Position::new(position.value().saturating_sub(1)));
        let append = import::begin(id, lines, &self.soft_deleted)
            .unless(Criteria::everything(), before)
            .build()?;
        for write in append.writes() {
            self.soft_deleted.remove(&write.stream);
        }
        self.clock.set(appended_at);
        let receipt = match block_on(self.store.append(append)) {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let message =
                    format!("append {id} can't be recorded at position {position}: {error}");
                return Err(Failure::refused(message).hint(APART));
            }
            receipt => receipt?,
        };
        // One that was recorded and not answered is there already.
        if receipt.first_position == position && receipt.appended_at == appended_at {
            return Ok(());
        }
        let message = format!(
            "append {id} was recorded at position {}, {}, and belongs to position {position}, {appended_at}",
            receipt.first_position, receipt.appended_at
        );
        Err(Failure::refused(message).hint(APART))
    }

    /// Lifts the rules by age and count, so that none hides for good what the source shows: they are set again when
    /// all events are there.
    pub(super) fn lift_rules(&self, held: &Side) -> Result {
        for (stream, policy) in held.policies() {
            let has_rule = policy.max_age.is_some() || policy.max_count.is_some();
            if has_rule && policy.state != StreamState::Tombstoned {
                let lifted = PolicyAction::Retain {
                    max_age: None,
                    max_count: None,
                };
                self.change(stream, lifted)?;
            }
        }
        Ok(())
    }

    /// How many events a stream has.
    pub(super) fn version_of(&self, stream: &StreamId) -> Result<Version> {
        Ok(block_on(self.store.stream_head(stream))?.version)
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
            self.change(stream, action)?;
        }
        Ok(is_other)
    }

    fn change(&self, stream: &StreamId, action: PolicyAction) -> Result {
        let change = PolicyChange {
            stream: stream.clone(),
            expected: Expected::Any,
            action,
        };
        block_on(self.store.change_stream_policy(change))?;
        Ok(())
    }

    /// Makes everything durable.
    pub(super) fn close(self) -> Result {
        if let AnyStore::Log(store) = &self.store {
            store.close()?;
        }
        Ok(())
    }
}

const APART: &str = "something else appends to the destination: copy to a place of its own";

/// Whether a store was not opened as there is none.
fn is_missing(failure: &Failure) -> bool {
    ["log is not there", "no log is in this schema"]
        .iter()
        .any(|said| failure.message.contains(said))
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

#[cfg(test)]
mod tests {
    use annals::MemoryStore;
    use annals::core::{
        Append, ContentType, EventStoreExt as _, EventType, NewEvent, ReadRequest, RecordedAppend,
    };

    use super::*;

    fn target() -> (Target, Arc<MemoryStore>) {
        let clock = ManualClock::at(Timestamp::EPOCH);
        let store = MemoryStore::builder()
            .clock(Arc::new(clock.clone()))
            .build();
        let store = Arc::new(store);
        (
            Target::of(AnyStore::Memory(Arc::clone(&store)), clock),
            store,
        )
    }

    fn append(store: &MemoryStore, id: &str, stream: &str) {
        let event = NewEvent::new(EventType::from_static("noted"), ContentType::JSON, "{}");
        let append = Append::builder(AppendId::parse(id).unwrap())
            .write(
                StreamId::parse(stream).unwrap(),
                Expected::Any,
                [event.unwrap()],
            )
            .build();
        block_on(store.append(append.unwrap())).unwrap();
    }

    /// The first event of a history, as it is copied.
    fn first() -> Vec<HistoryEntry> {
        let (_, store) = target();
        append(&store, "1", "a-1");
        let events = block_on(store.collect(ReadRequest::all())).unwrap();
        let entry = |event| HistoryEntry::Event {
            event,
            append: Some(RecordedAppend {
                id: AppendId::parse("1").unwrap(),
                events: 1,
            }),
            is_reclaimed: false,
        };
        events.into_iter().map(entry).collect()
    }

    #[test]
    fn nothing_is_recorded_behind_what_another_writer_recorded() {
        let (mut copied, store) = target();
        append(&store, "2", "b-1");
        let refused = copied.import(first()).unwrap_err();
        assert_eq!(refused.exit, Exit::Refused, "{refused}");
        assert_eq!(refused.hint.as_deref(), Some(APART));
        let events = block_on(store.collect(ReadRequest::all())).unwrap();
        assert_eq!(events.len(), 1);
    }

    #[test]
    fn what_was_recorded_and_not_answered_is_there_already() {
        let (mut copied, store) = target();
        let entries = first();
        copied.import(entries.clone()).unwrap();
        copied.import(entries).unwrap();
        let events = block_on(store.collect(ReadRequest::all())).unwrap();
        assert_eq!(events.len(), 1);
    }
}
