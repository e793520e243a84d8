//! The law of every codec: what it encodes, it decodes into an equal event.

#![cfg(feature = "json")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use annals_codec::{EventCodec, EventCodecExt, JsonCodec};
use annals_core::{ContentType, Event as _};
use annals_macros::Event;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// Every shape of variant.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "shape")]
enum Shape {
    Unit,
    Text(String),
    Inner(Choice),
    Wrapped(Wrapper),
    Empty(Nothing),
    Pair(i32, #[event(tag = "name")] u8),
    NoElements(),
    NoFields {},
    Maybe(Option<u8>),
    Words(Vec<String>),
    Map(BTreeMap<String, u64>),
    Numbers(Box<Numbers>),
    Fields {
        flag: bool,
        letter: char,
        text: String,
        some: Option<String>,
        list: Vec<Option<Choice>>,
        by_number: BTreeMap<i64, Wrapper>,
        by_letter: BTreeMap<char, bool>,
        tuple: (u8, String, [i16; 3]),
        unit: (),
        nothing: Nothing,
        tree: Tree,
    },
    Flat {
        id: u32,
        #[serde(flatten)]
        rest: Rest,
    },
}

/// Every type of number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Numbers {
    signed: (i8, i16, i32, i64, i128),
    unsigned: (u8, u16, u32, u64, u128),
    single: f32,
    double: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wrapper(u64);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Nothing;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Rest {
    name: String,
    count: Option<i64>,
}

/// An enum inside an event keeps the form that serde gives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Choice {
    None,
    One(String),
    Two(u8, bool),
    Named { left: i64, right: Option<u8> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tree {
    label: String,
    branches: Vec<Tree>,
}

/// A struct is one kind of event.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "reading", version = 3)]
struct Taken {
    #[event(tag)]
    sensor: u16,
    value: f64,
}

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "marker")]
struct Marked;

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "amount")]
struct Amount(i128);

fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[\u{0}-\u{7f}]{0,20}"]
}

fn finite_single() -> impl Strategy<Value = f32> {
    any::<u32>()
        .prop_map(f32::from_bits)
        .prop_filter("finite", |number| number.is_finite())
}

fn finite_double() -> impl Strategy<Value = f64> {
    any::<u64>()
        .prop_map(f64::from_bits)
        .prop_filter("finite", |number| number.is_finite())
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::None),
        text().prop_map(Choice::One),
        any::<(u8, bool)>().prop_map(|(a, b)| Choice::Two(a, b)),
        any::<(i64, Option<u8>)>().prop_map(|(left, right)| Choice::Named { left, right }),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = text().prop_map(|label| Tree {
        label,
        branches: Vec::new(),
    });
    leaf.prop_recursive(6, 24, 3, |branch| {
        (text(), prop::collection::vec(branch, 0..3))
            .prop_map(|(label, branches)| Tree { label, branches })
    })
}

fn numbers() -> impl Strategy<Value = Numbers> {
    let signed = any::<(i8, i16, i32, i64, i128)>();
    let unsigned = any::<(u8, u16, u32, u64, u128)>();
    (signed, unsigned, finite_single(), finite_double()).prop_map(
        |(signed, unsigned, single, double)| Numbers {
            signed,
            unsigned,
            single,
            double,
        },
    )
}

fn fields() -> impl Strategy<Value = Shape> {
    let scalars = (
        any::<bool>(),
        any::<char>(),
        text(),
        prop::option::of(text()),
    );
    let lists = prop::collection::vec(prop::option::of(choice()), 0..4);
    let maps = (
        prop::collection::btree_map(any::<i64>(), any::<u64>().prop_map(Wrapper), 0..4),
        prop::collection::btree_map(any::<char>(), any::<bool>(), 0..4),
    );
    let tuple = (any::<u8>(), text(), any::<[i16; 3]>());
    (scalars, lists, maps, tuple, tree()).prop_map(
        |((flag, letter, text, some), list, (by_number, by_letter), tuple, tree)| Shape::Fields {
            flag,
            letter,
            text,
            some,
            list,
            by_number,
            by_letter,
            tuple,
            unit: (),
            nothing: Nothing,
            tree,
        },
    )
}

fn shape() -> impl Strategy<Value = Shape> {
    let flat =
        (any::<u32>(), text(), any::<Option<i64>>()).prop_map(|(id, name, count)| Shape::Flat {
            id,
            rest: Rest { name, count },
        });
    prop_oneof![
        Just(Shape::Unit),
        text().prop_map(Shape::Text),
        choice().prop_map(Shape::Inner),
        any::<u64>().prop_map(|number| Shape::Wrapped(Wrapper(number))),
        Just(Shape::Empty(Nothing)),
        any::<(i32, u8)>().prop_map(|(a, b)| Shape::Pair(a, b)),
        Just(Shape::NoElements()),
        Just(Shape::NoFields {}),
        any::<Option<u8>>().prop_map(Shape::Maybe),
        prop::collection::vec(text(), 0..4).prop_map(Shape::Words),
        prop::collection::btree_map(text(), any::<u64>(), 0..4).prop_map(Shape::Map),
        numbers().prop_map(|numbers| Shape::Numbers(Box::new(numbers))),
        fields(),
        flat,
    ]
}

fn check<E: annals_core::Event + PartialEq + std::fmt::Debug>(
    codec: &dyn EventCodec<E>,
    event: &E,
) {
    let content = codec.encode(event).unwrap();
    let kind = event.kind();
    assert_eq!(content.event_type(), kind.event_type());
    assert_eq!(content.schema_version(), kind.schema_version());
    assert_eq!(content.content_type(), &codec.content_type());
    assert_eq!(content.tags(), &event.tags().unwrap());
    assert_eq!(&codec.decode_one(content.content()).unwrap(), event);
}

proptest! {
    #[test]
    fn every_shape_of_variant_and_field_survives(event in shape()) {
        check(&JsonCodec, &event);
    }

    #[test]
    fn every_struct_survives(sensor: u16, value in finite_double(), amount: i128) {
        check(&JsonCodec, &Taken { sensor, value });
        check(&JsonCodec, &Amount(amount));
        check(&JsonCodec, &Marked);
    }

    /// Whatever the bytes are, they are an event or an error.
    #[test]
    fn bytes_never_cause_a_panic(bytes: Vec<u8>, kind in 0..Shape::KINDS.len()) {
        check_damaged(bytes, kind);
    }

    /// Bytes that are nearly right get further.
    #[test]
    fn damaged_events_never_cause_a_panic(
        event in shape(),
        byte: u8,
        at: prop::sample::Index,
    ) {
        let mut bytes = JsonCodec.encode(&event).unwrap().payload().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        check_damaged(bytes, event.kind_index());
    }
}

fn check_damaged(bytes: Vec<u8>, kind: usize) {
    let event_type = Shape::KINDS.get(kind).unwrap().event_type().clone();
    let content = annals_core::NewEvent::new(event_type, ContentType::JSON, bytes).unwrap();
    let decoded: Result<Shape, _> = JsonCodec.decode_one(content.content());
    if let Ok(event) = decoded {
        assert_eq!(event.kind_index(), kind);
    }
}

#[test]
fn a_codec_is_an_object() {
    let shared: Arc<dyn EventCodec<Shape>> = Arc::new(JsonCodec);
    check(&shared, &Shape::Pair(1, 2));
    let boxed: Box<dyn EventCodec<Shape>> = Box::new(shared);
    check(&boxed, &Shape::Unit);
}
