//! Codecs that hold others: several in one store, and payloads that are compressed.

#![cfg(all(feature = "json", feature = "messagepack", feature = "zstd"))]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::OnceLock;

use annals_codec::{
    Codecs, Compressed, Decoded, Dictionary, Error, ErrorKind, EventCodec, EventCodecExt,
    Evolution, Evolving, JsonCodec, MessagePackCodec, Policy, Value,
};
use annals_core::{ContentRef, ContentType, EventType, NewEvent};
use annals_macros::Event;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use support::forms;

const SECRET: &str = "canary-8842";

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "note")]
enum NoteEvent {
    #[event(version = 2)]
    Noted {
        text: String,
        #[event(tag = "number")]
        number: u64,
    },
    Removed,
}

fn noted(text: impl Into<String>) -> NoteEvent {
    NoteEvent::Noted {
        text: text.into(),
        number: 7,
    }
}

/// A payload that is like others of its kind.
fn sample(number: usize) -> NoteEvent {
    let customer = number * 7919 % 10_007;
    let text = format!("order {number} of customer-{customer}: paid by card, sent by mail");
    noted(text)
}

fn dictionary(seed: usize) -> Dictionary {
    let samples = (seed..seed + 1_000).map(sample);
    let samples = samples.map(|event| JsonCodec.encode(&event).unwrap().payload().to_vec());
    Dictionary::train(samples, 2 << 10).unwrap()
}

fn check(codec: &dyn EventCodec<NoteEvent>, event: &NoteEvent) -> NewEvent {
    let content = codec.encode(event).unwrap();
    let plain = JsonCodec.encode(event).unwrap();
    assert_eq!(content.event_type(), plain.event_type());
    assert_eq!(content.schema_version(), plain.schema_version());
    assert_eq!(content.tags(), plain.tags());
    assert_eq!(&codec.decode_one(content.content()).unwrap(), event);
    content
}

/// Made once for all cases of the properties, as contexts of zstd are dear.
fn wrappers() -> &'static [Box<dyn EventCodec<NoteEvent>>] {
    static WRAPPERS: OnceLock<Vec<Box<dyn EventCodec<NoteEvent>>>> = OnceLock::new();
    WRAPPERS.get_or_init(|| {
        let mut wrappers: Vec<Box<dyn EventCodec<NoteEvent>>> = Vec::new();
        for form in forms() {
            let codecs = Codecs::writing(form.codec).reading(JsonCodec);
            let compressed = Compressed::new(codecs.clone()).threshold_bytes(0);
            let trained = Compressed::new(codecs.clone()).threshold_bytes(0);
            wrappers.push(Box::new(codecs));
            wrappers.push(Box::new(compressed));
            wrappers.push(Box::new(trained.writing(dictionary(0))));
        }
        wrappers
    })
}

/// Bare, and with a dictionary.
fn compressed() -> &'static [Compressed<JsonCodec>] {
    static COMPRESSED: OnceLock<[Compressed<JsonCodec>; 2]> = OnceLock::new();
    COMPRESSED.get_or_init(|| {
        let bare = || Compressed::new(JsonCodec).threshold_bytes(0);
        [bare(), bare().writing(dictionary(0))]
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        ".{0,40}",
        ("[a-c]{1,8}", 0..400_usize).prop_map(|(text, times)| text.repeat(times)),
        (0..9_usize).prop_map(|number| format!("{:?}", sample(number))),
    ]
}

