//! Upcasters and encryption: envelopes pass through, and what is typed stays encrypted.

use super::*;
use annals_codec::privacy::EncryptedFields;
use annals_codec::{EventCodecExt, Evolution, Evolving, JsonCodec, Value};
use annals_core::{ContentType, EventType, NewEvent};

/// What was recorded three years ago.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "person")]
enum OldEvent {
    #[event(name = "named")]
    Named {
        id: u64,
        #[event(personal(subject = "id"))]
        name: Personal<String>,
        #[event(personal(subject = "id"))]
        mail: Personal<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "person")]
enum NewPersonEvent {
    #[event(name = "person-named", version = 3)]
    Named {
        person: u64,
        #[event(personal(subject = "person"))]
        first: Personal<String>,
        #[event(personal(subject = "person"))]
        last: Personal<String>,
        #[event(personal(subject = "person"))]
        e_mail: Personal<String>,
    },
}

#[derive(Deserialize)]
struct Second {
    person: u64,
    name: Personal<String>,
    e_mail: Personal<String>,
}

fn split(old: Second) -> NewPersonEvent {
    let word = |index: usize| {
        let name = old.name.as_ref();
        name.map(|name| name.split(' ').nth(index).unwrap_or_default().to_owned())
    };
    NewPersonEvent::Named {
        person: old.person,
        first: word(0),
        last: word(1),
        e_mail: old.e_mail,
    }
}

fn evolution() -> Evolution<NewPersonEvent> {
    Evolution::builder()
        .renamed("named", "person-named")
        .upcast("person-named", 1, |mut old: Value| {
            old.rename("id", "person");
            old.rename("mail", "e_mail");
            old
        })
        .upcast("person-named", 2, |old: Second| Fields::from(split(old)))
        .build()
        .unwrap()
}

/// The fields of the new event, as the third version has them.
#[derive(Serialize)]
struct Fields {
    person: u64,
    first: Personal<String>,
    last: Personal<String>,
    e_mail: Personal<String>,
}

impl From<NewPersonEvent> for Fields {
    fn from(event: NewPersonEvent) -> Self {
        let NewPersonEvent::Named {
            person,
            first,
            last,
            e_mail,
        } = event;
        Self {
            person,
            first,
            last,
            e_mail,
        }
    }
}

#[test]
fn old_events_are_read_by_upcasters_that_see_envelopes_and_ones_that_see_values() {
    let keys = memory_keys();
    let old = EncryptedFields::new(JsonCodec, keys.clone());
    let named = old
        .encode(&OldEvent::Named {
            id: 42,
            name: known("Ada Lovelace"),
            mail: known("ada@"),
        })
        .unwrap();
    let codec = EncryptedFields::new(Evolving::new(JsonCodec, evolution()).unwrap(), keys.clone());
    let read = || codec.decode_one(named.content()).unwrap();
    let expected = NewPersonEvent::Named {
        person: 42,
        first: known("Ada"),
        last: known("Lovelace"),
        e_mail: known("ada@"),
    };
    assert_eq!(read(), expected);
    erase(&*keys, "42");
    let erased = NewPersonEvent::Named {
        person: 42,
        first: Personal::Erased,
        last: Personal::Erased,
        e_mail: Personal::Erased,
    };
    assert_eq!(read(), erased);
}

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "guest")]
struct Checked {
    guest: u64,
    #[event(personal(subject = "guest"))]
    name: Personal<String>,
}

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "guest", name = "checked", version = 2)]
struct CheckedNow {
    guest: u64,
    #[event(personal(subject = "guest"))]
    name: Personal<String>,
}

/// Events from before their data was encrypted are read by an upcaster; a store gets encrypted step by step.
#[test]
fn what_was_in_the_clear_before_is_read_by_an_upcaster() {
    #[derive(Deserialize)]
    struct Plain {
        guest: u64,
        name: String,
    }
    let evolution = Evolution::builder()
        .upcast("checked", 1, |old: Plain| Checked {
            guest: old.guest,
            name: Personal::Known(old.name),
        })
        .build()
        .unwrap();
    let codec = EncryptedFields::new(Evolving::new(JsonCodec, evolution).unwrap(), memory_keys());
    let plain = NewEvent::new(
        EventType::from_static("checked"),
        ContentType::JSON,
        r#"{"guest":7,"name":"Ada"}"#,
    );
    let read: CheckedNow = codec.decode_one(plain.unwrap().content()).unwrap();
    assert_eq!(
        read,
        CheckedNow {
            guest: 7,
            name: known("Ada")
        }
    );
    let text = CheckedNow {
        guest: 7,
        name: known("Ada"),
    };
    let now = codec.encode(&text).unwrap();
    assert_eq!(codec.decode_one(now.content()).unwrap(), text);
}

/// What upcasters hand to each other is no form in which anything may be recorded.
#[test]
fn a_recorded_value_that_pretends_to_come_from_an_upcaster_is_refused() {
    let codec = EncryptedFields::new(JsonCodec, memory_keys());
    let payload = r#"{"guest":7,"name":"_wAAAAAAAAAA"}"#;
    let hostile = NewEvent::new(
        EventType::from_static("checked"),
        ContentType::JSON,
        payload,
    );
    let hostile = hostile.unwrap().with_id(UuidIds::default().event_id());
    let read: Result<Checked, Error> = codec.decode_one(hostile.content());
    assert_eq!(read.unwrap_err().kind(), ErrorKind::BadBytes);
}
