//! Transitions as a person reads them.

use annals_codec::JsonCodec;
use annals_replay::Replay;
use futures_executor::block_on;
use futures_util::TryStreamExt;

use crate::cart::{Cart, CartEvent, put, store_of, taken};

#[test]
fn each_event_is_told_with_what_it_changed() {
    block_on(async {
        let noted = CartEvent::Noted {
            text: "soon".to_owned(),
        };
        let events = [put(1, 2), put(1, 1), noted, taken(1)];
        let store = store_of(events.iter().map(|event| ("1", event))).await;
        let replay = Replay::<Cart, _>::of_aggregate(store, JsonCodec, "1").unwrap();
        let transitions: Vec<_> = replay.transitions().try_collect().await.unwrap();
        let told: Vec<String> = transitions.iter().map(ToString::to_string).collect();
        assert_eq!(
            told.join("\n"),
            "1 cart-1 put\n    events: 0 -> 1\n    + items[1]: 2\n    last: null -> 1\n\
             2 cart-1 put\n    events: 1 -> 2\n    items[1]: 2 -> 3\n\
             3 cart-1 noted\n    events: 2 -> 3\n    + notes[0]: \"soon\"\n\
             4 cart-1 taken\n    events: 3 -> 4\n    - items[1]: 3\n    last: 1 -> null"
        );
    });
}
