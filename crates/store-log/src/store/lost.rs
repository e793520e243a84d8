//! Positions that a repair gave up: reading one is an error, never a gap.

use std::ops::Range;

use annals_core::{Direction, Error, Position};

use super::error::corrupt;

/// The part of a span that can be read in this direction before lost positions are met, and whether the span
/// goes on after it.
///
/// # Errors
/// Corrupt when the very next position is lost.
pub(crate) fn readable(
    lost: &[Range<u64>],
    after: Position,
    until: Position,
    direction: Direction,
) -> Result<(Position, Position, bool), Error> {
    let (from, to) = (after.next().value(), until.value());
    let mut met = lost
        .iter()
        .filter(|lost| lost.start <= to && from < lost.end);
    let met = match direction {
        Direction::Forward => met.next(),
        Direction::Backward => met.next_back(),
    };
    let Some(met) = met.filter(|_| from <= to) else {
        return Ok((after, until, false));
    };
    match direction {
        Direction::Forward if met.start > from => {
            Ok((after, Position::new(met.start).previous(), true))
        }
        Direction::Backward if met.end <= to => {
            Ok((Position::new(met.end).previous(), until, true))
        }
        _ => Err(error(met)),
    }
}

/// Refuses a span that holds a lost position.
pub(crate) fn refuse(lost: &[Range<u64>], after: Position, until: Position) -> Result<(), Error> {
    let (from, to) = (after.next().value(), until.value());
    match lost.iter().find(|lost| lost.start <= to && from < lost.end) {
        Some(met) if from <= to => Err(error(met)),
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

fn error(lost: &Range<u64>) -> Error {
    corrupt("positions are lost, as a repair recorded; restore a backup, or read on after them")
        .with("first_position", lost.start)
        .with("last_position", lost.end - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: [Range<u64>; 2] = [4..6, 9..10];

    fn check(span: (u64, u64), direction: Direction, expected: Option<(u64, u64, bool)>) {
        let (after, until) = (Position::new(span.0), Position::new(span.1));
        let found = readable(&LOST, after, until, direction).ok();
        let found = found.map(|(after, until, more)| (after.value(), until.value(), more));
        assert_eq!(found, expected, "{span:?} {direction:?}");
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
