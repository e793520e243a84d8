//! Pages of events.

use std::ops::Range;

use annals_core::{
    ConsistencyLevel, Cursor, Direction, Error, Page, Position, ReadRequest, RecordedEvent,
    Selection, StreamHead, StreamId, Timestamp, Version,
};
use annals_log::{RecordAt, RecordReader};

use super::error::{bad_record, corrupt, from_log};
use super::lost;
use super::matching::{self, Choice};
use super::settings::LostEvents;
use super::shown::{Shown, first_shown};
use super::snapshot::{Snapshot, StreamFacts, no_place};
use crate::record::{EventView, PageBuilder};

/// How many events a page looks at, shown or not, before it ends early.
const EXAMINED_MAX: usize = 100_000;

/// From how many events on a page is made in the memory of a former page.
const LARGE_MIN: usize = 250;

/// What an event of unknown size is taken for, in bytes.
const EVENT_BYTES: usize = 256;

/// How many records are fetched before the first one is read, at most: what a cache holds.
const FETCH_MAX: usize = 64;

/// How many positions are asked of the index at a time, at most.
const CHUNK_MAX: usize = 4096;

/// One page of the answer to a request that was validated.
pub(crate) fn page(
    snapshot: &Snapshot,
    request: &ReadRequest,
    now: Timestamp,
) -> Result<Page, Error> {
    let span = Span::of(snapshot, request)?;
    snapshot.check_not_ahead(&request.after)?;
    check_consistency(snapshot, &request.consistency)?;
    match &request.selection {
        Selection::Stream(stream) => stream_page(snapshot, request, stream, span, now),
        Selection::All => log_page(snapshot, request, &Choice::All, span, now),
        Selection::Category(category) => {
            log_page(snapshot, request, &Choice::Category(category), span, now)
        }
        Selection::Criteria(criteria) => {
            log_page(snapshot, request, &Choice::Criteria(criteria), span, now)
        }
        other => Err(Error::unsupported("read").with("selection", format!("{other:?}"))),
    }
}

/// Refuses to promise more than the store holds. Every answer of this store is strong.
pub(crate) fn check_consistency(
    snapshot: &Snapshot,
    consistency: &ConsistencyLevel,
) -> Result<(), Error> {
    match consistency {
        ConsistencyLevel::Session(cursor) => snapshot.check_not_ahead(cursor),
        ConsistencyLevel::Strong | ConsistencyLevel::Eventual => Ok(()),
    }
}

/// The part of the log that a request is about: after the first position, up to and with the second.
#[derive(Clone, Copy)]
struct Span {
    after: Position,
    until: Position,
}

impl Span {
    /// Up to the head, whatever the request says; its bounds in time found among the events.
    fn of(snapshot: &Snapshot, request: &ReadRequest) -> Result<Self, Error> {
        let mut scratch = Vec::new();
        let (after, until) = request.positions_in(snapshot.head, |position| {
            // What is lost was recorded no earlier than what stands before it.
            match lost::step_back(snapshot.view.lost(), position) {
                Position::START => Ok(Timestamp::EPOCH),
                position => snapshot.appended_at(position, &mut scratch),
            }
        })?;
        let mut span = Self { after, until };
        if request.appended_from.is_some() && snapshot.lost_events == LostEvents::Fail {
            span.widen(request.positions()?.0, snapshot.view.lost());
        }
        Ok(span)
    }

    /// Takes in what is lost right before it: it may have been recorded late enough.
    fn widen(&mut self, after: Position, lost: &[Range<u64>]) {
        for lost in lost.iter().rev() {
            if lost.contains(&self.after.value()) {
                self.after = Position::new(lost.start).previous().max(after);
            }
        }
    }

    /// The request for this part of what another asks for, in its direction.
    fn rest_of(self, request: &ReadRequest) -> ReadRequest {
        let mut next = request.clone();
        match request.direction {
            Direction::Forward => next.after = Cursor::at(self.after),
            Direction::Backward => next.until = Some(Cursor::at(self.until)),
        }
        next
    }
}

