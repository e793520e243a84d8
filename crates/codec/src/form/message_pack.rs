//! Events as `MessagePack`.

use annals_core::ContentType;
use rmp_serde::decode::Error as DecodeError;
use serde::de::DeserializeSeed;
use serde::{Deserialize, Serialize};

use super::{Damage, Form, Rules, codec};

/// Room for most events, so that the buffer does not grow step by step.
const PAYLOAD_BYTES_EXPECTED: usize = 128;

/// Events as `MessagePack`: what JSON holds, in bytes that are smaller and faster to read.
///
/// It describes itself: a field that is `#[serde(default)]` may be added, a field that the code does not
/// know is passed over, and an old event can be read without its old struct. A struct is a map by the names
/// of its fields, `None` and units are nil, a number of 128 bits is binary.
///
/// Refused when it is encoded rather than changed in silence: `Some(None)` and the like (it would read back
/// as `None`), and nesting over [`DEPTH_MAX`](crate::DEPTH_MAX). Floats are all kept.
///
/// ```
/// use annals_codec::{EventCodec, EventCodecExt, MessagePackCodec};
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
/// let named = MessagePackCodec.encode(&opened)?;
/// assert_eq!(named.payload(), &b"\x82\xa5owner\xa3Ada\xa5limit\x07"[..]);
/// let decoded: AccountEvent = MessagePackCodec.decode_one(named.content())?;
/// assert_eq!(decoded, opened);
/// # Ok::<(), annals_codec::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MessagePackCodec;

codec!(MessagePackCodec);

impl Form for MessagePackCodec {
    const NAME: &'static str = "MessagePack";
    const CONTENT_TYPE: ContentType = ContentType::from_static("application/vnd.msgpack");
    const RULES: &'static Rules = &Rules {
        describes_itself: true,
        finite_only: false,
        floats_by_width: false,
        rounds: None,
    };

    fn write<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Option<&'static str>> {
        let mut payload = Vec::with_capacity(PAYLOAD_BYTES_EXPECTED);
        let mut serializer = rmp_serde::Serializer::new(&mut payload).with_struct_map();
        value.serialize(&mut serializer).map_err(|_| None)?;
        Ok(payload)
    }

    fn read<'de, S: DeserializeSeed<'de>>(bytes: &'de [u8], seed: S) -> Result<S::Value, Damage> {
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
        let value = seed
            .deserialize(&mut deserializer)
            .map_err(|error| Damage::bad().with("category", &category(&error)))?;
        // The deserializer does not tell how far it has read: nothing is left where nothing can be read.
        match bool::deserialize(&mut deserializer) {
            Err(DecodeError::InvalidMarkerRead(_)) => Ok(value),
            _ => Err(Damage::trailing()),
        }
    }
}

fn category(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::InvalidMarkerRead(_) | DecodeError::InvalidDataRead(_) => "end of input",
        DecodeError::Utf8Error(_) => "syntax",
        _ => "data",
    }
}
