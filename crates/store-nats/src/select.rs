//! Which events a request selects, by the index.

use std::iter::Peekable;

use annals_core::{
    Criteria, CriteriaItem, Direction, Error, Position, ReadRequest, Selection, StreamHead,
    Timestamp, Version,
};

use crate::state::State;

/// Positions in the direction of a request, each once.
type Positions<'a> = Box<dyn Iterator<Item = Position> + 'a>;

/// The part of the log that a request is about.
#[derive(Clone, Copy)]
struct Span {
    after: Position,
    until: Position,
    direction: Direction,
}

/// A page whose events are still to be fetched.
#[derive(Debug)]
pub(crate) struct Outline {
    /// Where its events stand, in the direction of the request.
    pub(crate) positions: Vec<Position>,
    /// Whether there is more after it.
    pub(crate) has_rest: bool,
    /// The end of the span that the request is about.
    pub(crate) until: Position,
    pub(crate) stream: Option<StreamHead>,
}

/// Chooses the events of one page of the answer to a request that was validated.
pub(crate) fn outline(
    state: &State,
    request: &ReadRequest,
    now: Timestamp,
) -> Result<Outline, Error> {
    let span = Span::of(state, request)?;
    state.check_not_ahead(&request.after)?;
    state.check_consistency(&request.consistency)?;
    let stream = match &request.selection {
        Selection::Stream(stream) => Some(state.stream_head(stream)),
        _ => None,
    };
    let mut selected = select(state, request, now)?.peekable();
    let mut positions = Vec::new();
    let mut bytes = 0;
    while let Some(position) = selected.peek() {
        bytes += state.entry(*position).map_or(0, |entry| entry.bytes);
        let full = positions.len() == request.events_max || bytes > request.bytes_max;
        if full && !positions.is_empty() {
            break;
        }
        positions.extend(selected.next());
    }
    let has_rest = selected.peek().is_some();
    Ok(Outline {
        positions,
        has_rest,
        until: span.until,
        stream,
    })
}

/// The positions of the events that the request selects, in its direction.
pub(crate) fn select<'a>(
    state: &'a State,
    request: &ReadRequest,
    now: Timestamp,
) -> Result<impl Iterator<Item = Position> + use<'a>, Error> {
    let span = Span::of(state, request)?;
    let candidates = match &request.selection {
        Selection::All => span.all(),
        Selection::Stream(stream) => {
            let positions = state.of_stream(stream);
            span.listed(versions(
                positions,
                request.after_version,
                request.until_version,
            ))
        }
        Selection::Category(category) => span.listed(state.of_category(category.as_str())),
        Selection::Criteria(criteria) => by_criteria(state, criteria, span),
        other => {
            return Err(Error::unsupported("read").with("selection", format!("{other:?}")));
        }
    };
    let now = state.not_before_newest(now);
    Ok(candidates.filter(move |position| state.shown(*position, now).is_some()))
}

/// The positions of the events after the first version, up to and with the second.
pub(crate) fn versions(positions: &[Position], after: Version, until: Version) -> &[Position] {
    let index = |version: Version| usize::try_from(version.value()).unwrap_or(usize::MAX);
    let to = index(until).min(positions.len());
    positions.get(index(after)..to).unwrap_or_default()
}

impl Span {
    /// Up to the head, whatever the request says.
    fn of(state: &State, request: &ReadRequest) -> Result<Self, Error> {
        let appended_at = |position| Ok(state.appended_at(position));
        let (after, until) = request.positions_in(state.head(), appended_at)?;
        Ok(Self {
            after,
            until,
            direction: request.direction,
        })
    }

    /// Every position of the span.
    fn all<'a>(self) -> Positions<'a> {
        let all = (self.after.next().value()..=self.until.value()).map(Position::new);
        match self.direction {
            Direction::Forward => Box::new(all),
            Direction::Backward => Box::new(all.rev()),
        }
    }

    /// The listed positions that lie in the span.
    fn listed(self, positions: &[Position]) -> Positions<'_> {
        let from = positions.partition_point(|position| *position <= self.after);
        let to = positions.partition_point(|position| *position <= self.until);
        let listed = positions.get(from..to).unwrap_or_default().iter().copied();
        match self.direction {
            Direction::Forward => Box::new(listed),
            Direction::Backward => Box::new(listed.rev()),
        }
    }

    /// Whichever of the two comes first.
    fn first(self, left: Position, right: Position) -> Position {
        match self.direction {
            Direction::Forward => left.min(right),
            Direction::Backward => left.max(right),
        }
    }
}

/// The matching positions: from the lists of tags and types, or by looking at all where an item names neither.
fn by_criteria<'a>(state: &'a State, criteria: &Criteria, span: Span) -> Positions<'a> {
    let lists: Option<Vec<Vec<&[Position]>>> = criteria
        .items()
        .iter()
        .map(|item| lists_of(state, item))
        .collect();
    let candidates = match lists {
        None => span.all(),
        Some(lists) => merged(lists.into_iter().flatten(), span),
    };
    let criteria = criteria.clone();
    Box::new(candidates.filter(move |position| {
        state
            .entry(*position)
            .is_some_and(|entry| criteria.selects(&entry.event_type, &entry.tags))
    }))
}

/// The lists in which every match of the item stands: the shortest of its tags, or one for each of its types; `None`
/// when it names neither.
fn lists_of<'a>(state: &'a State, item: &CriteriaItem) -> Option<Vec<&'a [Position]>> {
    let of_tags = item.tags().iter().map(|tag| state.of_tag(tag));
    let rarest = of_tags.min_by_key(|list| list.len());
    let of_types = item.types().iter().map(|name| state.of_type(name));
    match rarest {
        Some(rarest) => Some(vec![rarest]),
        None if item.types().is_empty() => None,
        None => Some(of_types.collect()),
    }
}

/// The positions of all lists, in order and each once.
fn merged<'a>(lists: impl Iterator<Item = &'a [Position]>, span: Span) -> Positions<'a> {
    let mut lists: Vec<Peekable<Positions<'a>>> =
        lists.map(|list| span.listed(list).peekable()).collect();
    Box::new(std::iter::from_fn(move || {
        let heads = lists.iter_mut().filter_map(|list| list.peek().copied());
        let next = heads.reduce(|left, right| span.first(left, right))?;
        for list in &mut lists {
            list.next_if_eq(&next);
        }
        Some(next)
    }))
}