proptest! {
    #[test]
    fn every_event_survives_every_wrapper(text in text(), number: u64) {
        for codec in wrappers() {
            check(codec, &NoteEvent::Noted { text: text.clone(), number });
            check(codec, &NoteEvent::Removed);
        }
    }

    /// Whatever the frame is, it is a payload or an error that tells nothing of it.
    #[test]
    fn damaged_frames_are_errors(
        times in 1..200_usize,
        at: prop::sample::Index,
        byte: u8,
        cut: prop::sample::Index,
        noise: Vec<u8>,
    ) {
        for codec in compressed() {
            let content = codec.encode(&noted(SECRET.repeat(times))).unwrap();
            let content_type = EventCodec::<NoteEvent>::content_type(codec);
            let mut bytes = content.payload().to_vec();
            let damaged = [
                bytes[..cut.index(bytes.len())].to_vec(),
                [&bytes[..], &noise, &[0]].concat(),
                noise.clone(),
                {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                    bytes
                },
            ];
            for bytes in damaged {
                let content = renamed(&content, content_type.clone(), bytes);
                if let Err(error) = codec.decode_one(content.content()) as Result<NoteEvent, Error> {
                    let text = format!("{error} {error:?}");
                    prop_assert!(!text.contains(SECRET));
                }
            }
        }
    }
}

fn renamed(content: &NewEvent, content_type: ContentType, payload: Vec<u8>) -> NewEvent {
    NewEvent::new(content.event_type().clone(), content_type, payload)
        .unwrap()
        .with_schema_version(content.schema_version())
}

fn failure(codec: &dyn EventCodec<NoteEvent>, content: &NewEvent) -> ErrorKind {
    let error = codec.decode_one(content.content()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(SECRET), "{error}");
    error.kind()
}

#[test]
fn what_is_small_or_does_not_shrink_stays_as_it_is() {
    let codec = Compressed::new(JsonCodec);
    let plain = "application/json";
    for (text, content_type) in [
        ("a".repeat(480), plain),
        ("a".repeat(500), "application/json+zstd"),
    ] {
        let content = check(&codec, &noted(text));
        assert_eq!(content.content_type().as_str(), content_type);
    }
    let noise: String = (0..600_u32)
        .map(|n| char::from(b'0' + u8::try_from(n * n * 7919 % 74).unwrap()))
        .collect();
    let tight = Compressed::new(JsonCodec).threshold_bytes(0);
    let content = check(&tight, &noted("x"));
    assert_eq!(content.content_type().as_str(), plain);
    let content = check(&tight, &noted(noise));
    assert!(content.payload().len() < 640);
}

#[test]
fn a_wrapper_reads_what_was_written_without_it() {
    let event = noted(SECRET.repeat(100));
    let plain = JsonCodec.encode(&event).unwrap();
    let codec = Compressed::new(JsonCodec);
    let read: NoteEvent = codec.decode_one(plain.content()).unwrap();
    assert_eq!(read, event);
    let compressed = codec.encode(&event).unwrap();
    assert_eq!(
        failure(&JsonCodec, &compressed),
        ErrorKind::UnknownContentType
    );
    assert_eq!(
        failure(&Compressed::new(MessagePackCodec), &compressed),
        ErrorKind::UnknownContentType
    );
}

#[test]
fn a_dictionary_is_named_by_the_event_and_asked_for_by_the_error() {
    let (old, new) = (dictionary(0), dictionary(50_000));
    assert_ne!(old.id(), new.id());
    let writing = |dictionary: &Dictionary| {
        Compressed::new(JsonCodec)
            .threshold_bytes(64)
            .writing(dictionary.clone())
    };
    let (before, after) = (writing(&old), writing(&new));
    let event = sample(77);
    let content = check(&before, &event);
    let content_type = content.content_type().as_str();
    assert_eq!(content_type, format!("application/json+zstd.{}", old.id()));
    let plain = JsonCodec.encode(&event).unwrap().payload().len();
    assert!(
        content.payload().len() * 3 < plain * 2,
        "{}",
        content.payload().len()
    );
    assert_eq!(failure(&after, &content), ErrorKind::UnknownDictionary);
    let after = after.reading(old.clone());
    let read: NoteEvent = after.decode_one(content.content()).unwrap();
    assert_eq!(read, event);
    let apart = Codecs::writing(writing(&new)).reading(writing(&old));
    let read: NoteEvent = apart.decode_one(content.content()).unwrap();
    assert_eq!(read, event);
    // The frame itself names its dictionary: another name on it does not make it readable.
    let swapped = ContentType::parse(&format!("application/json+zstd.{}", new.id())).unwrap();
    let swapped = renamed(&content, swapped, content.payload().to_vec());
    assert_eq!(failure(&after, &swapped), ErrorKind::BadBytes);
}

