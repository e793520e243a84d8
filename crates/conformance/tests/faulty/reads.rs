//! Lies about reads.

use std::sync::atomic::Ordering;
use std::thread::yield_now;
use std::time::Duration;

use annals_core::limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use annals_core::{
    Category, ConsistencyLevel, Criteria, CriteriaItem, Cursor, Direction, Error, ErrorKind,
    EventStore, EventStoreExt, Page, Position, ReadRequest, RecordedEvent, Selection, Timestamp,
    Version,
};

use super::appends::shifted;
use super::{Bug, Faulty};

impl Faulty {
    pub(super) async fn faulty_read(&self, request: ReadRequest) -> Result<Page, Error> {
        let Some(bug) = self.bug else {
            return self.store.read(request).await;
        };
        if let Some(page) = self.filtered(bug, &request).await? {
            return Ok(page);
        }
        let asked = self.asked(bug, request.clone()).await?;
        let mut page = match self.store.read(asked.clone()).await {
            Err(error)
                if bug == Bug::CursorAheadAccepted && error.kind() == ErrorKind::CursorAhead =>
            {
                let mut asked = asked;
                asked.after = self.store.head(ConsistencyLevel::Strong).await?;
                asked.consistency = ConsistencyLevel::Strong;
                self.store.read(asked).await?
            }
            answer => answer?,
        };
        self.twist(bug, &request, &mut page).await?;
        Ok(page)
    }

    /// The request as a store with this bug understands it.
    async fn asked(&self, bug: Bug, mut request: ReadRequest) -> Result<ReadRequest, Error> {
        let before = |cursor: &Cursor| Cursor::at(cursor.position().unwrap_or_default().previous());
        let foreign = |cursor: &Cursor| cursor.position().is_none();
        if foreign(&request.after) || request.until.as_ref().is_some_and(foreign) {
            return Ok(request);
        }
        match bug {
            Bug::UntilIgnored => request.until = None,
            Bug::UntilExclusive => request.until = request.until.as_ref().map(before),
            Bug::AfterInclusive => request.after = before(&request.after),
            Bug::TimesIgnored => {
                request.appended_from = None;
                request.appended_before = None;
            }
            Bug::AppendedFromExclusive => {
                request.appended_from = request.appended_from.map(next_moment);
            }
            Bug::AppendedBeforeInclusive => {
                request.appended_before = request.appended_before.map(next_moment);
            }
            Bug::VersionBoundIgnored => request.until_version = Version::MAX,
            Bug::LimitsIgnored => {
                request.events_max = request.events_max.clamp(1, PAGE_EVENTS_MAX);
                request.bytes_max = request.bytes_max.min(PAGE_BYTES_MAX);
            }
            Bug::PageOneTooLong => request.events_max += 1,
            Bug::BytesIgnored => request.bytes_max = request.bytes_max.max(PAGE_BYTES_MAX),
            Bug::StrongReadLags if self.armed.swap(false, Ordering::SeqCst) => {
                let head = self.head_position().await?.previous();
                let until = request.until.as_ref().and_then(Cursor::position);
                request.until = Some(Cursor::at(until.unwrap_or(Position::MAX).min(head)));
            }
            _ => {}
        }
        Ok(request)
    }

