//! Which events of a page a consumer takes, and which ones are parked or skipped.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use annals_core::{Error, ErrorKind, Position, RecordedEvent};

use crate::contract::consumer::Consumer;
use crate::contract::page::FeedPage;
use crate::contract::parked::{ParkedCause, ParkedEvent, ParkedEvents};

/// What keeps events from a consumer: those that are parked, and that others wait behind them.
#[derive(Debug, Default)]
pub(super) struct Gate {
    parked: Arc<ParkedEvents>,
    keys: HashSet<String>,
}

/// What was decided on events of a page that failed as often as they may.
pub(super) type Verdicts = HashMap<usize, Verdict>;

/// What was decided on an event.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    Park { error: String, attempts: u32 },
    Skip { error: String, attempts: u32 },
}

/// What a consumer takes of a page.
#[derive(Debug)]
pub(super) struct Portion {
    pub(super) indexes: Vec<usize>,
    /// What is parked then, where it changes.
    pub(super) parked: Option<Arc<ParkedEvents>>,
}

impl Gate {
    pub(super) fn new(parked: Arc<ParkedEvents>) -> Self {
        let keys = parked.events().iter().map(|event| event.key.clone());
        Self {
            keys: keys.collect(),
            parked,
        }
    }

    pub(super) fn parked(&self) -> &Arc<ParkedEvents> {
        &self.parked
    }

    /// What is taken of the events of these indexes, which are the consumer's own.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when more would be parked than may.
    pub(super) fn portion(
        &self,
        page: &FeedPage,
        own: &[usize],
        verdicts: &Verdicts,
        consumer: &dyn Consumer,
    ) -> Result<Portion, Error> {
        if self.keys.is_empty() && verdicts.is_empty() {
            return Ok(Portion {
                indexes: own.to_vec(),
                parked: None,
            });
        }
        let mut draft = Draft::of(self);
        let mut indexes = Vec::with_capacity(own.len());
        for &index in own {
            let Some(event) = page.events().get(index) else {
                continue;
            };
            if draft.lets_through(event, verdicts.get(&index), consumer) {
                indexes.push(index);
            }
        }
        let parked_max = consumer.failure_policy().parked_max;
        Ok(Portion {
            indexes,
            parked: draft.finish(parked_max)?,
        })
    }
}

/// What is parked, while a page is looked through.
struct Draft<'a> {
    gate: &'a Gate,
    known: HashSet<Position>,
    keys: HashSet<String>,
    changed: Option<ParkedEvents>,
}

impl<'a> Draft<'a> {
    fn of(gate: &'a Gate) -> Self {
        let parked = gate.parked.events().iter().map(|event| event.position);
        let skipped = gate.parked.skipped().iter().map(|event| event.position);
        Self {
            gate,
            known: parked.chain(skipped).collect(),
            keys: gate.keys.clone(),
            changed: None,
        }
    }

    fn lets_through(
        &mut self,
        event: &RecordedEvent,
        verdict: Option<&Verdict>,
        consumer: &dyn Consumer,
    ) -> bool {
        // Known where a consumer notes what is parked before it notes its cursor, and stopped in between.
        if self.known.contains(&event.position()) {
            return false;
        }
        let key = consumer.key(event);
        match verdict {
            Some(Verdict::Skip { error, attempts }) => {
                let parked = failed(event, key.into_owned(), error, *attempts);
                self.change().skip(parked.into_skipped());
            }
            Some(Verdict::Park { error, attempts }) => {
                let parked = failed(event, key.into_owned(), error, *attempts);
                self.keys.insert(parked.key.clone());
                self.change().park(parked);
            }
            None if self.keys.contains(&*key) => {
                let waits = ParkedEvent::new(event, key.into_owned(), ParkedCause::Waits);
                self.change().park(waits);
            }
            None => return true,
        }
        false
    }

    fn change(&mut self) -> &mut ParkedEvents {
        let gate = self.gate;
        self.changed
            .get_or_insert_with(|| ParkedEvents::clone(&gate.parked))
    }

    fn finish(self, parked_max: usize) -> Result<Option<Arc<ParkedEvents>>, Error> {
        let Some(parked) = self.changed else {
            return Ok(None);
        };
        if parked.events().len() > parked_max {
            let message = "more events would be parked than may; mend or drop those that are";
            let error = Error::new(ErrorKind::Refused, message);
            return Err(error.with("parked_max", parked_max));
        }
        Ok(Some(Arc::new(parked)))
    }
}

/// An event that failed, as it is listed.
pub(super) fn failed(
    event: &RecordedEvent,
    key: String,
    error: &str,
    attempts: u32,
) -> ParkedEvent {
    let cause = ParkedCause::Failed {
        error: error.to_owned(),
        attempts,
    };
    ParkedEvent::new(event, key, cause)
}
