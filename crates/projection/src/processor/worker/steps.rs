//! When a step is noted: with each batch, or put off while a consumer catches up.

use std::time::Duration;

use annals_core::{Cursor, Error};

use super::Worker;
use crate::contract::batch::Batch;

/// What a beginning step may cost of the time that it takes: an eighth.
const BEGINNINGS_A_STEP: u32 = 8;

/// What a worker knows of the steps of its consumer.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// How many pages went by without an event for the consumer, which noted nothing of them.
    unnoted_pages: u32,
    /// What is handled and not noted.
    put_off: Option<PutOff>,
    /// When the last step was noted, on the processor's timer.
    noted_at: Duration,
    /// How long the first batch took of the step that is open, or was open last.
    beginning: Duration,
    /// Up to here a failure is looked for: every batch is a step.
    careful_until: Option<Cursor>,
}

/// What is handled and not noted.
#[derive(Debug)]
struct PutOff {
    /// Where the consumer stood when it noted its last step.
    noted: Cursor,
    events: usize,
}

impl Worker {
    /// Whether the step of the next batch may be put off.
    pub(super) fn puts_off(&mut self) -> bool {
        let put_off_max = self.feed.settings.put_off_max;
        let careful_until = &mut self.steps.careful_until;
        if careful_until
            .take_if(|until| self.cursor.covers(until))
            .is_some()
        {
            self.steps.noted_at = self.feed.timer.elapsed();
        }
        if put_off_max.is_zero() || self.steps.careful_until.is_some() {
            return false;
        }
        let beginning = self.steps.beginning.saturating_mul(BEGINNINGS_A_STEP);
        let open = self
            .feed
            .timer
            .elapsed()
            .saturating_sub(self.steps.noted_at);
        open < put_off_max.max(beginning)
    }

    /// Whether something is handled and not noted, as its step was put off.
    pub(super) fn has_put_off(&self) -> bool {
        self.steps.put_off.is_some()
    }

    /// A batch took so long, which may have begun a step.
    pub(super) fn took(&mut self, time: Duration) {
        if !self.has_put_off() {
            self.steps.beginning = time;
        }
    }

    /// Goes on from this cursor, after so many events more that are not noted yet.
    pub(super) fn put_off(&mut self, cursor: Cursor, events: usize) {
        let noted = std::mem::replace(&mut self.cursor, cursor);
        let put_off = self
            .steps
            .put_off
            .get_or_insert(PutOff { noted, events: 0 });
        put_off.events = put_off.events.saturating_add(events);
    }

    /// Everything up to the worker's cursor is noted; how many events were put off before.
    pub(super) fn is_noted(&mut self) -> usize {
        self.steps.noted_at = self.feed.timer.elapsed();
        let put_off = self.steps.put_off.take();
        put_off.map_or(0, |put_off| put_off.events)
    }

    /// What was put off is gone: stands where the consumer does.
    pub(super) fn lose_put_off(&mut self) {
        if let Some(put_off) = self.steps.put_off.take() {
            self.cursor = put_off.noted;
        }
    }

    /// An event can't be handled, and what was put off is gone with it: goes over it again, batch by batch, up to the
    /// end of the page that the event is in.
    pub(super) fn go_back(&mut self, careful_until: &Cursor) {
        self.lose_put_off();
        self.steps.careful_until = Some(careful_until.clone());
        self.feed.leave(self.member.id);
    }

    /// The consumer noted that it stands here, after so many events more.
    pub(super) fn noted(&mut self, cursor: Cursor, events: usize) {
        self.steps.unnoted_pages = 0;
        self.stand(cursor, events);
    }

    /// Goes past a page without an event for the consumer, which notes it once in a while.
    pub(super) async fn pass(&mut self, cursor: Cursor, is_followed: bool) -> Result<(), Error> {
        if self.has_put_off() {
            self.put_off(cursor, 0);
            return if is_followed {
                Ok(())
            } else {
                self.note().await
            };
        }
        self.stand(cursor, 0);
        self.steps.unnoted_pages = self.steps.unnoted_pages.saturating_add(1);
        if self.steps.unnoted_pages >= self.feed.settings.empty_pages_max {
            self.note().await?;
        }
        Ok(())
    }

    /// Has it noted how far the consumer got, where it is not.
    pub(super) async fn note(&mut self) -> Result<(), Error> {
        if self.steps.unnoted_pages > 0 || self.has_put_off() {
            self.hand_over(Batch::empty(self.cursor.clone())).await?;
            self.noted(self.cursor.clone(), 0);
        }
        Ok(())
    }
}