fn log_page(
    snapshot: &Snapshot,
    request: &ReadRequest,
    choice: &Choice<'_>,
    span: Span,
    now: Timestamp,
) -> Result<Page, Error> {
    let mut filling = Filling::new(snapshot, request);
    let mut shown = Shown::new(snapshot, now);
    let lost = snapshot.view.lost();
    let whole = (span.after, span.until);
    let (after, until, goes_on) =
        lost::readable(lost, whole, request.direction, snapshot.lost_events)?;
    let mut rest = Span { after, until };
    let mut examined = 0;
    let mut ended = rest.after >= rest.until;
    while !ended && !filling.is_full {
        let chunk_max = (request.events_max + 1).min(CHUNK_MAX);
        let (from, until) = (rest.after.next(), rest.until);
        let chunk = matching::chunk(snapshot, choice, from..=until, request.direction, chunk_max)?;
        ended = chunk.len() < chunk_max;
        let order = match choice {
            Choice::All => Order::Adjacent,
            Choice::Category(_) | Choice::Criteria(_) => Order::Scattered,
        };
        filling.expect(&chunk, order)?;
        for (index, position) in chunk.into_iter().map(Position::new).enumerate() {
            if examined == EXAMINED_MAX {
                filling.is_full = true;
                break;
            }
            filling.take(index, position, |event| shown.event(event, position))?;
            if filling.is_full {
                break;
            }
            examined += 1;
            match request.direction {
                Direction::Forward => rest.after = position,
                Direction::Backward => rest.until = position.previous(),
            }
        }
    }
    if goes_on && !filling.is_full {
        // The next page begins at what is lost, and says so.
        filling.is_full = true;
        rest = match request.direction {
            Direction::Forward => Span {
                after: until,
                until,
            },
            Direction::Backward => Span {
                after,
                until: after,
            },
        };
    }
    let next = filling.is_full.then(|| rest.rest_of(request));
    let cursor = match (request.direction, &next) {
        (Direction::Backward, _) => request.after.clone(),
        (Direction::Forward, Some(_)) => Cursor::at(rest.after),
        (Direction::Forward, None) => request.reached(span.until),
    };
    Ok(Page {
        events: filling.finish(),
        next,
        cursor,
        stream: None,
    })
}

fn stream_page(
    snapshot: &Snapshot,
    request: &ReadRequest,
    stream: &StreamId,
    span: Span,
    now: Timestamp,
) -> Result<Page, Error> {
    let facts = snapshot.stream(stream.as_str())?;
    let (low, high) = shown_versions(snapshot, request, stream, &facts, span, now)?;
    let mut filling = Filling::new(snapshot, request);
    if low <= high {
        let versions = low.value()..=high.value();
        let limit = request.events_max + 1;
        let name = stream.as_str();
        let positions = if snapshot.skips_lost() {
            snapshot.stream_positions_left(name, versions, request.direction, limit)?
        } else {
            snapshot.stream_positions(name, versions, request.direction, limit)?
        };
        filling.expect(&positions, Order::Scattered)?;
        let mut version = match request.direction {
            Direction::Forward => low,
            Direction::Backward => high,
        };
        let mut around = Around::new(snapshot, request.direction, span);
        // The last event that follows the one before it, by its place on the page.
        let mut joined = 0;
        for (index, position) in positions.into_iter().map(Position::new).enumerate() {
            let place = filling.len();
            around.expect(version);
            filling.take(index, position, |event| {
                if event.is_of(name) && around.follows(event.version(), position) {
                    return Ok(true);
                }
                Err(
                    corrupt("index names an event of another stream; verify the store")
                        .with("position", position)
                        .with("stream", stream),
                )
            })?;
            if filling.is_full {
                break;
            }
            if !around.is_after_gap && filling.len() > place {
                joined = place;
            }
            version = match request.direction {
                Direction::Forward => around.version.next(),
                Direction::Backward => around.version.previous(),
            };
        }
        // Whoever reads on holds the versions on both sides of the end of a page against each other.
        if filling.is_full && around.is_after_gap && joined > 0 {
            filling.keep(joined);
        }
    }
    let rest = filling.is_full;
    let head = StreamHead {
        stream: stream.clone(),
        version: facts.version,
        policy: facts.policy,
    };
    Ok(request
        .clone()
        .page(filling.finish(), rest, span.until, Some(head)))
}

/// The first and the last version of a stream that the request asks for and reads show.
fn shown_versions(
    snapshot: &Snapshot,
    request: &ReadRequest,
    stream: &StreamId,
    facts: &StreamFacts,
    span: Span,
    now: Timestamp,
) -> Result<(Version, Version), Error> {
    if span.after >= span.until {
        return Ok((Version::FIRST, Version::ABSENT));
    }
    let name = stream.as_str();
    let mut scratch = Vec::new();
    let first = first_shown(facts, now, |version| {
        snapshot.appended_at_version(name, version, &mut scratch)
    })?;
    // What is lost and may stand in the span does, so that nothing is passed over without a word.
    let after = first_after(snapshot, name, facts.version, span.after, LostAt::Last)?;
    let until = if span.until < snapshot.head {
        first_after(snapshot, name, facts.version, span.until, LostAt::First)?.previous()
    } else {
        facts.version
    };
    let low = first.max(after).max(request.after_version.next());
    Ok((low, until.min(request.until_version)))
}

/// What is taken for the place of an event that is lost, of which no more is known than between which positions it stood.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LostAt {
    First,
    Last,
}

/// The first version of a stream that stands after this position; the one after its head when none does.
fn first_after(
    snapshot: &Snapshot,
    stream: &str,
    head: Version,
    after: Position,
    lost_at: LostAt,
) -> Result<Version, Error> {
    if after == Position::START {
        return Ok(Version::FIRST);
    }
    let (mut low, mut high) = (1, head.next().value());
    // Who follows a stream has mostly seen all of it, or all but its newest events.
    let mut probe = head.value();
    while low < high {
        let (first, last) = snapshot
            .position_of_version(stream, Version::new(probe))?
            .into_inner();
        let position = match lost_at {
            LostAt::First => first,
            LostAt::Last => last,
        };
        if position > after {
            high = probe;
        } else {
            low = probe + 1;
        }
        probe = low + (high - low) / 2;
    }
    Ok(Version::new(low))
}

