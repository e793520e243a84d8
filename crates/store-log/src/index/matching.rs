//! Criteria over one part of an index.

use std::ops::RangeInclusive;

use annals_core::{Criteria, CriteriaItem};

use super::{Ordinals, Part, Result, Term};

/// The events of the part at these positions that the criteria choose, exactly.
pub(crate) fn matches<'a>(
    part: &'a dyn Part,
    criteria: &Criteria,
    positions: RangeInclusive<u64>,
) -> Result<Ordinals<'a>> {
    let Some(range) = ordinals_within(part, &positions) else {
        return Ok(Ordinals::EMPTY);
    };
    let items: Result<Vec<Ordinals<'a>>> = criteria
        .items()
        .iter()
        .map(|item| item_matches(part, item, range.clone()))
        .collect();
    Ok(Ordinals::union(items?))
}

/// The ordinals of the part's events at these positions; `None` when there are none.
pub(crate) fn ordinals_within(
    part: &dyn Part,
    positions: &RangeInclusive<u64>,
) -> Option<RangeInclusive<u32>> {
    let (first, last) = (part.first(), part.last());
    let start = first.max(*positions.start());
    let end = last.min(*positions.end());
    let ordinal = |position: u64| u32::try_from(position.checked_sub(first)?).ok();
    (start <= end).then_some(())?;
    Some(ordinal(start)?..=ordinal(end)?)
}

fn item_matches<'a>(
    part: &'a dyn Part,
    item: &CriteriaItem,
    range: RangeInclusive<u32>,
) -> Result<Ordinals<'a>> {
    let mut all = Vec::with_capacity(item.tags().len() + 1);
    for tag in item.tags() {
        let tag = Term::Tag(tag.as_str());
        if !is_within(part, tag, *range.start())? {
            return Ok(Ordinals::EMPTY);
        }
        let tagged = part.ordinals(tag)?;
        if tagged.is_trivially_empty() {
            return Ok(Ordinals::EMPTY);
        }
        all.push(tagged);
    }
    if !item.types().is_empty() {
        let types: Result<Vec<Ordinals<'a>>> = item
            .types()
            .iter()
            .map(|event_type| part.ordinals(Term::Type(event_type.as_str())))
            .collect();
        all.push(Ordinals::union(types?));
    }
    Ok(Ordinals::intersection(range, all))
}

/// Whether an event with this term stands at this ordinal or after it: mostly not where a condition asks
/// for what is newer than its reader has seen.
fn is_within(part: &dyn Part, term: Term<'_>, from: u32) -> Result<bool> {
    if from == 0 {
        return Ok(true);
    }
    let newest = part.newest(term)?;
    Ok(newest.is_some_and(|newest| newest >= part.first() + u64::from(from)))
}
