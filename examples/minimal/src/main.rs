//! A stock room on `annals-core` and `annals-store-log` alone: no facade, no codec, no derive, no
//! async runtime. Everything that the upper layers do for you is done by hand here, to show what it is.

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::{env, fs, process};

use annals_core::{
    Aggregate, Append, Category, ContentType, Event, EventKind, EventStore, EventStoreExt,
    EventType, Expected, Ids, NewEvent, ReadRequest, RecordedEvent, Refusal, SchemaVersion,
    StreamId, Tags, UuidIds, fold,
};
use annals_store_log::LogStore;

/// What happens to an article in the stock room, in pieces.
#[derive(Debug)]
enum StockEvent {
    Received(u64),
    Shipped(u64),
}

/// How many pieces there are.
#[derive(Debug, Default)]
struct Stock(u64);

impl Event for StockEvent {
    const CATEGORY: Category = Category::from_static("stock");
    const KINDS: &'static [EventKind] = &[
        EventKind::new(EventType::from_static("received"), SchemaVersion::FIRST),
        EventKind::new(EventType::from_static("shipped"), SchemaVersion::FIRST),
    ];

    fn kind_index(&self) -> usize {
        match self {
            Self::Received(_) => 0,
            Self::Shipped(_) => 1,
        }
    }

    fn tags(&self) -> Result<Tags, annals_core::Error> {
        Ok(Tags::EMPTY)
    }
}

impl Aggregate for Stock {
    type Event = StockEvent;

    fn apply(&mut self, event: &StockEvent) -> Result<(), Refusal> {
        let left = match event {
            StockEvent::Received(pieces) => self.0.checked_add(*pieces),
            StockEvent::Shipped(pieces) => self.0.checked_sub(*pieces),
        };
        self.0 = left.ok_or(Refusal::new("more pieces shipped than there were"))?;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(directory) = env::args_os().nth(1) {
        return block_on(run(directory.into()));
    }
    let scratch = env::temp_dir().join(format!("annals-minimal-{}", process::id()));
    let told = block_on(run(scratch.clone()));
    fs::remove_dir_all(scratch)?;
    told
}

async fn run(directory: PathBuf) -> Result<(), Box<dyn Error>> {
    let store = LogStore::builder(directory).open_or_create()?;
    let bolts = StreamId::new(&StockEvent::CATEGORY, "bolts")?;

    let version = store.stream_head(&bolts).await?.version;
    let received = [StockEvent::Received(100)];
    record(&store, &bolts, Expected::Exactly(version), &received).await?;
    let version = version.next();
    let shipped = [StockEvent::Shipped(30)];
    record(&store, &bolts, Expected::Exactly(version), &shipped).await?;

    let late = [StockEvent::Shipped(90)];
    let unaware = record(&store, &bolts, Expected::Exactly(version), &late);
    if let Err(conflict) = unaware.await {
        println!("a second clerk, unaware of the first shipment, is refused: {conflict}");
    }

    let mut events = Vec::new();
    for recorded in store.collect(ReadRequest::stream(bolts.clone())).await? {
        let event = decode(&recorded)?;
        println!(
            "{} at version {}: {event:?}",
            recorded.stream(),
            recorded.version()
        );
        events.push(event);
    }
    let stock: Stock = fold(&events)?;
    println!("{bolts}: {} pieces", stock.0);
    store.close()?;
    Ok(())
}

/// Appends events to one stream.
async fn record(
    store: &LogStore,
    stream: &StreamId,
    expected: Expected,
    events: &[StockEvent],
) -> Result<(), annals_core::Error> {
    let events: Result<Vec<NewEvent>, _> = events.iter().map(encode).collect();
    let append = Append::builder(UuidIds::default().append_id())
        .write(stream.clone(), expected, events?)
        .build()?;
    store.append(append).await.map(drop)
}

/// The pieces as decimal text.
fn encode(event: &StockEvent) -> Result<NewEvent, annals_core::Error> {
    let (StockEvent::Received(pieces) | StockEvent::Shipped(pieces)) = event;
    let form = ContentType::from_static("text/plain");
    NewEvent::new(event.kind().event_type().clone(), form, pieces.to_string())
}

fn decode(recorded: &RecordedEvent) -> Result<StockEvent, Box<dyn Error>> {
    let pieces = std::str::from_utf8(recorded.payload())?.parse()?;
    match recorded.event_type().as_str() {
        "received" => Ok(StockEvent::Received(pieces)),
        "shipped" => Ok(StockEvent::Shipped(pieces)),
        unknown => Err(format!("unknown event type {unknown}").into()),
    }
}

/// The smallest executor: polls a future on this thread, and sleeps until it is woken.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
