//! An append as the server takes it: made ready by whoever appends, before it waits.

use annals_core::{
    Append, Condition, Error, EventId, Expected, Ids, NewEvent, Position, ReadRequest,
};
use sha2::{Digest, Sha256};

use crate::sql::array;

/// An append and what is sent of it.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) append: Append,
    /// The text of its id.
    id: Box<str>,
    pub(crate) content: [u8; 32],
    pub(crate) items: Vec<Item>,
    pub(crate) events: Vec<EventParts>,
    /// What it takes in the queue and in a batch.
    pub(crate) bytes: usize,
}

/// One item of one condition.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) since: i64,
    pub(crate) types: Option<String>,
    pub(crate) tags: Option<String>,
}

/// What of an event is made up for sending.
#[derive(Debug)]
pub(crate) struct EventParts {
    pub(crate) id: EventId,
    pub(crate) tags: Option<String>,
    pub(crate) headers: Option<String>,
    pub(crate) correlation: Option<String>,
    pub(crate) causation: Option<String>,
}

/// What an event takes in a batch beside its contents: its numbers, and the ends of its columns.
const EVENT_BYTES: usize = 128;

impl Command {
    /// # Errors
    /// [`annals_core::ErrorKind::Invalid`] for the cursor of a partitioned store.
    pub(crate) fn new(append: Append, ids: &dyn Ids) -> Result<Self, Error> {
        let mut items = Vec::new();
        for condition in append.conditions() {
            items.extend(items_of(condition)?);
        }
        let events: Vec<EventParts> = append
            .events()
            .map(|(_, event)| EventParts::new(event, ids))
            .collect();
        let of_events: usize = append
            .events()
            .map(|(stream, event)| event.bytes() + stream.as_str().len() + EVENT_BYTES)
            .sum();
        let of_checks: usize = append
            .expectations()
            .map(|(stream, _)| stream.as_str().len() + 16)
            .sum();
        let of_conditions: usize = append
            .conditions()
            .iter()
            .map(|condition| condition.unless.bytes() + 64)
            .sum();
        Ok(Self {
            id: append.id().as_str().into(),
            content: content(&append),
            items,
            events,
            bytes: of_events + of_checks + of_conditions,
            append,
        })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn event_count(&self) -> i32 {
        number(self.append.event_count())
    }
}

impl EventParts {
    fn new(event: &NewEvent, ids: &dyn Ids) -> Self {
        let metadata = event.metadata();
        let headers: serde_json::Map<String, serde_json::Value> = metadata
            .headers()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        let tags = event.tags();
        Self {
            id: event.id().unwrap_or_else(|| ids.event_id()),
            tags: (!tags.is_empty()).then(|| array(tags.iter().map(annals_core::Tag::as_str))),
            headers: (!headers.is_empty()).then(|| serde_json::Value::Object(headers).to_string()),
            correlation: metadata.correlation_id().map(|id| id.to_string()),
            causation: metadata.causation_id().map(|id| id.to_string()),
        }
    }
}

/// The items of a condition, each after the place that its reader had reached.
fn items_of(condition: &Condition) -> Result<impl Iterator<Item = Item>, Error> {
    let since = single(condition)?;
    let items = condition.unless.items().iter();
    Ok(items.map(move |item| Item {
        since: bigint(since.value()),
        types: (!item.types().is_empty())
            .then(|| array(item.types().iter().map(annals_core::EventType::as_str))),
        tags: (!item.tags().is_empty())
            .then(|| array(item.tags().iter().map(annals_core::Tag::as_str))),
    }))
}

/// The place after which a condition counts, in a single log.
pub(crate) fn single(condition: &Condition) -> Result<Position, Error> {
    let (since, _) = ReadRequest::all()
        .after(condition.after.clone())
        .positions()?;
    Ok(since)
}

/// An expectation as the server takes it.
pub(crate) fn expected_number(expected: Expected) -> i64 {
    match expected {
        Expected::Any => -1,
        Expected::NoStream => -2,
        Expected::StreamExists => -3,
        Expected::Exactly(version) => bigint(version.value()),
    }
}

/// A number of the vocabulary as the server has it; what lies beyond is as far away as it gets.
pub(crate) fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A count, which limits keep small.
pub(crate) fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// The SHA-256 of what the append says: its streams, and of each event what a retry has to repeat. Every part is
/// after its length, so that no two contents are the same bytes.
fn content(append: &Append) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(bytes);
    };
    for (stream, event) in append.contents() {
        part(stream.as_str().as_bytes());
        part(event.event_type.as_str().as_bytes());
        part(&event.schema_version.value().to_be_bytes());
        part(event.content_type.as_str().as_bytes());
        part(event.payload);
        part(
            &u64::try_from(event.tags.len())
                .unwrap_or(u64::MAX)
                .to_be_bytes(),
        );
        for tag in event.tags {
            part(tag.as_str().as_bytes());
        }
    }
    hash.finalize().into()
}
