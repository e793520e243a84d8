//! What stands in a payload that was compressed by the codec `Compressed`, without a dictionary.

use std::sync::LazyLock;

use annals_codec::{Compressed, Decoded, Error, ErrorKind, EventCodec};
use annals_core::{ContentRef, ContentType, EventType, NewEvent, SchemaVersion, Tags};

/// What the content type of such a payload ends with; behind it stands the id of a dictionary, where there is
/// one, which only the application has.
pub(super) const SUFFIX: &str = "+zstd";

/// Refuses what is larger than any payload before memory is taken for it; the proportion is the application's to limit.
static CODEC: LazyLock<Compressed<AsItIs>> =
    LazyLock::new(|| Compressed::new(AsItIs).ratio_max(usize::MAX));

const NAME: EventType = EventType::from_static("payload");
const CONTENT_TYPE: ContentType = ContentType::from_static("application/octet-stream+zstd");

/// The payload without its compression; why it has none where it is no frame of zstd.
pub(super) fn decompress(payload: &[u8]) -> Result<Vec<u8>, String> {
    let content = ContentRef {
        event_type: &NAME,
        schema_version: SchemaVersion::FIRST,
        content_type: &CONTENT_TYPE,
        payload,
        tags: &Tags::EMPTY,
        id: None,
    };
    let decoded = CODEC.decode_content(content).and_then(Decoded::one);
    decoded.map_err(|error| error.to_string())
}

/// Payloads as they stand, of any form.
#[derive(Debug)]
struct AsItIs;

#[deny(clippy::missing_trait_methods)]
impl EventCodec<Vec<u8>> for AsItIs {
    fn content_type(&self) -> ContentType {
        ContentType::OCTETS
    }

    fn encode(&self, payload: &Vec<u8>) -> Result<NewEvent, Error> {
        NewEvent::new(NAME, ContentType::OCTETS, payload.clone()).map_err(|error| {
            Error::new(ErrorKind::Encode, "the payload is none of an event").caused_by(error)
        })
    }

    fn decode_content(&self, content: ContentRef<'_>) -> Result<Decoded<Vec<u8>>, Error> {
        Ok(Decoded::One(content.payload.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_compressed_comes_back() {
        let payload = "again and ".repeat(200).into_bytes();
        let compressed = CODEC.encode(&payload).unwrap();
        assert_eq!(compressed.content_type(), &CONTENT_TYPE);
        assert!(compressed.payload().len() < 100);
        assert_eq!(decompress(compressed.payload()), Ok(payload));
    }

    #[test]
    fn what_an_application_may_compress_without_limit_comes_back() {
        let payload = vec![b'a'; 1 << 20];
        let codec = Compressed::new(AsItIs).ratio_max(usize::MAX);
        let compressed = codec.encode(&payload).unwrap();
        assert!(compressed.payload().len() * 2000 < payload.len());
        assert_eq!(decompress(compressed.payload()), Ok(payload));
    }

    #[test]
    fn what_is_no_frame_is_told() {
        for bytes in [&b"plain"[..], b"", &[0x28, 0xb5, 0x2f, 0xfd, 0x04]] {
            assert!(decompress(bytes).is_err());
        }
    }
}
