//! A copy of a store as of a position, in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use annals_concurrency::Timer;
use annals_core::{
    ConsistencyLevel, Error, ErrorKind, EventStore, Position, ReadRequest, StreamId, Version,
};
use annals_store_memory::{MemoryRestore, MemoryStore, MemoryStoreBuilder};

use crate::ReplayObserver;
use crate::observer::{Watched, Watcher};
use crate::reading::Reading;

/// Copies a store as of a position into memory, for experiments: commands that are tried, projections that are built,
/// without a trace in the store.
///
/// Events have the positions, versions, identities and times that they have in the store, and new ones go on after
/// them. What a stream's policy hides is not read, so it is not in the copy; its places stay empty. Policies are
/// those of now. The copy does not know append ids from before: a command that is sent again is executed again. Nor
/// does it know streams of which nothing is shown.
///
/// ```
/// # use std::sync::Arc;
/// # use annals_core::{Append, ContentType, EventStore, EventType, Expected, Ids, NewEvent, Position, ReadRequest, StreamId, UuidIds};
/// use annals_core::EventStoreExt;
/// use annals_replay::MemoryFork;
/// # use annals_store_memory::MemoryStore;
///
/// # futures_executor::block_on(async {
/// # let store = MemoryStore::new();
/// # for _ in 0..3 {
/// #     let event = NewEvent::new(EventType::from_static("e"), ContentType::JSON, "1")?;
/// #     let append = Append::builder(UuidIds::default().append_id());
/// #     store.append(append.write(StreamId::from_static("a-1"), Expected::Any, [event]).build()?).await?;
/// # }
/// let copy = MemoryFork::of(&store).until(Position::new(2)).make().await?;
/// assert_eq!(
///     copy.collect(ReadRequest::all()).await?,
///     store.collect(ReadRequest::all().until(Position::new(2))).await?
/// );
/// # Ok::<(), annals_core::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "call `make` to have the copy"]
pub struct MemoryFork<'a> {
    store: &'a dyn EventStore,
    until: Position,
    builder: MemoryStoreBuilder,
    watcher: Option<Watcher>,
}

impl<'a> MemoryFork<'a> {
    /// A copy of all of this store.
    pub fn of(store: &'a dyn EventStore) -> Self {
        Self {
            store,
            until: Position::MAX,
            builder: MemoryStore::builder(),
            watcher: None,
        }
    }

    /// Only of the events up to and with this position. An append that lies on both sides of it is cut there.
    pub fn until(mut self, position: Position) -> Self {
        self.until = position;
        self
    }

    /// With the clock and the identities of this builder for what is appended to the copy.
    pub fn building(mut self, builder: MemoryStoreBuilder) -> Self {
        self.builder = builder;
        self
    }

    /// With this observer told how far the copy is, and how fast by this timer.
    pub fn with_observer(
        mut self,
        observer: impl ReplayObserver + 'static,
        timer: impl Timer + 'static,
    ) -> Self {
        self.watcher = Some(Watcher::new(observer, Arc::new(timer)));
        self
    }

    /// Makes the copy.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a store of several logs; as reading the store has it.
    pub async fn make(self) -> Result<MemoryStore, Error> {
        let head = self.store.head(ConsistencyLevel::Strong).await?;
        let head = head.position().ok_or_else(|| Error::unsupported("fork"))?;
        let until = self.until.min(head);
        let watched = Watched::begin(self.watcher.as_ref(), Some(until));
        let request = ReadRequest::all().until(until);
        let mut reading = Reading::begin(self.store, request, watched);
        let mut copy = self.builder.restoring();
        let mut streams = BTreeMap::new();
        while let Some(event) = reading.next().await? {
            let (first, last) = streams
                .entry(event.stream().clone())
                .or_insert((event.version(), event.version()));
            *first = (*first).min(event.version());
            *last = event.version();
            copy.event(event)?;
        }
        for (stream, versions) in streams {
            restore_policy(self.store, &mut copy, &stream, versions).await?;
        }
        copy.finish(until)
    }
}

/// Gives a stream of the copy the policy of now; what of it is not in the copy stays hidden.
async fn restore_policy(
    store: &dyn EventStore,
    copy: &mut MemoryRestore,
    stream: &StreamId,
    (first, last): (Version, Version),
) -> Result<(), Error> {
    let mut head = store.stream_head(stream).await?;
    if head.version < last {
        let message = "store has another history than it had a moment ago; fork it again";
        return Err(Error::new(ErrorKind::Unavailable, message).with("stream", stream));
    }
    head.version = last;
    let policy = &mut head.policy;
    policy.truncate_before = policy.truncate_before.min(last.next());
    if first > Version::FIRST {
        policy.truncate_before = policy.truncate_before.max(first);
    }
    copy.stream(head)
}

impl fmt::Debug for MemoryFork<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryFork")
            .field("store", &self.store)
            .field("until", &self.until)
            .field("builder", &self.builder)
            .finish_non_exhaustive()
    }
}
