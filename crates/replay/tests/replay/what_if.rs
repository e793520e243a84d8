//! Histories that went otherwise.

use annals_core::{Position, Version};
use annals_replay::{AlteredEvents, OnRefusal, RefusedKind, WhatIf};
use futures_executor::block_on;

use crate::cart::{CartEvent, fold, folded, put, replay_of, taken};

fn version(version: u64) -> AlteredEvents {
    AlteredEvents::Version(Version::new(version))
}

#[test]
fn what_is_otherwise_is_told() {
    let events = [put(1, 2), put(2, 1), taken(1), put(3, 5)];
    let check = |what_if: &WhatIf<_, CartEvent>, expected: &str| {
        block_on(async {
            let compared = replay_of(&events).await.what_if(what_if).await.unwrap();
            assert_eq!(compared.to_string(), expected);
        });
    };
    check(
        &WhatIf::new().without(version(2)),
        "4 events, 1 left out, 0 changed, 0 added\n\
         different from position 2 on\n    events: 4 -> 3\n    - items[2]: 1",
    );
    check(
        &WhatIf::new().changing(version(4), |_| vec![put(3, 4), put(3, 1)]),
        "4 events, 0 left out, 1 changed, 0 added\ndifferent from position 4 on\n    events: 4 -> 5",
    );
    check(
        &WhatIf::new().deciding_after(version(3), |cart: &crate::cart::Cart| {
            Ok(cart.items.keys().map(|item| taken(*item)).collect())
        }),
        "4 events, 0 left out, 0 changed, 1 added\n\
         different from position 3 on\n    events: 4 -> 5\n    - items[2]: 1",
    );
    check(
        &WhatIf::new().deciding_at_the_end(|_| Ok(vec![put(9, 9)])),
        "4 events, 0 left out, 0 changed, 1 added\ndifferent at the end\n    \
         events: 4 -> 5\n    + items[9]: 9\n    last: 3 -> 9",
    );
    let halved = fold().applying(|cart, event| {
        use annals_core::Aggregate as _;
        match event {
            CartEvent::Put { item, count } => cart.apply(&put(*item, count.div_ceil(2))),
            other => cart.apply(other),
        }
    });
    check(
        &WhatIf::new().folding(halved),
        "4 events, 0 left out, 0 changed, 0 added\n\
         different from position 1 on\n    items[3]: 5 -> 3",
    );
}

#[test]
fn what_an_altered_history_refuses_is_a_result() {
    block_on(async {
        let replay = replay_of(&[put(1, 2), taken(1), put(2, 1)]).await;
        let without = WhatIf::new().without(AlteredEvents::Position(Position::FIRST));
        let stopped = replay.what_if(&without).await.unwrap();
        assert_eq!(
            stopped.stopped_at.as_ref().unwrap().version(),
            Version::new(2)
        );
        assert_eq!(stopped.altered.events, 0);
        assert_eq!(
            stopped.to_string(),
            "3 events, 1 left out, 0 changed, 0 added\ndifferent from position 1 on\n\
             the event at position 2 is refused: what is taken is not there\n\
             the altered history ends before position 2\n    \
             events: 3 -> 0\n    - items[2]: 1\n    last: 2 -> null"
        );
        let left_out = replay
            .what_if(&without.on_refusal(OnRefusal::LeaveOut))
            .await;
        let left_out = left_out.unwrap();
        assert!(left_out.altered.items.keys().eq(&[2]) && left_out.stopped_at.is_none());
        assert_eq!(left_out.refused_count, 1);

        let commands = WhatIf::new()
            .deciding_before(version(3), |_| Ok(vec![taken(7)]))
            .deciding_before(version(3), |_| Err("closed".into()))
            .on_refusal(OnRefusal::LeaveOut);
        let compared = replay.what_if(&commands).await.unwrap();
        let kinds: Vec<_> = compared.refused.iter().map(|it| it.kind).collect();
        assert_eq!(kinds, [RefusedKind::AddedEvent, RefusedKind::Command]);
        assert_eq!(
            compared.refused[1].to_string(),
            "a command at position 3 is refused: closed"
        );
        assert!(compared.is_same());
    });
}

#[test]
fn an_alteration_that_finds_no_event_is_told() {
    block_on(async {
        let replay = replay_of(&[put(1, 2)]).await;
        let nobody = WhatIf::new().without(version(2)).without(version(1));
        assert_eq!(replay.what_if(&nobody).await.unwrap().unused_alterations, 1);
    });
}

#[test]
fn a_long_history_survives_many_refusals() {
    block_on(async {
        let events: Vec<CartEvent> = (0..200)
            .flat_map(|n| [put(1, 1), put(2, n), taken(1), put(3, 1)])
            .collect();
        let replay = replay_of(&events).await;
        let puts = |event: &CartEvent| matches!(event, CartEvent::Put { item: 1, .. });
        let choice = AlteredEvents::matching(|event| event.version().value() % 4 == 1);
        let without = WhatIf::new()
            .without(choice)
            .on_refusal(OnRefusal::LeaveOut);
        let compared = replay.what_if(&without).await.unwrap();
        let (expected, refused) = folded(events.iter().filter(|event| !puts(event)));
        assert_eq!(compared.altered, expected);
        assert_eq!(compared.refused_count, refused.len() as u64);
        assert_eq!(compared.refused_count, 200);
    });
}

#[test]
fn refusals_that_are_kept_are_bounded() {
    block_on(async {
        let events: Vec<CartEvent> = (0..100).flat_map(|_| [put(1, 1), taken(1)]).collect();
        let replay = replay_of(&events).await;
        let puts = AlteredEvents::matching(|event| event.event_type().as_str() == "put");
        let without = WhatIf::new().without(puts).on_refusal(OnRefusal::LeaveOut);
        let compared = replay.what_if(&without).await.unwrap();
        assert_eq!((compared.refused.len(), compared.refused_count), (16, 100));
        assert!(compared.to_string().contains("\n... and 84 more refusals"));
        assert_eq!(compared.altered.events, 0);
    });
}
