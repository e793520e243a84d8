//! What a reaction has parked, as events.

use annals_core::{
    Append, Category, ContentType, Error, ErrorKind, EventStore, EventStoreExt, EventType,
    Expected, NewEvent, Position, ReadRequest, RecordedEvent, StreamId, Version,
};
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};

use super::append_id::of_record;
use crate::contract::parked::{ParkedEvent, ParkedEvents, SkippedEvent};

const CATEGORY: Category = Category::from_static("parked");
const PARKED: EventType = EventType::from_static("event-parked");
const RELEASED: EventType = EventType::from_static("event-released");
const SKIPPED: EventType = EventType::from_static("event-skipped");

/// The stream that tells what a reaction has parked.
#[derive(Debug)]
pub(super) struct Record {
    stream: StreamId,
    version: Version,
}

/// A parked event that was handled, or given up.
#[derive(Serialize, Deserialize)]
struct Released {
    position: Position,
}

impl Record {
    /// Of a reaction that goes by this name.
    pub(super) fn new(name: &str) -> Result<Self, Error> {
        Ok(Self {
            stream: StreamId::new(&CATEGORY, name)?,
            version: Version::ABSENT,
        })
    }

    /// Reads it from its beginning.
    pub(super) async fn read(&mut self, store: &dyn EventStore) -> Result<ParkedEvents, Error> {
        let mut parked = ParkedEvents::default();
        self.version = Version::ABSENT;
        let mut pages = store.pages(ReadRequest::stream(self.stream.clone()));
        while let Some(page) = pages.try_next().await? {
            for event in &page.events {
                fold(&mut parked, event)?;
            }
            self.version = page.stream.map_or(self.version, |head| head.version);
        }
        Ok(parked)
    }

    /// Records what changed.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when somebody else writes it; or as the store has it.
    pub(super) async fn write(
        &mut self,
        store: &dyn EventStore,
        before: &ParkedEvents,
        after: &ParkedEvents,
    ) -> Result<(), Error> {
        let changes = changes(before, after)?;
        if changes.is_empty() {
            return Ok(());
        }
        let content: Vec<u8> = changes
            .iter()
            .flat_map(|change| change.payload().iter().copied())
            .collect();
        let id = of_record(self.stream.as_str(), self.version.value(), &content);
        let expected = match self.version {
            Version::ABSENT => Expected::NoStream,
            version => Expected::Exactly(version),
        };
        let append = Append::builder(id)
            .write(self.stream.clone(), expected, changes)
            .build()?;
        let receipt = store.append(append).await?;
        self.version = receipt.version_of(&self.stream).unwrap_or(self.version);
        Ok(())
    }
}

/// The events that lead from one list to another.
fn changes(before: &ParkedEvents, after: &ParkedEvents) -> Result<Vec<NewEvent>, Error> {
    let mut changes = Vec::new();
    for event in before.events() {
        if !after.holds(event.position) {
            let position = event.position;
            changes.push(encode(RELEASED, &Released { position })?);
        }
    }
    for event in after.events() {
        if !before.events().contains(event) {
            changes.push(encode(PARKED, event)?);
        }
    }
    let skipped = after.skipped_count().saturating_sub(before.skipped_count());
    let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
    let known = after.skipped().len().saturating_sub(skipped);
    for event in after.skipped().iter().skip(known) {
        changes.push(encode(SKIPPED, event)?);
    }
    Ok(changes)
}

fn fold(parked: &mut ParkedEvents, event: &RecordedEvent) -> Result<(), Error> {
    let kind = event.event_type();
    let folded = if *kind == PARKED {
        serde_json::from_slice::<ParkedEvent>(event.payload()).map(|event| parked.park(event))
    } else if *kind == RELEASED {
        serde_json::from_slice::<Released>(event.payload()).map(|released| {
            parked.remove(released.position);
        })
    } else if *kind == SKIPPED {
        serde_json::from_slice::<SkippedEvent>(event.payload()).map(|event| parked.skip(event))
    } else {
        return Err(foreign(event));
    };
    folded.map_err(|source| foreign(event).caused_by(source))
}

fn encode(event_type: EventType, content: &impl Serialize) -> Result<NewEvent, Error> {
    let payload = serde_json::to_vec(content).map_err(|source| {
        let message = "record of a parked event does not encode";
        Error::new(ErrorKind::Invalid, message).caused_by(source)
    })?;
    NewEvent::new(event_type, ContentType::JSON, payload)
}

fn foreign(event: &RecordedEvent) -> Error {
    let message = "stream of parked events holds another event; nobody else may write it";
    Error::new(ErrorKind::Undecodable, message)
        .with("stream", event.stream())
        .with("version", event.version())
}
