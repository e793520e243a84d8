//! What is encrypted is read again, in every form and under every wrapper, until its subject is erased.

use super::*;
use annals_codec::privacy::{EncryptedEvents, EncryptedFields};
use annals_codec::{Codecs, Decoded, EventCodecExt};
use annals_core::Event;
use proptest::prelude::*;
use support::forms;

use std::fmt::Debug;

/// Encodes and decodes in every form, and shows that no byte tells the text.
fn check<E>(event: &E, text: &str)
where
    E: annals_codec::privacy::PersonalEvent + Serialize + for<'de> Deserialize<'de>,
    E: PartialEq + Debug,
{
    for form in forms::<E>() {
        let name = form.name();
        let codec = EncryptedFields::new(form.codec, memory_keys());
        let named = codec.encode(event).unwrap();
        let shown = named
            .payload()
            .windows(text.len())
            .any(|at| at == text.as_bytes());
        assert!(!shown || text.len() < 4, "{name} shows {text}");
        let decoded = codec.decode_one(named.content()).unwrap();
        assert_eq!(&decoded, event, "{name}");
        let again = codec.encode(event).unwrap();
        let has_keys = named.tags().iter().any(|tag| tag.key() == "personal");
        assert_eq!(
            again.payload() != named.payload(),
            has_keys,
            "{name}: a nonce is used once"
        );
        assert_eq!(again.tags(), named.tags(), "{name}");
    }
}

fn text() -> impl Strategy<Value = String> {
    "[a-z]{4,12}"
}

fn personal() -> impl Strategy<Value = Personal<String>> {
    prop_oneof![9 => text().prop_map(Personal::Known), 1 => Just(Personal::Erased)]
}

