//! A store of two partitions, each a memory store; a category lives in one of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use annals_core::{
    Append, AppendId, Capabilities, Clock, Conflict, ConsistencyLevel, Cursor, Direction, Error,
    ErrorKind, EventOrdering, EventStore, FailedCheck, Page, PolicyChange, Position, ReadRequest,
    Receipt, RecordedEvent, Selection, StreamHead, StreamId,
};
use annals_store_memory::MemoryStore;
use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{Either, select};

/// What the positions of the second partition begin with, so that no two events share one.
const SECOND: u64 = 1 << 40;

#[derive(Debug)]
pub(crate) struct Partitions {
    stores: [MemoryStore; 2],
    /// Which partition has, or had, an append id: it is unique in the whole store.
    ids: Mutex<BTreeMap<AppendId, usize>>,
}

impl Partitions {
    pub(crate) fn new<C: Clock + 'static>(clock: &Arc<C>) -> Self {
        let store = || {
            let clock = Arc::clone(clock);
            MemoryStore::builder().clock(clock).build()
        };
        Self {
            stores: [store(), store()],
            ids: Mutex::default(),
        }
    }

    fn of_category(category: &str) -> usize {
        let sum: usize = category.bytes().map(usize::from).sum();
        sum % 2
    }

    fn of_stream(stream: &StreamId) -> usize {
        Self::of_category(stream.category_str())
    }

    fn store(&self, partition: usize) -> &MemoryStore {
        let [first, second] = &self.stores;
        if partition == 0 { first } else { second }
    }

    async fn heads(&self) -> Result<[Position; 2], Error> {
        let [first, second] = &self.stores;
        let first = first.head(ConsistencyLevel::Strong).await?;
        let second = second.head(ConsistencyLevel::Strong).await?;
        Ok([&first, &second].map(|head| head.position().unwrap_or_default()))
    }

    async fn check_not_ahead(&self, cursor: &Cursor) -> Result<(), Error> {
        if Cursor::partitioned(self.heads().await?).covers(cursor) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::CursorAhead,
            "cursor is ahead of the store",
        ))
    }

    /// A page of what only this partition can hold.
    async fn read_one(&self, request: &ReadRequest, partition: usize) -> Result<Page, Error> {
        let other = 1 - partition;
        let heads = self.heads().await?;
        let mut page = self.read_part(request, partition).await?;
        if page.next.is_none() {
            // Nothing that the other partition held is selected.
            let head = heads.get(other).copied().unwrap_or_default();
            let until = request.until.as_ref();
            let until = until.map_or(Position::MAX, |until| place_in(until, other));
            let place = place_in(&page.cursor, other).max(head.min(until));
            page.cursor = moved(&page.cursor, other, place);
        }
        Ok(page)
    }

    /// A page of the first partition, or of the second once the first has no more.
    async fn read_both(&self, request: &ReadRequest) -> Result<Page, Error> {
        let mut page = self.read_part(request, 0).await?;
        if page.next.is_some() {
            return Ok(page);
        }
        let mut rest = request.clone();
        rest.after = page.cursor.clone();
        if page.events.is_empty() {
            return self.read_part(&rest, 1).await;
        }
        page.next = Some(rest);
        Ok(page)
    }

    /// A page of one partition, in the terms of the whole store.
    async fn read_part(&self, request: &ReadRequest, partition: usize) -> Result<Page, Error> {
        let part = Self::part(request, partition);
        let page = self.store(partition).read(part).await?;
        let cursor = moved(&request.after, partition, place_in(&page.cursor, 0));
        let next = page.next.map(|part| {
            let mut next = request.clone();
            next.after = cursor.clone();
            next.after_version = part.after_version;
            next
        });
        let events = page.events.into_iter();
        Ok(Page {
            events: events.map(|event| global_event(event, partition)).collect(),
            next,
            cursor,
            stream: page.stream,
        })
    }

    /// The part of a request that a partition answers.
    fn part(request: &ReadRequest, partition: usize) -> ReadRequest {
        let place = |cursor: &Cursor| Cursor::at(place_in(cursor, partition));
        let mut part = request.clone();
        part.after = place(&request.after);
        part.until = request.until.as_ref().map(place);
        part.ordering = EventOrdering::Total;
        part.consistency = ConsistencyLevel::Strong;
        part
    }
}

/// A reader's place in one partition.
fn place_in(cursor: &Cursor, partition: usize) -> Position {
    cursor
        .positions()
        .get(partition)
        .copied()
        .unwrap_or_default()
}

/// The cursor with another place in one partition.
fn moved(cursor: &Cursor, partition: usize, to: Position) -> Cursor {
    let mut places = [place_in(cursor, 0), place_in(cursor, 1)];
    if let Some(place) = places.get_mut(partition) {
        *place = to;
    }
    Cursor::partitioned(places)
}

