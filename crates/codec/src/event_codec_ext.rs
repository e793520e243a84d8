//! What every codec offers on top of its contract.

use annals_core::{ContentRef, RecordedEvent};

use crate::{Decoded, Error, EventCodec};

/// Conveniences over [`EventCodec`], there for every codec.
pub trait EventCodecExt<E>: EventCodec<E> {
    /// What the recorded event reads as.
    ///
    /// # Errors
    /// As for [`decode_content`](EventCodec::decode_content); the error names the stream, the version
    /// and the position of the event, and so does the reason for which one was skipped.
    fn decode(&self, recorded: &RecordedEvent) -> Result<Decoded<E>, Error> {
        let place = |error: Error| {
            error
                .with("stream", recorded.stream())
                .with("version", recorded.version())
                .with("position", recorded.position())
        };
        match self.decode_content(recorded.content()) {
            Ok(Decoded::Skipped(reason)) => Ok(Decoded::Skipped(place(reason))),
            decoded => decoded.map_err(place),
        }
    }

    /// The one event that these named bytes are.
    ///
    /// # Errors
    /// As for [`decode_content`](EventCodec::decode_content), and as for [`Decoded::one`].
    fn decode_one(&self, content: ContentRef<'_>) -> Result<E, Error> {
        self.decode_content(content)?.one()
    }
}

impl<E, C: EventCodec<E> + ?Sized> EventCodecExt<E> for C {}