    /// Lies about the page.
    async fn twist(&self, bug: Bug, request: &ReadRequest, page: &mut Page) -> Result<(), Error> {
        let forward = request.direction == Direction::Forward;
        let full = page.next.is_some();
        match bug {
            Bug::BackwardAsForward if !forward => page.events.reverse(),
            Bug::PageDropsItsLast if full => drop(page.events.pop()),
            Bug::NextRepeatsTheLast if forward && page.events.len() > 1 => {
                if let (Some(next), Some(last)) = (&mut page.next, page.events.last()) {
                    next.after = Cursor::at(last.position().previous());
                    next.after_version = match next.selection {
                        Selection::Stream(_) => last.version().previous(),
                        _ => Version::ABSENT,
                    };
                }
            }
            Bug::EmptyLastPage if !full && page.events.len() == request.events_max => {
                page.next = page.events.last().map(|last| request.resumed_after(last));
            }
            Bug::CursorAtHeadOnFullPage if forward && full => {
                page.cursor = self.store.head(ConsistencyLevel::Strong).await?;
            }
            Bug::CursorOneBehind if forward && full && page.events.len() > 1 => {
                let position = page.cursor.position().unwrap_or_default();
                page.cursor = Cursor::at(position.previous());
            }
            Bug::TimesLostOnTheNextPage => {
                if let Some(next) = &mut page.next {
                    next.appended_from = None;
                    next.appended_before = None;
                }
            }
            Bug::CursorPastTheTimeBound
                if forward && request.appended_before.is_some() && !full =>
            {
                page.cursor = self.store.head(ConsistencyLevel::Strong).await?;
            }
            Bug::CursorTakenLate if forward && !full && request.until.is_none() => {
                yield_now();
                yield_now();
                page.cursor = self.store.head(ConsistencyLevel::Strong).await?;
            }
            Bug::WakeLosesAnEvent
                if forward
                    && !page.events.is_empty()
                    && self.armed.swap(false, Ordering::SeqCst) =>
            {
                page.events.remove(0);
            }
            Bug::PageTellsVersionOfItsLastEvent => {
                if let (Some(stream), Some(last)) = (&mut page.stream, page.events.last()) {
                    stream.version = last.version();
                }
            }
            Bug::GapInVersions => {
                if let Some(stream) = &mut page.stream {
                    stream.version = gapped(stream.version);
                }
                change_each(page, |event| event.version = gapped(event.version));
            }
            Bug::AppendedAtGoesBack => change_each(page, |event| {
                event.appended_at = shifted(event.appended_at, event.position.value());
            }),
            _ => {}
        }
        Ok(())
    }

    /// The page of a store that goes through all events and picks the wrong ones.
    async fn filtered(&self, bug: Bug, request: &ReadRequest) -> Result<Option<Page>, Error> {
        let mut all = request.clone();
        let picks: Box<dyn Fn(&RecordedEvent) -> bool + Send> = match (bug, &request.selection) {
            (Bug::TimesOfTheApplication, Selection::All) => {
                let asked = request.clone();
                (all.appended_from, all.appended_before) = (None, None);
                Box::new(move |event| asked.covers_time(event.recorded_at()))
            }
            (Bug::CategoryByPrefix, Selection::Category(category)) => by_prefix(category.clone()),
            (Bug::CriteriaOfAnyTag, Selection::Criteria(criteria)) => by_any_tag(criteria.clone()),
            (Bug::CriteriaOfFirstItemOnly, Selection::Criteria(criteria)) => {
                let first = Criteria::any_of(criteria.items().iter().take(1).cloned())?;
                Box::new(move |event| first.matches(event))
            }
            _ => return Ok(None),
        };
        request.validate()?;
        all.selection = Selection::All;
        all.events_max = PAGE_EVENTS_MAX;
        let head = self.store.head(ConsistencyLevel::Strong).await?;
        let mut events = self.store.collect(all).await?;
        events.retain(|event| picks(event));
        let rest = events.len() > request.events_max;
        events.truncate(request.events_max);
        let next = events
            .last()
            .filter(|_| rest)
            .map(|last| request.resumed_after(last));
        let cursor = match (request.direction, &next, events.last()) {
            (Direction::Backward, ..) => request.after.clone(),
            (_, Some(_), Some(last)) => Cursor::at(last.position()),
            _ => head,
        };
        Ok(Some(Page {
            events,
            next,
            cursor,
            stream: None,
        }))
    }
}

/// Versions with one missing after the second.
pub(super) fn gapped(version: Version) -> Version {
    if version > Version::new(2) {
        version.next()
    } else {
        version
    }
}

fn next_moment(time: Timestamp) -> Timestamp {
    time.after(Duration::from_micros(1))
}

fn by_prefix(category: Category) -> Box<dyn Fn(&RecordedEvent) -> bool + Send> {
    Box::new(move |event| event.stream().as_str().starts_with(category.as_str()))
}

fn by_any_tag(criteria: Criteria) -> Box<dyn Fn(&RecordedEvent) -> bool + Send> {
    let selects = |item: &CriteriaItem, event: &RecordedEvent| {
        let of_type = item.types().is_empty() || item.types().contains(event.event_type());
        let tagged =
            item.tags().is_empty() || item.tags().iter().any(|tag| event.tags().contains(tag));
        of_type && tagged
    };
    Box::new(move |event| criteria.items().iter().any(|item| selects(item, event)))
}

fn change_each(page: &mut Page, change: impl Fn(&mut annals_core::Placement)) {
    for event in &mut page.events {
        let (content, mut placement) = event.clone().into_parts();
        change(&mut placement);
        *event = RecordedEvent::new(content, placement);
    }
}
