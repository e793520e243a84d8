//! What was done, as events of the store itself.

use std::pin::pin;

use annals_core::{
    Append, Category, ContentType, Error, ErrorKind, EventStore, EventStoreExt, EventType,
    Expected, Ids, NewEvent, ReadRequest, RecordedEvent, StreamId, Timestamp,
};
use futures_executor::block_on;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::apply::{Applied, Ended};
use crate::optimizer::Optimizer;
use crate::plan::{Plan, Totals};

/// The stream that tells what runs did to the store. Its category is one of annals's own, as `$` says.
pub const JOURNAL: StreamId = StreamId::from_static("$optimizer-journal");

/// The category of the [`JOURNAL`].
pub const JOURNAL_CATEGORY: Category = Category::from_static("$optimizer");

const BEGUN: EventType = EventType::from_static("optimization-begun");
const ENDED: EventType = EventType::from_static("optimization-ended");

/// A run, as the journal tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PastRun {
    /// When it began.
    pub began_at: Timestamp,
    /// How many steps its plan had.
    pub steps: usize,
    /// What they were to save and to cost.
    pub totals: Totals,
    /// How it ended; `None` while it goes on, and where it was killed.
    pub end: Option<PastEnd>,
}

/// How a run ended, as the journal tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PastEnd {
    /// When.
    pub ended_at: Timestamp,
    /// How.
    pub ended: Ended,
    /// What it did.
    pub applied: Applied,
    /// What a step failed with.
    pub error: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct BegunPayload {
    steps: usize,
    totals: Totals,
}

#[derive(Serialize, Deserialize)]
struct EndedPayload {
    ended: Ended,
    #[serde(flatten)]
    applied: Applied,
    error: Option<String>,
}

impl Optimizer {
    /// The newest runs that the [`JOURNAL`] tells of, up to so many, the newest first. One that did nothing is
    /// not among them, nor one whose journal was turned off.
    ///
    /// # Errors
    /// What the store refuses to read; [`ErrorKind::Corrupt`] where an event of the journal says nothing.
    pub fn past_runs(&self, runs_max: usize) -> Result<Vec<PastRun>, Error> {
        let mut runs = Vec::new();
        let mut end = None;
        let mut events = pin!(self.store.events(ReadRequest::stream(JOURNAL).backward()));
        while runs.len() < runs_max
            && let Some(event) = block_on(events.next()).transpose()?
        {
            if *event.event_type() == ENDED {
                let payload: EndedPayload = payload_of(&event)?;
                end = Some(PastEnd {
                    ended_at: event.appended_at(),
                    ended: payload.ended,
                    applied: payload.applied,
                    error: payload.error,
                });
            } else if *event.event_type() == BEGUN {
                let payload: BegunPayload = payload_of(&event)?;
                runs.push(PastRun {
                    began_at: event.appended_at(),
                    steps: payload.steps,
                    totals: payload.totals,
                    end: end.take(),
                });
            }
        }
        Ok(runs)
    }
}

fn payload_of<T: DeserializeOwned>(event: &RecordedEvent) -> Result<T, Error> {
    serde_json::from_slice(event.payload()).map_err(|source| {
        let message = "event of the journal says nothing of a run";
        Error::new(ErrorKind::Corrupt, message)
            .with("position", event.position())
            .caused_by(source)
    })
}

/// Writes the journal of one run.
pub(crate) struct Journal<'a> {
    store: &'a dyn EventStore,
    ids: &'a dyn Ids,
}

impl<'a> Journal<'a> {
    pub(crate) const fn new(store: &'a dyn EventStore, ids: &'a dyn Ids) -> Self {
        Self { store, ids }
    }

    pub(crate) fn begun(&self, plan: &Plan) -> Result<(), Error> {
        let payload = BegunPayload {
            steps: plan.steps.len(),
            totals: plan.totals(),
        };
        self.record(BEGUN, &payload)
    }

    pub(crate) fn ended(
        &self,
        ended: Ended,
        applied: &Applied,
        error: Option<&Error>,
    ) -> Result<(), Error> {
        let error = error.map(ToString::to_string);
        self.record(
            ENDED,
            &EndedPayload {
                ended,
                applied: *applied,
                error,
            },
        )
    }

    fn record(&self, event_type: EventType, payload: &impl Serialize) -> Result<(), Error> {
        let payload = serde_json::to_vec(payload).map_err(|source| {
            let message = "event of the journal does not encode";
            Error::new(ErrorKind::Invalid, message).caused_by(source)
        })?;
        let event = NewEvent::new(event_type, ContentType::JSON, payload)?;
        let append = Append::builder(self.ids.append_id());
        let append = append.write(JOURNAL, Expected::Any, [event]).build()?;
        match block_on(self.store.append(append.clone())) {
            // The same append again is recorded once.
            Err(error) if error.kind() == ErrorKind::Unknown => {
                block_on(self.store.append(append)).map(drop)
            }
            recorded => recorded.map(drop),
        }
    }
}
