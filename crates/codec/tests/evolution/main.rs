//! Events of older schemas: each kind of change, what a registry refuses, and what becomes of the unknown.

#![cfg(feature = "json")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod changes;
mod checks;
mod downcasts;
mod hostile;
mod policies;
mod values;

use annals_codec::{Decoded, Error, EventCodec, Evolution, Evolving, JsonCodec};
use annals_core::{ContentType, Event, EventType, NewEvent, SchemaVersion};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn recorded(event_type: &str, version: u32, payload: impl AsRef<[u8]>) -> NewEvent {
    let event_type = EventType::parse(event_type).unwrap();
    NewEvent::new(event_type, ContentType::JSON, payload.as_ref().to_vec())
        .unwrap()
        .with_schema_version(SchemaVersion::new(version).unwrap())
}

fn decode<E>(
    evolution: Evolution<E>,
    event_type: &str,
    version: u32,
    payload: &str,
) -> Result<Decoded<E>, Error>
where
    E: Event + Serialize + DeserializeOwned,
{
    let codec = Evolving::new(JsonCodec, evolution).unwrap();
    codec.decode_content(recorded(event_type, version, payload).content())
}
