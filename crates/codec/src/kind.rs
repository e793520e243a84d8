//! The steps that every codec shares: naming the bytes that it wrote, and recognising bytes by their name.

use std::cmp::Ordering;

use annals_core::{ContentRef, ContentType, Event, EventKind, NewEvent};
use bytes::Bytes;

use crate::{Error, ErrorKind};

/// The event's bytes under its name: type, schema version and tags are filled in.
///
/// For authors of codecs: the last step of [`EventCodec::encode`](crate::EventCodec::encode).
///
/// # Errors
/// [`ErrorKind::Encode`] when a value of the event makes no tag, or when the payload is over
/// [`PAYLOAD_BYTES_MAX`](annals_core::limits::PAYLOAD_BYTES_MAX).
pub fn label<E: Event>(
    event: &E,
    content_type: ContentType,
    payload: impl Into<Bytes>,
) -> Result<NewEvent, Error> {
    let kind = event.kind();
    let refused = |error: annals_core::Error| {
        Error::new(
            ErrorKind::Encode,
            "event can't be recorded; correct its values",
        )
        .with("event type", kind.event_type())
        .caused_by(error)
    };
    let tags = event.tags().map_err(refused)?;
    let labelled =
        NewEvent::new(kind.event_type().clone(), content_type, payload).map_err(refused)?;
    Ok(labelled
        .with_schema_version(kind.schema_version())
        .with_tags(tags))
}

/// The place in [`Event::KINDS`] of the kind that these bytes are of, once they are known to be in this
/// form and of the kind's current schema.
///
/// For authors of codecs: the first step of
/// [`EventCodec::decode_content`](crate::EventCodec::decode_content).
///
/// # Errors
/// [`ErrorKind::UnknownContentType`], [`ErrorKind::UnknownType`], [`ErrorKind::FutureVersion`] or
/// [`ErrorKind::OldVersion`]: the first that applies. The form comes first: a codec of another form may know
/// types and versions that this one does not.
pub fn recognize<E: Event>(
    content: ContentRef<'_>,
    content_type: &ContentType,
) -> Result<usize, Error> {
    if *content.content_type != *content_type {
        return Err(unknown_content_type(content, content_type));
    }
    let mut kinds = E::KINDS.iter().enumerate();
    let Some((index, kind)) = kinds.find(|(_, kind)| kind.event_type() == content.event_type)
    else {
        return Err(unknown_type::<E>(content));
    };
    if content.schema_version != kind.schema_version() {
        return Err(other_version(content, kind));
    }
    Ok(index)
}

fn unknown_type<E: Event>(content: ContentRef<'_>) -> Error {
    let known: Vec<&str> = E::KINDS
        .iter()
        .map(|kind| kind.event_type().as_str())
        .collect();
    let message = "event type is none that the code knows; add it, or read another category";
    Error::new(ErrorKind::UnknownType, message)
        .with("event type", content.event_type)
        .with("category", E::CATEGORY)
        .with("known types", known.join(", "))
}

pub(crate) fn unknown_content_type(content: ContentRef<'_>, codec: &ContentType) -> Error {
    let message = "payload is in another form; decode it with the codec of that form";
    Error::new(ErrorKind::UnknownContentType, message)
        .with("event type", content.event_type)
        .with("content type", content.content_type)
        .with("codec", codec)
}

fn other_version(content: ContentRef<'_>, kind: &EventKind) -> Error {
    let (error_kind, message) = match content.schema_version.cmp(&kind.schema_version()) {
        Ordering::Greater => (
            ErrorKind::FutureVersion,
            "event follows a newer schema than the code; update the code",
        ),
        _ => (
            ErrorKind::OldVersion,
            "event follows an older schema than the code; upcast it first",
        ),
    };
    Error::new(error_kind, message)
        .with("event type", content.event_type)
        .with("schema version", content.schema_version)
        .with("current version", kind.schema_version())
}
