//! The bodies of the fuzz targets: each takes any bytes, and panics when a promise is broken.
//!
//! The shells in `fuzz/` feed them from libFuzzer, `tests/tests/fuzz.rs` from a seeded generator. The
//! parsers of files are checked inside their crates, which show them under a feature `fuzzing`.

#![expect(
    clippy::missing_panics_doc,
    reason = "a panic is how a fuzz body tells"
)]

mod codecs;
mod edits;
mod log_directory;
mod upcast;

use std::fmt::{Debug, Display};
use std::str::FromStr;
use std::sync::OnceLock;

use annals_codec::{
    BincodeCodec, CborCodec, Compressed, EventCodec, EventCodecExt, JsonCodec, MessagePackCodec,
    PostcardCodec,
};
use annals_core::{
    AppendId, Category, ContentType, Cursor, Event, EventId, EventType, NewEvent, StreamId, Tag,
    Timestamp, limits,
};

use crate::ledger::{LedgerEvent, Reference};

/// A fuzz target: its name, its body, and inputs that reach deep to begin with.
#[derive(Debug)]
pub struct Target {
    /// The name of the shell in `fuzz/fuzz_targets`.
    pub name: &'static str,
    /// What runs on every input.
    pub body: fn(&[u8]),
    /// Valid inputs, to mutate.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many inputs a quick run takes: about a second's worth.
    pub inputs: u64,
}

impl Target {
    const fn new(name: &'static str, body: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Self {
        Self {
            name,
            body,
            seeds,
            inputs: 20_000,
        }
    }

    /// With fewer inputs, as its body takes longer.
    const fn with_inputs(mut self, inputs: u64) -> Self {
        self.inputs = inputs;
        self
    }
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target::new("names", names, || {
        texts(&[
            "account-42",
            "file-src/a b-c\"d",
            "settings",
            "student:42",
            "a\u{9f}",
            "-",
            "a-",
        ])
    }),
    Target::new("cursor", cursor, || {
        texts(&["0", "7", "1.2.3", "18446744073709551615"])
    }),
    Target::new("times", times, || {
        texts(&[
            "1970-01-01T00:00:00Z",
            "2026-11-23T08:00:00.000001+02:00",
            "-12us",
        ])
    }),
    Target::new("json_event", json_event, || {
        texts(&[
            r#"0{"owner":"Ada","alias":null}"#,
            "1-7",
            r#"2[5,"rounding"]"#,
            r#"3{"notes":[["n",1]],"reference":{"Invoice":7}}"#,
            "4{}",
        ])
    }),
    Target::new("message_pack_event", message_pack_event, || {
        events(&MessagePackCodec)
    }),
    Target::new("cbor_event", cbor_event, || events(&CborCodec)),
    Target::new("bincode_event", bincode_event, || events(&BincodeCodec)),
    Target::new("postcard_event", postcard_event, || events(&PostcardCodec)),
    Target::new(
        "compressed_event",
        compressed_event,
        || events(compressed()),
    ),
    Target::new("wide_event", wide_event, codecs::seeds).with_inputs(10_000),
    Target::new("value", value, codecs::value_seeds),
    Target::new("dictionary", dictionary, codecs::dictionaries).with_inputs(2_000),
    Target::new("upcast_event", upcast_event, upcast::seeds).with_inputs(10_000),
    Target::new("log_frame", log_frame, log_directory::frames),
    Target::new(
        "log_segment_header",
        log_segment_header,
        log_directory::headers,
    ),
    Target::new("log_manifest", log_manifest, log_directory::manifests),
    Target::new("log_compressed", log_compressed, log_directory::blocks),
    Target::new("log_watermark", log_watermark, log_directory::watermarks),
    Target::new("log_directory", log_directory, log_directory::seeds).with_inputs(8_000),
    Target::new("event_body", event_body, annals_store_log::fuzzing::bodies),
    Target::new("note_body", note_body, annals_store_log::fuzzing::bodies),
    Target::new("index_run", index_run, edits::seeds).with_inputs(10_000),
    Target::new("checkpoint_file", checkpoint_file, || {
        vec![annals_store_log::fuzzing::checkpoints()]
    }),
    Target::new(
        "envelope",
        envelope,
        annals_codec::privacy::fuzzing::envelopes,
    ),
    Target::new(
        "key_file",
        key_file,
        annals_codec::privacy::fuzzing::key_files,
    ),
];

/// A name that parses keeps its text and its limit, and a stream id is its category and its key.
pub fn names(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let names = [
        kept::<EventType>(text),
        kept::<Tag>(text),
        kept::<ContentType>(text),
        kept::<Category>(text),
        kept::<StreamId>(text),
    ];
    assert!(text.len() <= limits::NAME_BYTES_MAX || !names.contains(&true));
    assert!(!kept::<AppendId>(text) || text.len() <= limits::APPEND_ID_BYTES_MAX);
    if let Ok(id) = StreamId::parse(text) {
        assert!(id.category().contains(&id));
        assert_eq!(StreamId::new(&id.category(), id.key()).ok(), Some(id));
    }
}

/// A cursor that parses can be written and read again, and covers itself and the start.
pub fn cursor(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Some(cursor) = survives::<Cursor>(text) {
        assert!(cursor.covers(&cursor) && cursor.covers(&Cursor::START));
    }
}

/// A time or an id that parses can be written and read again.
pub fn times(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    survives::<Timestamp>(text);
    survives::<EventId>(text);
}

/// Hostile payloads of every event type: an error, or an event that survives its codec. The first byte
/// chooses the type.
pub fn json_event(input: &[u8]) {
    hostile_event(&JsonCodec, input);
}

/// The same as `MessagePack`.
pub fn message_pack_event(input: &[u8]) {
    hostile_event(&MessagePackCodec, input);
}

