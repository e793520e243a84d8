//! Decoding each event once for all who want it.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::{Arc, OnceLock};

use annals_codec::{Decoded, EventCodec, EventCodecExt};
use annals_core::RecordedEvent;

/// A codec, and the key by which those who hold the same one are known.
pub(crate) struct Decoder<E> {
    codec: Arc<dyn EventCodec<E>>,
    key: DecoderKey,
}

/// Which decoder: of which event type, and by which codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DecoderKey {
    event: TypeId,
    codec: CodecKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CodecKey {
    /// A codec without any state is its type.
    Type(TypeId),
    /// Any other is where it stands in memory, for as long as somebody holds it.
    Place(usize),
}

/// What a decoder made of the events of a page, as far as it was asked.
pub(crate) struct Column<E> {
    /// Held, so that no other codec comes to stand in its place while the column is known by it.
    codec: Arc<dyn EventCodec<E>>,
    cells: Vec<OnceLock<Cell<E>>>,
}

/// What an event reads as.
pub(crate) type Cell<E> = Result<Decoded<E>, annals_codec::Error>;

impl<E: 'static> Decoder<E> {
    /// A decoder by this codec. Codecs of one type without state are the same, and so are the clones of an
    /// `Arc<dyn EventCodec<E>>`.
    pub(crate) fn new<C: EventCodec<E> + 'static>(codec: C) -> Self {
        let is_stateless = size_of::<C>() == 0;
        let codec: Arc<dyn EventCodec<E>> =
            match (&codec as &dyn Any).downcast_ref::<Arc<dyn EventCodec<E>>>() {
                Some(shared) => Arc::clone(shared),
                None => Arc::new(codec),
            };
        let place = Arc::as_ptr(&codec).cast::<()>().addr();
        let key = if is_stateless {
            CodecKey::Type(TypeId::of::<C>())
        } else {
            CodecKey::Place(place)
        };
        Self {
            codec,
            key: DecoderKey {
                event: TypeId::of::<E>(),
                codec: key,
            },
        }
    }

    pub(crate) fn key(&self) -> DecoderKey {
        self.key
    }

    /// What an event reads as, now.
    pub(crate) fn decode(&self, event: &RecordedEvent) -> Cell<E> {
        self.codec.decode(event)
    }
}

impl<E> Column<E> {
    pub(crate) fn new(decoder: &Decoder<E>, events: usize) -> Self {
        let mut cells = Vec::new();
        cells.resize_with(events, OnceLock::new);
        Self {
            codec: Arc::clone(&decoder.codec),
            cells,
        }
    }

    /// What the event of this index reads as; decoded by who asks first. `None` beyond the page.
    pub(crate) fn get(&self, index: usize, event: &RecordedEvent) -> Option<&Cell<E>> {
        let cell = self.cells.get(index)?;
        Some(cell.get_or_init(|| self.codec.decode(event)))
    }
}

impl<E> fmt::Debug for Decoder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.codec, f)
    }
}