fn global(position: Position, partition: usize) -> Position {
    let base = if partition == 0 { 0 } else { SECOND };
    position.forward(base)
}

fn global_event(event: RecordedEvent, partition: usize) -> RecordedEvent {
    let (content, mut placement) = event.into_parts();
    placement.position = global(placement.position, partition);
    RecordedEvent::new(content, placement)
}

fn global_receipt(mut receipt: Receipt, partition: usize) -> Receipt {
    receipt.cursor = moved(&Cursor::START, partition, receipt.last_position);
    receipt.first_position = global(receipt.first_position, partition);
    receipt.last_position = global(receipt.last_position, partition);
    receipt
}

/// The error with the positions of the whole store.
fn global_error(error: Error, partition: usize) -> Error {
    let Some(conflict) = error.conflict() else {
        return error;
    };
    let mut failures = conflict.failures().to_vec();
    for failure in &mut failures {
        if let FailedCheck::Stream { positions, .. } = failure {
            for position in positions {
                *position = global(*position, partition);
            }
        }
    }
    Conflict::of(failures).map_or(error, Error::from)
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventStore for Partitions {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::MINIMAL;
        capabilities.stream_policies = true;
        capabilities
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        let (offered, mut events) = (self.capabilities(), append.events());
        if append.event_count() > offered.append_events_max
            || events.any(|(_, event)| event.payload().len() > offered.payload_bytes_max)
            || bytes(&append) > offered.append_bytes_max
        {
            return Err(Error::new(
                ErrorKind::Invalid,
                "append is too large; split it",
            ));
        }
        let plain = append.checks().is_empty() && append.conditions().is_empty();
        let ([write], true) = (append.writes(), plain) else {
            return Err(Error::unsupported("append"));
        };
        let partition = Self::of_stream(&write.stream);
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let known = ids.get(&append.id()).copied().unwrap_or(partition);
        if known != partition {
            return Err(Error::new(
                ErrorKind::AppendIdReused,
                "append id stands for other content",
            ));
        }
        // A memory store never waits, so that the lock is held over the append.
        let answer = self.store(partition).append(append.clone()).now_or_never();
        match answer {
            Some(Ok(receipt)) => {
                ids.insert(append.id(), partition);
                Ok(global_receipt(receipt, partition))
            }
            Some(Err(error)) => Err(global_error(error, partition)),
            None => Err(Error::new(
                ErrorKind::Unknown,
                "the memory store waits; append again",
            )),
        }
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        for partition in [0, 1] {
            if let Some(receipt) = self.store(partition).receipt(id).await? {
                return Ok(Some(global_receipt(receipt, partition)));
            }
        }
        Ok(None)
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        request.validate()?;
        let of_stream = matches!(request.selection, Selection::Stream(_));
        if request.direction == Direction::Backward
            || (!of_stream && request.ordering == EventOrdering::Total)
        {
            return Err(Error::unsupported("read"));
        }
        self.check_not_ahead(&request.after).await?;
        if let ConsistencyLevel::Session(cursor) = &request.consistency {
            self.check_not_ahead(cursor).await?;
        }
        match &request.selection {
            Selection::Stream(stream) => self.read_one(&request, Self::of_stream(stream)).await,
            Selection::Category(category) => {
                let partition = Self::of_category(category.as_str());
                self.read_one(&request, partition).await
            }
            _ => self.read_both(&request).await,
        }
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        if let ConsistencyLevel::Session(cursor) = &consistency {
            self.check_not_ahead(cursor).await?;
        }
        Ok(Cursor::partitioned(self.heads().await?))
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.store(Self::of_stream(stream))
            .stream_head(stream)
            .await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        let partition = Self::of_stream(&change.stream);
        let answer = self.store(partition).change_stream_policy(change).await;
        answer.map_err(|error| global_error(error, partition))
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        self.check_not_ahead(cursor).await?;
        let [first, second] = [0, 1].map(|partition| Cursor::at(place_in(cursor, partition)));
        let first = self.store(0).changed_since(&first);
        let second = self.store(1).changed_since(&second);
        match select(first, second).await {
            Either::Left((woken, _)) | Either::Right((woken, _)) => woken?,
        };
        Ok(Cursor::partitioned(self.heads().await?))
    }
}

/// The size of an append as the limits count it.
fn bytes(append: &Append) -> usize {
    let events = append.events().map(|(_, event)| event.bytes());
    let names = append
        .writes()
        .iter()
        .map(|write| write.stream.as_str().len());
    events.sum::<usize>() + names.sum::<usize>()
}
