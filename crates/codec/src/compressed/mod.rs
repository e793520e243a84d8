//! Payloads made smaller by zstd.

mod dictionary;
mod frame;
mod pool;

use std::borrow::Cow;

use annals_core::limits::PAYLOAD_BYTES_MAX;
use annals_core::{ContentRef, ContentType, NewEvent};

use crate::{Decoded, Error, ErrorKind, EventCodec};
use pool::Dialect;

pub use dictionary::{Dictionary, DictionaryId};

/// The smallest payload that [`Compressed`] makes smaller, if nothing else is said, in bytes.
pub const COMPRESSED_THRESHOLD_BYTES: usize = 512;

/// How many times larger than its compressed bytes a payload may be, if nothing else is said.
pub const COMPRESSED_RATIO_MAX: usize = 1_000;

/// The level of zstd, if nothing else is said: its own default.
pub const COMPRESSED_LEVEL: i32 = 3;

/// What the content type says of a payload in zstd: the suffix that RFC 8878 registers.
const SUFFIX: &str = "+zstd";

/// Another codec's events, with large payloads compressed by zstd.
///
/// A payload of at least [`threshold_bytes`](Self::threshold_bytes) that becomes smaller is recorded as a
/// frame of zstd, with a checksum, under the content type of the inner codec and `+zstd`; any other stays as
/// it is. So it reads what the inner codec wrote before, and can be taken off again for writing.
///
/// Events are small, and what repeats between them zstd finds only with a [`Dictionary`] that was trained on
/// such events. Its id stands in the content type (`+zstd.8e02f1a4`): several may be known for reading. **A
/// dictionary that is lost takes its events with it**: keep it in the source of the application, or where
/// the store is backed up.
///
/// # Hostile bytes
/// A payload that would become larger than [`payload_bytes_max`](Self::payload_bytes_max), or
/// [`ratio_max`](Self::ratio_max) times larger than it is, is [`ErrorKind::TooLarge`] before any memory is
/// taken for it; the frame tells its size, and one that does not is damaged. It is decompressed in one
/// piece, so that the frame's window costs no memory of its own. A payload that would go over the ratio is
/// recorded uncompressed.
///
/// ```
/// use annals_codec::{Compressed, EventCodec, EventCodecExt, JsonCodec};
/// use annals_macros::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
/// #[event(category = "note")]
/// struct Noted { text: String }
///
/// let codec = Compressed::new(JsonCodec);
/// let noted = Noted { text: "again and ".repeat(100) };
/// let named = codec.encode(&noted)?;
/// assert_eq!(named.content_type().as_str(), "application/json+zstd");
/// assert!(named.payload().len() < 100);
/// let decoded: Noted = codec.decode_one(named.content())?;
/// assert_eq!(decoded, noted);
/// # Ok::<(), annals_codec::Error>(())
/// ```
#[derive(Debug)]
pub struct Compressed<C> {
    inner: C,
    threshold_bytes: usize,
    payload_bytes_max: usize,
    ratio_max: usize,
    /// The one that is written, and all that are read.
    writer: Dialect,
    readers: Vec<Dialect>,
}

impl<C> Compressed<C> {
    /// Events of this codec, compressed without a dictionary.
    pub fn new(inner: C) -> Self {
        Self {
            inner,
            threshold_bytes: COMPRESSED_THRESHOLD_BYTES,
            payload_bytes_max: PAYLOAD_BYTES_MAX,
            ratio_max: COMPRESSED_RATIO_MAX,
            writer: Dialect::new(None, COMPRESSED_LEVEL),
            readers: vec![Dialect::new(None, COMPRESSED_LEVEL)],
        }
    }

    /// Leaves payloads under this size as they are; [`COMPRESSED_THRESHOLD_BYTES`] by default. With a
    /// dictionary a lower one pays: 64 bytes, say.
    #[must_use]
    pub fn threshold_bytes(mut self, bytes: usize) -> Self {
        self.threshold_bytes = bytes;
        self
    }

    /// Refuses to read payloads over this size; [`PAYLOAD_BYTES_MAX`] by default, and at most.
    #[must_use]
    pub fn payload_bytes_max(mut self, bytes: usize) -> Self {
        self.payload_bytes_max = bytes.min(PAYLOAD_BYTES_MAX);
        self
    }

    /// Refuses to read payloads this many times larger than their compressed bytes, and writes none;
    /// [`COMPRESSED_RATIO_MAX`] by default.
    #[must_use]
    pub fn ratio_max(mut self, times: usize) -> Self {
        self.ratio_max = times;
        self
    }

