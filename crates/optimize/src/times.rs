//! What time it is for events that expire, and whether the clock can be believed.

use std::pin::pin;
use std::time::Duration;

use annals_core::{Error, ErrorKind, EventStoreExt, ReadRequest, StreamId, Timestamp};
use futures_executor::block_on;
use futures_util::StreamExt;

use crate::age;
use crate::journal::JOURNAL;
use crate::optimizer::Optimizer;
use crate::plan::{Plan, Step};

/// How far the clock may stand before the newest event: as far as the clocks of several machines differ.
const BEHIND_MAX: Duration = Duration::from_mins(5);

/// The clock, and the newest events that it is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    clock: Timestamp,
    /// When the newest event that is shown was appended.
    newest: Option<Timestamp>,
    /// The same, without the optimizer's own: a clock that is wrong has written wrong ones there.
    newest_of_others: Option<Timestamp>,
}

impl Times {
    /// Reads the newest events of the store.
    pub(crate) fn of(optimizer: &Optimizer) -> Result<Self, Error> {
        let mut times = Self {
            clock: optimizer.clock.now(),
            newest: None,
            newest_of_others: None,
        };
        let mut events = pin!(optimizer.store.events(ReadRequest::all().backward()));
        while let Some(event) = block_on(events.next()).transpose()? {
            times.newest = times.newest.max(Some(event.appended_at()));
            if *event.stream() != JOURNAL {
                times.newest_of_others = Some(event.appended_at());
                break;
            }
        }
        Ok(times)
    }

    /// The time by which the store hides: a clock that goes back shows nothing again.
    pub(crate) fn now(&self) -> Timestamp {
        self.newest.map_or(self.clock, |it| it.max(self.clock))
    }

    /// The time by which events are reclaimed: that of the newest event that is shown, so that a clock that is wrong takes
    /// nothing. Where none is shown, no age hides anything.
    pub(crate) fn reclaim_at(&self, trusts_clock: bool) -> Timestamp {
        if trusts_clock {
            return self.now();
        }
        self.newest_of_others.unwrap_or(Timestamp::EPOCH)
    }

    /// Refuses a clock that stands before what was appended already.
    pub(crate) fn check_behind(&self) -> Result<(), Error> {
        let Some(newest) = self.newest else {
            return Ok(());
        };
        if newest.since(self.clock) <= BEHIND_MAX {
            return Ok(());
        }
        Err(self.suspicious("stands before the newest event of the store"))
    }

    /// Refuses a rule that hides every event of the store by this clock alone.
    pub(crate) fn check_ahead(&self, max_age: Duration) -> Result<(), Error> {
        let Some(newest) = self.newest_of_others else {
            return Ok(());
        };
        if self.clock.since(newest) <= max_age {
            return Ok(());
        }
        let message =
            "is so far past the newest event of the store that the rule hides all there is";
        let error = self.suspicious(message);
        Err(error.with("max_age", age::text(max_age)))
    }

    fn suspicious(&self, how: &str) -> Error {
        let message = format!(
            "the clock {how}; correct it, or say that it is right (`trusts_clock` of the policy, `--trust-clock`)"
        );
        let error = Error::new(ErrorKind::Invalid, message)
            .during("hide by age")
            .with("clock", self.clock);
        match self.newest_of_others.max(self.newest) {
            Some(newest) => error.with("newest_event", newest),
            None => error,
        }
    }
}

impl Optimizer {
    /// Refuses to hide by age as the plan says when the clock can't be believed now.
    pub(crate) fn check_clock(&self, plan: &Plan) -> Result<(), Error> {
        let Some(shortest) = plan.steps.iter().filter_map(max_age).min() else {
            return Ok(());
        };
        if plan.trusts_clock {
            return Ok(());
        }
        let times = Times::of(self)?;
        if times.check_behind().is_ok() && times.check_ahead(shortest).is_ok() {
            return Ok(());
        }
        for step in &plan.steps {
            if let (Step::Retain { stream, .. }, Some(age)) = (step, max_age(step))
                && block_on(self.store.stream_head(stream))?.policy.max_age != Some(age)
            {
                times.check_behind()?;
                if self.shows(stream)? {
                    times.check_ahead(age)?;
                }
            }
        }
        Ok(())
    }

    fn shows(&self, stream: &StreamId) -> Result<bool, Error> {
        let request = ReadRequest::stream(stream.clone()).events_max(1);
        let mut events = pin!(self.store.events(request));
        Ok(block_on(events.next()).transpose()?.is_some())
    }
}

fn max_age(step: &Step) -> Option<Duration> {
    match step {
        Step::Retain { max_age, .. } => *max_age,
        _ => None,
    }
}
