//! The contract of a codec.

use std::fmt;
use std::sync::Arc;

use annals_core::{ContentRef, ContentType, NewEvent};

use crate::{Decoded, Error};

/// Turns events of the type `E` into named bytes and back.
///
/// Small and object-safe: hold it as `Arc<dyn EventCodec<E>>`. Its form is recorded with each event, so
/// that one store can hold several. Callers find the decoding of recorded events in
/// [`EventCodecExt`](crate::EventCodecExt); a wrapper forwards every method.
///
/// The law: what `encode` gives, `decode_content` turns into one equal event; a value for which that
/// can't hold is refused by `encode`. Where the types of the event break it by attributes of serde, the codecs of
/// forms find most of that, and the crate's front page says what they don't.
pub trait EventCodec<E>: fmt::Debug + Send + Sync {
    /// The form of the bytes that it writes; a wrapper may leave some events in the inner codec's.
    fn content_type(&self) -> ContentType;

    /// The event as named bytes: type, schema version, form, tags and payload are filled in; context,
    /// identity and time are the caller's to add.
    ///
    /// # Errors
    /// [`ErrorKind::Encode`](crate::ErrorKind::Encode) for a value without a form in these bytes, one
    /// that makes no tag, and one over a limit of [`annals_core::limits`].
    fn encode(&self, event: &E) -> Result<NewEvent, Error>;

    /// What these named bytes read as: the event, or what an old one has become since.
    ///
    /// # Errors
    /// Any [`ErrorKind`](crate::ErrorKind) but [`Encode`](crate::ErrorKind::Encode).
    fn decode_content(&self, content: ContentRef<'_>) -> Result<Decoded<E>, Error>;
}

macro_rules! forward {
    ($pointer:ty) => {
        #[deny(clippy::missing_trait_methods)]
        impl<E, C: EventCodec<E> + ?Sized> EventCodec<E> for $pointer {
            fn content_type(&self) -> ContentType {
                (**self).content_type()
            }

            fn encode(&self, event: &E) -> Result<NewEvent, Error> {
                (**self).encode(event)
            }

            fn decode_content(&self, content: ContentRef<'_>) -> Result<Decoded<E>, Error> {
                (**self).decode_content(content)
            }
        }
    };
}

forward!(&C);
forward!(Box<C>);
forward!(Arc<C>);
