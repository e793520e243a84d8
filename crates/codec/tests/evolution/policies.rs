//! What becomes of events that the code does not know.

use annals_codec::{Decoded, ErrorKind, EventCodec, Evolution, Evolving, JsonCodec, Policy};
use annals_core::ContentRef;
use annals_macros::Event;
use serde::{Deserialize, Serialize};

use crate::decode;

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "account")]
enum AccountEvent {
    Closed,
    Unknown {
        event_type: String,
        version: u32,
        bytes: usize,
    },
}

fn raw(content: ContentRef<'_>) -> AccountEvent {
    AccountEvent::Unknown {
        event_type: content.event_type.to_string(),
        version: content.schema_version.value(),
        bytes: content.payload.len(),
    }
}

const FUTURE: &str = "event follows a newer schema than the code; update the code \
    (event type: closed, schema version: 2, current version: 1)";
const UNKNOWN: &str = "event type is none that the code knows; add it, or read another category \
    (event type: frozen, category: account, known types: closed, old, older, unknown)";

#[test]
fn a_policy_decides_on_the_unknown() {
    for (event_type, version, kind, text) in [
        ("closed", 2, ErrorKind::FutureVersion, FUTURE),
        ("frozen", 1, ErrorKind::UnknownType, UNKNOWN),
    ] {
        let read = |policy: Policy<AccountEvent>| {
            let evolution = Evolution::builder()
                .dropped("old", 1)
                .renamed("older", "old")
                .on_future(policy.clone())
                .on_unknown_type(policy);
            decode(evolution.build().unwrap(), event_type, version, "{}")
        };
        let error = read(Policy::Stop).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
        let skipped = read(Policy::Skip).unwrap();
        assert!(skipped.as_slice().is_empty());
        assert_eq!(
            skipped.skipped().map(ToString::to_string).as_deref(),
            Some(text)
        );
        let raw = AccountEvent::Unknown {
            event_type: event_type.to_owned(),
            version,
            bytes: 2,
        };
        let handed_over = read(Policy::hand_over(self::raw)).unwrap();
        assert!(matches!(handed_over, Decoded::HandedOver(_)));
        assert_eq!(handed_over.one().unwrap(), raw);
    }
}

#[test]
fn one_policy_does_not_decide_for_the_other() {
    let evolution = || {
        Evolution::<AccountEvent>::builder()
            .on_future(Policy::Skip)
            .build()
            .unwrap()
    };
    assert!(matches!(
        decode(evolution(), "closed", 9, "{}"),
        Ok(Decoded::Skipped(_))
    ));
    assert!(decode(evolution(), "frozen", 9, "{}").is_err());
    let evolution = || {
        Evolution::<AccountEvent>::builder()
            .on_unknown_type(Policy::Skip)
            .build()
            .unwrap()
    };
    assert!(decode(evolution(), "closed", 9, "{}").is_err());
    assert!(matches!(
        decode(evolution(), "frozen", 9, "{}"),
        Ok(Decoded::Skipped(_))
    ));
}

#[test]
fn bytes_that_are_damaged_are_never_passed_over() {
    let evolution = Evolution::<AccountEvent>::builder()
        .on_future(Policy::Skip)
        .on_unknown_type(Policy::Skip);
    let codec = Evolving::new(JsonCodec, evolution.build().unwrap()).unwrap();
    let damaged = crate::recorded("closed", 1, "{");
    let error = codec.decode_content(damaged.content()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadBytes);
}
