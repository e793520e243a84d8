//! What holds for every history.

use std::sync::Arc;

use annals_codec::{JsonCodec, Value};
use annals_core::{Event as _, Position, Selection, Timestamp, Version};
use annals_replay::{
    AlteredEvents, AsOf, Bisection, OnRefusal, Replay, StateDiff, Turned, WhatIf, value_of,
};
use annals_snapshot::{Fold, Folded, Snapshots};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;
use futures_util::TryStreamExt;
use proptest::prelude::*;

use crate::cart::{Cart, CartEvent, fold, folded, histories, replay_of, seconds, store_of};

/// Snapshots of the one cart at these versions, with all that they are of folded by hand.
async fn snapshots(events: &[CartEvent], versions: &[usize]) -> Snapshots<Cart> {
    let store = Arc::new(MemoryStore::new());
    let snapshots = Snapshots::new(store, JsonCodec, Fold::version(1)).with_keep_newest(100);
    for version in versions.iter().filter(|version| **version <= events.len()) {
        let (state, _) = folded(events.iter().take(*version));
        let folded = Folded {
            state,
            begins_at: Version::FIRST,
            version: Version::new(*version as u64),
        };
        let stream = annals_core::StreamId::from_static("cart-1");
        let saved = snapshots.save(stream, folded, Timestamp::EPOCH).await;
        saved.unwrap();
    }
    snapshots
}