fn event() -> impl Strategy<Value = CustomerEvent> {
    let names = || prop::collection::vec(personal(), 0..4);
    prop_oneof![
        (any::<u64>(), personal(), any::<Option<u16>>()).prop_map(|(customer_id, name, born)| {
            let born = born.map(Personal::Known);
            CustomerEvent::Registered {
                customer_id,
                name,
                born,
            }
        }),
        (
            "[a-c]",
            "[a-c]",
            names(),
            prop::collection::vec(personal(), 1..4)
        )
            .prop_map(|(one, other, names, other_names)| CustomerEvent::Married {
                one,
                other,
                names,
                other_names
            }),
        (any::<u64>(), any::<Vec<u8>>())
            .prop_map(|(id, bytes)| { CustomerEvent::Called(id, Personal::Known(bytes)) }),
        any::<u64>().prop_map(|customer_id| CustomerEvent::Left { customer_id }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_encrypted_decodes(event in event()) {
        check(&event, "no text of it");
    }

    #[test]
    fn what_is_encrypted_whole_decodes(event in event(), seals in any::<bool>()) {
        for form in forms::<CustomerEvent>() {
            let inner = EncryptedFields::new(form.codec, memory_keys());
            let subject = move |_: &CustomerEvent| seals.then(|| "ada".to_owned());
            let codec = EncryptedEvents::new(inner, memory_keys(), subject);
            let named = codec.encode(&event).unwrap();
            prop_assert_eq!(codec.decode_one(named.content()).unwrap(), event.clone());
        }
    }

    #[test]
    fn erasing_one_subject_changes_no_others_events(
        events in prop::collection::vec((0_u64..4, text()), 1..20),
        gone in 0_u64..4,
    ) {
        for form in forms::<CustomerEvent>() {
            let keys = memory_keys();
            let codec = EncryptedFields::new(form.codec, keys.clone());
            let recorded: Vec<_> = events.iter().map(|(id, name)| {
                let event = registered(*id, name);
                let named = codec.encode(&event).unwrap();
                (*id, event, named)
            }).collect();
            erase(&*keys, &gone.to_string());
            for (id, event, named) in &recorded {
                let decoded = codec.decode_one(named.content()).unwrap();
                if *id == gone {
                    let erased = CustomerEvent::Registered {
                        customer_id: *id,
                        name: Personal::Erased,
                        born: Some(Personal::Erased),
                    };
                    prop_assert_eq!(decoded, erased);
                } else {
                    prop_assert_eq!(&decoded, event);
                }
            }
        }
    }
}

#[test]
fn structs_have_fields_of_two_subjects() {
    check(&examined("p-1", "d-1", "a secret finding"), "secret");
    for form in forms::<Examined>() {
        let keys = memory_keys();
        let codec = EncryptedFields::new(form.codec, keys.clone());
        let event = examined("p-1", "d-1", "text");
        let named = codec.encode(&event).unwrap();
        assert_eq!(named.tags().len(), 2, "a tag for each key");
        erase(&*keys, "p-1");
        let decoded: Examined = codec.decode_one(named.content()).unwrap();
        assert_eq!(
            decoded,
            Examined {
                finding: Personal::Erased,
                ..event
            }
        );
    }
}

#[test]
fn one_who_comes_back_has_another_key() {
    let keys = memory_keys();
    let codec = EncryptedFields::new(annals_codec::JsonCodec, keys.clone());
    let old = codec.encode(&registered(42, "Ada")).unwrap();
    erase(&*keys, "42");
    let new = codec.encode(&registered(42, "Ada")).unwrap();
    assert_ne!(old.tags(), new.tags());
    let name = |named: &annals_core::NewEvent| match codec.decode_one(named.content()).unwrap() {
        CustomerEvent::Registered { name, .. } => name,
        event => panic!("{event:?}"),
    };
    assert_eq!((name(&old), name(&new)), (Personal::Erased, known("Ada")));
}

#[test]
fn whole_events_are_passed_over_when_erased() {
    let keys = memory_keys();
    let subject = |event: &CustomerEvent| match event {
        CustomerEvent::Left { customer_id } => Some(customer_id.to_string()),
        _ => None,
    };
    let inner = annals_codec::MessagePackCodec;
    let codec = EncryptedEvents::new(inner, keys.clone(), subject);
    let left = CustomerEvent::Left { customer_id: 42 };
    let named = codec.encode(&left).unwrap();
    assert_eq!(named.content_type(), &codec.content_type());
    assert_eq!(named.content_type(), &"application/vnd.msgpack+sealed");
    erase(&*keys, "42");
    match codec.decode_content(named.content()).unwrap() {
        Decoded::Skipped(reason) => assert_eq!(reason.kind(), ErrorKind::Erased),
        decoded => panic!("{decoded:?}"),
    }
    let replaced = codec.on_erased(|erased| {
        assert_eq!(erased.tombstone.erased_at, Timestamp::from_seconds(5));
        (erased.event_type == "left").then_some(CustomerEvent::Left { customer_id: 0 })
    });
    let replaced = replaced.decode_one(named.content()).unwrap();
    assert_eq!(replaced, CustomerEvent::Left { customer_id: 0 });
}

#[test]
fn wrappers_go_into_each_other() {
    let keys = memory_keys();
    let event = registered(42, &"again and ".repeat(200));
    let of_forms = Codecs::writing(annals_codec::CborCodec).reading(annals_codec::JsonCodec);
    let codecs: Vec<Box<dyn EventCodec<CustomerEvent>>> = vec![
        Box::new(EncryptedFields::new(of_forms.clone(), keys.clone())),
        Box::new(Codecs::writing(EncryptedFields::new(
            of_forms,
            keys.clone(),
        ))),
        #[cfg(feature = "zstd")]
        Box::new(EncryptedFields::new(
            annals_codec::Compressed::new(annals_codec::JsonCodec),
            keys.clone(),
        )),
        #[cfg(feature = "zstd")]
        Box::new(annals_codec::Compressed::new(EncryptedFields::new(
            annals_codec::JsonCodec,
            keys,
        ))),
    ];
    for codec in codecs {
        let named = codec.encode(&event).unwrap();
        assert!(named.id().is_some(), "{codec:?} keeps the identity");
        assert_eq!(
            codec.decode_one(named.content()).unwrap(),
            event,
            "{codec:?}"
        );
    }
    assert_eq!(CustomerEvent::CATEGORY, "customer");
}
