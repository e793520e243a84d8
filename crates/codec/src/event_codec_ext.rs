//! What every codec offers on top of its contract.

use annals_core::RecordedEvent;

use crate::{Error, EventCodec};

/// Conveniences over [`EventCodec`], there for every codec.
pub trait EventCodecExt<E>: EventCodec<E> {
    /// The event that was recorded.
    ///
    /// # Errors
    /// As for [`decode_content`](EventCodec::decode_content); the error names the stream, the version
    /// and the position of the event.
    fn decode(&self, recorded: &RecordedEvent) -> Result<E, Error> {
        self.decode_content(recorded.content()).map_err(|error| {
            error
                .with("stream", recorded.stream())
                .with("version", recorded.version())
                .with("position", recorded.position())
        })
    }
}

impl<E, C: EventCodec<E> + ?Sized> EventCodecExt<E> for C {}
