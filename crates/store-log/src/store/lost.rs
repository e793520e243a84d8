//! Positions that a repair gave up: reading one is an error, never a gap, unless it is asked for.

use std::ops::{Range, RangeInclusive};

use annals_core::{Direction, Error, Position};
use annals_log::Segment;

use super::error::positions_lost;
use super::open::LogStoreBuilder;
use super::settings::LostEvents;

impl LogStoreBuilder {
    /// What [`repair`](Self::repair) gave up; nothing in a store that is whole. What was there is lost, appends go on
    /// behind. The store may be open meanwhile, in this process or another.
    ///
    /// # Errors
    /// `Unavailable` when there is no store, `Corrupt` when what it says of itself is damaged.
    pub fn losses(&self) -> Result<Losses, Error> {
        let follower = self.log_follower();
        let follower = follower.map_err(|error| error.during("look for what is lost"))?;
        let view = follower.view();
        let position = |lost: &Range<u64>| Position::new(lost.start)..=Position::new(lost.end - 1);
        let ranges = view.segments().flat_map(Segment::lost);
        Ok(Losses {
            positions: view.lost().iter().map(position).collect(),
            without_events: ranges.filter(|lost| lost.numbers.is_empty()).count(),
        })
    }
}

/// What a repair of a store gave up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Losses {
    /// The positions of events, in order.
    pub positions: Vec<RangeInclusive<Position>>,
    /// How many more places in the log, where no event stood: what was there may have been policies of streams.
    pub without_events: usize,
}

impl Losses {
    /// Whether nothing is lost.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty() && self.without_events == 0
    }

    /// How many events are lost.
    pub fn events(&self) -> u64 {
        let counts = self.positions.iter();
        counts.map(|lost| lost.end().since(*lost.start()) + 1).sum()
    }
}

/// The part of a span that can be read in this direction before lost positions are met, and whether the span
/// goes on after it. What is lost at the begin is passed over where that is asked for.
///
/// # Errors
/// Corrupt when the very next position is lost.
pub(crate) fn readable(
    lost: &[Range<u64>],
    (mut after, mut until): (Position, Position),
    direction: Direction,
    mode: LostEvents,
) -> Result<(Position, Position, bool), Error> {
    loop {
        match met(lost, (after, until), direction) {
            Met::None => return Ok((after, until, false)),
            Met::Behind(after, until) => return Ok((after, until, true)),
            Met::Here(lost) if mode == LostEvents::Fail => return Err(positions_lost(lost)),
            Met::Here(lost) => match direction {
                Direction::Forward => after = Position::new(lost.end - 1).min(until),
                Direction::Backward => until = Position::new(lost.start).previous().max(after),
            },
        }
    }
}

/// What of a span is lost.
enum Met<'a> {
    /// Nothing.
    None,
    /// Something behind this part of it.
    Behind(Position, Position),
    /// Its begin.
    Here(&'a Range<u64>),
}

fn met(lost: &[Range<u64>], (after, until): (Position, Position), direction: Direction) -> Met<'_> {
    let (from, to) = (after.next().value(), until.value());
    let mut met = lost
        .iter()
        .filter(|lost| lost.start <= to && from < lost.end);
    let met = match direction {
        Direction::Forward => met.next(),
        Direction::Backward => met.next_back(),
    };
    let Some(met) = met.filter(|_| from <= to) else {
        return Met::None;
    };
    match direction {
        Direction::Forward if met.start > from => {
            Met::Behind(after, Position::new(met.start).previous())
        }
        Direction::Backward if met.end <= to => {
            Met::Behind(Position::new(met.end).previous(), until)
        }
        _ => Met::Here(met),
    }
}

/// Refuses a span that holds a lost position.
pub(crate) fn refuse(lost: &[Range<u64>], after: Position, until: Position) -> Result<(), Error> {
    let (from, to) = (after.next().value(), until.value());
    match lost.iter().find(|lost| lost.start <= to && from < lost.end) {
        Some(met) if from <= to => Err(positions_lost(met)),
        _ => Ok(()),
    }
}

/// This position, or the last one before it that is not lost.
pub(crate) fn step_back(lost: &[Range<u64>], position: Position) -> Position {
    let within = lost
        .iter()
        .rev()
        .find(|lost| lost.contains(&position.value()));
    within.map_or(position, |lost| Position::new(lost.start).previous())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: [Range<u64>; 2] = [4..6, 9..10];

    fn readable(
        span: (u64, u64),
        direction: Direction,
        mode: LostEvents,
    ) -> Option<(u64, u64, bool)> {
        let span = (Position::new(span.0), Position::new(span.1));
        let found = super::readable(&LOST, span, direction, mode).ok();
        found.map(|(after, until, more)| (after.value(), until.value(), more))
    }

    fn check(span: (u64, u64), direction: Direction, expected: Option<(u64, u64, bool)>) {
        let found = readable(span, direction, LostEvents::Fail);
        assert_eq!(found, expected, "{span:?} {direction:?}");
        if expected.is_some() {
            let skipping = readable(span, direction, LostEvents::Skip);
            assert_eq!(skipping, expected, "{span:?} {direction:?}");
        }
    }

    #[test]
    fn what_is_lost_is_passed_over_on_demand() {
        use Direction::{Backward, Forward};
        let skip = |span, direction| readable(span, direction, LostEvents::Skip).unwrap();
        assert_eq!(skip((3, 20), Forward), (5, 8, true));
        assert_eq!(skip((4, 20), Forward), (5, 8, true));
        assert_eq!(skip((3, 5), Forward), (5, 5, false));
        assert_eq!(skip((3, 4), Forward), (4, 4, false));
        assert_eq!(skip((8, 20), Forward), (9, 20, false));
        assert_eq!(skip((0, 9), Backward), (5, 8, true));
        assert_eq!(skip((0, 5), Backward), (0, 3, false));
        assert_eq!(skip((4, 5), Backward), (4, 4, false));
    }

    #[test]
    fn a_read_ends_before_what_is_lost() {
        check((0, 3), Direction::Forward, Some((0, 3, false)));
        check((0, 20), Direction::Forward, Some((0, 3, true)));
        check((3, 20), Direction::Forward, None);
        check((4, 20), Direction::Forward, None);
        check((5, 20), Direction::Forward, Some((5, 8, true)));
        check((9, 20), Direction::Forward, Some((9, 20, false)));
        check((0, 20), Direction::Backward, Some((9, 20, true)));
        check((0, 9), Direction::Backward, None);
        check((0, 8), Direction::Backward, Some((5, 8, true)));
        check((8, 8), Direction::Forward, Some((8, 8, false)));
        check((7, 3), Direction::Backward, Some((7, 3, false)));
    }

    #[test]
    fn a_span_with_a_lost_position_is_refused() {
        let refuse = |after, until| refuse(&LOST, Position::new(after), Position::new(until));
        assert!(refuse(0, 4).is_err() && refuse(8, 20).is_err());
        assert!(refuse(0, 3).is_ok() && refuse(5, 8).is_ok() && refuse(9, 4).is_ok());
        let back = |position| step_back(&LOST, Position::new(position)).value();
        assert_eq!([back(3), back(4), back(5), back(6)], [3, 3, 3, 6]);
    }
}
