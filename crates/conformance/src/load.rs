//! Load for a store whose servers are hurt meanwhile, and what has to hold of it afterwards.
//!
//! The suite does not kill servers or cut connections: a backend's own tests do. These are the writers that go on
//! through it, and the look at the log when they are done: what was acknowledged is there, in order and once.
//!
//! ```
//! use annals_conformance::load::{self, Load};
//! use annals_store_memory::MemoryStore;
//!
//! # futures_executor::block_on(async {
//! let store = MemoryStore::new();
//! let load = Load { writers: 4, appends_each: 10, round: "first" };
//! // In a test of a server it would be killed at the hundredth acknowledgement, and the pause would be a sleep.
//! let receipts = load.run(&[&store], |_acknowledged| (), || std::future::ready(())).await;
//! load::assert_recorded(&store, &receipts).await;
//! # });
//! ```
//!
//! All of it panics where a test would: what is broken is a failed test.
#![expect(
    clippy::expect_used,
    reason = "what the texts are of is up to the test, which fails where they break a rule"
)]

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};

use annals_core::{
    Append, AppendId, ContentType, Error, ErrorKind, EventStore, EventStoreExt, EventType,
    Expected, NewEvent, Outcome, ReadRequest, Receipt, StreamId,
};
use futures_util::future::join_all;

/// The stream of this name.
///
/// # Panics
/// When it is no name of a stream.
pub fn stream(name: &str) -> StreamId {
    StreamId::parse(name).expect("a name of a stream")
}

/// An event with this payload.
///
/// # Panics
/// When it is too large.
pub fn event(payload: &str) -> NewEvent {
    let payload = payload.to_owned();
    let event = NewEvent::new(EventType::from_static("noted"), ContentType::JSON, payload);
    event.expect("a payload that fits")
}

/// An append of one event, whose id and payload are this text.
///
/// # Panics
/// When the texts are no name of a stream and no id of an append.
pub fn append(to: &str, expected: Expected, id: &str) -> Append {
    let append = Append::builder(AppendId::parse(id).expect("an id of an append"));
    let append = append.write(stream(to), expected, [event(id)]);
    append.build().expect("an append of one event")
}

/// Appends until it is known whether it is recorded, as an application does: the same append again where its fate is
/// unknown or the store can't be reached, after a pause.
///
/// # Errors
/// What else the store says.
pub async fn insist<F: Future<Output = ()> + Send>(
    store: &impl EventStore,
    append: Append,
    pause: impl Fn() -> F + Send,
) -> Result<Receipt, Error> {
    loop {
        match store.append(append.clone()).await {
            Err(error)
                if error.outcome() == Outcome::Unknown
                    || error.kind() == ErrorKind::Unavailable =>
            {
                pause().await;
            }
            answer => return answer,
        }
    }
}

/// Holds what was acknowledged against the log: each exactly once, at its place, and places without gaps. The appends
/// are those of [`append`], and nothing else is in the log.
///
/// # Panics
/// When the log has anything else, or can't be read.
pub async fn assert_recorded(store: &impl EventStore, acknowledged: &[Receipt]) {
    let log = store.collect(ReadRequest::all()).await;
    let log = log.expect("a log that can be read");
    let mut versions: HashMap<StreamId, u64> = HashMap::new();
    let mut stored = HashMap::new();
    for (place, event) in (1..).zip(&log) {
        assert_eq!(event.position().value(), place, "positions have no gaps");
        let version = versions.entry(event.stream().clone()).or_default();
        *version += 1;
        assert_eq!(event.version().value(), *version, "versions have no gaps");
        let payload = String::from_utf8_lossy(event.payload()).into_owned();
        let before = stored.insert(payload.clone(), event.position());
        assert_eq!(before, None, "{payload} is stored once");
    }
    for receipt in acknowledged {
        let found = stored.get(receipt.append_id.as_str());
        let id = receipt.append_id;
        assert_eq!(
            found,
            Some(&receipt.first_position),
            "{id} is where it was said to be"
        );
    }
    assert_eq!(log.len(), acknowledged.len(), "nothing else is stored");
}

/// Writers that append one event after the other, each to a stream of its own and to one that they share.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// How many write at the same time.
    pub writers: usize,
    /// How many appends each of them makes.
    pub appends_each: usize,
    /// Tells the ids of these appends from those of other rounds.
    pub round: &'a str,
}

impl Load<'_> {
    /// Has every append recorded, whatever it takes: by [`insist`], with a pause before each new attempt. Writers take the
    /// stores in turn. `each` is called with the number of appends that were acknowledged so far.
    ///
    /// # Panics
    /// When a store refuses an append, or there is no store.
    pub async fn run<S: EventStore, F: Future<Output = ()> + Send>(
        &self,
        stores: &[S],
        each: impl Fn(usize) + Sync,
        pause: impl Fn() -> F + Sync,
    ) -> Vec<Receipt> {
        let acknowledged = AtomicUsize::new(0);
        let (each, pause, acknowledged) = (&each, &pause, &acknowledged);
        let stores = stores.iter().cycle().take(self.writers).enumerate();
        let writers = stores.map(|(writer, store)| async move {
            let mut receipts = Vec::with_capacity(self.appends_each);
            for number in 0..self.appends_each {
                let append = self.append(writer, number);
                let receipt = insist(store, append, pause).await;
                receipts.push(receipt.expect("an append that is not refused"));
                each(acknowledged.fetch_add(1, Ordering::SeqCst) + 1);
            }
            receipts
        });
        let receipts = join_all(writers).await;
        assert_eq!(receipts.len(), self.writers, "there is a store");
        receipts.into_iter().flatten().collect()
    }

    fn append(&self, writer: usize, number: usize) -> Append {
        let to = if number.is_multiple_of(4) {
            "shared-1".to_owned()
        } else {
            format!("own-{writer}")
        };
        let id = format!("{}/{writer}/{number}", self.round);
        append(&to, Expected::Any, &id)
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use annals_store_memory::MemoryStore;
    use futures_executor::block_on;

    use super::*;

    fn loaded() -> (MemoryStore, Vec<Receipt>) {
        let store = MemoryStore::new();
        let load = Load {
            writers: 3,
            appends_each: 5,
            round: "one",
        };
        let receipts = block_on(load.run(&[&store], |_| (), || ready(())));
        (store, receipts)
    }

    #[test]
    fn every_append_is_counted_and_there() {
        let (store, receipts) = loaded();
        assert_eq!(receipts.len(), 15);
        block_on(assert_recorded(&store, &receipts));
    }

    #[test]
    #[should_panic(expected = "is where it was said to be")]
    fn what_is_acknowledged_and_not_there_is_told() {
        let (_, mut receipts) = loaded();
        let other = MemoryStore::new();
        receipts.truncate(1);
        block_on(assert_recorded(&other, &receipts));
    }

    #[test]
    #[should_panic(expected = "nothing else is stored")]
    fn what_nobody_was_told_of_is_told() {
        let (store, mut receipts) = loaded();
        receipts.pop();
        block_on(assert_recorded(&store, &receipts));
    }
}
