//! An application whose events hold what the ledger's don't: floats, bytes, numbers of 128 bits, keys that are no
//! texts, fields that serde puts into one map.

use std::collections::BTreeMap;
use std::fmt;

use annals_macros::Event;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What happens at a place where much is measured.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "wide")]
pub enum WideEvent {
    /// Numbers of every width.
    Measured(Box<Measured>),
    /// Fields of any name, beside one; in forms that describe themselves only.
    Noted {
        /// Which note it is.
        id: u8,
        /// The fields.
        #[serde(flatten)]
        rest: BTreeMap<String, u32>,
    },
    /// One of several, told apart by a field; in forms that describe themselves only.
    Told(Told),
}

/// Numbers of every width, and what else is rare.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// A float of 32 bits.
    pub single: f32,
    /// Floats of 64 bits, of which some are missing.
    pub doubles: Vec<Option<f64>>,
    /// A number of 128 bits.
    pub signed: i128,
    /// A number of 128 bits that is not below zero.
    pub unsigned: u128,
    /// A character.
    pub mark: char,
    /// Bytes, as serde knows them.
    pub bytes: RawBytes,
    /// A map whose keys are no texts.
    pub keys: BTreeMap<i16, bool>,
}

/// One of several, told apart by a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Told {
    /// A number.
    Number {
        /// The number.
        number: f64,
    },
    /// A text.
    Text {
        /// The text.
        text: String,
    },
}

/// Bytes, as serde knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawBytes(pub Vec<u8>);

impl Serialize for RawBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for RawBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(BytesVisitor)
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = RawBytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<RawBytes, E> {
        Ok(RawBytes(bytes.to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<RawBytes, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = access.next_element()? {
            bytes.push(byte);
        }
        Ok(RawBytes(bytes))
    }
}
