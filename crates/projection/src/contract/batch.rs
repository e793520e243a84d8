//! The events that a consumer takes in one step.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use annals_core::{
    CheckpointName, Cursor, Observer, Page, RecordedEvent, Work, WorkEvents, WorkKind,
};

use super::choice::EventChoice;
use super::page::FeedPage;
use super::parked::ParkedEvents;
use super::progress::Step;

/// The events of a page that a consumer takes in one step. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Batch {
    page: Arc<FeedPage>,
    picked: Picked,
    cursor: Cursor,
    parked: Option<Arc<ParkedEvents>>,
    /// The event that is tried again, and how often it was, this time included.
    again: Option<(usize, u32)>,
    interrupted: Option<Arc<AtomicBool>>,
    is_followed: bool,
    observer: Option<Arc<dyn Observer>>,
}

/// Which events of a page.
#[derive(Clone, Debug)]
enum Picked {
    Run(Range<usize>),
    Each(Arc<[usize]>),
}

impl Batch {
    /// All events of a page; the step is to the page's cursor.
    pub fn whole(page: Arc<FeedPage>) -> Self {
        Self {
            picked: Picked::Run(0..page.events().len()),
            cursor: page.cursor().clone(),
            page,
            parked: None,
            again: None,
            interrupted: None,
            is_followed: false,
            observer: None,
        }
    }

    /// These events of a page, by their indexes in ascending order; the step is to the page's cursor.
    pub fn of(page: Arc<FeedPage>, indexes: impl Into<Arc<[usize]>>) -> Self {
        Self {
            picked: Picked::Each(indexes.into()),
            ..Self::whole(page)
        }
    }

    /// No event; the step is to this cursor.
    pub fn empty(cursor: Cursor) -> Self {
        let page = Page {
            events: Vec::new(),
            next: None,
            cursor: cursor.clone(),
            stream: None,
        };
        Self::whole(Arc::new(FeedPage::new(cursor, page, EventChoice::NONE)))
    }

    /// The same with a step to this cursor.
    #[must_use]
    pub fn to(mut self, cursor: Cursor) -> Self {
        self.cursor = cursor;
        self
    }

    /// The same with a step after which these are the parked events.
    #[must_use]
    pub fn parking(mut self, parked: Arc<ParkedEvents>) -> Self {
        self.parked = Some(parked);
        self
    }

    /// The same as the attempt of this number, from 1, on the event of this index.
    #[must_use]
    pub fn attempt(mut self, index: usize, attempt: u32) -> Self {
        self.again = Some((index, attempt));
        self
    }

    /// The same as interrupted when this is set.
    pub(crate) fn interrupted_by(mut self, interrupted: Arc<AtomicBool>) -> Self {
        self.interrupted = Some(interrupted);
        self
    }

    /// The same as followed at once by another batch.
    #[must_use]
    pub fn followed(mut self) -> Self {
        self.is_followed = true;
        self
    }

    /// Whether another batch follows at once, as while a consumer catches up: its step may then be
    /// [put off](crate::Handled::PutOff).
    pub fn is_followed(&self) -> bool {
        self.is_followed
    }

    /// Whether somebody else will ask for what the events are decoded to, or the consumer once more.
    pub(crate) fn keeps_decoded(&self) -> bool {
        self.page.is_shared() || !self.is_followed
    }

    /// The same with an observer that is told what is done with it.
    #[must_use]
    pub fn observed_by(mut self, observer: Option<Arc<dyn Observer>>) -> Self {
        self.observer = observer;
        self
    }

    /// Who is told what a consumer does with the batch, if anybody is: see [`work`](Self::work).
    pub fn observer(&self) -> Option<&Arc<dyn Observer>> {
        self.observer.as_ref()
    }

    /// The whole batch as a piece of work of this consumer.
    pub fn work<'a>(&'a self, kind: WorkKind, consumer: &'a CheckpointName) -> Work<'a> {
        let page = self.page.events();
        let events = match &self.picked {
            Picked::Run(run) => WorkEvents::All(page.get(run.clone()).unwrap_or_default()),
            Picked::Each(each) => WorkEvents::Picked(page, each),
        };
        let attempt = self.again.map_or(1, |(_, attempt)| attempt);
        Work::of(kind, consumer, events).with_attempt(attempt)
    }

    /// The page that the events are of.
    pub fn page(&self) -> &Arc<FeedPage> {
        &self.page
    }

    /// The indexes in the page of the events of this batch, ascending.
    pub fn indexes(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        let picked = &self.picked;
        let places = match picked {
            Picked::Run(run) => 0..run.len(),
            Picked::Each(each) => 0..each.len(),
        };
        places.map(move |place| match picked {
            Picked::Run(run) => run.start + place,
            Picked::Each(each) => each.get(place).copied().unwrap_or_default(),
        })
    }

    /// The events, each with its index in the page.
    pub fn events(&self) -> impl Iterator<Item = (usize, &RecordedEvent)> {
        let events = self.page.events();
        self.indexes()
            .filter_map(|index| events.get(index).map(|event| (index, event)))
    }

    /// What is noted with the events.
    pub fn step(&self) -> Step<'_> {
        Step {
            cursor: &self.cursor,
            parked: self.parked.as_deref(),
        }
    }

    /// How often the event of this index was tried, this time included: 1 for all but one that failed.
    pub fn attempt_of(&self, index: usize) -> u32 {
        match self.again {
            Some((again, attempt)) if again == index => attempt,
            _ => 1,
        }
    }

    /// Whether the processor wants to go on to something else: a consumer whose events take long may then return
    /// [`Handled::Interrupted`](crate::Handled::Interrupted).
    pub fn is_interrupted(&self) -> bool {
        let interrupted = self.interrupted.as_ref();
        interrupted.is_some_and(|interrupted| interrupted.load(Ordering::Relaxed))
    }
}
