//! Pages of events.

use annals_core::{
    Criteria, CriteriaItem, Cursor, Direction, Error, Page, Position, ReadRequest, RecordedEvent,
    Selection, Timestamp, Version,
};

use crate::state::State;

type Positions<'a> = Box<dyn DoubleEndedIterator<Item = Position> + 'a>;

/// One page of the answer to a request that was validated.
pub(crate) fn read(state: &State, request: ReadRequest, now: Timestamp) -> Result<Page, Error> {
    state.check_not_ahead(&request.after)?;
    state.check_consistency(&request.consistency)?;
    let stream_version = match &request.selection {
        Selection::Stream(stream) => Some(state.stream_head(stream).version),
        _ => None,
    };
    let mut selected = select(state, &request, now)?.peekable();
    let mut events: Vec<RecordedEvent> = Vec::new();
    let mut bytes = 0;
    while let Some(event) = selected.peek() {
        bytes += event.payload().len();
        let full = events.len() == request.events_max || bytes > request.bytes_max;
        if full && !events.is_empty() {
            break;
        }
        events.extend(selected.next().cloned());
    }
    let rest = selected.peek().is_some();
    let next = events
        .last()
        .filter(|_| rest)
        .map(|last| request.resumed_after(last));
    let cursor = match (request.direction, &next, events.last()) {
        (Direction::Backward, ..) => request.after,
        (Direction::Forward, Some(_), Some(last)) => Cursor::at(last.position()),
        (Direction::Forward, ..) => {
            let (after, until) = request.positions()?;
            Cursor::at(state.head().min(until).max(after))
        }
    };
    Ok(Page {
        events,
        next,
        cursor,
        stream_version,
    })
}

/// The events that the request selects, in its direction.
pub(crate) fn select<'a>(
    state: &'a State,
    request: &ReadRequest,
    now: Timestamp,
) -> Result<impl Iterator<Item = &'a RecordedEvent> + use<'a>, Error> {
    let (after, until) = request.positions()?;
    let until = until.min(state.head());
    let candidates: Positions<'a> = match &request.selection {
        Selection::All => span(after, until),
        Selection::Stream(stream) => {
            let positions = state.of_stream(stream);
            let versions = versions(positions, request.after_version, request.until_version);
            listed(versions, after, until)
        }
        Selection::Category(category) => listed(state.of_category(category.as_str()), after, until),
        Selection::Criteria(criteria) => by_criteria(state, criteria, after, until),
        other => {
            return Err(Error::unsupported("read").with("selection", format!("{other:?}")));
        }
    };
    let directed: Positions<'a> = match request.direction {
        Direction::Forward => candidates,
        Direction::Backward => Box::new(candidates.rev()),
    };
    Ok(directed.filter_map(move |position| state.shown(position, now)))
}

/// Every position after the first, up to and with the second.
fn span<'a>(after: Position, until: Position) -> Positions<'a> {
    Box::new((after.next().value()..=until.value()).map(Position::new))
}

/// The listed positions after the first, up to and with the second.
fn listed(positions: &[Position], after: Position, until: Position) -> Positions<'_> {
    let from = positions.partition_point(|position| *position <= after);
    let to = positions.partition_point(|position| *position <= until);
    Box::new(positions.get(from..to).unwrap_or_default().iter().copied())
}

/// The positions of the events after the first version, up to and with the second.
fn versions(positions: &[Position], after: Version, until: Version) -> &[Position] {
    let index = |version: Version| usize::try_from(version.value()).unwrap_or(usize::MAX);
    let to = index(until).min(positions.len());
    positions.get(index(after)..to).unwrap_or_default()
}

/// The matching positions: from the index where every item names a tag, else by looking at all.
fn by_criteria<'a>(
    state: &'a State,
    criteria: &Criteria,
    after: Position,
    until: Position,
) -> Positions<'a> {
    let tagged = criteria.items().iter().all(|item| !item.tags().is_empty());
    let candidates: Positions<'a> = match criteria.items() {
        [item] if tagged => listed(rarest(state, item), after, until),
        items if tagged => {
            let mut positions: Vec<Position> = items
                .iter()
                .flat_map(|item| listed(rarest(state, item), after, until))
                .collect();
            positions.sort_unstable();
            positions.dedup();
            Box::new(positions.into_iter())
        }
        _ => span(after, until),
    };
    let criteria = criteria.clone();
    Box::new(candidates.filter(move |position| {
        state
            .event(*position)
            .is_some_and(|event| criteria.matches(event))
    }))
}

/// The shortest of the lists in which every match of the item stands.
fn rarest<'a>(state: &'a State, item: &CriteriaItem) -> &'a [Position] {
    item.tags()
        .iter()
        .map(|tag| state.of_tag(tag))
        .min_by_key(|list| list.len())
        .unwrap_or_default()
}
