//! Events as postcard.

use annals_core::ContentType;
use postcard::Error as FormatError;
use serde::Serialize;
use serde::de::DeserializeSeed;

use super::{Damage, Form, Rules, codec};

/// Events as bytes of postcard: the fields one after the other, without names.
///
/// The smallest and fastest, with a form that is written down and stable since 1.0; and closed: the bytes
/// tell nothing of the fields, so a field that is added, removed or moved makes a new schema version, whose
/// old events only the old struct reads. The name of a variant of an enum *inside* an event does not
/// matter, but its place does.
///
/// What only a form that describes itself can hold is refused when it is encoded: `flatten`, `untagged`
/// and `tag` of serde, a field that `skip_serializing_if` leaves out, nesting over
/// [`DEPTH_MAX`](crate::DEPTH_MAX). To be sure of it, `encode` reads back what it wrote.
///
/// ```
/// use annals_codec::{EventCodec, EventCodecExt, PostcardCodec};
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
/// let named = PostcardCodec.encode(&opened)?;
/// assert_eq!(named.payload(), &b"\x03Ada\x07"[..]);
/// let decoded: AccountEvent = PostcardCodec.decode_one(named.content())?;
/// assert_eq!(decoded, opened);
/// # Ok::<(), annals_codec::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct PostcardCodec;

codec!(PostcardCodec);

impl Form for PostcardCodec {
    const NAME: &'static str = "postcard";
    const CONTENT_TYPE: ContentType = ContentType::from_static("application/vnd.annals.postcard");
    const RULES: &'static Rules = &Rules {
        describes_itself: false,
        finite_only: false,
        floats_by_width: false,
        rounds: None,
    };

    fn write<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Option<&'static str>> {
        postcard::to_allocvec(value).map_err(|_| None)
    }

    fn read<'de, S: DeserializeSeed<'de>>(bytes: &'de [u8], seed: S) -> Result<S::Value, Damage> {
        let mut deserializer = postcard::Deserializer::from_bytes(bytes);
        let read = seed
            .deserialize(&mut deserializer)
            .and_then(|value| Ok((value, deserializer.finalize()?)));
        let (value, rest) =
            read.map_err(|error| Damage::bad().with("category", &category(&error)))?;
        if !rest.is_empty() {
            let byte = bytes.len().saturating_sub(rest.len());
            return Err(Damage::trailing().with("byte", &byte));
        }
        Ok(value)
    }
}

fn category(error: &FormatError) -> &'static str {
    match error {
        FormatError::DeserializeUnexpectedEnd => "end of input",
        FormatError::SerdeDeCustom => "data",
        _ => "syntax",
    }
}
