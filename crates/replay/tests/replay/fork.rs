//! Copies in memory.

use std::sync::Arc;

use annals_codec::{EventCodec, JsonCodec};
use annals_core::{
    Append, EventStore, EventStoreExt, Expected, Ids, PolicyAction, PolicyChange, Position,
    ReadRequest, RecordedEvent, StreamId, Timestamp, UuidIds, Version,
};
use annals_replay::MemoryFork;
use annals_store_log::LogStore;
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::cart::{CartEvent, put, store_of};

fn append(key: &'static str, expected: Expected) -> Append {
    let event = JsonCodec.encode(&put(9, 9)).unwrap();
    let append = Append::builder(UuidIds::default().append_id());
    let append = append.write(StreamId::from_static(key), expected, [event]);
    append.build().unwrap()
}

#[test]
fn a_copy_answers_as_the_store_did_then() {
    block_on(async {
        let events: Vec<CartEvent> = (0..9).map(|item| put(item, 1)).collect();
        let keys = ["a", "b", "c"];
        let store = store_of(
            events
                .iter()
                .enumerate()
                .map(|(n, event)| (keys[n % 3], event)),
        )
        .await;
        for until in 0..=10 {
            let until = Position::new(until);
            let copy = MemoryFork::of(&*store).until(until).make().await.unwrap();
            for request in [
                ReadRequest::all(),
                ReadRequest::stream(StreamId::from_static("cart-b")),
                ReadRequest::all().backward(),
                ReadRequest::all().appended_from(Timestamp::from_seconds(3)),
            ] {
                let then = request.clone().until(until);
                assert_eq!(
                    copy.collect(request).await.unwrap(),
                    store.collect(then).await.unwrap(),
                    "{until}"
                );
            }
        }
        // What is tried in the copy is not in the store.
        let copy = MemoryFork::of(&*store)
            .until(Position::new(4))
            .make()
            .await
            .unwrap();
        let expected = Expected::Exactly(Version::new(2));
        let receipt = copy.append(append("cart-a", expected)).await.unwrap();
        assert_eq!(receipt.first_position, Position::new(5));
        assert_eq!(store.collect(ReadRequest::all()).await.unwrap().len(), 9);
    });
}

/// A store of two carts of three events, of which the second and the third are shown.
async fn store_with_policies() -> Arc<MemoryStore> {
    let events: Vec<CartEvent> = (0..6).map(|item| put(item, 1)).collect();
    let keys = ["a", "b"].into_iter().cycle();
    let store = store_of(keys.zip(&events)).await;
    for (stream, action) in [
        ("cart-a", PolicyAction::TruncateBefore(Version::new(2))),
        (
            "cart-b",
            PolicyAction::Retain {
                max_age: None,
                max_count: Some(2),
            },
        ),
    ] {
        let change = PolicyChange {
            stream: StreamId::from_static(stream),
            expected: Expected::Any,
            action,
        };
        store.change_stream_policy(change).await.unwrap();
    }
    store
}

#[test]
fn what_is_hidden_stays_hidden_and_its_places_empty() {
    block_on(async {
        let store = store_with_policies().await;
        let copy = MemoryFork::of(&*store).make().await.unwrap();
        assert_eq!(
            copy.collect(ReadRequest::all()).await.unwrap(),
            store.collect(ReadRequest::all()).await.unwrap()
        );
        for stream in ["cart-a", "cart-b"] {
            let stream = StreamId::from_static(stream);
            let (there, here) = (
                copy.stream_head(&stream).await,
                store.stream_head(&stream).await,
            );
            let (there, here) = (there.unwrap(), here.unwrap());
            assert_eq!(there.version, here.version);
            assert_eq!(there.policy.max_count, here.policy.max_count);
        }
        // The policy goes on: of this stream two events are shown.
        copy.append(append("cart-b", Expected::Exactly(Version::new(3))))
            .await
            .unwrap();
        let shown = copy.collect(ReadRequest::stream(StreamId::from_static("cart-b")));
        let versions: Vec<Version> = shown
            .await
            .unwrap()
            .iter()
            .map(RecordedEvent::version)
            .collect();
        assert_eq!(versions, [Version::new(3), Version::new(4)]);
    });
}

#[test]
fn a_copy_of_then_shows_no_more_than_is_shown_now() {
    block_on(async {
        let store = store_with_policies().await;
        // What was not copied is not there, though the policy of an earlier moment would show it.
        let early = MemoryFork::of(&*store)
            .until(Position::new(5))
            .make()
            .await
            .unwrap();
        assert_eq!(
            early.collect(ReadRequest::all()).await.unwrap(),
            store
                .collect(ReadRequest::all().until(Position::new(5)))
                .await
                .unwrap()
        );
        // Of the two events that the policy shows of then, the older one was hidden by now.
        let head = early
            .stream_head(&StreamId::from_static("cart-b"))
            .await
            .unwrap();
        assert_eq!(head.version, Version::new(2));
        assert_eq!(head.policy.truncate_before, Version::new(2));
    });
}

#[test]
fn an_embedded_store_is_copied_too() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let store = LogStore::builder(directory.path()).create().unwrap();
        for _ in 0..5 {
            store.append(append("cart-a", Expected::Any)).await.unwrap();
        }
        let copy = MemoryFork::of(&store)
            .until(Position::new(3))
            .make()
            .await
            .unwrap();
        let then = store
            .collect(ReadRequest::all().until(Position::new(3)))
            .await;
        assert_eq!(
            copy.collect(ReadRequest::all()).await.unwrap(),
            then.unwrap()
        );
        let copy: Arc<dyn EventStore> = Arc::new(copy);
        copy.append(append("cart-a", Expected::Exactly(Version::new(3))))
            .await
            .unwrap();
    });
}
