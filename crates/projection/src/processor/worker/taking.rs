//! Handing a page over: whole, or up to the event that fails, and what becomes of that one.

use std::sync::Arc;

use annals_core::{BoxError, Cursor, Error, ErrorKind, Position, RecordedEvent};

use super::Worker;
use crate::contract::batch::Batch;
use crate::contract::consumer::Handled;
use crate::contract::failure_policy::AfterRetries;
use crate::contract::page::FeedPage;
use crate::errors::in_words;
use crate::processor::gate::{Portion, Verdict, Verdicts};

/// A page on its way into a consumer.
struct Passage<'a> {
    page: &'a Arc<FeedPage>,
    /// The consumer's own events that are yet to be taken.
    rest: Vec<usize>,
    verdicts: Verdicts,
    /// The event that failed last, and how often it was tried.
    failing: Option<(usize, u32)>,
    /// Whether another page follows at once.
    is_followed: bool,
}

/// Whether a portion is all that is left of its page, in which case an order may interrupt it, and its step may be put
/// off.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Part,
    Rest,
}

/// What became of a portion.
enum Passed {
    Whole,
    /// An order came before this event; nothing of the portion is noted.
    Interrupted {
        index: usize,
    },
    /// An event can't be handled; nothing of the portion is noted.
    Failed {
        index: usize,
        error: BoxError,
    },
    /// Everything since the last step is to be handed over again.
    WentBack,
}

