//! Several codecs for one store.

use std::fmt;
use std::sync::Arc;

use annals_core::{ContentRef, ContentType, NewEvent};

use crate::{Decoded, Error, ErrorKind, EventCodec};

/// Writes events with one codec, and reads them with whichever of several wrote them.
///
/// The form is recorded with every event, so a stream may hold events of several. A store changes from one
/// codec to another in steps, none of which rewrites anything:
///
/// 1. Let every reader know the new codec: `Codecs::writing(JsonCodec).reading(MessagePackCodec)`.
/// 2. When no older reader runs any more, turn it round: `Codecs::writing(MessagePackCodec).reading(JsonCodec)`.
/// 3. Keep the old one for as long as its events are there.
///
/// ```
/// use annals_codec::{Codecs, EventCodec, EventCodecExt, JsonCodec, MessagePackCodec};
/// use annals_macros::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
/// #[event(category = "account")]
/// struct Opened { owner: String }
///
/// let opened = Opened { owner: "Ada".to_owned() };
/// let old = JsonCodec.encode(&opened)?;
/// let codecs = Codecs::writing(MessagePackCodec).reading(JsonCodec);
/// let new = codecs.encode(&opened)?;
/// assert_eq!(new.content_type().as_str(), "application/vnd.msgpack");
/// assert_eq!(codecs.decode_one(old.content())?, opened);
/// assert_eq!(codecs.decode_one(new.content())?, opened);
/// # Ok::<(), annals_codec::Error>(())
/// ```
pub struct Codecs<E> {
    writer: Arc<dyn EventCodec<E>>,
    /// Each with the form that it writes; the writer is the first.
    readers: Vec<(ContentType, Arc<dyn EventCodec<E>>)>,
}

impl<E> Codecs<E> {
    /// Writes with this codec, and reads what it wrote.
    pub fn writing(codec: impl EventCodec<E> + 'static) -> Self {
        let writer: Arc<dyn EventCodec<E>> = Arc::new(codec);
        Self {
            readers: vec![(writer.content_type(), Arc::clone(&writer))],
            writer,
        }
    }

    /// Reads what this codec wrote too. Where two read the same form, the one that was named first does.
    #[must_use]
    pub fn reading(mut self, codec: impl EventCodec<E> + 'static) -> Self {
        let codec: Arc<dyn EventCodec<E>> = Arc::new(codec);
        self.readers.push((codec.content_type(), codec));
        self
    }

    /// Asks those that write another form: a codec may read more than it writes.
    fn decode_by_asking(&self, content: ContentRef<'_>) -> Result<Decoded<E>, Error> {
        let others = self.readers.iter();
        let others = others.filter(|(content_type, _)| content_type != content.content_type);
        let mut last = None;
        for (_, codec) in others {
            match codec.decode_content(content) {
                Err(error) if is_for_another(&error) => last = Some(error),
                answer => return answer,
            }
        }
        Err(match last {
            // What is missing may be less than a codec: the last one that was asked knows.
            Some(error) if error.kind() != ErrorKind::UnknownContentType => error,
            _ => self.unknown(content),
        })
    }

    fn unknown(&self, content: ContentRef<'_>) -> Error {
        let known = self.readers.iter().map(|(known, _)| known.as_str());
        let known: Vec<&str> = known.collect();
        let message = "payload is in a form that none of the codecs reads; add its codec";
        Error::new(ErrorKind::UnknownContentType, message)
            .with("event type", content.event_type)
            .with("content type", content.content_type)
            .with("codecs", known.join(", "))
    }
}

impl<E> Clone for Codecs<E> {
    fn clone(&self) -> Self {
        Self {
            writer: Arc::clone(&self.writer),
            readers: self.readers.clone(),
        }
    }
}

impl<E> fmt::Debug for Codecs<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let readers = self.readers.iter().map(|(_, codec)| codec);
        f.debug_list().entries(readers).finish()
    }
}

#[deny(clippy::missing_trait_methods)]
impl<E> EventCodec<E> for Codecs<E> {
    fn content_type(&self) -> ContentType {
        self.writer.content_type()
    }

    fn encode(&self, event: &E) -> Result<NewEvent, Error> {
        self.writer.encode(event)
    }

    fn decode_content(&self, content: ContentRef<'_>) -> Result<Decoded<E>, Error> {
        let mut readers = self.readers.iter();
        let own = readers.find(|(content_type, _)| content_type == content.content_type);
        match own.map(|(_, codec)| codec.decode_content(content)) {
            Some(Err(error)) if is_for_another(&error) => self.decode_by_asking(content),
            Some(answer) => answer,
            None => self.decode_by_asking(content),
        }
    }
}

fn is_for_another(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnknownContentType | ErrorKind::UnknownDictionary
    )
}
