//! One partition, as a part of a merged read.

use std::collections::VecDeque;

use annals_core::{Direction, Error, EventStore, Position, ReadRequest, RecordedEvent, Timestamp};

use crate::places::place;

/// What was read of a partition and not taken yet, and how to go on.
///
/// Positions are those of the partition's log.
#[derive(Debug)]
pub(super) struct Lane<'a, S> {
    store: &'a S,
    number: u16,
    direction: Direction,
    /// What was read, and not taken.
    events: VecDeque<RecordedEvent>,
    /// The request for what was not read.
    rest: Option<ReadRequest>,
    /// Where the lane is once all that was read is taken.
    end: Position,
    /// Forward, up to where all is taken; backward, up to where nothing is.
    place: Position,
    /// Whether the partition came to the end of a page's work and not to an event.
    is_stalled: bool,
}

impl<'a, S: EventStore> Lane<'a, S> {
    pub(super) fn new(store: &'a S, number: usize, request: ReadRequest) -> Result<Self, Error> {
        let place = match (request.direction, &request.until) {
            (Direction::Forward, _) => place(&request.after)?,
            (Direction::Backward, Some(until)) => place(until)?,
            (Direction::Backward, None) => Position::MAX,
        };
        let is_over = request.direction == Direction::Backward && place == Position::START;
        Ok(Self {
            store,
            number: u16::try_from(number).unwrap_or(u16::MAX),
            direction: request.direction,
            events: VecDeque::new(),
            rest: Some(request).filter(|_| !is_over),
            end: place,
            place,
            is_stalled: false,
        })
    }

    /// Reads on, if there is more and nothing of it is left to take.
    pub(super) async fn fill(&mut self) -> Result<(), Error> {
        if !self.events.is_empty() {
            return Ok(());
        }
        let Some(request) = self.rest.take() else {
            return Ok(());
        };
        let page = self.store.read(request).await?;
        self.end = match (self.direction, &page.next) {
            (Direction::Forward, _) => place(&page.cursor)?,
            (Direction::Backward, None) => Position::START,
            (Direction::Backward, Some(next)) => {
                next.until.as_ref().map_or(Ok(self.place), place)?
            }
        };
        self.is_stalled = page.events.is_empty() && page.next.is_some();
        self.rest = page.next;
        self.events = page.events.into();
        match (self.direction, self.events.front()) {
            (_, None) => self.place = self.end,
            (Direction::Backward, Some(event)) => self.place = event.position(),
            (Direction::Forward, Some(_)) => {}
        }
        Ok(())
    }

    /// Takes the next event, as one of the whole store.
    pub(super) fn take(&mut self) -> Result<Option<RecordedEvent>, Error> {
        let Some(event) = self.events.pop_front() else {
            return Ok(None);
        };
        self.place = match (self.direction, self.events.front()) {
            (_, None) => self.end,
            (Direction::Forward, Some(_)) => event.position(),
            (Direction::Backward, Some(next)) => next.position(),
        };
        event.in_partition(self.number).map(Some)
    }

    /// The next event, if it was read.
    pub(super) fn next(&self) -> Option<&RecordedEvent> {
        self.events.front()
    }

    /// By what lanes take turns: the times of their next events, then the numbers of partitions.
    pub(super) fn turn(&self) -> Option<(Timestamp, u16)> {
        let event = self.next()?;
        Some((event.appended_at(), self.number))
    }

    /// Whether it has to be [filled](Self::fill) before its next event is known.
    pub(super) fn is_dry(&self) -> bool {
        self.events.is_empty() && self.rest.is_some()
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.is_stalled && self.is_dry()
    }

    /// Whether all is taken.
    pub(super) fn is_over(&self) -> bool {
        self.events.is_empty() && self.rest.is_none()
    }

    pub(super) fn place(&self) -> Position {
        self.place
    }
}