/// The same as CBOR.
pub fn cbor_event(input: &[u8]) {
    hostile_event(&CborCodec, input);
}

/// The same as bincode.
pub fn bincode_event(input: &[u8]) {
    hostile_event(&BincodeCodec, input);
}

/// The same as postcard.
pub fn postcard_event(input: &[u8]) {
    hostile_event(&PostcardCodec, input);
}

/// The same as JSON that is compressed.
pub fn compressed_event(input: &[u8]) {
    hostile_event(compressed(), input);
}

/// Hostile payloads of every form, bare and compressed with a dictionary and without, of events with everything
/// in them, through one codec of all: an error, or an event that survives every form that has it.
pub fn wide_event(input: &[u8]) {
    codecs::check(input);
}

/// A payload that is read without a type, in the forms that describe themselves.
pub fn value(input: &[u8]) {
    codecs::check_value(input);
}

/// Bytes that may be a dictionary of zstd.
pub fn dictionary(input: &[u8]) {
    codecs::check_dictionary(input);
}

/// Hostile payloads of old events, in every form, through upcasters on values and on old structs: an error, or
/// events that survive their codec.
pub fn upcast_event(input: &[u8]) {
    upcast::check(input);
}

/// A frame of a log, with its header, its records or its footer.
pub fn log_frame(input: &[u8]) {
    annals_log::fuzzing::frame(input);
}

/// The first block of a segment.
pub fn log_segment_header(input: &[u8]) {
    annals_log::fuzzing::segment_header(input);
}

/// The list of a log's segments.
pub fn log_manifest(input: &[u8]) {
    annals_log::fuzzing::manifest(input);
}

/// A compressed segment: its header, its table, and what comes out of a block.
pub fn log_compressed(input: &[u8]) {
    annals_log::fuzzing::compressed(input);
}

/// A slot of a log's watermark.
pub fn log_watermark(input: &[u8]) {
    annals_log::fuzzing::watermark_slot(input);
}

/// A whole log in a directory whose files are damaged as the input tells: it is opened, verified, read,
/// followed, repaired and written to, in a bounded number of calls.
pub fn log_directory(input: &[u8]) {
    log_directory::check(input);
}

/// The body of an event's record.
pub fn event_body(input: &[u8]) {
    annals_store_log::fuzzing::event_body(input);
}

/// The body of a note between events.
pub fn note_body(input: &[u8]) {
    annals_store_log::fuzzing::note_body(input);
}

/// An index file, damaged as the input tells: opened, asked everything and merged.
pub fn index_run(input: &[u8]) {
    static RUN: OnceLock<Vec<u8>> = OnceLock::new();
    let run = RUN.get_or_init(annals_store_log::fuzzing::run).clone();
    annals_store_log::fuzzing::run_file(&edits::edited(run, input));
}

/// The file of checkpoints.
pub fn checkpoint_file(input: &[u8]) {
    annals_store_log::fuzzing::checkpoint_file(input);
}

/// The envelope of a personal value.
pub fn envelope(input: &[u8]) {
    annals_codec::privacy::fuzzing::envelope(input);
}

/// A file of a store of keys.
pub fn key_file(input: &[u8]) {
    annals_codec::privacy::fuzzing::key_file(input);
}

fn hostile_event(codec: &dyn EventCodec<LedgerEvent>, input: &[u8]) {
    let Some((choice, payload)) = input.split_first() else {
        return;
    };
    let kinds = LedgerEvent::KINDS;
    let Some(kind) = kinds.get(usize::from(*choice) % 16 % kinds.len()) else {
        return;
    };
    let event_type = kind.event_type().clone();
    let Ok(content) = NewEvent::new(event_type, codec.content_type(), payload.to_vec()) else {
        return;
    };
    let content = content.with_schema_version(kind.schema_version());
    let Ok(event) = codec.decode_one(content.content()) else {
        return;
    };
    let again = codec
        .encode(&event)
        .and_then(|again| codec.decode_one(again.content()));
    assert_eq!(again.ok(), Some(event));
}

/// Made once, as contexts of zstd are dear.
fn compressed() -> &'static Compressed<JsonCodec> {
    static COMPRESSED: OnceLock<Compressed<JsonCodec>> = OnceLock::new();
    COMPRESSED.get_or_init(|| Compressed::new(JsonCodec).threshold_bytes(0))
}

/// An event of every type, as a codec writes it, after its place in [`Event::KINDS`].
fn events(codec: &dyn EventCodec<LedgerEvent>) -> Vec<Vec<u8>> {
    let owner = "Ada, ".repeat(30);
    let note = (owner.clone(), 7);
    let events = [
        LedgerEvent::Opened { owner, alias: None },
        LedgerEvent::Moved(-7),
        LedgerEvent::Adjusted(5, "rounding".to_owned()),
        LedgerEvent::Annotated {
            notes: vec![note; 3],
            reference: Some(Reference::Invoice(7)),
        },
        LedgerEvent::Closed,
    ];
    let payloads = (0_u8..).zip(&events).filter_map(|(kind, event)| {
        let content = codec.encode(event).ok()?;
        Some([&[kind][..], content.payload()].concat())
    });
    payloads.collect()
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn kept<T: FromStr + AsRef<str>>(text: &str) -> bool {
    text.parse::<T>().is_ok_and(|name| {
        assert_eq!(name.as_ref(), text);
        true
    })
}

fn survives<T: FromStr + Display + Debug + PartialEq>(text: &str) -> Option<T> {
    let value = text.parse::<T>().ok()?;
    let again = value.to_string().parse::<T>().ok();
    assert_eq!(
        again.as_ref(),
        Some(&value),
        "{text:?} was written as {value}"
    );
    Some(value)
}
