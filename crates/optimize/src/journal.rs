//! What was done, as events of the store itself.

use annals_core::{
    Append, Category, ContentType, Error, ErrorKind, EventStore, EventType, Expected, Ids,
    NewEvent, StreamId,
};
use futures_executor::block_on;
use serde::Serialize;

use crate::apply::{Applied, Ended};
use crate::plan::{Plan, Totals};

/// The stream that tells what runs did to the store. Its category is one of annals's own, as `$` says.
pub const JOURNAL: StreamId = StreamId::from_static("$optimizer-journal");

/// The category of the [`JOURNAL`].
pub const JOURNAL_CATEGORY: Category = Category::from_static("$optimizer");

const BEGUN: EventType = EventType::from_static("optimization-begun");
const ENDED: EventType = EventType::from_static("optimization-ended");

#[derive(Serialize)]
struct BegunPayload {
    steps: usize,
    totals: Totals,
}

#[derive(Serialize)]
struct EndedPayload<'a> {
    ended: Ended,
    #[serde(flatten)]
    applied: &'a Applied,
    error: Option<String>,
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
                applied,
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