impl Worker {
    /// Has a page taken, or a part of it where an order comes while an event is tried again.
    pub(super) async fn take_page(
        &mut self,
        page: &Arc<FeedPage>,
        is_newest: bool,
    ) -> Result<(), Error> {
        let mut passage = Passage {
            page,
            rest: self.own(page),
            verdicts: Verdicts::new(),
            failing: None,
            is_followed: !is_newest,
        };
        loop {
            let portion = self.portion(&passage, passage.rest.len())?;
            match self
                .take_portion(&passage, portion, page.cursor().clone(), Extent::Rest)
                .await?
            {
                Passed::Whole | Passed::WentBack => return Ok(()),
                Passed::Interrupted { index } => {
                    self.take_before(&mut passage, index).await?;
                    self.feed.leave(self.member.id);
                    return Ok(());
                }
                Passed::Failed { index, error } => {
                    self.take_before(&mut passage, index).await?;
                    if !self.try_again(&mut passage, index, error).await? {
                        self.feed.leave(self.member.id);
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The events of a page that are this consumer's, and not handled yet.
    fn own(&self, page: &FeedPage) -> Vec<usize> {
        let choice = &self.member.choice;
        let is_mixed = page.choice() != choice;
        let begins_at = (*page.after() != self.cursor)
            .then(|| self.cursor.position())
            .flatten();
        let events = page.events().iter().enumerate();
        let own = events.filter(|(_, event)| {
            begins_at.is_none_or(|cursor| cursor < event.position())
                && (!is_mixed || choice.contains(event))
                && (self.partition.is_whole() || self.partition.contains(&self.consumer.key(event)))
        });
        own.map(|(index, _)| index).collect()
    }

    /// What is taken of the first so many events that are left.
    fn portion(&self, passage: &Passage<'_>, events: usize) -> Result<Portion, Error> {
        let own = passage.rest.get(..events).unwrap_or(&passage.rest);
        self.gate
            .portion(passage.page, own, &passage.verdicts, &*self.consumer)
    }

    async fn take_portion(
        &mut self,
        passage: &Passage<'_>,
        portion: Portion,
        cursor: Cursor,
        extent: Extent,
    ) -> Result<Passed, Error> {
        let events = portion.indexes.len();
        let is_followed = extent == Extent::Rest && passage.is_followed && self.puts_off();
        if events == 0 && portion.parked.is_none() {
            self.pass(cursor, is_followed).await?;
            return Ok(Passed::Whole);
        }
        let mut batch = Batch::of(Arc::clone(passage.page), portion.indexes)
            .to(cursor.clone())
            .observed_by(self.feed.observer.clone());
        if extent == Extent::Rest {
            batch = batch.interrupted_by(self.cell.interrupted());
        }
        if is_followed && portion.parked.is_none() && passage.failing.is_none() {
            batch = batch.followed();
        }
        if let Some(parked) = &portion.parked {
            batch = batch.parking(Arc::clone(parked));
        }
        if let Some((index, attempts)) = passage.failing {
            batch = batch.attempt(index, attempts.saturating_add(1));
        }
        let began = self.feed.timer.elapsed();
        let handled = self.consumer.handle(&batch).await?;
        self.took(self.feed.timer.elapsed().saturating_sub(began));
        match handled {
            Handled::Whole => {
                self.failures = 0;
                if let Some(parked) = portion.parked {
                    self.set_parked(parked);
                }
                self.noted(cursor, events);
                Ok(Passed::Whole)
            }
            Handled::PutOff => {
                self.put_off(cursor, events);
                Ok(Passed::Whole)
            }
            Handled::Failed { .. } | Handled::Interrupted { .. } if self.has_put_off() => {
                self.go_back(passage.page.cursor());
                Ok(Passed::WentBack)
            }
            Handled::Failed { index, error } => Ok(Passed::Failed { index, error }),
            Handled::Interrupted { index } => Ok(Passed::Interrupted { index }),
        }
    }

    /// Hands over a batch that no event of which can fail.
    pub(super) async fn hand_over(&mut self, batch: Batch) -> Result<(), Error> {
        match self.consumer.handle(&batch).await? {
            Handled::Whole => Ok(()),
            _ => Err(unsteady()),
        }
    }

    /// Has the events before this one taken and noted, where the store's order tells a place between the two.
    async fn take_before(&mut self, passage: &mut Passage<'_>, index: usize) -> Result<(), Error> {
        let before = passage.rest.partition_point(|other| *other < index);
        let Some(cursor) = place_before(passage.page, index) else {
            return Ok(());
        };
        if before == 0 {
            return Ok(());
        }
        let portion = self.portion(passage, before)?;
        match self
            .take_portion(passage, portion, cursor, Extent::Part)
            .await?
        {
            Passed::Whole => {
                passage.rest.drain(..before);
                Ok(())
            }
            _ => Err(unsteady()),
        }
    }

    /// Waits before the next try of an event that failed, or decides on it; `false` when an order came before.
    async fn try_again(
        &mut self,
        passage: &mut Passage<'_>,
        index: usize,
        error: BoxError,
    ) -> Result<bool, Error> {
        let attempts = match passage.failing {
            Some((again, attempts)) if again == index => attempts.saturating_add(1),
            _ => 1,
        };
        let retry = &self.policy.retry;
        if attempts < retry.attempts_max {
            let pause = retry.pause(attempts, self.feed.chance.draw());
            passage.failing = Some((index, attempts));
            self.is_hindered(attempts, in_words(&*error));
            return Ok(self.pause(pause).await);
        }
        passage.failing = None;
        let verdict = self.decide(passage.page, index, attempts, error)?;
        passage.verdicts.insert(index, verdict);
        Ok(true)
    }

    /// What becomes of an event that failed as often as it may.
    fn decide(
        &self,
        page: &FeedPage,
        index: usize,
        attempts: u32,
        error: BoxError,
    ) -> Result<Verdict, Error> {
        let words = in_words(&*error);
        let verdict = match self.policy.then {
            AfterRetries::Park => Verdict::Park {
                error: words.clone(),
                attempts,
            },
            AfterRetries::Skip => Verdict::Skip {
                error: words.clone(),
                attempts,
            },
            AfterRetries::Stop => return Err(refused(page, index, attempts, error)),
        };
        let position = page.events().get(index).map(RecordedEvent::position);
        tracing::warn!(
            consumer = %self.cell.name, ?position, attempts, error = %words,
            "an event can't be handled and is {}",
            if matches!(verdict, Verdict::Park { .. }) { "parked" } else { "skipped" },
        );
        Ok(verdict)
    }
}

/// Where a reader stands who has seen everything before this event. In a store of several partitions, that is behind
/// the last event of each that stands before it on the page: those of one are in order.
fn place_before(page: &FeedPage, index: usize) -> Option<Cursor> {
    let event = page.events().get(index)?;
    if page.cursor().position().is_some() {
        return Some(Cursor::at(event.position().previous()));
    }
    let mut places = page.after().positions().to_vec();
    places.resize(page.cursor().positions().len(), Position::START);
    for taken in page.events().get(..index)? {
        let position = taken.position();
        *places.get_mut(usize::from(position.partition()))? = position.in_log();
    }
    Some(Cursor::partitioned(places))
}

fn refused(page: &FeedPage, index: usize, attempts: u32, error: BoxError) -> Error {
    let message = "event can't be handled; mend the handler or the event, then resume";
    let mut refused = Error::new(ErrorKind::Refused, message);
    if let Some(event) = page.events().get(index) {
        refused = refused
            .with("stream", event.stream())
            .with("version", event.version())
            .with("position", event.position());
    }
    refused.with("attempts", attempts).caused_by(error)
}

fn unsteady() -> Error {
    let message =
        "consumer refused what it took before; its handlers depend on more than the event";
    Error::new(ErrorKind::Unavailable, message)
}
