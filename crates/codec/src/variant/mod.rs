//! The content of an event without the name of its kind, for any format of serde.
//!
//! serde writes an enum with the name or the index of its variant. The kind of a recorded event stands
//! beside its payload already, so the payload holds the fields alone: `Deposited { amount: 5 }` is
//! `{"amount":5}` of the type `deposited`, and renaming or moving the variant in Rust changes no byte.

mod deserializer;
mod serializer;
mod shape;

use std::cell::Cell;
use std::fmt;

use annals_core::Event;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use deserializer::ContentDeserializer;
use serializer::ContentSerializer;
use shape::Shape;

/// The name under which content is handed to formats that want one for a struct; never a Rust name, so
/// that such a format does not depend on one either.
const CONTENT_NAME: &str = "event";

/// Why [`serialize_content`] or [`deserialize_content`] failed.
///
/// For authors of codecs. The error of a format often repeats text of the payload: a codec tells what is
/// wrong and where in its own words, and passes that error on neither as a fact nor as a source.
#[derive(Debug)]
#[non_exhaustive]
pub enum ContentError<F> {
    /// The format refused the value or the bytes; not to be shown.
    Format(F),
    /// The serde implementations of the type don't fit its kinds.
    Type(TypeFlaw),
}

/// How the serde implementations of an event type don't fit its kinds: a defect of the type, found when
/// the first event is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TypeFlaw {
    /// It is written as a variant of an enum but not read as one, or the other way round: remove
    /// `#[serde(untagged)]` from the variant, or give `Serialize` and `Deserialize` the same form.
    OneSided,
    /// serde does not know every kind as a variant: remove `#[serde(skip)]` and its like from variants.
    SkippedVariant,
    /// The variant that serde writes has another place than the kind of the event: derive both, for the
    /// same enum.
    OtherVariant,
    /// What was read is of another kind than what was asked for: remove `#[serde(untagged)]`, or see
    /// that the tag in the payload names the recorded kind.
    OtherKind,
}

/// Writes the fields of an event, without the name of its kind, with a serializer of any format.
///
/// | event | content |
/// |---|---|
/// | `Opened { owner: "Ada" }` | a struct: `{"owner":"Ada"}` in JSON |
/// | `Moved(1, 2)` | a tuple: `[1,2]` |
/// | `Renamed("Eve")` | the one value: `"Eve"` |
/// | `Closed`, or a unit struct | a struct without fields: `{}` |
/// | a struct, or an enum with `#[serde(tag)]` or `#[serde(untagged)]` | as serde has it |
///
/// # Errors
/// [`ContentError::Format`] when the format refuses a value; [`ContentError::Type`] when the content
/// could not be read back by [`deserialize_content`].
pub fn serialize_content<'de, E, S>(
    event: &E,
    serializer: S,
) -> Result<S::Ok, ContentError<S::Error>>
where
    E: Event + Serialize + Deserialize<'de>,
    S: Serializer,
{
    let shape = Shape::of::<E>();
    if shape == Shape::SkippedVariant {
        return Err(ContentError::Type(TypeFlaw::SkippedVariant));
    }
    let flaw = Cell::new(None);
    let written = event.serialize(ContentSerializer {
        inner: serializer,
        kind_index: event.kind_index(),
        shape,
        flaw: &flaw,
    });
    written.map_err(|error| ContentError::of(error, flaw.get()))
}

/// Reads what [`serialize_content`] wrote for an event of this kind, by the kind's place in
/// [`Event::KINDS`].
///
/// # Errors
/// [`ContentError::Format`] when the bytes are not the fields of this kind; [`ContentError::Type`] when
/// the type's `Deserialize` gives another kind.
pub fn deserialize_content<'de, E, D>(
    kind_index: usize,
    deserializer: D,
) -> Result<E, ContentError<D::Error>>
where
    E: Event + Deserialize<'de>,
    D: Deserializer<'de>,
{
    let flaw = Cell::new(None);
    let event = E::deserialize(ContentDeserializer {
        inner: deserializer,
        kind_index,
        flaw: &flaw,
    })
    .map_err(|error| ContentError::of(error, flaw.get()))?;
    if event.kind_index() == kind_index {
        Ok(event)
    } else {
        Err(ContentError::Type(TypeFlaw::OtherKind))
    }
}

impl<F> ContentError<F> {
    fn of(error: F, flaw: Option<TypeFlaw>) -> Self {
        flaw.map_or(Self::Format(error), Self::Type)
    }
}

impl<F: fmt::Display> fmt::Display for ContentError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(_) => f.write_str("the format refuses the content"),
            Self::Type(flaw) => flaw.fmt(f),
        }
    }
}

impl<F: std::error::Error + 'static> std::error::Error for ContentError<F> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Format(error) => Some(error),
            Self::Type(_) => None,
        }
    }
}

impl fmt::Display for TypeFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneSided => {
                "event type is an enum to one of Serialize and Deserialize only; \
                 remove #[serde(untagged)] from its variants"
            }
            Self::SkippedVariant => {
                "event type has kinds that serde does not know; remove #[serde(skip)] from its variants"
            }
            Self::OtherVariant => {
                "event is of another kind than the variant that serde writes; \
                 derive Event, Serialize and Deserialize on one type"
            }
            Self::OtherKind => {
                "payload is of another kind than the recorded event type; \
                 remove #[serde(untagged)], or correct the tag in the payload"
            }
        })
    }
}
