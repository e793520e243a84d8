//! Reads of what only one partition can hold.

use annals_core::{Direction, Error, EventStore, Page, Position, ReadRequest, RecordedEvent};

use super::part;
use crate::places::{Bounds, Places, place};
use crate::store::Partitioned;

impl<S: EventStore> Partitioned<S> {
    /// A page of one partition, in the terms of the whole store.
    pub(crate) async fn read_one(
        &self,
        request: &ReadRequest,
        bounds: &Bounds,
        number: usize,
    ) -> Result<Page, Error> {
        self.check_not_ahead(&bounds.after, Some(number)).await?;
        if let Some(session) = &bounds.session {
            self.check_not_ahead(session, Some(number)).await?;
        }
        let page = self.partition(number);
        let page = page.read(part(request, bounds, number)).await?;
        let next = page.next.as_ref();
        let next = next.map(|next| self.next_of(request, bounds, number, next));
        Ok(Page {
            next: next.transpose()?,
            cursor: self.passed(request, bounds, number, &page)?.into_cursor(),
            events: in_partition(page.events, number)?,
            stream: page.stream,
        })
    }

    /// The request for the rest, of which the partition has the part.
    fn next_of(
        &self,
        request: &ReadRequest,
        bounds: &Bounds,
        number: usize,
        part: &ReadRequest,
    ) -> Result<ReadRequest, Error> {
        let mut next = request.clone();
        next.after_version = part.after_version;
        next.until_version = part.until_version;
        let mut after = bounds.after.clone();
        after.set(number, place(&part.after)?);
        next.after = after.into_cursor();
        if let Some(until) = &part.until {
            let anywhere = || Places::all_at(Position::MAX, self.count());
            let mut places = bounds.until.clone().unwrap_or_else(anywhere);
            places.set(number, place(until)?);
            next.until = Some(places.into_cursor());
        }
        Ok(next)
    }

    /// Where a reader stands after the page. The other partitions hold nothing of what is selected, as far as they are
    /// known; where a time bounds the request it is not known which of their events lie before it.
    fn passed(
        &self,
        request: &ReadRequest,
        bounds: &Bounds,
        number: usize,
        page: &Page,
    ) -> Result<Places, Error> {
        let mut passed = bounds.after.clone();
        if request.direction == Direction::Backward {
            return Ok(passed);
        }
        let reached = place(&page.cursor)?;
        self.heads.heard(number, reached);
        if page.next.is_none() && request.appended_before.is_none() {
            for (other, after) in bounds.after.iter() {
                let head = self.heads.at(other).min(bounds.until(other));
                passed.set(other, after.max(head));
            }
        }
        passed.set(number, reached);
        Ok(passed)
    }
}

/// The events as those of a partition.
fn in_partition(events: Vec<RecordedEvent>, partition: usize) -> Result<Vec<RecordedEvent>, Error> {
    let number = u16::try_from(partition).unwrap_or(u16::MAX);
    if number == 0 {
        return Ok(events);
    }
    let events = events.into_iter();
    events.map(|event| event.in_partition(number)).collect()
}
