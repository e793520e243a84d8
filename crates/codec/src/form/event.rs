//! Events in a form: the content alone, under its name.

use std::cell::Cell;

use annals_core::{ContentRef, Event, NewEvent};
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _};
use serde::ser::Error as _;
use serde::{Deserializer, Serialize, Serializer};

use super::Form;
use crate::variant::{deserialize_content, serialize_content};
use crate::{ContentError, Error, ErrorKind, TypeFlaw, label, recognize};

const NOT_THIS_EVENT: &str =
    "payload is not this event; repair it, or give changed fields a new schema version";

const NOT_READ_BACK: &str = "it does not read back; \
     remove untagged, tag, flatten and one-sided skips of serde from its types";

const READ_BACK_CHANGED: &str = "it reads back as another event; \
     remove untagged, tag, flatten and one-sided skips of serde from its types";

/// The content of an event, as a value.
struct Content<'a, E> {
    event: &'a E,
    flaw: &'a Cell<Option<TypeFlaw>>,
}

/// Reads the content of an event of a kind.
struct ContentSeed<'a, E> {
    kind_index: usize,
    flaw: &'a Cell<Option<TypeFlaw>>,
    event: std::marker::PhantomData<E>,
}

/// [`EventCodec::encode`](crate::EventCodec::encode) of a form.
pub(super) fn encode<F: Form, E>(event: &E) -> Result<NewEvent, Error>
where
    E: Event + Serialize + DeserializeOwned,
{
    let flaw = Cell::new(None);
    let content = Content { event, flaw: &flaw };
    let plain = super::Plain::begin();
    let written = super::write::<F, _>(&content).map_err(|reason| match plain.refused() {
        Some(error) => error.with("event type", event.kind().event_type()),
        None => not_encoded::<F, E>(event, flaw.get(), reason),
    })?;
    if written.is_in_doubt {
        check_read_back::<F, E>(event, &written.bytes)?;
    }
    label(event, F::CONTENT_TYPE, written.bytes)
}

/// [`EventCodec::decode_content`](crate::EventCodec::decode_content) of a form.
pub(super) fn decode<F: Form, E>(content: ContentRef<'_>) -> Result<E, Error>
where
    E: Event + DeserializeOwned,
{
    let kind_index = recognize::<E>(content, &F::CONTENT_TYPE)?;
    let flaw = Cell::new(None);
    let seed = ContentSeed::new(kind_index, &flaw);
    let plain = super::Plain::begin();
    super::read::<F, _>(content.payload, seed).map_err(|damage| {
        if let Some(error) = plain.refused() {
            error.with("event type", content.event_type)
        } else if let Some(flaw) = flaw.get() {
            Error::new(ErrorKind::WrongKind, flaw.to_string())
                .with("event type", content.event_type)
        } else {
            let subject = ("event type", content.event_type.as_str());
            damage.error(F::NAME, NOT_THIS_EVENT, Some(subject))
        }
    })
}

/// Refuses an event whose bytes are no event or another one: only reading them shows that a type is written
/// in another way than it is read.
fn check_read_back<F: Form, E>(event: &E, payload: &[u8]) -> Result<(), Error>
where
    E: Event + Serialize + DeserializeOwned,
{
    let flaw = Cell::new(None);
    let seed = ContentSeed::<E>::new(event.kind_index(), &flaw);
    let read = super::read::<F, _>(payload, seed)
        .map_err(|_| not_encoded::<F, E>(event, flaw.get(), NOT_READ_BACK))?;
    // Personal fields are known by their place in the event that is written, and have other bytes each time.
    if super::Plain::is_encrypted() {
        return Ok(());
    }
    let content = Content {
        event: &read,
        flaw: &flaw,
    };
    let again = super::write::<F, _>(&content);
    if again.is_ok_and(|again| is_same_but_for_order(payload, &again.bytes)) {
        Ok(())
    } else {
        Err(not_encoded::<F, E>(event, flaw.get(), READ_BACK_CHANGED))
    }
}

/// Whether two payloads hold the same bytes. A map or a set without an order may be written in another one
/// after it was read, so the order of the bytes does not count.
fn is_same_but_for_order(first: &[u8], second: &[u8]) -> bool {
    first == second || (first.len() == second.len() && counts(first) == counts(second))
}

/// How often each byte occurs.
fn counts(bytes: &[u8]) -> [usize; 256] {
    let mut counts = [0; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    counts
}

fn not_encoded<F: Form, E: Event>(
    event: &E,
    flaw: Option<TypeFlaw>,
    reason: &'static str,
) -> Error {
    let encode = |message| {
        Error::new(ErrorKind::Encode, message).with("event type", event.kind().event_type())
    };
    match flaw {
        Some(flaw) => encode(flaw.to_string()),
        None => encode(format!(
            "event has no form in {}; correct its values",
            F::NAME
        ))
        .with("reason", reason),
    }
}

impl<E: Event + Serialize + DeserializeOwned> Serialize for Content<'_, E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_content(self.event, serializer).map_err(|error| match error {
            ContentError::Format(error) => error,
            ContentError::Type(flaw) => {
                self.flaw.set(Some(flaw));
                S::Error::custom(flaw)
            }
        })
    }
}

impl<'a, E> ContentSeed<'a, E> {
    fn new(kind_index: usize, flaw: &'a Cell<Option<TypeFlaw>>) -> Self {
        Self {
            kind_index,
            flaw,
            event: std::marker::PhantomData,
        }
    }
}

impl<'de, E: Event + DeserializeOwned> DeserializeSeed<'de> for ContentSeed<'_, E> {
    type Value = E;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<E, D::Error> {
        deserialize_content(self.kind_index, deserializer).map_err(|error| match error {
            ContentError::Format(error) => error,
            ContentError::Type(flaw) => {
                self.flaw.set(Some(flaw));
                D::Error::custom(flaw)
            }
        })
    }
}
