//! Events as CBOR.

use std::convert::Infallible;

use annals_core::ContentType;
use cbor4ii::core::dec::{Read, Reference};
use cbor4ii::core::error::DecodeError as SyntaxError;
use cbor4ii::core::utils::BufWriter;
use cbor4ii::serde::{DecodeError, Deserializer, Serializer};
use serde::Serialize;
use serde::de::DeserializeSeed;

use super::{Damage, Form, Rules, codec};

/// Room for most events, so that the buffer does not grow step by step.
const PAYLOAD_BYTES_EXPECTED: usize = 128;

/// How deep the library reads what no guard of ours sees: values that are passed over.
const SKIPPED_DEPTH_MAX: usize = 1_024;

/// Events as CBOR (RFC 8949): what JSON holds, in bytes that are smaller and faster to read.
///
/// It describes itself: a field that is `#[serde(default)]` may be added, a field that the code does not
/// know is passed over, and an old event can be read without its old struct. It is a standard of the IETF,
/// which [`MessagePackCodec`](crate::MessagePackCodec) is not; the two differ in little else. A struct is a
/// map by the names of its fields, `None` and units are null, a number of more than 64 bits is a bignum.
///
/// Refused when it is encoded rather than changed in silence: `Some(None)` and the like (it would read back
/// as `None`), and nesting over [`DEPTH_MAX`](crate::DEPTH_MAX). Floats are all kept. Floats of 32 and
/// of 64 bits and whole numbers read as either kind of float. Of the CBOR of others, it takes neither floats of
/// 16 bits nor tags but those of bignums.
///
/// ```
/// use annals_codec::{CborCodec, EventCodec, EventCodecExt};
/// use annals_macros::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
/// #[event(category = "account")]
/// enum AccountEvent {
///     Opened { owner: String, limit: u64 },
/// }
///
/// let opened = AccountEvent::Opened { owner: "Ada".to_owned(), limit: 7 };
/// let named = CborCodec.encode(&opened)?;
/// assert_eq!(named.payload(), &b"\xa2\x65owner\x63Ada\x65limit\x07"[..]);
/// let decoded: AccountEvent = CborCodec.decode_one(named.content())?;
/// assert_eq!(decoded, opened);
/// # Ok::<(), annals_codec::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CborCodec;

codec!(CborCodec);

/// The bytes, how many of them are read, and how deep.
struct Payload<'de> {
    rest: &'de [u8],
    depth_left: usize,
}

impl Form for CborCodec {
    const NAME: &'static str = "CBOR";
    const CONTENT_TYPE: ContentType = ContentType::from_static("application/cbor");
    const RULES: &'static Rules = &Rules {
        describes_itself: true,
        finite_only: false,
        floats_by_width: true,
        rounds: None,
    };

    fn write<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Option<&'static str>> {
        let buffer = BufWriter::new(Vec::with_capacity(PAYLOAD_BYTES_EXPECTED));
        let mut serializer = Serializer::new(buffer);
        value.serialize(&mut serializer).map_err(|_| None)?;
        Ok(serializer.into_inner().into_inner())
    }

    fn read<'de, S: DeserializeSeed<'de>>(bytes: &'de [u8], seed: S) -> Result<S::Value, Damage> {
        let mut deserializer = Deserializer::new(Payload {
            rest: bytes,
            depth_left: SKIPPED_DEPTH_MAX,
        });
        let read = seed.deserialize(&mut deserializer);
        let rest = deserializer.into_inner().rest.len();
        let byte = bytes.len().saturating_sub(rest);
        let value = read.map_err(|error| {
            let damage = Damage::bad().with("category", &category(&error));
            damage.with("byte", &byte)
        })?;
        if rest > 0 {
            return Err(Damage::trailing().with("byte", &byte));
        }
        Ok(value)
    }
}

impl<'de> Read<'de> for Payload<'de> {
    type Error = Infallible;

    fn fill<'short>(&'short mut self, _: usize) -> Result<Reference<'de, 'short>, Infallible> {
        Ok(Reference::Long(self.rest))
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn step_in(&mut self) -> bool {
        let left = self.depth_left.checked_sub(1);
        self.depth_left = left.unwrap_or_default();
        left.is_some()
    }

    fn step_out(&mut self) {
        self.depth_left += 1;
    }
}

fn category(error: &DecodeError<Infallible>) -> &'static str {
    match error {
        DecodeError::Core(SyntaxError::Eof { .. }) => "end of input",
        DecodeError::Core(SyntaxError::Mismatch { .. } | SyntaxError::RequireLength { .. })
        | DecodeError::Custom(_) => "data",
        DecodeError::Core(_) => "syntax",
    }
}
