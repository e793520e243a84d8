//! A store of a copy as it is read: its entries one by one, and its policies as they stand.

use std::collections::{BTreeMap, VecDeque};

use annals::core::{HistoryEntry, HistoryReader, Position, StreamId, StreamPolicy, Version};
use annals::{AnyStore, StoreAddress};
use annals_store_log::is_locked;
use futures_executor::block_on;

use crate::failure::{Failure, Result};
use crate::store_at;

/// A store as it is read.
pub(crate) struct Side {
    reader: Box<dyn HistoryReader>,
    /// Where it is, for a store in a directory that is only read.
    log: Option<store_at::StoreAddress>,
    waiting: VecDeque<HistoryEntry>,
    policies: BTreeMap<StreamId, StreamPolicy>,
}

/// Opens a store to read all of it, and changes nothing there.
pub(crate) fn open_source(address: &StoreAddress) -> Result<Side> {
    if let StoreAddress::Log(directory) = address {
        let at = store_at::StoreAddress::new(directory.clone());
        let mut side = Side::new(Box::new(at.history()?));
        side.log = Some(at);
        return Ok(side);
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
            let history = store_at::StoreAddress::new(directory).history()?;
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
            log: None,
            waiting: VecDeque::new(),
            policies: BTreeMap::new(),
        }
    }

    /// Whether all that the store holds is known to readers: it is on a server, or was closed.
    pub(super) fn is_settled(&self) -> Result<bool> {
        match &self.log {
            Some(at) => Ok(at.history()?.ended_cleanly()),
            None => Ok(true),
        }
    }

    /// Brings to light what a store in a directory holds beyond what readers are told, where whoever wrote it was stopped:
    /// what was acknowledged right before a loss of power is found by the next one to open it to write.
    pub(super) fn recover(&self) -> Result {
        let Some(at) = &self.log else {
            return Ok(());
        };
        if self.is_settled()? {
            return Ok(());
        }
        match at.builder().open() {
            Ok(store) => Ok(store.close()?),
            // Whoever writes it has found it, and tells.
            Err(error) if is_locked(&error) => Ok(()),
            Err(error) => {
                let mut failure = Failure::from(error);
                failure.message = format!(
                    "{at} was not closed, so that its newest events are known only once it is opened to write: {}",
                    failure.message
                );
                Err(failure.hint(
                    "copy its directory to a medium that can be written, and copy from there; or open and close it by what wrote it",
                ))
            }
        }
    }

    /// Whether policies come where they were set.
    pub(super) fn places_policies(&self) -> bool {
        self.reader.places_policies()
    }

    /// Takes the policies of a store that does not keep when they were set, as they are after what was read; `false`
    /// where more was recorded meanwhile, which is to be read first.
    pub(super) fn take_policies(&mut self) -> Result<bool> {
        if self.places_policies() {
            return Ok(true);
        }
        if self.peek()?.is_some() {
            return Ok(false);
        }
        let Some(entries) = block_on(self.reader.last_policies())? else {
            return Ok(false);
        };
        for entry in entries {
            if let HistoryEntry::Policy { stream, policy } = entry {
                self.policies.insert(stream, policy);
            }
        }
        Ok(true)
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

    /// The streams whose policies are not alike, with what they are here and there.
    pub(super) fn other_policies<'a>(
        &'a self,
        there: &'a Self,
    ) -> impl Iterator<Item = (&'a StreamId, StreamPolicy, StreamPolicy)> {
        let streams = self.policies.keys().chain(there.policies.keys());
        let both = streams.map(|stream| {
            let here = self.policies.get(stream).cloned().unwrap_or_default();
            let there = there.policies.get(stream).cloned().unwrap_or_default();
            (stream, here, there)
        });
        both.filter(|(_, here, there)| here != there)
    }
}

/// Whether reads show the same of a stream at `head` under both. What a rule hid when another was changed may be told by
/// one as truncated, and is hidden by the rule itself in the other. What is hidden by age is known to whoever has the times:
/// with such a rule the rules and states are compared alone.
pub(super) fn hides_the_same(a: &StreamPolicy, b: &StreamPolicy, head: Version) -> bool {
    // Below this, all is hidden.
    let shown_from = |policy: &StreamPolicy| {
        let counted = policy.max_count.map_or(0, |count| {
            head.value().saturating_add(1).saturating_sub(count)
        });
        policy.truncate_before.value().max(counted).max(1)
    };
    (a.state, a.max_age, a.max_count) == (b.state, b.max_age, b.max_count)
        && (a.max_age.is_some() || shown_from(a) == shown_from(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_truncated_may_hide_what_a_rule_hides_and_no_more() {
        fn check(there: u64, max_count: Option<u64>, expected: bool) {
            let mut here = StreamPolicy::default();
            here.max_count = max_count;
            let mut other = here.clone();
            other.truncate_before = Version::new(there);
            assert_eq!(
                hides_the_same(&here, &other, Version::new(550)),
                expected,
                "{there} with {max_count:?}"
            );
        }
        check(0, None, true);
        check(1, None, true);
        check(2, None, false);
        check(41, Some(10), true);
        check(541, Some(10), true);
        check(542, Some(10), false);
        check(541, Some(1000), false);
    }
}
