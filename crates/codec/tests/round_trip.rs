//! The law of every codec: what it encodes, it decodes into an equal event.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use annals_codec::{
    DEPTH_MAX, ELEMENTS_MEMORY_BYTES_FREE, ELEMENTS_MEMORY_RATIO_MAX, ELEMENTS_WITHOUT_BYTES_MAX,
    ErrorKind, EventCodec, EventCodecExt, FormatExt,
};
use annals_core::{Event as _, EventType, NewEvent};
use annals_macros::Event;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use support::forms;

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

/// Survives in every form, but for what only a form that describes itself can hold.
fn check_shape(event: &Shape) {
    for form in forms::<Shape>() {
        if form.format.describes_itself() || !matches!(event, Shape::Flat { .. }) {
            check(&form.codec, event);
            let bytes = form.format.to_bytes(event).unwrap();
            assert_eq!(&form.format.from_bytes::<Shape>(&bytes).unwrap(), event);
        } else {
            let error = form.codec.encode(event).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Encode, "{error}");
        }
    }
}

proptest! {
    #[test]
    fn every_shape_of_variant_and_field_survives(event in shape()) {
        check_shape(&event);
    }

    #[test]
    fn every_struct_survives(sensor: u16, value in finite_double(), amount: i128) {
        for form in forms() {
            check(&form.codec, &Taken { sensor, value });
        }
        for form in forms() {
            check(&form.codec, &Amount(amount));
        }
        for form in forms() {
            check(&form.codec, &Marked);
        }
    }

    /// JSON alone has no form for floats that are not finite.
    #[test]
    fn every_bit_of_a_float_survives(bits: u64, half: u32) {
        for value in [f64::from_bits(bits), f64::NAN, f64::INFINITY, -0.0] {
            for form in forms::<Taken>() {
                let encoded = form.codec.encode(&Taken { sensor: 1, value });
                if form.is_json() && !value.is_finite() {
                    assert_eq!(encoded.unwrap_err().kind(), ErrorKind::Encode);
                } else {
                    let decoded = form.codec.decode_one(encoded.unwrap().content()).unwrap();
                    assert_eq!(decoded.value.to_bits(), value.to_bits());
                }
            }
        }
        let single = f32::from_bits(half);
        for form in forms::<Taken>().iter().filter(|form| !form.is_json()) {
            let bytes = form.format.to_bytes(&single).unwrap();
            let read: f32 = form.format.from_bytes(&bytes).unwrap();
            assert_eq!(read.to_bits(), half);
        }
    }

    /// Whatever the bytes are, they are an event or an error.
    #[test]
    fn bytes_never_cause_a_panic(bytes: Vec<u8>, kind in 0..Shape::KINDS.len()) {
        check_damaged(&bytes, kind);
    }

    /// Bytes that are nearly right get further.
    #[test]
    fn damaged_events_never_cause_a_panic(
        event in shape(),
        byte: u8,
        at: prop::sample::Index,
        cut: prop::sample::Index,
    ) {
        for form in forms() {
            let Ok(content) = form.codec.encode(&event) else {
                continue;
            };
            let mut bytes = content.payload().to_vec();
            if bytes.is_empty() {
                continue;
            }
            check_damaged(&bytes[..cut.index(bytes.len())], event.kind_index());
            let at = at.index(bytes.len());
            bytes[at] = byte;
            check_damaged(&bytes, event.kind_index());
        }
    }

    /// A byte more is never passed over, a byte less never made up.
    #[test]
    fn an_event_has_all_of_its_bytes_and_no_more(event in shape(), byte: u8) {
        for form in forms::<Shape>() {
            let Ok(content) = form.codec.encode(&event) else {
                continue;
            };
            let with_bytes = |bytes: &[u8]| {
                let event_type = content.event_type().clone();
                let content_type = content.content_type().clone();
                let other = NewEvent::new(event_type, content_type, bytes.to_vec()).unwrap();
                form.codec.decode_one(other.content())
            };
            let longer = [content.payload(), &[byte][..]].concat();
            let reads_on = form.is_json() && is_other_text(content.payload(), byte);
            match with_bytes(&longer) {
                Ok(_) => prop_assert!(reads_on),
                // A digit more may be too large a number, in JSON.
                Err(error) if form.is_json() => prop_assert_ne!(error.kind(), ErrorKind::Encode),
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::TrailingBytes),
            }
            if let Some((_, shorter)) = content.payload().split_last() {
                prop_assert!(form.is_json() || with_bytes(shorter).is_err());
            }
        }
    }
}

/// Whether JSON with a byte more is JSON: white space means nothing, a digit makes a number longer.
fn is_other_text(json: &[u8], byte: u8) -> bool {
    let ends_in_digit = json.last().is_some_and(u8::is_ascii_digit);
    byte.is_ascii_whitespace() || (ends_in_digit && byte.is_ascii_digit())
}

