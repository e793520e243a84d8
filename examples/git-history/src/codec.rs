//! The forms in which events are recorded, and how all of them are read.

use annals::{BincodeCodec, Codecs, Error, EventCodec as _, JsonCodec, MessagePackCodec, NewEvent};
use clap::ValueEnum;

use crate::events::FileEvent;

/// In which form an import records events. What is in a store is read in whatever form it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Codec {
    /// JSON: readable without annals.
    #[default]
    Json,
    /// bincode: the smallest of them.
    Bincode,
    /// `MessagePack`: smaller than JSON, and describes itself too.
    #[value(name = "messagepack")]
    MessagePack,
    /// One event in JSON, the next in bincode, the third in `MessagePack`, and so on.
    Mixed,
}

impl Codec {
    /// The event as named bytes; `number` is its place in the import.
    pub(crate) fn encode(self, event: &FileEvent, number: usize) -> Result<NewEvent, Error> {
        Ok(match (self, number % 3) {
            (Self::Bincode, _) | (Self::Mixed, 1) => BincodeCodec.encode(event)?,
            (Self::MessagePack, _) | (Self::Mixed, 2) => MessagePackCodec.encode(event)?,
            _ => JsonCodec.encode(event)?,
        })
    }
}

/// What reads every form.
pub(crate) fn reader() -> Codecs<FileEvent> {
    Codecs::writing(JsonCodec)
        .reading(BincodeCodec)
        .reading(MessagePackCodec)
}
