//! What can't be written or read is told apart, in words that hold nothing of it.

use super::*;
use std::panic::AssertUnwindSafe;

use annals_codec::privacy::{EncryptedEvents, EncryptedFields, KeyId, KeyState, SubjectKey};
use annals_codec::{EventCodecExt, FormatExt, JsonCodec, Value};
use annals_core::NewEvent;
use support::forms;

const SECRET: &str = "canary-8842";

#[track_caller]
fn refused<T>(result: Result<T, Error>, kind: ErrorKind) {
    let error = result.err().unwrap();
    assert_eq!(error.kind(), kind, "{error}");
    let core = annals_core::Error::from(error);
    let mut next: Option<&dyn std::error::Error> = Some(&core);
    while let Some(error) = next {
        let text = format!("{error} {error:?} {error:#?}");
        assert!(!text.contains(SECRET), "{text}");
        next = error.source();
    }
}

#[test]
fn without_a_codec_that_encrypts_nothing_is_written_or_read() {
    let event = registered(42, SECRET);
    for form in forms::<CustomerEvent>() {
        refused(form.codec.encode(&event), ErrorKind::PersonalInPlain);
        refused(
            form.format.to_bytes(&known(SECRET)),
            ErrorKind::PersonalInPlain,
        );
        let codec = EncryptedFields::new(&form.codec, memory_keys());
        let named = codec.encode(&event).unwrap();
        refused(
            form.codec.decode_one(named.content()),
            ErrorKind::PersonalInPlain,
        );
        // A refusal is no matter of the next event.
        let left = CustomerEvent::Left { customer_id: 42 };
        let named = form.codec.encode(&left).unwrap();
        assert_eq!(form.codec.decode_one(named.content()).unwrap(), left);
    }
    let whole = EncryptedEvents::new(JsonCodec, memory_keys(), |_: &CustomerEvent| {
        Some("a".to_owned())
    });
    refused(whole.encode(&event), ErrorKind::PersonalInPlain);
}

/// Fields that nobody declared, or that serde hides.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "flawed")]
enum FlawedEvent {
    Undeclared {
        id: u64,
        #[event(personal(subject = "id"))]
        name: Personal<String>,
        forgotten: Personal<String>,
    },
    Empty {
        id: String,
        #[event(personal(subject = "id"))]
        name: Personal<String>,
    },
}

#[test]
fn it_must_be_known_whose_data_is() {
    for form in forms::<FlawedEvent>() {
        let codec = EncryptedFields::new(&form.codec, memory_keys());
        let undeclared = FlawedEvent::Undeclared {
            id: 42,
            name: known(SECRET),
            forgotten: known(SECRET),
        };
        refused(codec.encode(&undeclared), ErrorKind::BadSubject);
        for id in ["", &"x".repeat(1025)] {
            let empty = FlawedEvent::Empty {
                id: id.to_owned(),
                name: known(SECRET),
            };
            refused(codec.encode(&empty), ErrorKind::BadSubject);
        }
    }
}

#[test]
fn an_envelope_opens_in_its_own_event_alone() {
    let keys = memory_keys();
    for form in forms::<CustomerEvent>() {
        let codec = EncryptedFields::new(&form.codec, keys.clone());
        let named = codec.encode(&registered(42, SECRET)).unwrap();
        let other = codec.encode(&registered(42, SECRET)).unwrap();
        let moved = named.clone().with_id(other.id().unwrap());
        refused(
            codec.decode_one(moved.content()),
            ErrorKind::EnvelopeDamaged,
        );
        let mut anonymous = named.content();
        anonymous.id = None;
        refused(codec.decode_one(anonymous), ErrorKind::EnvelopeDamaged);
    }
    let whole = EncryptedEvents::new(JsonCodec, keys, |_: &CustomerEvent| Some("42".to_owned()));
    let named = whole
        .encode(&CustomerEvent::Left { customer_id: 1 })
        .unwrap();
    let moved = named.clone().with_id(UuidIds::default().event_id());
    refused(
        whole.decode_one(moved.content()),
        ErrorKind::EnvelopeDamaged,
    );
    let mut bytes = named.payload().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let damaged = named
        .clone()
        .with_payload(named.content_type().clone(), bytes)
        .unwrap();
    refused(
        whole.decode_one(damaged.content()),
        ErrorKind::EnvelopeDamaged,
    );
}