fn check_damaged(bytes: &[u8], kind: usize) {
    for form in forms::<Shape>() {
        let event_type = Shape::KINDS.get(kind).unwrap().event_type().clone();
        let content = NewEvent::new(event_type, form.format.content_type(), bytes.to_vec());
        let decoded = form.codec.decode_one(content.unwrap().content());
        if let Ok(event) = decoded {
            assert_eq!(event.kind_index(), kind);
        }
    }
}

#[test]
fn a_codec_is_an_object() {
    for form in forms() {
        let shared: Arc<dyn EventCodec<Shape>> = form.codec.into();
        check(&shared, &Shape::Pair(1, 2));
        let boxed: Box<dyn EventCodec<Shape>> = Box::new(shared);
        check(&boxed, &Shape::Unit);
    }
}

/// Types that hostile bytes can make large or deep.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "hostile")]
enum Hostile {
    Units(Vec<()>),
    UnitMaps(Vec<BTreeMap<(), Defaults>>),
    Defaults(Vec<Defaults>),
    Words(Vec<String>),
    Bytes(Vec<u8>),
    Nested(Nest),
    Chained(Link),
    Optional(Optional),
    Linked(Linked),
}

/// Takes no byte, and room all the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Defaults {
    #[serde(skip)]
    room: [u64; 16],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Nest(Vec<Nest>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Link {
    End,
    Next(Box<Link>),
    Fields { next: Box<Link> },
}

/// Deep without a bracket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Optional(Option<Box<Optional>>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Linked {
    next: Option<Box<Linked>>,
}

impl Hostile {
    fn linked(links: usize) -> Self {
        let next = |inner, _| Linked {
            next: Some(Box::new(inner)),
        };
        Self::Linked((1..links).fold(Linked { next: None }, next))
    }

    fn nested(depth: usize) -> Self {
        Self::Nested((1..depth).fold(Nest(Vec::new()), |inner, _| Nest(vec![inner])))
    }

    fn chained(links: usize) -> Self {
        Self::Chained((0..links).fold(Link::End, |next, _| Link::Next(Box::new(next))))
    }

    fn chained_by_fields(links: usize) -> Self {
        Self::Chained((0..links).fold(Link::End, |next, _| Link::Fields {
            next: Box::new(next),
        }))
    }

    fn optional(depth: usize) -> Self {
        let deep = (0..depth).fold(Optional(None), |inner, _| Optional(Some(Box::new(inner))));
        Self::Optional(deep)
    }
}

#[test]
fn what_is_just_within_the_limits_survives_and_what_is_not_is_refused() {
    let deep = [
        (Hostile::nested(DEPTH_MAX), Hostile::nested(DEPTH_MAX + 1)),
        (Hostile::chained(DEPTH_MAX), Hostile::chained(DEPTH_MAX + 1)),
        (
            Hostile::chained_by_fields(DEPTH_MAX / 2),
            Hostile::chained_by_fields(DEPTH_MAX / 2 + 1),
        ),
    ];
    for form in forms::<Hostile>() {
        for (within, beyond) in &deep {
            check(&form.codec, within);
            let error = form.codec.encode(beyond).unwrap_err();
            assert!(error.to_string().contains("DEPTH_MAX"), "{error}");
        }
        if form.format.describes_itself() {
            check(
                &form.codec,
                &Hostile::Units(vec![(); ELEMENTS_WITHOUT_BYTES_MAX * 2]),
            );
            continue;
        }
        check(&form.codec, &Hostile::optional(DEPTH_MAX));
        check(&form.codec, &Hostile::linked(DEPTH_MAX / 2 + 1));
        assert!(
            form.codec
                .encode(&Hostile::linked(DEPTH_MAX / 2 + 2))
                .is_err()
        );
        let error = form
            .codec
            .encode(&Hostile::optional(DEPTH_MAX + 1))
            .unwrap_err();
        assert!(error.to_string().contains("DEPTH_MAX"), "{error}");
        check(
            &form.codec,
            &Hostile::Units(vec![(); ELEMENTS_WITHOUT_BYTES_MAX]),
        );
        let units = Hostile::Units(vec![(); ELEMENTS_WITHOUT_BYTES_MAX * 2]);
        let error = form.codec.encode(&units).unwrap_err();
        assert!(
            error.to_string().contains("ELEMENTS_WITHOUT_BYTES_MAX"),
            "{error}"
        );
    }
}

