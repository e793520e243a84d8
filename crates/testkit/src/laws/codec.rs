//! The law of a codec: that every event comes back as it went.

use std::collections::BTreeSet;
use std::fmt::Debug;

use annals_codec::{EventCodec, EventCodecExt};
use annals_core::{Event, EventKind, NewEvent, Tag};

use crate::report::Report;

/// Holds the codec to the law for each of these events.
pub(super) fn survival<'a, E: Event + PartialEq + Debug>(
    codec: &(impl EventCodec<E> + ?Sized),
    mut events: impl Iterator<Item = &'a E>,
) -> Result<(), Report> {
    distinct_kinds::<E>()?;
    events.try_for_each(|event| survives(codec, event))
}

/// Refuses samples that leave out a kind of event.
pub(super) fn coverage<'a, E: Event>(events: impl Iterator<Item = &'a E>) -> Result<(), Report> {
    let sampled: BTreeSet<usize> = events.map(Event::kind_index).collect();
    let missing: Vec<&str> = E::KINDS
        .iter()
        .enumerate()
        .filter(|(index, _)| !sampled.contains(index))
        .map(|(_, kind)| kind.event_type().as_str())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let headline = "not every kind of event is held against the law";
    Err(Report::new(headline)
        .text("without a sample", &missing.join("\n"))
        .text("what to do", "give an event of each of these kinds"))
}

/// Encodes the event, looks at what is recorded of it, and decodes it again.
pub(super) fn survives<E: Event + PartialEq + Debug>(
    codec: &(impl EventCodec<E> + ?Sized),
    event: &E,
) -> Result<(), Report> {
    let about = |report: Report| report.value("event", event);
    let encoded = encode(codec, event).map_err(about)?;
    labelled(codec, event, &encoded).map_err(about)?;
    let decoded = codec
        .decode_one(encoded.content())
        .map_err(|error| Report::new("the codec refuses to decode what it encoded").error(&error))
        .map_err(|report| about(report.text("payload", &payload(&encoded))))?;
    if decoded == *event {
        return Ok(());
    }
    Err(Report::new("an event comes back from its codec as another")
        .difference(event, &decoded)
        .text("payload", &payload(&encoded)))
}

/// Encodes the event, and again when it has come back.
pub(super) fn equal_bytes<E: Event + PartialEq + Debug>(
    codec: &(impl EventCodec<E> + ?Sized),
    event: &E,
) -> Result<(), Report> {
    survives(codec, event)?;
    let first = encode(codec, event)?;
    let equal = codec.decode_one(first.content()).map_err(|error| {
        Report::new("the codec refuses to decode what it encoded").error(&error)
    })?;
    let again = encode(codec, &equal)?;
    if first.content().same_content(&again.content()) {
        return Ok(());
    }
    Err(Report::new("equal events have different bytes")
        .text_difference(&payload(&first), &payload(&again))
        .value("event", event)
        .text(
            "what to do",
            "encode equal events alike, a map in the order of its keys",
        ))
}

fn encode<E>(codec: &(impl EventCodec<E> + ?Sized), event: &E) -> Result<NewEvent, Report> {
    codec
        .encode(event)
        .map_err(|error| Report::new("the codec refuses to encode an event").error(&error))
}

/// Refuses two kinds of one name: what is recorded under it could be either.
fn distinct_kinds<E: Event>() -> Result<(), Report> {
    let mut names = BTreeSet::new();
    let mut all = E::KINDS.iter().map(EventKind::event_type);
    match all.find(|name| !names.insert(name.as_str())) {
        None => Ok(()),
        Some(twice) => Err(Report::new("two kinds of event have one name")
            .text("name", twice.as_str())
            .text("what to do", "give each variant a name of its own")),
    }
}

/// Holds what is recorded beside the payload against what the event says of itself.
fn labelled<E: Event>(
    codec: &(impl EventCodec<E> + ?Sized),
    event: &E,
    encoded: &NewEvent,
) -> Result<(), Report> {
    let Some(kind) = E::KINDS.get(event.kind_index()) else {
        let text = format!("{} of {} kinds", event.kind_index(), E::KINDS.len());
        return Err(Report::new("an event is of no kind in KINDS").text("kind_index", &text));
    };
    let tags = event
        .tags()
        .map_err(|error| Report::new("the tags of an event can't be built").error(&error))?;
    let expected = Label {
        event_type: kind.event_type().as_str(),
        schema_version: kind.schema_version().value(),
        content_type: codec.content_type().as_str().to_owned(),
        tags: tags.iter().map(Tag::as_str).collect(),
    };
    let actual = Label {
        event_type: encoded.event_type().as_str(),
        schema_version: encoded.schema_version().value(),
        content_type: encoded.content_type().as_str().to_owned(),
        tags: encoded.tags().iter().map(Tag::as_str).collect(),
    };
    if expected == actual {
        return Ok(());
    }
    Err(
        Report::new("the codec records an event as something that it is not")
            .difference(&expected, &actual),
    )
}

/// What is recorded of an event beside its payload.
#[derive(Debug, PartialEq)]
struct Label<'a> {
    event_type: &'a str,
    schema_version: u32,
    content_type: String,
    tags: Vec<&'a str>,
}

/// The payload as text, where it is one.
fn payload(event: &NewEvent) -> String {
    match std::str::from_utf8(event.payload()) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("{:?}", event.payload()),
    }
}