/// What was read of a stream so far, by which the next event is known to be the one that comes next.
struct Around<'a> {
    snapshot: &'a Snapshot,
    direction: Direction,
    version: Version,
    position: Position,
    /// Whether the last version does not follow the one before.
    is_after_gap: bool,
}

impl<'a> Around<'a> {
    fn new(snapshot: &'a Snapshot, direction: Direction, span: Span) -> Self {
        Self {
            snapshot,
            direction,
            version: Version::ABSENT,
            position: match direction {
                Direction::Forward => Position::START,
                Direction::Backward => span.until.next(),
            },
            is_after_gap: false,
        }
    }

    /// Begins with the next event, of which this version is expected.
    fn expect(&mut self, version: Version) {
        self.version = version;
        self.is_after_gap = false;
    }

    /// Whether the event of this version at this position comes next: it is the expected one, or those between are lost, and
    /// are to be passed over.
    fn follows(&mut self, found: Version, position: Position) -> bool {
        let expected = self.version;
        let (before, after, is_further) = match self.direction {
            Direction::Forward => (self.position, position, found > expected),
            Direction::Backward => (position, self.position, found < expected),
        };
        self.is_after_gap = found != expected;
        (self.version, self.position) = (found, position);
        let are_lost = || {
            let mut lost = self.snapshot.lost_between(before.value(), after.value());
            self.snapshot.skips_lost() && lost.next().is_some()
        };
        !self.is_after_gap || (is_further && are_lost())
    }
}

/// A page in the making.
struct Filling<'a> {
    snapshot: &'a Snapshot,
    events_max: usize,
    bytes_max: usize,
    /// Made when it is known how many events may come.
    builder: Option<PageBuilder<'a>>,
    reader: RecordReader<'a>,
    /// Where the records of the expected events stand.
    places: Vec<Option<RecordAt>>,
    scratch: Vec<u8>,
    /// Set when a further event has no room.
    is_full: bool,
    /// Whether the builder's last event is that further one.
    is_over: bool,
}

impl<'a> Filling<'a> {
    fn new(snapshot: &'a Snapshot, request: &ReadRequest) -> Self {
        Self {
            snapshot,
            events_max: request.events_max,
            bytes_max: request.bytes_max,
            builder: None,
            reader: snapshot.view.reader(),
            places: Vec::new(),
            scratch: Vec::new(),
            is_full: false,
            is_over: false,
        }
    }

    /// Makes room for these events, and finds out where they stand.
    fn expect(&mut self, positions: &[u64], order: Order) -> Result<(), Error> {
        let snapshot = self.snapshot;
        let events = positions.len().min(self.events_max);
        self.builder.get_or_insert_with(|| {
            if events < LARGE_MIN {
                PageBuilder::new(&snapshot.kinds, events)
            } else {
                PageBuilder::large(&snapshot.kinds, events, &snapshot.blocks)
            }
        });
        self.places.clear();
        snapshot.records_at(positions, &mut self.places)?;
        if order == Order::Scattered {
            let (reader, places) = (&mut self.reader, &self.places);
            let count = FETCH_MAX.min(self.bytes_max / EVENT_BYTES + 1);
            reader.fetch(places.iter().take(count).copied().flatten());
        }
        Ok(())
    }

    /// Takes the event of this position, which is the n-th of those expected, if it is shown and has room.
    #[inline]
    fn take(
        &mut self,
        index: usize,
        position: Position,
        shown: impl FnOnce(&EventView<'_>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let Some(builder) = &mut self.builder else {
            return Ok(());
        };
        let has_room = builder.len() < self.events_max;
        let at = self.places.get(index).copied().flatten();
        let at = at.ok_or_else(|| no_place(position.value()))?;
        let base = Timestamp::from_micros(self.reader.context(at).cast_signed());
        let record = self
            .reader
            .record(at, &mut self.scratch)
            .map_err(from_log)?;
        let event = EventView::parse(record.body, base).map_err(|bad| bad_record(bad, position))?;
        // Whoever reads a state from before its policy hid it does not see it either.
        let taken = !event.is_reclaimed() && shown(&event)?;
        if taken && has_room {
            let pushed = builder.push(&event, position);
            pushed.map_err(|bad| bad_record(bad, position))?;
        }
        let over = builder.bytes() > self.bytes_max && builder.len() > 1;
        self.is_over = taken && has_room && over;
        self.is_full = self.is_over || (taken && !has_room);
        Ok(())
    }

    /// How many events there are.
    fn len(&self) -> usize {
        self.builder.as_ref().map_or(0, PageBuilder::len)
    }

    /// Leaves all but so many events to the next page.
    fn keep(&mut self, events: usize) {
        self.events_max = events;
    }

    fn finish(self) -> Vec<RecordedEvent> {
        let mut events = self.builder.map_or(Vec::new(), PageBuilder::finish);
        if self.is_over {
            events.pop();
        }
        events.truncate(self.events_max);
        events
    }
}

/// How the records of a page lie in the log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// One behind the other.
    Adjacent,
    /// Anywhere.
    Scattered,
}
