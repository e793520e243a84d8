//! The events that are chosen, by the index.

use std::ops::{ControlFlow, RangeInclusive};

use annals_core::{Category, Criteria, Direction, Error, Position};

use super::snapshot::{Snapshot, unusable};
use crate::index::{Part, RunError, Term, matches};

/// Which events of the log.
pub(crate) enum Choice<'a> {
    All,
    Category(&'a Category),
    Criteria(&'a Criteria),
}

/// Hands every matching position of the range over, in order, until it is told to stop.
pub(crate) fn each(
    snapshot: &Snapshot,
    criteria: &Criteria,
    positions: RangeInclusive<Position>,
    mut found: impl FnMut(Position) -> Result<bool, Error>,
) -> Result<(), Error> {
    const STEP: usize = 256;
    let choice = Choice::Criteria(criteria);
    let (mut from, until) = positions.into_inner();
    loop {
        // The lock of the newest part is free again when the caller looks at records, for which it is taken anew.
        let some = chunk(snapshot, &choice, from..=until, Direction::Forward, STEP)?;
        let Some(last) = some.last().copied() else {
            return Ok(());
        };
        let more = some.len() == STEP;
        for position in some {
            if !found(Position::new(position))? {
                return Ok(());
            }
        }
        if !more {
            return Ok(());
        }
        from = Position::new(last).next();
    }
}

/// The first chosen positions of the range in this direction, at most `limit`; fewer only at its end.
pub(crate) fn chunk(
    snapshot: &Snapshot,
    choice: &Choice<'_>,
    positions: RangeInclusive<Position>,
    direction: Direction,
    limit: usize,
) -> Result<Vec<u64>, Error> {
    if let Choice::All = choice {
        let all = positions.start().value()..=positions.end().value();
        return Ok(match direction {
            Direction::Forward => all.take(limit).collect(),
            Direction::Backward => all.rev().take(limit).collect(),
        });
    }
    let mut found = Vec::new();
    snapshot.walk(direction, |part| {
        let from = positions.start().value().max(part.first());
        let until = positions.end().value().min(part.last());
        if from <= until {
            let left = limit - found.len();
            gather(part, choice, from..=until, direction, left, &mut found).map_err(unusable)?;
        }
        Ok(if found.len() < limit {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    Ok(found)
}

/// The first chosen positions of one part.
fn gather(
    part: &dyn Part,
    choice: &Choice<'_>,
    range: RangeInclusive<u64>,
    direction: Direction,
    limit: usize,
    out: &mut Vec<u64>,
) -> Result<(), RunError> {
    let ordinals = match choice {
        Choice::Criteria(criteria) => matches(part, criteria, range.clone())?,
        Choice::Category(category) => part.ordinals(Term::Category(category.as_str()))?,
        Choice::All => matches(part, &Criteria::everything(), range.clone())?,
    };
    let first = part.first();
    let ordinal = |position: u64| u32::try_from(position - first).unwrap_or(u32::MAX);
    let found = match direction {
        Direction::Forward => ordinals.forward(ordinal(*range.start())),
        Direction::Backward => ordinals.backward(ordinal(*range.end())),
    };
    for found in found.take(limit) {
        let position = first + u64::from(found?);
        if !range.contains(&position) {
            break;
        }
        out.push(position);
    }
    Ok(())
}
