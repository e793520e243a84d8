//! The names that steps are made of: few, so that they meet, and alike, so that a prefix is no match.

use annals_core::{Criteria, StreamId};

use super::operation::CriteriaPlan;
use crate::names::{criteria, stream};

pub(super) const STREAMS: [&str; 6] = ["a-1", "a-1-1", "ab-1", "b-1", "a", "b-12"];
pub(super) const CATEGORIES: [&str; 4] = ["a", "ab", "b", "c"];
pub(super) const TYPES: [&str; 3] = ["e", "ee", "f"];
pub(super) const TAGS: [&str; 4] = ["t:1", "t:12", "s:1", "t"];

/// The name of this number, counted around.
pub(super) fn of<'a>(pool: &[&'a str], number: usize) -> &'a str {
    let index = number.checked_rem(pool.len()).unwrap_or(0);
    pool.get(index).copied().unwrap_or("a")
}

pub(super) fn stream_of(number: usize) -> StreamId {
    stream(of(&STREAMS, number))
}

pub(super) fn all_of<'a>(pool: &[&'a str], numbers: &[usize]) -> Vec<&'a str> {
    numbers.iter().map(|number| of(pool, *number)).collect()
}

pub(super) fn criteria_of(plan: &CriteriaPlan) -> Criteria {
    let items: Vec<(Vec<&str>, Vec<&str>)> = plan
        .iter()
        .map(|(types, tags)| (all_of(&TYPES, types), all_of(&TAGS, tags)))
        .collect();
    let items: Vec<(&[&str], &[&str])> = items
        .iter()
        .map(|(types, tags)| (types.as_slice(), tags.as_slice()))
        .collect();
    criteria(&items)
}