/// Every bit of an envelope that changes is an error: never another text, never an erased one.
#[test]
fn no_bit_of_an_envelope_changes_unseen() {
    let codec = EncryptedFields::new(annals_codec::MessagePackCodec, memory_keys());
    let named = codec.encode(&registered(42, SECRET)).unwrap();
    let fields: Value = annals_codec::MessagePackCodec
        .from_bytes(named.payload())
        .unwrap();
    let envelope = match fields.get("name") {
        Some(Value::Bytes(bytes)) => bytes.clone(),
        other => panic!("{other:?}"),
    };
    let decode = |bytes: Vec<u8>| -> Result<CustomerEvent, Error> {
        let mut fields = fields.clone();
        fields.insert("name", Value::Bytes(bytes));
        let payload = annals_codec::MessagePackCodec.to_bytes(&fields).unwrap();
        let changed = named
            .clone()
            .with_payload(named.content_type().clone(), payload);
        codec.decode_one(changed.unwrap().content())
    };
    assert!(decode(envelope.clone()).is_ok());
    for bit in 0..envelope.len() * 8 {
        let mut bytes = envelope.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = decode(bytes).unwrap_err();
        let kind = match bit / 8 {
            0 => ErrorKind::BadBytes,
            1..=16 => ErrorKind::KeyMissing,
            _ => ErrorKind::EnvelopeDamaged,
        };
        assert_eq!(error.kind(), kind, "bit {bit}: {error}");
    }
    for end in 0..envelope.len() {
        assert!(decode(envelope[..end].to_vec()).is_err(), "cut at {end}");
    }
}

#[test]
fn a_missing_key_is_never_an_erased_one() {
    let codec = EncryptedFields::new(JsonCodec, memory_keys());
    let named = codec.encode(&registered(42, SECRET)).unwrap();
    let elsewhere = EncryptedFields::new(JsonCodec, memory_keys());
    let decoded: Result<CustomerEvent, Error> = elsewhere.decode_one(named.content());
    refused(decoded, ErrorKind::KeyMissing);
}

/// A key store that is out of reach.
#[derive(Debug)]
struct Gone;

impl KeyStore for Gone {
    fn key_for(&self, _: &Subject) -> Result<SubjectKey, Error> {
        Err(Error::new(ErrorKind::KeysUnavailable, "out of reach"))
    }

    fn key(&self, _: KeyId) -> Result<KeyState, Error> {
        Err(Error::new(ErrorKind::KeysUnavailable, "out of reach"))
    }

    fn keys_of(&self, _: &Subject) -> Result<annals_codec::privacy::SubjectKeys, Error> {
        Err(Error::new(ErrorKind::KeysUnavailable, "out of reach"))
    }

    fn erase(
        &self,
        _: &Subject,
        _: Timestamp,
    ) -> Result<Vec<annals_codec::privacy::Tombstone>, Error> {
        Err(Error::new(ErrorKind::KeysUnavailable, "out of reach"))
    }

    fn list(
        &self,
        _: Option<KeyId>,
        _: usize,
    ) -> Result<Vec<annals_codec::privacy::KeyEntry>, Error> {
        Ok(Vec::new())
    }
}

#[test]
fn a_key_store_out_of_reach_is_told_as_such() {
    for form in forms::<CustomerEvent>() {
        let codec = EncryptedFields::new(&form.codec, memory_keys());
        let named: NewEvent = codec.encode(&registered(42, SECRET)).unwrap();
        let gone = EncryptedFields::new(&form.codec, Arc::new(Gone));
        refused(
            gone.encode(&registered(42, SECRET)),
            ErrorKind::KeysUnavailable,
        );
        let error = gone.decode_one(named.content()).unwrap_err();
        let core = annals_core::Error::from(error);
        assert_eq!(core.kind(), annals_core::ErrorKind::Unavailable);
    }
}

/// A value whose `Serialize` panics while its scope is open.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Panics;

impl Serialize for Panics {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        unreachable!("a planted panic")
    }
}

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "panic")]
struct Panicking {
    id: u64,
    #[event(personal(subject = "id"))]
    value: Personal<Panics>,
}

#[test]
fn a_panic_leaves_no_scope_open() {
    let codec = EncryptedFields::new(JsonCodec, memory_keys());
    let event = Panicking {
        id: 1,
        value: Personal::Known(Panics),
    };
    let caught = std::panic::catch_unwind(AssertUnwindSafe(|| codec.encode(&event).map(drop)));
    assert!(caught.is_err());
    refused(
        JsonCodec.to_bytes(&known(SECRET)),
        ErrorKind::PersonalInPlain,
    );
}
