//! Events as bincode.

use annals_core::ContentType;
use bincode::error::DecodeError;
use serde::Serialize;
use serde::de::DeserializeSeed;

use super::{Damage, Form, Rules, codec};

/// Variable integers, little endian: the form that bincode 2 calls standard, for good.
const FORM: bincode::config::Configuration = bincode::config::standard();

/// Events as bytes of bincode 2: the fields one after the other, without names.
///
/// Small and fast, and closed: the bytes tell nothing of the fields, so a field that is added, removed or
/// moved makes a new schema version, whose old events only the old struct reads. The name of a variant of
/// an enum *inside* an event does not matter, but its place does.
///
/// **bincode is no longer developed.** Its last release is 2.0.1; what stands as 3.0 in the registry is a
/// farewell without code. annals pins 2.0.1, whose form is written down in its repository and does not
/// change any more. It is here to read and write what exists; take [`PostcardCodec`](crate::PostcardCodec)
/// for something new of the same kind, or [`MessagePackCodec`](crate::MessagePackCodec) where old events
/// are to be read without their old struct. A store changes from one to the other by
/// [`Codecs`](crate::Codecs).
///
/// What only a form that describes itself can hold is refused when it is encoded: `flatten`, `untagged`
/// and `tag` of serde, a field that `skip_serializing_if` leaves out, nesting over
/// [`DEPTH_MAX`](crate::DEPTH_MAX). To be sure of it, `encode` reads back what it wrote.
///
/// ```
/// use annals_codec::{BincodeCodec, EventCodec, EventCodecExt};
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
/// let named = BincodeCodec.encode(&opened)?;
/// assert_eq!(named.payload(), &b"\x03Ada\x07"[..]);
/// let decoded: AccountEvent = BincodeCodec.decode_one(named.content())?;
/// assert_eq!(decoded, opened);
/// # Ok::<(), annals_codec::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct BincodeCodec;

codec!(BincodeCodec);

impl Form for BincodeCodec {
    const NAME: &'static str = "bincode";
    const CONTENT_TYPE: ContentType = ContentType::from_static("application/vnd.annals.bincode");
    const RULES: &'static Rules = &Rules {
        describes_itself: false,
        finite_only: false,
        floats_by_width: false,
        rounds: None,
    };

    fn write<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Option<&'static str>> {
        bincode::serde::encode_to_vec(value, FORM).map_err(|_| None)
    }

    fn read<'de, S: DeserializeSeed<'de>>(bytes: &'de [u8], seed: S) -> Result<S::Value, Damage> {
        let read = bincode::serde::seed_decode_from_slice(seed, bytes, FORM);
        let (value, read_bytes) =
            read.map_err(|error| Damage::bad().with("category", &category(&error)))?;
        if read_bytes < bytes.len() {
            return Err(Damage::trailing().with("byte", &read_bytes));
        }
        Ok(value)
    }
}

fn category(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::UnexpectedEnd { .. } => "end of input",
        DecodeError::OtherString(_) | DecodeError::Serde(_) => "data",
        _ => "syntax",
    }
}