/// Lengths that lie and nesting without end, in the form of each codec: no memory is taken for what does
/// not come, and no stack.
#[test]
fn lies_about_length_and_depth_are_errors() {
    let lies: &[(&str, Vec<u8>)] = &[
        ("vnd.msgpack", vec![0xdd, 0xff, 0xff, 0xff, 0xff]),
        ("vnd.msgpack", vec![0xdf, 0xff, 0xff, 0xff, 0xff]),
        ("vnd.msgpack", vec![0xdb, 0xff, 0xff, 0xff, 0xff, b'a']),
        (
            "vnd.msgpack",
            vec![0x91, 0xc6, 0xff, 0xff, 0xff, 0xff, b'a'],
        ),
        ("vnd.msgpack", vec![0x91; 1 << 20]),
        ("vnd.msgpack", vec![0x01]),
        ("cbor", [&[0x9b][..], &[0xff; 8]].concat()),
        ("cbor", [&[0x9b, 0x7f][..], &[0xff; 7]].concat()),
        ("cbor", [&[0x7b][..], &[0xff; 8], b"a"].concat()),
        ("cbor", [&[0x81, 0x5b, 0x7f][..], &[0xff; 7], b"a"].concat()),
        ("cbor", vec![0x9f; 1 << 20]),
        ("cbor", vec![0x81; 1 << 20]),
        ("cbor", vec![0x7f; 1 << 20]),
        ("cbor", vec![0xc6; 1 << 20]),
        ("cbor", vec![0x01]),
        ("vnd.annals.bincode", [&[0xfd][..], &[0xff; 8]].concat()),
        (
            "vnd.annals.bincode",
            [&[0xfd][..], &[0xff; 7], &[0x7f]].concat(),
        ),
        (
            "vnd.annals.bincode",
            [&[0x01, 0xfd][..], &[0xff; 8]].concat(),
        ),
        ("vnd.annals.bincode", [&[0xfc][..], &[0xff; 4]].concat()),
        ("vnd.annals.bincode", vec![0x01; 1 << 20]),
        ("vnd.annals.bincode", vec![0x02; 1 << 20]),
        ("vnd.annals.postcard", [&[0xff; 9][..], &[0x01]].concat()),
        (
            "vnd.annals.postcard",
            [&[0x01][..], &[0xff; 9], &[0x01]].concat(),
        ),
        ("vnd.annals.postcard", vec![0xff, 0xff, 0xff, 0xff, 0x0f]),
        ("vnd.annals.postcard", vec![0x01; 1 << 20]),
        ("vnd.annals.postcard", vec![0x02; 1 << 20]),
        ("json", b"[".repeat(1 << 20)),
        ("json", br#"{"Next":"#.repeat(1 << 17)),
        ("json", b"1".to_vec()),
    ];
    for form in forms::<Hostile>() {
        for (_, bytes) in lies.iter().filter(|(name, _)| *name == form.name()) {
            for kind in Hostile::KINDS {
                check_lie(&form, kind.event_type(), bytes);
            }
        }
    }
}

fn check_lie(form: &support::Form<Hostile>, event_type: &EventType, bytes: &[u8]) {
    let event_type = event_type.clone();
    let content = NewEvent::new(event_type, form.format.content_type(), bytes.to_vec()).unwrap();
    let decoded = form.codec.decode_one(content.content());
    assert!(decoded.is_err(), "{} {bytes:02x?}", form.name());
}

/// An element that takes no byte and much room, and counts how often it was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Roomy {
    #[serde(skip)]
    room: [u64; 512],
}

thread_local! {
    static MADE: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl<'de> Deserialize<'de> for Roomy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Empty {}
        Empty::deserialize(deserializer)?;
        MADE.set(MADE.get() + 1);
        Ok(Self { room: [0; 512] })
    }
}

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "room")]
enum RoomEvent {
    Listed(Vec<Roomy>),
    Mapped(BTreeMap<String, Roomy>),
}

/// What elements take is limited by the bytes of the payload, not only their number; what would go over it is
/// not written either.
#[test]
fn elements_take_a_limited_amount_of_memory() {
    let fits = ELEMENTS_MEMORY_BYTES_FREE / size_of::<Roomy>();
    let roomy = Roomy { room: [0; 512] };
    for form in forms::<RoomEvent>() {
        check(&form.codec, &RoomEvent::Listed(vec![roomy.clone(); fits]));
        MADE.set(0);
        let payload = form.format.to_bytes(&vec![(); fits * 3]).unwrap();
        let empty = form
            .format
            .to_bytes(&vec![BTreeMap::<String, u8>::new(); fits * 3]);
        let payload = match form.name().as_str() {
            "vnd.annals.bincode" | "vnd.annals.postcard" => payload,
            _ => empty.unwrap(),
        };
        let bytes = payload.len();
        let event_type = EventType::from_static("listed");
        let content = NewEvent::new(event_type, form.format.content_type(), payload).unwrap();
        let error = form.codec.decode_one(content.content()).err().unwrap();
        assert!(
            error.to_string().contains("ELEMENTS_MEMORY_RATIO_MAX"),
            "{error}"
        );
        let limit = ELEMENTS_MEMORY_BYTES_FREE + bytes * ELEMENTS_MEMORY_RATIO_MAX;
        assert!(
            MADE.get() <= limit / size_of::<Roomy>() + 1,
            "{}",
            MADE.get()
        );
        let too_many = RoomEvent::Listed(vec![roomy.clone(); fits * 2]);
        let error = form.codec.encode(&too_many).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Encode, "{error}");
    }
}