fn found(found: &Bisection<Cart>) -> Option<u64> {
    match &found.turned {
        Turned::At(point) => Some(point.event.version().value()),
        Turned::BeforeTheFirst => Some(0),
        Turned::Never => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn as_of_n_is_the_fold_of_the_first_n(
        events in histories(40),
        at in prop::collection::vec(1..40_usize, 0..4),
        page in 1..9_usize,
    ) {
        block_on(async {
            let plain = replay_of(&events).await.with_page_events_max(page);
            let kept = plain.clone().with_snapshots(snapshots(&events, &at).await);
            for n in 0..=events.len() + 1 {
                let (expected, _) = folded(&events[..n.min(events.len())]);
                let nth = n as u64;
                for moment in [
                    AsOf::Version(Version::new(nth)),
                    AsOf::Position(Position::new(nth)),
                    AsOf::Appended(seconds(i64::try_from(n).unwrap())),
                    AsOf::Recorded(seconds(i64::try_from(n).unwrap())),
                ] {
                    for replay in [&plain, &kept] {
                        let found = replay.as_of(moment).await.unwrap();
                        assert_eq!(found.state, expected, "{moment:?}");
                        let version = n.min(events.len()) as u64;
                        assert_eq!(found.version, Some(Version::new(version)), "{moment:?}");
                    }
                }
            }
        });
    }

    #[test]
    fn a_state_over_streams_is_the_fold_of_the_log(
        events in prop::collection::vec((0..3_usize, histories(6)), 0..8),
        until in 0..40_u64,
        page in 1..9_usize,
    ) {
        // Each event puts something, so that no order of the carts is refused.
        let keys = ["a", "b", "c"];
        let all: Vec<(&str, CartEvent)> = events
            .iter()
            .flat_map(|(key, events)| events.iter().map(|event| (keys[*key], event.clone())))
            .filter(|(_, event)| matches!(event, CartEvent::Put { .. } | CartEvent::Noted { .. }))
            .collect();
        block_on(async {
            let store = store_of(all.iter().map(|(key, event)| (*key, event))).await;
            let category = Selection::Category(CartEvent::CATEGORY);
            let replay = Replay::new(store, category, fold()).with_page_events_max(page);
            let first = all.iter().take(usize::try_from(until).unwrap()).map(|(_, event)| event);
            let found = replay.as_of(Position::new(until)).await.unwrap();
            assert_eq!(found.state, folded(first).0);
            assert_eq!(found.folded, until.min(all.len() as u64));
            assert_eq!(found.version, None);
        });
    }

    #[test]
    fn diffs_one_after_the_other_give_the_state(events in histories(40), from in 0..40_u64) {
        block_on(async {
            let replay = replay_of(&events).await;
            let mut value = value_of(&Cart::default()).unwrap();
            let mut transitions = replay.transitions();
            let mut states = vec![value.clone()];
            while let Some(transition) = transitions.try_next().await.unwrap() {
                transition.diff.apply(&mut value).unwrap();
                let version = transition.event.version();
                let expected = replay.as_of(version).await.unwrap().state;
                assert_eq!(value, value_of(&expected).unwrap(), "{transition}");
                states.push(value.clone());
            }
            assert_eq!(value, value_of(&folded(&events).0).unwrap());

            let from = from.min(events.len() as u64);
            let later = replay.transitions_from(Version::new(from));
            let later: Vec<_> = later.try_collect().await.unwrap();
            assert_eq!(later.len() as u64, events.len() as u64 - from);
            let mut resumed = states[usize::try_from(from).unwrap()].clone();
            for transition in &later {
                transition.diff.apply(&mut resumed).unwrap();
            }
            assert_eq!(resumed, value);
        });
    }

    #[test]
    fn a_bisection_finds_what_a_scan_finds(
        events in histories(60),
        turn in 0..70_u64,
        at in prop::collection::vec(1..60_usize, 0..6),
        page in 1..9_usize,
    ) {
        block_on(async {
            let plain = replay_of(&events).await.with_page_events_max(page);
            let kept = plain.clone().with_snapshots(snapshots(&events, &at).await);
            let turned = |cart: &Cart| cart.events >= turn;
            let scanned = plain.scan(turned).await.unwrap();
            let expected = (turn <= events.len() as u64).then_some(turn);
            assert_eq!(found(&scanned), expected);
            let n = expected.unwrap_or(events.len() as u64);
            assert_eq!(scanned.folded, n);
            for replay in [&plain, &kept] {
                let bisected = replay.bisect(turned).await.unwrap();
                assert_eq!(found(&bisected), expected);
                assert_eq!(bisected.turning_point(), scanned.turning_point());
                assert!(bisected.folded <= 3 * n + 2, "{} of {n}", bisected.folded);
                let asked_max = 4 * u64::from(n.max(1).ilog2()) + 12;
                assert!(bisected.asked <= asked_max, "{} of {n}", bisected.asked);
            }
            let newest = at.iter().filter(|it| (**it as u64) < turn && **it <= events.len()).max();
            if let Some(newest) = newest {
                let bisected = kept.bisect(turned).await.unwrap();
                let left = n - *newest as u64;
                assert!(bisected.folded <= 3 * left + 2, "{} of {left}", bisected.folded);
            }
        });
    }

    #[test]
    fn flips_are_where_the_predicate_turns(events in histories(40)) {
        let is_odd = |cart: &Cart| cart.notes.len() % 2 == 1;
        let mut expected = Vec::new();
        let mut before = false;
        for n in 1..=events.len() {
            let now = is_odd(&folded(&events[..n]).0);
            if now != before {
                expected.push((n as u64, now));
            }
            before = now;
        }
        block_on(async {
            let replay = replay_of(&events).await;
            let flips: Vec<_> = replay.flips(is_odd).try_collect().await.unwrap();
            let found = flips.iter().map(|flip| (flip.event.version().value(), flip.turned));
            assert_eq!(found.collect::<Vec<_>>(), expected);
            let scanned = replay.scan(is_odd).await.unwrap();
            assert_eq!(super::laws::found(&scanned), expected.first().map(|(n, _)| *n));
        });
    }

    #[test]
    fn a_what_if_of_nothing_is_what_is(events in histories(40)) {
        block_on(async {
            let replay = replay_of(&events).await;
            let (expected, _) = folded(&events);
            let everything = AlteredEvents::matching(|_| true);
            for what_if in [
                WhatIf::new(),
                WhatIf::new().folding(fold()),
                WhatIf::new().changing(everything.clone(), |event: &CartEvent| vec![event.clone()]),
                WhatIf::new().deciding_before(everything.clone(), |_| Ok(vec![])),
                WhatIf::new().deciding_after(everything, |_| Err("not now".into())),
            ] {
                let compared = replay.what_if(&what_if).await.unwrap();
                assert!(compared.is_same() && compared.first_divergence.is_none());
                assert_eq!((&compared.real, &compared.altered), (&expected, &expected));
                assert_eq!(compared.events, events.len() as u64);
            }
        });
    }

    #[test]
    fn a_history_without_an_event_is_the_fold_of_the_others(
        events in histories(300).prop_filter("some", |events| !events.is_empty()),
        chosen in any::<prop::sample::Index>(),
    ) {
        let chosen = chosen.index(events.len());
        let mut others = events.clone();
        others.remove(chosen);
        let (expected, refused) = folded(&others);
        block_on(async {
            let replay = replay_of(&events).await;
            let without = WhatIf::new()
                .without(AlteredEvents::Version(Version::new(chosen as u64 + 1)))
                .on_refusal(OnRefusal::LeaveOut);
            let compared = replay.what_if(&without).await.unwrap();
            assert_eq!(compared.altered, expected);
            assert_eq!(compared.diff, StateDiff::of(&compared.real, &expected).unwrap());
            assert_eq!((compared.left_out, compared.refused_count), (1, refused.len() as u64));
            let first = compared.first_divergence.unwrap();
            assert_eq!(first.event.unwrap().version().value(), chosen as u64 + 1);

            let stopped = without.on_refusal(OnRefusal::Stop);
            let compared = replay.what_if(&stopped).await.unwrap();
            let end = refused.first().copied().unwrap_or(others.len());
            assert_eq!(compared.altered, folded(&others[..end]).0);
            let stopped_at = compared.stopped_at.map(|event| event.version().value());
            assert_eq!(stopped_at, refused.first().map(|index| *index as u64 + 2));
        });
    }

    #[test]
    fn a_diff_makes_one_value_of_another(before in values(), after in values()) {
        let (before, after) = (value_of(&before).unwrap(), value_of(&after).unwrap());
        let diff = StateDiff::between(&before, &after);
        let mut value = before.clone();
        diff.apply(&mut value).unwrap();
        prop_assert!(StateDiff::between(&value, &after).is_empty(), "{diff}");
        prop_assert_eq!(diff.is_empty(), StateDiff::between(&after, &before).is_empty());
        prop_assert!(StateDiff::between(&before, &before).is_empty());
        prop_assert!(diff.to_string().lines().count() <= StateDiff::LINES_MAX + 1);
    }
}

/// Values of few parts, so that two of them share some.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        (0..3_i128).prop_map(Value::Integer),
        Just(Value::Float(f64::NAN)),
        "[a-c]?".prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::btree_map("[a-c]", inner, 0..4).prop_map(|fields| {
                let fields = fields.into_iter();
                Value::Map(
                    fields
                        .map(|(key, value)| (Value::Text(key), value))
                        .collect(),
                )
            }),
        ]
    })
}
