//! Events that a consumer passed without getting them into its model.

use annals_core::{Position, RecordedEvent, StreamId, Version};
use serde::{Deserialize, Serialize};

/// The events up to a consumer's cursor that are not in its model: parked ones, those that wait behind them, and a
/// record of those that were skipped.
///
/// Bounded: at most [`parked_max`](crate::FailurePolicy::parked_max) are parked or wait, and of those that were
/// skipped the newest [`SKIPPED_MAX`](Self::SKIPPED_MAX) are listed and all are counted. The events themselves stay
/// in the store, where the list names them.
///
/// It is data: a sink keeps it as rows, or as text by serde.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedEvents {
    events: Vec<ParkedEvent>,
    skipped: Vec<SkippedEvent>,
    skipped_count: u64,
}

/// An event that is parked, or waits behind one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedEvent {
    /// Where it stands in the store.
    pub position: Position,
    /// Its stream.
    pub stream: StreamId,
    /// Its place in the stream.
    pub version: Version,
    /// Its key: the events of a key are handled in their order.
    pub key: String,
    /// Why it is not in the model.
    pub cause: ParkedCause,
}

/// Why an event is not in the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParkedCause {
    /// Its handler failed.
    Failed {
        /// The last error, with its causes.
        error: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// An earlier event of its key is parked.
    Waits,
}

/// An event that was passed over for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedEvent {
    /// Where it stands in the store.
    pub position: Position,
    /// Its stream.
    pub stream: StreamId,
    /// Its place in the stream.
    pub version: Version,
    /// Why, with all causes.
    pub error: String,
}

impl ParkedEvents {
    /// How many skipped events are listed: the newest 100.
    pub const SKIPPED_MAX: usize = 100;

    /// The most characters of an error that are kept.
    pub const ERROR_CHARS_MAX: usize = 1000;

    /// What was taken apart by [`events`](Self::events), [`skipped`](Self::skipped) and
    /// [`skipped_count`](Self::skipped_count).
    pub fn from_parts(
        events: Vec<ParkedEvent>,
        skipped: Vec<SkippedEvent>,
        skipped_count: u64,
    ) -> Self {
        Self {
            events,
            skipped,
            skipped_count,
        }
    }

    /// The events that are parked or wait, in the order in which they came; so those of a key are in their order.
    pub fn events(&self) -> &[ParkedEvent] {
        &self.events
    }

    /// The newest events that were skipped, in the order in which they came.
    pub fn skipped(&self) -> &[SkippedEvent] {
        &self.skipped
    }

    /// How many events were ever skipped.
    pub fn skipped_count(&self) -> u64 {
        self.skipped_count
    }

    /// Whether nothing is parked and nothing was skipped.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.skipped_count == 0
    }

    /// Whether the event of this position is parked, or waits.
    pub fn holds(&self, position: Position) -> bool {
        self.events.iter().any(|event| event.position == position)
    }

    /// Adds an event, or tells anew why one is there.
    pub(crate) fn park(&mut self, event: ParkedEvent) {
        let known = self.events.iter_mut();
        let mut known = known.filter(|known| known.position == event.position);
        match known.next() {
            Some(known) => *known = event,
            None => self.events.push(event),
        }
    }

    /// Takes an event out, and gives it.
    pub(crate) fn remove(&mut self, position: Position) -> Option<ParkedEvent> {
        let mut known = self.events.iter();
        let place = known.position(|event| event.position == position)?;
        Some(self.events.remove(place))
    }

    /// Notes that an event is passed over for good.
    pub(crate) fn skip(&mut self, event: SkippedEvent) {
        self.skipped_count = self.skipped_count.saturating_add(1);
        if self.skipped.len() >= Self::SKIPPED_MAX {
            self.skipped.remove(0);
        }
        self.skipped.push(event);
    }
}

impl ParkedEvent {
    /// This event under this key.
    pub fn new(event: &RecordedEvent, key: String, cause: ParkedCause) -> Self {
        Self {
            position: event.position(),
            stream: event.stream().clone(),
            version: event.version(),
            key,
            cause,
        }
    }

    /// The same as passed over for good.
    pub(crate) fn into_skipped(self) -> SkippedEvent {
        let error = match self.cause {
            ParkedCause::Failed { error, .. } => error,
            ParkedCause::Waits => "it waited behind a parked event".to_owned(),
        };
        SkippedEvent {
            position: self.position,
            stream: self.stream,
            version: self.version,
            error,
        }
    }
}
