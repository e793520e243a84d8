//! What a store should hold: the store in memory, which the contract's suite holds against a plain model.

use std::collections::HashMap;
use std::sync::Arc;

use annals_core::{
    Append, ConsistencyLevel, Cursor, Error, ErrorKind, EventStore, ManualClock, Page,
    PolicyChange, Position, ReadRequest, Receipt, RecordedEvent, StreamHead, StreamId, Timestamp,
    Version,
};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::Violation;
use crate::draw::{self, Draw};

/// What is done to a store.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Append(Append),
    Policy(PolicyChange),
}

/// How reads end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    Succeed,
    /// The disk may refuse one; those that succeed are right.
    MayFail,
}

/// The state that a store should be in, and how it came to it.
#[derive(Debug)]
pub(crate) struct Reference {
    store: MemoryStore,
    clock: ManualClock,
    began: Timestamp,
    journal: Vec<(Timestamp, Change)>,
    versions: HashMap<StreamId, Version>,
    pub(crate) head: Position,
}

impl Reference {
    pub(crate) fn new(began: Timestamp) -> Self {
        let clock = ManualClock::at(began);
        Self {
            store: MemoryStore::builder()
                .clock(Arc::new(clock.clone()))
                .build(),
            clock,
            began,
            journal: Vec::new(),
            versions: HashMap::new(),
            head: Position::START,
        }
    }

    /// The state after the first so many changes.
    pub(crate) fn after(&self, changes: usize) -> Self {
        let mut reference = Self::new(self.began);
        for (time, change) in &self.journal[..changes] {
            match change {
                Change::Append(append) => drop(reference.append(append, *time).unwrap()),
                Change::Policy(policy) => drop(reference.change_policy(policy, *time).unwrap()),
            }
        }
        reference
    }

    /// How many changes there were.
    pub(crate) fn changes(&self) -> usize {
        self.journal.len()
    }

    pub(crate) fn version(&self, stream: &StreamId) -> Version {
        self.versions.get(stream).copied().unwrap_or_default()
    }

    pub(crate) fn stream_head(&self, stream: &StreamId) -> StreamHead {
        block_on(self.store.stream_head(stream)).unwrap()
    }

    pub(crate) fn append(&mut self, append: &Append, now: Timestamp) -> Result<Receipt, Error> {
        self.clock.set(now);
        let receipt = block_on(self.store.append(append.clone()))?;
        if !receipt.is_duplicate() {
            self.head = receipt.last_position;
            for written in &receipt.streams {
                self.versions
                    .insert(written.stream.clone(), written.last_version);
            }
            self.journal.push((now, Change::Append(append.clone())));
        }
        Ok(receipt)
    }

    pub(crate) fn change_policy(
        &mut self,
        change: &PolicyChange,
        now: Timestamp,
    ) -> Result<StreamHead, Error> {
        self.clock.set(now);
        let head = block_on(self.store.change_stream_policy(change.clone()))?;
        self.journal.push((now, Change::Policy(change.clone())));
        Ok(head)
    }

    /// The first and the last time of what is recorded.
    pub(crate) fn times(&self) -> (Timestamp, Timestamp) {
        let last = self.journal.last();
        (self.began, last.map_or(self.began, |(time, _)| *time))
    }

    /// Holds a store against this state at this time: everything in order, the heads of all streams, some
    /// receipts, and so many queries.
    pub(crate) fn check(
        &self,
        store: &dyn EventStore,
        now: Timestamp,
        draw: &Draw,
        queries: usize,
        reads: Reads,
    ) -> Result<(), Violation> {
        self.clock.set(now);
        let head = block_on(store.head(ConsistencyLevel::Strong)).map(Some);
        same("the head", head, &Some(Cursor::at(self.head)), reads)?;
        self.check_query(store, ReadRequest::all(), reads)?;
        for _ in 0..queries {
            self.check_query(store, draw.query(self.head, self.times()), reads)?;
        }
        for stream in draw::streams() {
            let found = block_on(store.stream_head(&stream));
            same(
                "the head of a stream",
                found,
                &self.stream_head(&stream),
                reads,
            )?;
        }
        for _ in 0..queries.min(4) {
            self.check_receipt(store, draw, reads)?;
        }
        Ok(())
    }

    /// An append that is sent again gets its first receipt, at any time later.
    fn check_receipt(
        &self,
        store: &dyn EventStore,
        draw: &Draw,
        reads: Reads,
    ) -> Result<(), Violation> {
        if self.journal.is_empty() {
            return Ok(());
        }
        // Mostly one of the last, which are the ones that can be lost.
        let back = draw.below(1 + draw.below(self.journal.len()));
        let (_, change) = &self.journal[self.journal.len() - 1 - back];
        let Change::Append(append) = change else {
            return Ok(());
        };
        let expected = block_on(self.store.receipt(&append.id())).unwrap();
        same(
            "a receipt",
            block_on(store.receipt(&append.id())),
            &expected,
            reads,
        )?;
        let again = block_on(store.append(append.clone())).map(Some);
        same("the answer to a retry", again, &expected, reads)
    }

    fn check_query(
        &self,
        store: &dyn EventStore,
        request: ReadRequest,
        reads: Reads,
    ) -> Result<(), Violation> {
        let what = format!("{request:?}");
        let found = match pages(store, request.clone()) {
            Ok(pages) => events(pages),
            Err(error) => return refused(&what, &error, reads),
        };
        let expected = events(pages(&self.store, request).unwrap());
        if found == expected {
            return Ok(());
        }
        let differs = found.iter().zip(&expected).position(|(a, b)| a != b);
        let at = differs.unwrap_or(found.len().min(expected.len()));
        Err(format!(
            "{what}: {} events, expected {}; the first that differs is {:?}, expected {:?}",
            found.len(),
            expected.len(),
            found.get(at),
            expected.get(at),
        ))
    }
}

/// All pages of a request.
pub(crate) fn pages(store: &dyn EventStore, request: ReadRequest) -> Result<Vec<Page>, Error> {
    let mut pages = Vec::new();
    let mut next = Some(request);
    while let Some(request) = next.take() {
        let page = block_on(store.read(request))?;
        next.clone_from(&page.next);
        pages.push(page);
    }
    Ok(pages)
}

pub(crate) fn events(pages: Vec<Page>) -> Vec<RecordedEvent> {
    pages.into_iter().flat_map(|page| page.events).collect()
}

fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: Result<T, Error>,
    expected: &T,
    reads: Reads,
) -> Result<(), Violation> {
    match found {
        Ok(found) if found == *expected => Ok(()),
        Ok(found) => Err(format!("{what} is {found:?}, expected {expected:?}")),
        Err(error) => refused(what, &error, reads),
    }
}

/// A disk that refuses is no damage, and nothing to retry at once.
fn refused(what: &str, error: &Error, reads: Reads) -> Result<(), Violation> {
    if reads == Reads::MayFail && error.kind() == ErrorKind::Unavailable {
        return Ok(());
    }
    Err(format!("{what}: {error:?}"))
}
