//! Orders, and what is projected of them.

use std::collections::BTreeMap;

use annals_codec::{EventCodec, JsonCodec};
use annals_core::{Append, EventStore, Expected, Ids, Receipt, StreamId, UuidIds};
use annals_macros::Event;
use annals_projection::Projection;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "order")]
pub(crate) struct Placed {
    pub(crate) item: u64,
    pub(crate) pieces: u64,
}

/// Pieces by item.
pub(crate) type Stock = BTreeMap<String, u64>;

pub(crate) async fn place(store: &dyn EventStore, order: u64, item: u64) -> Receipt {
    let event = JsonCodec.encode(&Placed { item, pieces: 1 }).unwrap();
    let stream = StreamId::parse(&format!("order-{order}")).unwrap();
    let append = Append::builder(UuidIds::default().append_id())
        .write(stream, Expected::Any, [event])
        .build()
        .unwrap();
    store.append(append).await.unwrap()
}

/// Pieces sold by item; version 3 counts wrong.
pub(crate) fn sold(version: u32) -> Projection<Stock> {
    let builder = Projection::<Stock>::builder("sold", version).unwrap();
    let builder = builder.on(JsonCodec, move |stock, placed: &Placed, _| {
        let wrong = u64::from(version == 3 && placed.item == 0);
        *stock.entry(format!("item-{}", placed.item)).or_default() += placed.pieces + wrong;
        Ok(())
    });
    builder.build().unwrap()
}

/// What all events up to here give.
pub(crate) async fn fold(store: &dyn EventStore, until: &annals_core::Cursor) -> Stock {
    use annals_core::{Category, EventStoreExt, ReadRequest};
    let request = ReadRequest::category(Category::from_static("order")).until(until.clone());
    let mut stock = Stock::new();
    for event in store.collect(request).await.unwrap() {
        let placed: Placed = serde_json::from_slice(event.payload()).unwrap();
        *stock.entry(format!("item-{}", placed.item)).or_default() += placed.pieces;
    }
    stock
}
