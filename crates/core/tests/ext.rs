//! The conveniences over a store that answers as a slow replica may: it lags, and its pages may be empty.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, ContentType, Cursor, Error, ErrorKind,
    EventStore, EventStoreExt, EventType, Expected, NewEvent, Page, PolicyChange, ReadRequest,
    Receipt, StreamHead, StreamId, Version,
};
use annals_store_memory::MemoryStore;
use async_trait::async_trait;
use futures_executor::block_on;
use futures_util::{FutureExt, StreamExt};

/// Two reads for each of five events, and some to begin with.
const READS_MAX: usize = 12;

const STREAM: StreamId = StreamId::from_static("a-1");

/// A store whose eventual reads show what a session asked for last, and no more.
#[derive(Debug, Default)]
struct Replica {
    primary: MemoryStore,
    shown: Mutex<Cursor>,
    reads: AtomicUsize,
}

#[async_trait]
impl EventStore for Replica {
    fn capabilities(&self) -> Capabilities {
        self.primary.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        self.primary.append(append).await
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.primary.receipt(id).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if let ConsistencyLevel::Session(cursor) = &request.consistency {
            *self.shown.lock().unwrap() = cursor.clone();
        }
        let shown = self.shown.lock().unwrap().clone();
        let mut page = self.primary.read(request.until(shown)).await?;
        if let Some(next) = &mut page.next {
            next.until = None;
        }
        Ok(page)
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        self.primary.head(consistency).await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.primary.stream_head(stream).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        self.primary.change_stream_policy(change).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        self.primary.changed_since(cursor).await
    }
}

fn event(number: u64) -> NewEvent {
    NewEvent::new(
        EventType::from_static("e"),
        ContentType::JSON,
        number.to_string(),
    )
    .unwrap()
}

async fn append(store: &impl EventStore, number: u64) -> Receipt {
    let append = Append::builder(AppendId::parse(&format!("append-{number}")).unwrap())
        .write(STREAM, Expected::Any, [event(number)])
        .build()
        .unwrap();
    store.append(append).await.unwrap()
}

fn check_lagging(request: ReadRequest) {
    block_on(async {
        let replica = Arc::new(Replica::default());
        let request = request.consistency(ConsistencyLevel::Eventual);
        let mut pages = Arc::clone(&replica).into_subscription(request);
        let mut seen = Vec::new();
        for number in 1..=5 {
            append(&replica, number).await;
            while seen.len() < usize::try_from(number).unwrap() {
                // Nothing here has to wait, so who waits has missed an event.
                let page = pages.next().now_or_never().flatten();
                let page = page.expect("the subscription goes on").unwrap();
                seen.extend(page.events.iter().map(|event| event.version().value()));
                let reads = replica.reads.load(Ordering::SeqCst);
                assert!(
                    reads <= READS_MAX,
                    "{reads} reads for {number} events: it spins"
                );
            }
        }
        assert_eq!(seen, [1, 2, 3, 4, 5]);
    });
}

#[test]
fn a_lagging_store_loses_no_event_and_makes_no_subscription_spin() {
    check_lagging(ReadRequest::all());
    check_lagging(ReadRequest::stream(STREAM));
    check_lagging(ReadRequest::stream(STREAM).until_version(Version::new(9)));
}

#[test]
fn a_subscription_ends_where_it_is_bounded() {
    block_on(async {
        let store = MemoryStore::new();
        for number in 1..=3 {
            append(&store, number).await;
        }
        let versions = |request| {
            let events = store
                .subscribe(request)
                .map(|event| event.unwrap().version().value());
            events.collect::<Vec<u64>>()
        };
        let stream = ReadRequest::stream(STREAM);
        assert_eq!(
            versions(stream.clone().until_version(Version::new(2))).await,
            [1, 2]
        );
        assert_eq!(
            versions(stream.until(Cursor::at(3.into()))).await,
            [1, 2, 3]
        );

        let mut backward = store.subscribe(ReadRequest::all().backward());
        assert_eq!(
            backward.next().await.unwrap().unwrap_err().kind(),
            ErrorKind::Invalid
        );
        assert!(backward.next().await.is_none());
    });
}

#[test]
fn decoding_stops_at_the_first_error() {
    block_on(async {
        let store = MemoryStore::new();
        for number in 1..=4 {
            append(&store, number).await;
        }
        let decode = |event: &annals_core::RecordedEvent| match event.version().value() {
            2 => Err(Error::new(ErrorKind::Undecodable, "no")),
            version => Ok(version),
        };
        let decoded = store.decoded(ReadRequest::all(), decode);
        let outcomes: Vec<Option<u64>> = decoded
            .map(|item| item.ok().map(|decoded| decoded.event))
            .collect()
            .await;
        assert_eq!(outcomes, [Some(1), None]);
    });
}

#[test]
fn waiting_for_a_receipt_of_another_store_is_an_error() {
    block_on(async {
        let (ours, theirs) = (MemoryStore::new(), MemoryStore::new());
        let receipt = append(&theirs, 1).await;
        assert_eq!(
            ours.wait_for(&receipt).await.unwrap_err().kind(),
            ErrorKind::CursorAhead
        );
        theirs.wait_for(&receipt).await.unwrap();
    });
}

#[test]
fn the_last_event_is_the_newest_visible_one() {
    block_on(async {
        let store = MemoryStore::new();
        assert_eq!(store.last_event(&STREAM).await.unwrap(), None);
        append(&store, 1).await;
        append(&store, 2).await;
        let last = store.last_event(&STREAM).await.unwrap().unwrap();
        assert_eq!(last.version(), Version::new(2));
        store
            .soft_delete(STREAM, Expected::Exactly(Version::new(2)))
            .await
            .unwrap();
        assert_eq!(store.last_event(&STREAM).await.unwrap(), None);
    });
}