#[test]
fn a_decompression_bomb_is_an_error_of_its_own() {
    let event = noted("a".repeat(100_000));
    let free = Compressed::new(JsonCodec).ratio_max(usize::MAX);
    let bomb = check(&free, &event);
    assert_eq!(bomb.content_type().as_str(), "application/json+zstd");
    for strict in [
        Compressed::new(JsonCodec).ratio_max(100),
        Compressed::new(JsonCodec).payload_bytes_max(50_000),
    ] {
        assert_eq!(failure(&strict, &bomb), ErrorKind::TooLarge);
        // What it would not read, it does not write.
        let content = check(&strict, &event);
        assert_eq!(content.content_type().as_str(), "application/json");
    }
    // A frame that claims the largest size and has nothing in it.
    let mut lying = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    lying.extend((16_u64 << 20).to_le_bytes());
    lying.extend([0x01, 0x00, 0x00]);
    let lying = renamed(&bomb, bomb.content_type().clone(), lying);
    assert_eq!(
        failure(&Compressed::new(JsonCodec), &lying),
        ErrorKind::TooLarge
    );
    assert_eq!(failure(&free, &lying), ErrorKind::BadBytes);
}

#[test]
fn the_parts_of_a_frame_are_checked() {
    let codec = Compressed::new(JsonCodec);
    let content = codec.encode(&noted(SECRET.repeat(100))).unwrap();
    let frame = content.payload().to_vec();
    let of = |bytes: Vec<u8>| renamed(&content, content.content_type().clone(), bytes);
    let twice = of([&frame[..], &frame[..]].concat());
    assert_eq!(failure(&codec, &twice), ErrorKind::TrailingBytes);
    let mut checksum = frame.clone();
    *checksum.last_mut().unwrap() ^= 1;
    assert_eq!(failure(&codec, &of(checksum)), ErrorKind::BadBytes);
    assert_eq!(failure(&codec, &of(Vec::new())), ErrorKind::BadBytes);
    assert_eq!(
        failure(&codec, &of(frame[..frame.len() - 1].to_vec())),
        ErrorKind::BadBytes
    );
    // Frames without a size are of others.
    let unsized_frame = of(vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0x01, 0x00, 0x00]);
    assert_eq!(failure(&codec, &unsized_frame), ErrorKind::BadBytes);
    let strange = ContentType::parse("+zstd").unwrap();
    assert_eq!(
        failure(&codec, &renamed(&content, strange, frame)),
        ErrorKind::UnknownContentType
    );
}

#[test]
fn what_is_no_dictionary_is_refused() {
    let bytes = dictionary(0).as_bytes().to_vec();
    let mut damaged = bytes.clone();
    damaged[8..200].fill(0xff);
    for bytes in [
        Vec::new(),
        SECRET.into(),
        damaged,
        vec![0; Dictionary::BYTES_MAX + 1],
    ] {
        let error = Dictionary::from_bytes(bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadDictionary, "{error}");
        assert!(!format!("{error} {error:?}").contains(SECRET));
    }
    let error = Dictionary::train([SECRET], 1 << 10).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadDictionary);
    assert_eq!(
        annals_core::Error::from(error).kind(),
        annals_core::ErrorKind::Invalid
    );
    let text = format!("{:?}", dictionary(0));
    assert!(!text.contains("order") && text.len() < 100, "{text}");
}

