//! States of the past, and what can't be told of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use annals_codec::EventCodec;
use annals_codec::JsonCodec;
use annals_concurrency::ManualTimer;
use annals_core::{
    Append, ErrorKind, Event as _, EventStore, EventStoreExt, Expected, Ids, PolicyAction,
    PolicyChange, Position, RecordedEvent, Selection, StreamId, Timestamp, UuidIds, Version,
};
use annals_replay::{AsOf, Replay, ReplayFold, ReplayProgress};
use annals_snapshot::{Fold, Folded, Snapshots};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;
use futures_util::TryStreamExt;

use crate::cart::{Cart, CartEvent, fold, put, replay_of, seconds, store_of, taken};

/// A cart whose events happened at these seconds, and were appended in this order.
async fn recorded_at(times: &[i64]) -> Replay<Cart, CartEvent> {
    let store = MemoryStore::new();
    for (index, time) in times.iter().enumerate() {
        let event = JsonCodec
            .encode(&put(u8::try_from(index).unwrap(), 1))
            .unwrap();
        let append = Append::builder(UuidIds::default().append_id())
            .write(
                StreamId::from_static("cart-1"),
                Expected::Any,
                [event.with_recorded_at(seconds(*time))],
            )
            .build();
        store.append(append.unwrap()).await.unwrap();
    }
    Replay::of_aggregate(Arc::new(store), JsonCodec, "1").unwrap()
}

#[test]
fn what_happened_late_counts_at_its_own_time() {
    block_on(async {
        // The third was recorded late.
        let replay = recorded_at(&[10, 20, 15, 30]).await;
        for (second, items, left_out) in [
            (9, &[][..], 4),
            (10, &[0], 3),
            (15, &[0, 2], 2),
            (20, &[0, 1, 2], 1),
            (30, &[0, 1, 2, 3], 0),
        ] {
            let found = replay.as_of(AsOf::Recorded(seconds(second))).await.unwrap();
            assert!(found.state.items.keys().eq(items), "{second}");
            assert_eq!(found.left_out, left_out, "{second}");
        }
    });
}

#[test]
fn a_moment_that_can_not_be_told_is_refused() {
    block_on(async {
        let store = store_of([("1", &put(1, 1))]).await;
        let category = Selection::Category(CartEvent::CATEGORY);
        let replay = Replay::new(store, category, fold());
        let error = replay.as_of(Version::FIRST).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("versions belong to one stream"));
        let moment = AsOf::Recorded(Timestamp::EPOCH);
        let error = replay
            .transitions_from(moment)
            .try_next()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("no beginning of the history"));
    });
}

#[test]
fn an_event_that_the_fold_refuses_is_named() {
    block_on(async {
        let replay = replay_of(&[put(1, 1), taken(2), put(1, 1)]).await;
        assert_eq!(replay.as_of(Version::FIRST).await.unwrap().folded, 1);
        let error = replay.now().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(
            error.to_string(),
            "replay: fold refuses an event of the history: what is taken is not there; correct the fold \
             (stream: cart-1, version: 2, position: 2, event type: taken)"
        );
    });
}

#[test]
fn what_a_policy_hides_is_in_no_state_and_in_no_snapshot() {
    block_on(async {
        let store = store_of([("1", &put(1, 1)), ("1", &put(2, 1)), ("1", &put(3, 1))]).await;
        let stream = StreamId::from_static("cart-1");
        let kept = Snapshots::new(store.clone(), JsonCodec, Fold::version(1));
        let plain = Replay::<Cart, _>::of_aggregate(store.clone(), JsonCodec, "1").unwrap();
        let state = plain.as_of(Version::new(2)).await.unwrap().state;
        let folded = Folded {
            state,
            begins_at: Version::FIRST,
            version: Version::new(2),
        };
        kept.save(stream.clone(), folded, Timestamp::EPOCH)
            .await
            .unwrap();
        let replay = plain.with_snapshots(kept);
        let found = replay.now().await.unwrap();
        assert_eq!(
            (found.folded, found.resumed_from),
            (1, Some(Version::new(2)))
        );

        let change = PolicyChange {
            stream,
            expected: Expected::Any,
            action: PolicyAction::TruncateBefore(Version::new(2)),
        };
        store.change_stream_policy(change).await.unwrap();
        let found = replay.now().await.unwrap();
        assert!(found.state.items.keys().eq(&[2, 3]));
        assert_eq!((found.folded, found.resumed_from), (2, None));
        let found = replay
            .bisect(|cart| cart.items.contains_key(&3))
            .await
            .unwrap();
        assert_eq!(
            found.turning_point().unwrap().event.version(),
            Version::new(3)
        );
    });
}

#[test]
fn several_event_types_fold_into_one_state() {
    block_on(async {
        let store = store_of([("1", &put(1, 1)), ("2", &taken(1)), ("1", &put(2, 1))]).await;
        let kinds = ReplayFold::of_recorded(
            Vec::new,
            |kinds: &mut Vec<String>, event: &RecordedEvent| {
                kinds.push(format!("{}:{}", event.stream().key(), event.event_type()));
                Ok(())
            },
        );
        let replay = Replay::new(store, Selection::All, kinds);
        let found = replay.as_of(Position::new(2)).await.unwrap();
        assert_eq!(found.state, ["1:put", "2:taken"]);
        assert_eq!(found.position(), Position::new(2));
    });
}

#[test]
fn progress_and_rate_are_told_after_each_page() {
    block_on(async {
        let events: Vec<CartEvent> = (0..10).map(|item| put(item, 1)).collect();
        let store = store_of(events.iter().map(|event| ("1", event))).await;
        let timer = ManualTimer::default();
        let told: Arc<Mutex<Vec<ReplayProgress>>> = Arc::default();
        let (clock, notes) = (timer.clone(), told.clone());
        let observer = move |progress: &ReplayProgress| {
            notes.lock().unwrap().push(*progress);
            clock.advance(Duration::from_secs(2));
        };
        let category = Selection::Category(CartEvent::CATEGORY);
        let replay = Replay::new(store, category, fold())
            .with_page_events_max(4)
            .with_observer(observer, timer);
        replay.now().await.unwrap();
        let told = told.lock().unwrap();
        let events: Vec<u64> = told.iter().map(|progress| progress.events).collect();
        assert_eq!(events, [4, 8, 10]);
        let fractions: Vec<_> = told.iter().map(ReplayProgress::fraction).collect();
        assert_eq!(fractions, [Some(0.4), Some(0.8), Some(1.0)]);
        let rates: Vec<_> = told.iter().map(ReplayProgress::rate).collect();
        assert_eq!(rates, [None, Some(4.0), Some(2.5)]);
    });
}

#[test]
fn a_replay_writes_nothing() {
    block_on(async {
        let store = store_of([("1", &put(1, 1)), ("1", &put(2, 1))]).await;
        let replay = Replay::<Cart, _>::of_aggregate(store.clone(), JsonCodec, "1").unwrap();
        let before = store
            .collect(annals_core::ReadRequest::all())
            .await
            .unwrap();
        replay.now().await.unwrap();
        replay.bisect(|cart| cart.events > 1).await.unwrap();
        let what_if = annals_replay::WhatIf::new().deciding_at_the_end(|_| Ok(vec![put(3, 1)]));
        replay.what_if(&what_if).await.unwrap();
        assert_eq!(
            store
                .collect(annals_core::ReadRequest::all())
                .await
                .unwrap(),
            before
        );
    });
}