    /// The level of zstd to write with: from 1, fast, to 22, small; [`COMPRESSED_LEVEL`] by default. What
    /// was written at any level is read.
    ///
    /// Up to 16 contexts of zstd of up to 8 MiB are kept for the events to come, for each dictionary. From level
    /// 10 or so on a payload of mebibytes takes a larger one, up to hundreds of MiB, which is let go at once.
    #[must_use]
    pub fn level(mut self, level: i32) -> Self {
        self.writer = Dialect::new(self.writer.dictionary().cloned(), level);
        self
    }

    /// Writes with this dictionary, and reads with it too.
    #[must_use]
    pub fn writing(mut self, dictionary: Dictionary) -> Self {
        self.writer = Dialect::new(Some(dictionary.clone()), self.writer.level());
        self.reading(dictionary)
    }

    /// Reads what was written with this dictionary too.
    #[must_use]
    pub fn reading(mut self, dictionary: Dictionary) -> Self {
        self.readers
            .push(Dialect::new(Some(dictionary), COMPRESSED_LEVEL));
        self
    }

    /// The compressed payload, where that is smaller and may be read again.
    fn compressed(&self, payload: &[u8]) -> Option<Vec<u8>> {
        if payload.len() < self.threshold_bytes || payload.len() > self.payload_bytes_max {
            return None;
        }
        let frame = self.writer.compress(payload)?;
        let is_read = payload.len() <= self.bytes_max(frame.len());
        (frame.len() < payload.len() && is_read).then_some(frame)
    }

    /// How large a payload of so many compressed bytes may be.
    fn bytes_max(&self, frame_bytes: usize) -> usize {
        let by_ratio = frame_bytes.saturating_mul(self.ratio_max);
        by_ratio.min(self.payload_bytes_max)
    }

    /// The payload of a frame, by the dictionary that the suffix names.
    fn decompressed(&self, content: ContentRef<'_>, suffix: &str) -> Result<Vec<u8>, Error> {
        let mut readers = self.readers.iter();
        let Some(reader) = readers.find(|reader| reader.suffix() == suffix) else {
            let message =
                "payload needs a dictionary that the codec does not know; add it for reading";
            return Err(Error::new(ErrorKind::UnknownDictionary, message)
                .with("event type", content.event_type)
                .with("content type", content.content_type));
        };
        let bytes_max = self.bytes_max(content.payload.len());
        frame::decompress(reader, content.payload, bytes_max)
            .map_err(|error| error.with("event type", content.event_type))
    }
}

#[deny(clippy::missing_trait_methods)]
impl<E, C: EventCodec<E>> EventCodec<E> for Compressed<C> {
    /// Of payloads that are compressed; the others have the inner codec's.
    fn content_type(&self) -> ContentType {
        let inner = self.inner.content_type();
        suffixed(&inner, self.writer.suffix()).unwrap_or(inner)
    }

    fn encode(&self, event: &E) -> Result<NewEvent, Error> {
        let plain = self.inner.encode(event)?;
        let Some(content_type) = suffixed(plain.content_type(), self.writer.suffix()) else {
            return Ok(plain);
        };
        let Some(frame) = self.compressed(plain.payload()) else {
            return Ok(plain);
        };
        let event_type = plain.event_type().clone();
        plain.with_payload(content_type, frame).map_err(|error| {
            let message = "event can't be recorded compressed; write it as the inner codec does";
            Error::new(ErrorKind::Encode, message)
                .with("event type", event_type)
                .caused_by(error)
        })
    }

    fn decode_content(&self, content: ContentRef<'_>) -> Result<Decoded<E>, Error> {
        let Some((inner_type, suffix)) = split(content.content_type) else {
            return self.inner.decode_content(content);
        };
        let payload = self.decompressed(content, suffix)?;
        let own = self.inner.content_type();
        let content_type = if own.as_str() == inner_type {
            Cow::Owned(own)
        } else {
            match ContentType::parse(inner_type) {
                Ok(inner_type) => Cow::Owned(inner_type),
                // Left with its suffix, it is a form that no codec has.
                Err(_) => Cow::Borrowed(content.content_type),
            }
        };
        self.inner.decode_content(ContentRef {
            content_type: &content_type,
            payload: &payload,
            ..content
        })
    }
}

/// The content type of what is inside, and the suffix; `None` for what is not compressed. Of several
/// wrappers, the outermost stands last.
fn split(content_type: &ContentType) -> Option<(&str, &str)> {
    let text = content_type.as_str();
    let (inner, suffix) = text.split_at_checked(text.rfind('+')?)?;
    let is_zstd = suffix == SUFFIX || suffix.starts_with("+zstd.");
    is_zstd.then_some((inner, suffix))
}

/// `None` where the limit of names leaves no room for the suffix: such payloads are not compressed.
fn suffixed(content_type: &ContentType, suffix: &str) -> Option<ContentType> {
    ContentType::parse(&format!("{content_type}{suffix}")).ok()
}