#[test]
fn codecs_read_every_form_that_they_know() {
    let event = noted(SECRET);
    let all = forms()
        .into_iter()
        .fold(Codecs::writing(MessagePackCodec), |codecs, form| {
            codecs.reading(form.codec)
        });
    for form in forms::<NoteEvent>() {
        let content = form.codec.encode(&event).unwrap();
        assert_eq!(all.decode_one(content.content()).unwrap(), event);
    }
    let content = check(&all, &event);
    assert_eq!(content.content_type().as_str(), "application/vnd.msgpack");
    let strange = renamed(&content, ContentType::OCTETS, vec![1]);
    let error = all.decode_one(strange.content()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownContentType);
    assert!(error.to_string().contains("application/cbor"), "{error}");
    // Bytes that a codec should read and can't are its error, not the next one's.
    let damaged = renamed(&content, content.content_type().clone(), vec![0xc1]);
    assert_eq!(failure(&all, &damaged), ErrorKind::BadBytes);
}

/// The store of an application that changed both its form and its events: the writer knows nothing of the past.
#[test]
fn codecs_ask_on_past_one_that_knows_neither_the_form_nor_the_type() {
    let evolution = || {
        Evolution::<NoteEvent>::builder()
            .upcast("noted", 1, |old: Value| old)
            .becomes(("jotted", 1), ("noted", 2), |mut old: Value| {
                old.rename("jot", "text");
                old
            })
            .renamed("deleted", "removed")
            .build()
            .unwrap()
    };
    let past = || Compressed::new(Evolving::new(JsonCodec, evolution()).unwrap());
    let lax = Evolution::builder()
        .upcast("noted", 1, |old: Value| old)
        .on_unknown_type(Policy::Skip)
        .on_future(Policy::Skip);
    let lax = Evolving::new(MessagePackCodec, lax.build().unwrap()).unwrap();
    for codecs in [
        Codecs::writing(MessagePackCodec).reading(past()),
        Codecs::writing(lax).reading(past()),
    ] {
        for (event_type, payload, expected) in [
            ("jotted", r#"{"jot":"a","number":7}"#, noted("a")),
            ("noted", r#"{"text":"a","number":7}"#, noted("a")),
            ("deleted", "{}", NoteEvent::Removed),
        ] {
            let event_type = EventType::from_static(event_type);
            let old = NewEvent::new(event_type, ContentType::JSON, payload).unwrap();
            assert_eq!(codecs.decode_one(old.content()).unwrap(), expected);
        }
        // Nobody knows this one, and the codec of its form says so.
        let event_type = EventType::from_static("frozen");
        let strange = NewEvent::new(event_type, ContentType::JSON, "{}").unwrap();
        assert_eq!(failure(&codecs, &strange), ErrorKind::UnknownType);
    }
}

/// A form whose name has no room for a suffix.
#[derive(Debug)]
struct LongName;

impl LongName {
    fn of(content: &NewEvent) -> NewEvent {
        let content_type = EventCodec::<NoteEvent>::content_type(&Self);
        renamed(content, content_type, content.payload().to_vec()).with_tags(content.tags().clone())
    }
}

impl EventCodec<NoteEvent> for LongName {
    fn content_type(&self) -> ContentType {
        let bytes_left = annals_core::limits::NAME_BYTES_MAX - "application/".len();
        ContentType::parse(&format!("application/{}", "x".repeat(bytes_left))).unwrap()
    }

    fn encode(&self, event: &NoteEvent) -> Result<NewEvent, Error> {
        JsonCodec.encode(event).map(|content| Self::of(&content))
    }

    fn decode_content(&self, content: ContentRef<'_>) -> Result<Decoded<NoteEvent>, Error> {
        JsonCodec.decode_content(ContentRef {
            content_type: &ContentType::JSON,
            ..content
        })
    }
}

#[test]
fn a_form_whose_name_has_no_room_for_the_suffix_is_not_compressed() {
    let content = check(&Compressed::new(LongName), &noted("a".repeat(2_000)));
    assert!(content.payload().len() > 2_000);
}
