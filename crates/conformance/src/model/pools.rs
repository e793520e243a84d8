//! The names that steps are made of: few, so that they meet, and alike, so that a prefix is no match.

use annals_core::{AppendScope, Capabilities, Criteria, StreamId};

use super::operation::CriteriaPlan;
use crate::names::{criteria, stream};

pub(super) const STREAMS: [&str; 6] = ["a-1", "a-1-1", "ab-1", "b-1", "a", "b-12"];
const KEYED_STREAMS: [&str; 6] = [
    "a-{x}1", "a-{x}1-1", "ab-{x}1", "b-{y}1", "a-{y}", "b-{y}12",
];
const KEY_TAGS: (&str, &str) = ("partition:x", "partition:y");
pub(super) const CATEGORIES: [&str; 4] = ["a", "ab", "b", "c"];
pub(super) const TYPES: [&str; 3] = ["e", "ee", "f"];
pub(super) const TAGS: [&str; 4] = ["t:1", "t:12", "s:1", "t"];

/// The name of this number, counted around.
pub(super) fn of<'a>(pool: &[&'a str], number: usize) -> &'a str {
    let index = number.checked_rem(pool.len()).unwrap_or(0);
    pool.get(index).copied().unwrap_or("a")
}

/// Which names steps take: where appends reach as far as a partition, streams of two partition keys, and tags that
/// name them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pools {
    is_keyed: bool,
}

impl Pools {
    pub(super) fn of(capabilities: &Capabilities) -> Self {
        Self {
            is_keyed: capabilities.append_scope == AppendScope::PartitionKey,
        }
    }

    pub(super) fn is_keyed(self) -> bool {
        self.is_keyed
    }

    pub(super) fn stream(self, number: usize) -> StreamId {
        let pool = if self.is_keyed {
            &KEYED_STREAMS
        } else {
            &STREAMS
        };
        stream(of(pool, number))
    }

    /// Whether an append may be about both streams.
    pub(super) fn may_meet(self, first: &StreamId, other: &StreamId) -> bool {
        !self.is_keyed || first.partition_key() == other.partition_key()
    }

    /// The tags of an event of this stream, or of a condition on an append to it.
    pub(super) fn tags<'a>(self, numbers: &[usize], stream: &StreamId) -> Vec<&'a str> {
        let key = Some(stream.partition_key()).filter(|_| self.is_keyed);
        tagged(numbers, key)
    }

    /// The criteria of a condition on an append to this stream.
    pub(super) fn criteria(self, plan: &CriteriaPlan, stream: &StreamId) -> Criteria {
        let key = Some(stream.partition_key()).filter(|_| self.is_keyed);
        criteria_of(plan, key)
    }

    /// The criteria of a read: of all streams, or of those of a key.
    pub(super) fn read_criteria(self, plan: &CriteriaPlan) -> Criteria {
        let numbers: usize = plan.iter().flat_map(|(types, _)| types).sum();
        let key = match numbers % 3 {
            _ if !self.is_keyed => None,
            0 => None,
            1 => Some("x"),
            _ => Some("y"),
        };
        criteria_of(plan, key)
    }
}

fn tagged<'a>(numbers: &[usize], key: Option<&str>) -> Vec<&'a str> {
    let mut tags = all_of(&TAGS, numbers);
    tags.extend(key.map(|key| if key == "x" { KEY_TAGS.0 } else { KEY_TAGS.1 }));
    tags
}

pub(super) fn all_of<'a>(pool: &[&'a str], numbers: &[usize]) -> Vec<&'a str> {
    numbers.iter().map(|number| of(pool, *number)).collect()
}

fn criteria_of(plan: &CriteriaPlan, key: Option<&str>) -> Criteria {
    let items: Vec<(Vec<&str>, Vec<&str>)> = plan
        .iter()
        .map(|(types, tags)| (all_of(&TYPES, types), tagged(tags, key)))
        .collect();
    let items: Vec<(&[&str], &[&str])> = items
        .iter()
        .map(|(types, tags)| (types.as_slice(), tags.as_slice()))
        .collect();
    criteria(&items)
}
