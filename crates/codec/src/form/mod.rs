//! Forms of bytes: what the codecs of all of them share.
//!
//! A form brings its library; the limits, the refusals and the errors are the same for all and stand here.

#[cfg(feature = "bincode")]
mod bincode;
#[cfg(feature = "cbor")]
mod cbor;
mod event;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "messagepack")]
mod message_pack;
#[cfg(feature = "postcard")]
mod postcard;
mod read_guard;
mod value;
mod write_guard;

use annals_core::ContentType;
use serde::Serialize;
use serde::de::DeserializeSeed;

use crate::{
    DEPTH_MAX, ELEMENTS_MEMORY_BYTES_FREE, ELEMENTS_MEMORY_RATIO_MAX, ELEMENTS_WITHOUT_BYTES_MAX,
    Error, ErrorKind,
};

#[cfg(feature = "bincode")]
pub use bincode::BincodeCodec;
#[cfg(feature = "cbor")]
pub use cbor::CborCodec;
#[cfg(feature = "json")]
pub use json::JsonCodec;
#[cfg(feature = "messagepack")]
pub use message_pack::MessagePackCodec;
#[cfg(feature = "postcard")]
pub use postcard::PostcardCodec;

/// A form of bytes, as its library has it.
pub(crate) trait Form {
    /// What it is called in errors.
    const NAME: &'static str;
    const CONTENT_TYPE: ContentType;
    const RULES: &'static Rules;

    /// The value as bytes; or why not, where the library tells it in words that hold none of the value.
    fn write<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Option<&'static str>>;

    /// What the seed reads from all of the bytes.
    fn read<'de, S: DeserializeSeed<'de>>(bytes: &'de [u8], seed: S) -> Result<S::Value, Damage>;
}

/// What the guards hold a form to.
pub(crate) struct Rules {
    /// Whether the bytes tell of fields and types. In such a form a field may be left out, and `None` and
    /// the units are all one null; in the others every field has its place, and an option is written as
    /// one.
    pub(crate) describes_itself: bool,
    /// Whether floats that are not finite have no form.
    pub(crate) finite_only: bool,
    /// Whether the library reads a float from bytes of its own width only, and from no whole number.
    pub(crate) floats_by_width: bool,
    /// Where whole numbers that are read without a type may be rounded: whether these bytes have such a one.
    pub(crate) rounds: Option<fn(&[u8]) -> bool>,
}

/// Why bytes could not be read, in words that hold none of them.
pub(crate) struct Damage {
    pub(crate) kind: ErrorKind,
    pub(crate) facts: Vec<(&'static str, String)>,
}

impl Damage {
    /// The bytes are not the value.
    pub(crate) fn bad() -> Self {
        Self {
            kind: ErrorKind::BadBytes,
            facts: Vec::new(),
        }
    }

    /// More bytes follow the value.
    pub(crate) fn trailing() -> Self {
        Self {
            kind: ErrorKind::TrailingBytes,
            facts: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, key: &'static str, value: &dyn ToString) -> Self {
        self.facts.push((key, value.to_string()));
        self
    }

    /// The error about a subject, such as `("event type", ...)`.
    fn error(
        self,
        form: &'static str,
        bad: &'static str,
        subject: Option<(&'static str, &str)>,
    ) -> Error {
        let error = match self.kind {
            ErrorKind::TrailingBytes => {
                let message = format!(
                    "more bytes follow the {}; the payload is not one {form} value",
                    subject.map_or("value", |_| "event")
                );
                Error::new(self.kind, message)
            }
            kind => Error::new(kind, bad),
        };
        let error = subject
            .into_iter()
            .fold(error, |error, (key, value)| error.with(key, value));
        let facts = self.facts.into_iter();
        facts.fold(error, |error, (key, value)| error.with(key, value))
    }
}

/// Tells whether personal data was refused since it began, as no codec that encrypts was there.
struct Plain {
    #[cfg(feature = "encryption")]
    refusals: u64,
}

impl Plain {
    #[inline]
    fn begin() -> Self {
        Self {
            #[cfg(feature = "encryption")]
            refusals: crate::privacy::scope::refusals(),
        }
    }

    /// Whether a codec that encrypts is at work.
    fn is_encrypted() -> bool {
        #[cfg(feature = "encryption")]
        return crate::privacy::scope::is_open();
        #[cfg(not(feature = "encryption"))]
        return false;
    }

    #[cfg(feature = "encryption")]
    fn refused(&self) -> Option<Error> {
        let is_new = crate::privacy::scope::refusals() != self.refusals;
        is_new.then(crate::privacy::scope::without_codec)
    }

    #[cfg(not(feature = "encryption"))]
    #[expect(clippy::unused_self, reason = "with the feature it tells")]
    fn refused(&self) -> Option<Error> {
        None
    }
}

/// The two contracts of a codec, from its form.
macro_rules! codec {
    ($codec:ident) => {
        impl<E> $crate::EventCodec<E> for $codec
        where
            E: annals_core::Event + serde::Serialize + serde::de::DeserializeOwned,
        {
            fn content_type(&self) -> annals_core::ContentType {
                <Self as $crate::form::Form>::CONTENT_TYPE
            }

            fn encode(&self, event: &E) -> Result<annals_core::NewEvent, $crate::Error> {
                $crate::form::event::encode::<Self, E>(event)
            }

            fn decode_content(
                &self,
                content: annals_core::ContentRef<'_>,
            ) -> Result<$crate::Decoded<E>, $crate::Error> {
                $crate::form::event::decode::<Self, E>(content).map($crate::Decoded::One)
            }
        }

        impl $crate::Format for $codec {
            fn content_type(&self) -> annals_core::ContentType {
                <Self as $crate::form::Form>::CONTENT_TYPE
            }

            fn describes_itself(&self) -> bool {
                <Self as $crate::form::Form>::RULES.describes_itself
            }

            fn write(&self, value: &dyn erased_serde::Serialize) -> Result<Vec<u8>, $crate::Error> {
                $crate::form::value::write::<Self>(value)
            }

            fn read(
                &self,
                bytes: &[u8],
                visit: &mut $crate::Visit<'_>,
            ) -> Result<(), $crate::Error> {
                $crate::form::value::read::<Self>(bytes, visit)
            }
        }
    };
}
use codec;

/// A value as bytes.
struct Written {
    bytes: Vec<u8>,
    /// Whether only reading them shows that they are the value.
    is_in_doubt: bool,
}

/// The value as bytes, unless the form would lose some of it; else why not.
fn write<F: Form, T: Serialize + ?Sized>(value: &T) -> Result<Written, &'static str> {
    let writing = write_guard::Writing::new(F::RULES);
    let written = F::write(&writing.guarded(value));
    let bytes = written.map_err(|reason| {
        let reason = writing.reason().or(reason);
        reason.unwrap_or("a value refuses to be serialized")
    })?;
    writing.check_elements(bytes.len())?;
    Ok(Written {
        bytes,
        is_in_doubt: writing.is_in_doubt(),
    })
}

/// What the seed reads from all of the bytes, within the limits.
fn read<'de, F: Form, S: DeserializeSeed<'de>>(
    bytes: &'de [u8],
    seed: S,
) -> Result<S::Value, Damage> {
    let reading = read_guard::Reading::new(F::RULES, bytes);
    F::read(bytes, reading.guarded(seed)).map_err(|damage| match reading.limit() {
        Some(limit) => Damage::bad()
            .with("category", &"limit")
            .with("limit", &limit),
        None => damage,
    })
}
