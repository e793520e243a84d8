//! Searches of long histories.

use std::sync::Arc;

use annals_codec::JsonCodec;
use annals_core::{Event as _, Selection, StreamId, Timestamp, Version};
use annals_replay::{Replay, Turned};
use annals_snapshot::{Fold, Folded, Snapshots};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::cart::{Cart, CartEvent, fold, folded, put, replay_of, store_of};

const LENGTH: u64 = 4_000;

fn long() -> Vec<CartEvent> {
    (0..LENGTH).map(|_| put(1, 1)).collect()
}

#[test]
fn an_early_turn_in_a_long_history_is_found_early() {
    block_on(async {
        let replay = replay_of(&long()).await;
        let found = replay
            .bisect(|cart| cart.items.get(&1) >= Some(&5))
            .await
            .unwrap();
        assert_eq!(
            found.turning_point().unwrap().event.version(),
            Version::new(5)
        );
        assert!(found.folded <= 17, "{}", found.folded);
        let never = replay
            .bisect(|cart| cart.items.contains_key(&2))
            .await
            .unwrap();
        assert!(matches!(never.turned, Turned::Never));
        assert_eq!(never.folded, LENGTH);
        assert!(never.asked <= 15, "{}", never.asked);
        let before = replay.bisect(|_| true).await.unwrap();
        assert!(matches!(before.turned, Turned::BeforeTheFirst));
        assert_eq!((before.folded, before.asked), (0, 1));
    });
}

#[test]
fn with_snapshots_a_search_folds_no_more_than_lies_between_two() {
    block_on(async {
        let events = long();
        let store = Arc::new(MemoryStore::new());
        let snapshots = Snapshots::new(store, JsonCodec, Fold::version(1)).with_keep_newest(1000);
        for version in (100..=LENGTH).step_by(100) {
            let folded = Folded {
                state: folded(&events[..usize::try_from(version).unwrap()]).0,
                begins_at: Version::FIRST,
                version: Version::new(version),
            };
            let stream = StreamId::from_static("cart-1");
            snapshots
                .save(stream, folded, Timestamp::EPOCH)
                .await
                .unwrap();
        }
        let replay = replay_of(&events).await.with_snapshots(snapshots);
        for turn in [1, 99, 100, 101, 2_345, 3_999, 4_000] {
            let turned = |cart: &Cart| cart.events >= turn;
            let found = replay.bisect(turned).await.unwrap();
            assert_eq!(found.turning_point().unwrap().event.version().value(), turn);
            assert!(found.folded <= 302, "{turn}: {}", found.folded);
            assert!(found.asked <= 40, "{turn}: {}", found.asked);
        }
    });
}

#[test]
fn a_search_goes_over_streams_too() {
    block_on(async {
        let events: Vec<CartEvent> = (0..30).map(|item| put(item, 1)).collect();
        let keys = ["a", "b", "c"];
        let store = store_of(
            events
                .iter()
                .enumerate()
                .map(|(n, event)| (keys[n % 3], event)),
        )
        .await;
        let category = Selection::Category(CartEvent::CATEGORY);
        let replay = Replay::new(store, category, fold()).with_page_events_max(4);
        for item in 0..30 {
            let found = replay
                .bisect(|cart| cart.items.contains_key(&item))
                .await
                .unwrap();
            let point = found.turning_point().unwrap();
            assert_eq!(point.event.position().value(), u64::from(item) + 1);
            assert!(!point.before.items.contains_key(&item) && point.after.last == Some(item));
        }
    });
}
