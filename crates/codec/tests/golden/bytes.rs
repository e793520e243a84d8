//! The bytes of every codec and wrapper, as `fixtures/codecs-v1.txt` keeps them.
//!
//! `ANNALS_GOLDEN=write cargo test -p annals-codec --all-features --test golden` writes the file where there
//! is none, and never changes one. The hashes here are changed by hand, and with them the changelog.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use annals_codec::{
    BincodeCodec, CborCodec, Codecs, Compressed, Dictionary, EventCodec, EventCodecExt, JsonCodec,
    MessagePackCodec, PostcardCodec,
};
use annals_core::{ContentType, NewEvent};

use super::{AccountEvent, Rating};

/// The FNV-1a hash of what the fixture holds of each codec.
const HASHES: [(&str, u64); 9] = [
    ("bincode", 0x4469_a1db_df85_9729),
    ("cbor", 0xa8c8_f7d8_8bde_9586),
    ("codecs", 0xd9bb_7944_e016_3097),
    ("dictionary", 0xa463_5ef5_0b81_6f33),
    ("json", 0xcfc9_20fb_3194_defe),
    ("messagepack", 0x6c37_b64a_37ef_f29a),
    ("postcard", 0x5c74_4c68_588b_20aa),
    ("zstd", 0xed33_a58b_7ee3_ee0a),
    ("zstd-dictionary", 0x5ba1_a831_8447_3574),
];

type Codec = Box<dyn EventCodec<AccountEvent>>;

/// One event of each shape, under a name.
fn events() -> Vec<(&'static str, AccountEvent)> {
    let bad = Rating::Bad {
        reason: "slow".to_owned(),
    };
    let opened = |owner: &str, limit| AccountEvent::Opened {
        owner: owner.to_owned(),
        limit,
    };
    vec![
        ("opened", opened("Ada", Some(7))),
        ("opened-without", opened("\u{e9}", None)),
        (
            "deposited",
            AccountEvent::MoneyDeposited { amount: u64::MAX },
        ),
        ("renamed", AccountEvent::Renamed("Eve".to_owned())),
        (
            "renamed-long",
            AccountEvent::Renamed("so it goes on, ".repeat(60)),
        ),
        ("moved", AccountEvent::Moved(-1, 0.1)),
        ("rated", AccountEvent::Rated(Rating::Good)),
        ("rated-bad", AccountEvent::Rated(bad)),
        ("closed", AccountEvent::Closed),
    ]
}

/// Every codec and wrapper; and whether its library may write other bytes that are read all the same.
fn codecs(dictionary: &Dictionary) -> Vec<(&'static str, Codec, Bytes)> {
    let compressed = || Compressed::new(JsonCodec).threshold_bytes(16);
    let codecs = Codecs::writing(MessagePackCodec).reading(JsonCodec);
    vec![
        ("bincode", Box::new(BincodeCodec), Bytes::Fixed),
        ("cbor", Box::new(CborCodec), Bytes::Fixed),
        ("codecs", Box::new(codecs), Bytes::Fixed),
        ("json", Box::new(JsonCodec), Bytes::Fixed),
        ("messagepack", Box::new(MessagePackCodec), Bytes::Fixed),
        ("postcard", Box::new(PostcardCodec), Bytes::Fixed),
        ("zstd", Box::new(compressed()), Bytes::OfTheRelease),
        (
            "zstd-dictionary",
            Box::new(compressed().writing(dictionary.clone())),
            Bytes::OfTheRelease,
        ),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bytes {
    Fixed,
    /// A newer release of zstd may compress better.
    OfTheRelease,
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/codecs-v1.txt")
}

/// As hexadecimal digits, or `-` for none.
fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".to_owned();
    }
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex
        .trim_matches('-')
        .chars()
        .map(|digit| digit.to_digit(16).unwrap())
        .collect();
    let pairs = digits.as_chunks::<2>().0.iter();
    let byte = pairs.map(|[high, low]| u8::try_from(high * 16 + low).unwrap());
    byte.collect()
}

/// Fowler, Noll and Vo: small, and enough to see a change.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A line of the fixture: codec, event, content type, payload.
fn line(codec: &str, event: &str, content: &NewEvent) -> String {
    let payload = hex(content.payload());
    format!("{codec} {event} {} {payload}\n", content.content_type())
}

fn written() -> String {
    let samples = (0..1_000).map(|number| {
        let text = format!("order {number} of customer-{}", number * 7919 % 997);
        let event = AccountEvent::Renamed(format!("{text}: so it goes on, paid by card"));
        JsonCodec.encode(&event).unwrap().payload().to_vec()
    });
    let dictionary = Dictionary::train(samples, 1 << 10).unwrap();
    let id = dictionary.id();
    let mut text = format!("dictionary {id} - {}\n", hex(dictionary.as_bytes()));
    for (name, codec, _) in codecs(&dictionary) {
        for (event_name, event) in events() {
            text += &line(name, event_name, &codec.encode(&event).unwrap());
        }
    }
    text
}

#[test]
fn every_codec_reads_what_it_wrote_and_writes_the_same() {
    let path = path();
    if env::var_os("ANNALS_GOLDEN").is_some_and(|value| value == "write") && !path.exists() {
        fs::write(&path, written()).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    let dictionary = text.lines().next().unwrap().rsplit(' ').next().unwrap();
    let dictionary = Dictionary::from_bytes(bytes_of(dictionary)).unwrap();
    let mut lines = text.lines().skip(1);
    for (name, codec, bytes) in codecs(&dictionary) {
        for (event_name, event) in events() {
            let encoded = codec.encode(&event).unwrap();
            let found = lines.next().unwrap().to_owned() + "\n";
            if bytes == Bytes::Fixed {
                assert_eq!(found, line(name, event_name, &encoded));
            }
            let mut words = found.trim_end().split(' ');
            let [codec_word, event_word, content_type, payload] =
                [(); 4].map(|()| words.next().unwrap());
            assert_eq!((codec_word, event_word), (name, event_name));
            let content_type = ContentType::parse(content_type).unwrap();
            let kept = NewEvent::new(
                encoded.event_type().clone(),
                content_type,
                bytes_of(payload),
            );
            let kept = kept.unwrap().with_schema_version(encoded.schema_version());
            assert_eq!(codec.decode_one(kept.content()).unwrap(), event);
        }
    }
    assert_eq!(lines.next(), None);
    check_hashes(&text);
}

fn check_hashes(text: &str) {
    let mut of_codec = BTreeMap::<&str, String>::new();
    for line in text.lines() {
        let codec = line.split(' ').next().unwrap();
        *of_codec.entry(codec).or_default() += line;
    }
    let hashes = of_codec.iter().map(|(codec, lines)| (*codec, hash(lines)));
    let hashes: Vec<(&str, u64)> = hashes.collect();
    assert_eq!(hashes, HASHES);
}
