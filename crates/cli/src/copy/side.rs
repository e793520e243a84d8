//! A store of a copy as it is read: its entries one by one, and its policies as they stand.

use std::collections::{BTreeMap, VecDeque};

use annals::core::{HistoryEntry, HistoryReader, Position, StreamId, StreamPolicy};
use annals::{AnyStore, StoreAddress};
use futures_executor::block_on;

use crate::failure::{Failure, Result};
use crate::store_at;

/// A store as it is read.
pub(crate) struct Side {
    reader: Box<dyn HistoryReader>,
    waiting: VecDeque<HistoryEntry>,
    policies: BTreeMap<StreamId, StreamPolicy>,
}

/// Opens the store that is copied from.
pub(crate) fn open_source(address: &StoreAddress) -> Result<Side> {
    if let StoreAddress::Log(directory) = address {
        let history = store_at::StoreAddress::Log(directory.clone()).history()?;
        return Ok(Side::new(Box::new(history)));
    }
    let store = block_on(AnyStore::at(address.clone()).open())?;
    // The reader keeps of the store what it needs.
    Ok(Side::new(history_of(&store)?))
}

/// All that a store recorded.
pub(super) fn history_of(store: &AnyStore) -> Result<Box<dyn HistoryReader>> {
    match store {
        AnyStore::Log(store) => {
            let directory = store.directory().to_path_buf();
            let history = store_at::StoreAddress::Log(directory).history()?;
            Ok(Box::new(history))
        }
        AnyStore::Postgres(store) => Ok(store.history()),
        AnyStore::Nats(store) => Ok(store.history()),
        _ => Err(in_memory()),
    }
}

/// The answer to whoever names a store in memory.
pub(super) fn in_memory() -> Failure {
    Failure::usage("a store in memory is empty, and ends with the command")
        .hint("name a directory, postgres://user@host/database, or nats://host:4222/<log>")
}

impl Side {
    pub(super) fn new(reader: Box<dyn HistoryReader>) -> Self {
        Self {
            reader,
            waiting: VecDeque::new(),
            policies: BTreeMap::new(),
        }
    }

    /// What comes next, left where it is.
    pub(super) fn peek(&mut self) -> Result<Option<&HistoryEntry>> {
        if self.waiting.is_empty() {
            self.waiting.extend(block_on(self.reader.next())?);
        }
        Ok(self.waiting.front())
    }

    /// What comes next; none at the end, where what is recorded later comes when it is asked again.
    pub(super) fn next(&mut self) -> Result<Option<HistoryEntry>> {
        self.peek()?;
        let next = self.waiting.pop_front();
        match &next {
            Some(HistoryEntry::Policy { stream, policy }) => {
                self.policies.insert(stream.clone(), policy.clone());
            }
            Some(HistoryEntry::Event { event, .. }) => {
                if let Some(policy) = self.policies.get_mut(event.stream()) {
                    policy.reopen();
                }
            }
            _ => {}
        }
        Ok(next)
    }

    /// The event that comes next, policies noted on the way.
    pub(super) fn next_event(&mut self) -> Result<Option<HistoryEntry>> {
        loop {
            match self.next()? {
                Some(HistoryEntry::Policy { .. }) => {}
                other => return Ok(other),
            }
        }
    }

    pub(super) fn head(&mut self) -> Result<Position> {
        Ok(block_on(self.reader.head())?)
    }

    /// The policies as they stand.
    pub(super) fn policies(&self) -> &BTreeMap<StreamId, StreamPolicy> {
        &self.policies
    }

    /// A stream that has a policy here and none there.
    pub(super) fn policy_without(&self, there: &Self) -> Option<&StreamId> {
        let mut here = self.policies.iter();
        here.find(|(stream, policy)| {
            **policy != StreamPolicy::default() && !there.policies.contains_key(*stream)
        })
        .map(|(stream, _)| stream)
    }

    /// A stream whose policy is another there.
    pub(super) fn other_policy<'a>(&'a self, there: &'a Self) -> Option<&'a StreamId> {
        let open = StreamPolicy::default();
        let mut streams = self.policies.keys().chain(there.policies.keys());
        streams.find(|stream| {
            let here = self.policies.get(*stream).unwrap_or(&open);
            let there = there.policies.get(*stream).unwrap_or(&open);
            !hides_the_same(here, there)
        })
    }
}

/// Whether reads show the same under both. What a rule hid when another was changed may be told by one as truncated,
/// and is hidden by the rule itself in the other.
fn hides_the_same(a: &StreamPolicy, b: &StreamPolicy) -> bool {
    let has_rule = a.max_age.is_some() || a.max_count.is_some();
    (a.state, a.max_age, a.max_count) == (b.state, b.max_age, b.max_count)
        && (a.truncate_before == b.truncate_before || has_rule)
}
