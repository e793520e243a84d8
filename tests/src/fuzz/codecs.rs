//! Hostile payloads of events with everything in them, through wrappers and without a type.

use std::sync::OnceLock;

use annals_codec::{
    BincodeCodec, CborCodec, Codecs, Compressed, Decoded, Dictionary, Error, EventCodec,
    EventCodecExt, Format, FormatExt, JsonCodec, MessagePackCodec, PostcardCodec, Value, label,
};
use annals_core::{ContentRef, ContentType, Event, NewEvent};

use crate::ledger::LedgerEvent;
use crate::wide::{Measured, RawBytes, Told, WideEvent};

/// Writes these bytes in place of any event, under the name of a form.
#[derive(Debug)]
struct Bytes<'a>(ContentType, &'a [u8]);

/// Payloads of every form: the first byte chooses the form and how it is wrapped, the second the kind.
pub(super) fn check(input: &[u8]) {
    let [choice, kind, payload @ ..] = input else {
        return;
    };
    let Some(event) = events().get(usize::from(*kind) % 3) else {
        return;
    };
    let bytes = || Bytes(content_type(*choice), payload);
    let content = match choice / 8 % 3 {
        0 => bytes().encode(event),
        1 => Compressed::new(bytes()).threshold_bytes(0).encode(event),
        _ => Compressed::new(bytes())
            .threshold_bytes(0)
            .writing(dictionary().clone())
            .encode(event),
    };
    let decoded = content.and_then(|content| codecs().decode_one(content.content()));
    let Ok(decoded) = decoded else { return };
    for codec in writers() {
        // A float may be none that JSON holds, a map none that bincode does.
        let Ok(content) = codec.encode(&decoded) else {
            continue;
        };
        let again = codecs().decode_one(content.content());
        // By their text, as one may hold what is no number.
        assert_eq!(text(&again.ok()), text(&Some(&decoded)));
    }
}

/// A payload without a type: what reads is written and reads the same again. The first byte chooses the form.
pub(super) fn check_value(input: &[u8]) {
    let Some((choice, payload)) = input.split_first() else {
        return;
    };
    let form: &dyn Format = match choice % 3 {
        0 => &JsonCodec,
        1 => &MessagePackCodec,
        _ => &CborCodec,
    };
    let Ok(value) = form.from_bytes::<Value>(payload) else {
        return;
    };
    let again = form.to_bytes(&value);
    let again = again.and_then(|bytes| form.from_bytes::<Value>(&bytes));
    assert_eq!(text(&again.ok()), text(&Some(value)));
}

/// Bytes that may be a dictionary: an error, or one that events survive.
pub(super) fn check_dictionary(input: &[u8]) {
    let Ok(dictionary) = Dictionary::from_bytes(input.to_vec()) else {
        return;
    };
    let codec = Compressed::new(JsonCodec)
        .threshold_bytes(0)
        .writing(dictionary);
    let event = LedgerEvent::Adjusted(7, "rounding, ".repeat(9));
    let content = codec.encode(&event);
    let again = content.and_then(|content| codec.decode_one(content.content()));
    assert_eq!(again.ok(), Some(event));
}

/// Every kind, in every form, wrapped in every way.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for choice in 0..24 {
        for (kind, event) in (0_u8..).zip(events()) {
            let form = content_type(choice);
            let mut writers = writers().iter();
            let writer = writers.find(|writer| writer.content_type() == form);
            if let Some(Ok(content)) = writer.map(|writer| writer.encode(event)) {
                seeds.push([&[choice, kind][..], content.payload()].concat());
            }
        }
    }
    seeds
}

/// Every kind, in every form that describes itself.
pub(super) fn value_seeds() -> Vec<Vec<u8>> {
    let forms: [&dyn EventCodec<WideEvent>; 3] = [&JsonCodec, &MessagePackCodec, &CborCodec];
    let mut seeds = Vec::new();
    for (choice, codec) in (0_u8..).zip(forms) {
        let contents = events().iter().filter_map(|event| codec.encode(event).ok());
        seeds.extend(contents.map(|content| [&[choice][..], content.payload()].concat()));
    }
    seeds.push(b"0[18446744073709551616,1e300]".to_vec());
    seeds
}

/// A dictionary that was trained.
pub(super) fn dictionaries() -> Vec<Vec<u8>> {
    vec![dictionary().as_bytes().to_vec()]
}

fn content_type(choice: u8) -> ContentType {
    let writers = writers();
    let writer = writers.get(usize::from(choice % 8) % writers.len());
    writer.map_or(ContentType::OCTETS, EventCodec::content_type)
}

fn writers() -> &'static [Box<dyn EventCodec<WideEvent>>; 5] {
    static WRITERS: OnceLock<[Box<dyn EventCodec<WideEvent>>; 5]> = OnceLock::new();
    WRITERS.get_or_init(|| {
        [
            Box::new(JsonCodec),
            Box::new(MessagePackCodec),
            Box::new(CborCodec),
            Box::new(BincodeCodec),
            Box::new(PostcardCodec),
        ]
    })
}

/// Everything around everything; made once, as contexts of zstd are dear.
fn codecs() -> &'static Compressed<Codecs<WideEvent>> {
    static CODECS: OnceLock<Compressed<Codecs<WideEvent>>> = OnceLock::new();
    CODECS.get_or_init(|| {
        let codecs = Codecs::writing(PostcardCodec)
            .reading(JsonCodec)
            .reading(MessagePackCodec)
            .reading(CborCodec)
            .reading(BincodeCodec);
        Compressed::new(codecs).reading(dictionary().clone())
    })
}

#[expect(clippy::expect_used, reason = "the samples are known")]
fn dictionary() -> &'static Dictionary {
    static DICTIONARY: OnceLock<Dictionary> = OnceLock::new();
    DICTIONARY.get_or_init(|| {
        let samples = (0..1_000_u32).map(|number| {
            let number = number * 7919 % 10_007;
            format!(r#"{{"single":{number}.5,"mark":"a","text":"order {number} of {number}"}}"#)
        });
        Dictionary::train(samples, 1 << 10).expect("the samples are alike")
    })
}

fn events() -> &'static [WideEvent; 3] {
    static EVENTS: OnceLock<[WideEvent; 3]> = OnceLock::new();
    EVENTS.get_or_init(|| {
        let measured = Measured {
            single: 36.6,
            doubles: vec![Some(0.1), None, Some(-0.0)],
            signed: i128::MIN,
            unsigned: 1 << 100,
            mark: '\u{e9}',
            bytes: RawBytes(vec![0, 255]),
            keys: [(-1, true), (7, false)].into(),
        };
        let rest = [("a".to_owned(), 1), ("b".to_owned(), 2)].into();
        [
            WideEvent::Measured(Box::new(measured)),
            WideEvent::Noted { id: 1, rest },
            WideEvent::Told(Told::Number { number: 1.5 }),
        ]
    })
}

fn text(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

impl<E: Event> EventCodec<E> for Bytes<'_> {
    fn content_type(&self) -> ContentType {
        self.0.clone()
    }

    fn encode(&self, event: &E) -> Result<NewEvent, Error> {
        label(event, self.0.clone(), self.1.to_vec())
    }

    fn decode_content(&self, content: ContentRef<'_>) -> Result<Decoded<E>, Error> {
        Err(Error::new(
            annals_codec::ErrorKind::UnknownContentType,
            "it only writes",
        )
        .with("event type", content.event_type))
    }
}
