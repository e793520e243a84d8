//! A value that is personal.

use std::fmt;
use std::marker::PhantomData;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::scope::{self, Refused, Revealed};
use crate::{CborCodec, FormatExt};

/// A value about a person: readable for as long as the person's key is there.
///
/// In an event it stands encrypted; [`EncryptedFields`](super::EncryptedFields) writes and reads it, and nothing
/// else does: a `Personal` that is serialised by itself, into a snapshot, a read model or a log, is an error, so
/// that no copy in the clear comes about by accident. `Debug` does not show the value.
///
/// ```
/// use annals_codec::privacy::Personal;
///
/// let name = Personal::Known("Ada".to_owned());
/// assert_eq!(name.known().map(String::as_str), Some("Ada"));
/// assert_eq!(format!("{name:?}"), "Personal(..)");
/// assert!(serde_json::to_string(&name).is_err());
/// assert_eq!(Personal::<String>::Erased.known(), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Personal<T> {
    /// The value.
    Known(T),
    /// The person was erased.
    Erased,
}

impl<T> Personal<T> {
    /// The value, if it can still be read.
    pub fn known(&self) -> Option<&T> {
        self.as_ref().into_known()
    }

    /// The value, if it can still be read.
    pub fn into_known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Erased => None,
        }
    }

    /// Whether the person was erased.
    pub fn is_erased(&self) -> bool {
        matches!(self, Self::Erased)
    }

    /// The value borrowed.
    pub fn as_ref(&self) -> Personal<&T> {
        match self {
            Self::Known(value) => Personal::Known(value),
            Self::Erased => Personal::Erased,
        }
    }

    /// Another value in its place; an erased one stays erased.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Personal<U> {
        match self {
            Self::Known(value) => Personal::Known(change(value)),
            Self::Erased => Personal::Erased,
        }
    }
}

impl<T> From<T> for Personal<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known(_) => "Personal(..)",
            Self::Erased => "Erased",
        })
    }
}

const REFUSED: &str = "personal data is refused";
const NO_ENVELOPE: &str = "personal data is not in an envelope";

impl<T: Serialize> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = protected(self.known()).map_err(|Refused| S::Error::custom(REFUSED))?;
        if serializer.is_human_readable() {
            serializer.serialize_str(&Base64UrlUnpadded::encode_string(&bytes))
        } else {
            serializer.serialize_bytes(&bytes)
        }
    }
}

/// What is written: the value as CBOR, whatever the form of the event, in an envelope.
fn protected<T: Serialize>(value: Option<&T>) -> Result<Vec<u8>, Refused> {
    let text = value.map(|value| CborCodec.to_bytes(value).map(Zeroizing::new));
    match text.transpose() {
        Ok(text) => scope::protect(text),
        Err(error) => Err(scope::refuse(error)),
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let envelope = EnvelopeVisitor(PhantomData);
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(envelope)
        } else {
            deserializer.deserialize_byte_buf(envelope)
        }
    }
}

/// Takes text as well as bytes: serde's buffers do not know which form they are of.
struct EnvelopeVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for EnvelopeVisitor<T> {
    type Value = Personal<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an envelope of personal data")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Personal<T>, E> {
        let bytes = Base64UrlUnpadded::decode_vec(text).map_err(|_| E::custom(NO_ENVELOPE))?;
        self.visit_bytes(&bytes)
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Personal<T>, E> {
        match scope::reveal(bytes) {
            Ok(Revealed::Known(text)) => {
                let value = CborCodec.from_bytes(&text);
                value.map(Personal::Known).map_err(|_| E::custom(REFUSED))
            }
            Ok(Revealed::Erased) => Ok(Personal::Erased),
            Ok(Revealed::NoEnvelope) => Err(E::custom(NO_ENVELOPE)),
            Err(Refused) => Err(E::custom(REFUSED)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Personal<T>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        self.visit_bytes(&bytes).map_err(|error: A::Error| error)
    }
}
