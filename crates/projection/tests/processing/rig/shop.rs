//! A small shop: its events, and how they are appended.

use std::sync::Arc;

use annals_codec::{EventCodec, JsonCodec};
use annals_core::{Append, EventStore, Expected, Ids, NewEvent, Receipt, StreamId, UuidIds};
use annals_macros::Event;
use annals_projection::Projection;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "order")]
pub(crate) enum OrderEvent {
    Placed { cents: u64 },
    Cancelled,
}

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "visit")]
pub(crate) struct Visited {
    #[event(tag)]
    pub(crate) page: String,
}

pub(crate) fn placed(cents: u64) -> NewEvent {
    JsonCodec.encode(&OrderEvent::Placed { cents }).unwrap()
}

pub(crate) fn visited(page: &str) -> NewEvent {
    let page = page.to_owned();
    JsonCodec.encode(&Visited { page }).unwrap()
}

/// Appends events to a stream.
pub(crate) async fn append(
    store: &dyn EventStore,
    stream: &str,
    events: impl IntoIterator<Item = NewEvent>,
) -> Receipt {
    let append = Append::builder(UuidIds::default().append_id())
        .write(StreamId::parse(stream).unwrap(), Expected::Any, events)
        .build()
        .unwrap();
    store.append(append).await.unwrap()
}

/// What the shop took in, and of which orders it heard in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Book {
    pub(crate) cents: u64,
    pub(crate) entries: Vec<(u64, String, u64)>,
}

/// Folds orders into a book.
pub(crate) fn book(name: &str) -> Projection<Book> {
    Projection::builder(name, 1)
        .unwrap()
        .on(
            JsonCodec,
            |book: &mut Book, event: &OrderEvent, recorded| {
                if let OrderEvent::Placed { cents } = event {
                    book.cents += cents;
                    let stream = recorded.stream().as_str().to_owned();
                    book.entries
                        .push((recorded.position().value(), stream, *cents));
                }
                Ok(())
            },
        )
        .build()
        .unwrap()
}

/// The same, folded by a plain loop.
pub(crate) async fn plain_book(store: &Arc<dyn EventStore>) -> Book {
    use annals_core::{EventStoreExt, ReadRequest};
    let mut book = Book::default();
    for event in store.collect(ReadRequest::all()).await.unwrap() {
        if *event.event_type() == "placed" {
            let text: serde_json::Value = serde_json::from_slice(event.payload()).unwrap();
            let cents = text["cents"].as_u64().unwrap();
            book.cents += cents;
            let stream = event.stream().as_str().to_owned();
            book.entries.push((event.position().value(), stream, cents));
        }
    }
    book
}
