//! The forms in which events are recorded, and how all of them are read.

use std::sync::LazyLock;

use annals::codec::Error;
use annals::{BincodeCodec, Codecs, EventCodec as _, JsonCodec, MessagePackCodec, NewEvent};
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
    /// A third of the events in each, side by side in the same streams.
    Mixed,
}

impl Codec {
    /// The event as named bytes; `number` chooses the form where they are mixed.
    pub(crate) fn encode(self, event: &FileEvent, number: usize) -> Result<NewEvent, Error> {
        match (self, number % 3) {
            (Self::Bincode, _) | (Self::Mixed, 1) => BincodeCodec.encode(event),
            (Self::MessagePack, _) | (Self::Mixed, 2) => MessagePackCodec.encode(event),
            _ => JsonCodec.encode(event),
        }
    }
}

/// What reads every form.
pub(crate) fn reader() -> &'static Codecs<FileEvent> {
    static READER: LazyLock<Codecs<FileEvent>> = LazyLock::new(every_form);
    &READER
}

/// A reader of every form, for somebody who keeps it.
pub(crate) fn every_form() -> Codecs<FileEvent> {
    Codecs::writing(JsonCodec)
        .reading(BincodeCodec)
        .reading(MessagePackCodec)
}
