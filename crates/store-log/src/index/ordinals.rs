//! Sets of ordinals and their algebra, worked out only as far as they are read.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use annals_core::Direction;

use super::Result;
use super::run::{Long, LongCursor};

/// A set of ordinals of one part: which events of it.
///
/// An intersection or a union is worked out while it is read, from where the reader begins: its cost follows
/// what is read, not the size of the sets.
#[derive(Clone, Debug)]
pub(crate) struct Ordinals<'a>(Set<'a>);

#[derive(Clone, Debug)]
enum Set<'a> {
    Range(RangeInclusive<u32>),
    List(Cow<'a, [u32]>),
    Long(Long<'a>),
    AllOf(Vec<Set<'a>>),
    AnyOf(Vec<Set<'a>>),
}

/// The ordinals of a set one after the other, in one direction.
#[derive(Debug)]
pub(crate) struct Iter<'s> {
    cursor: Cursor<'s>,
    direction: Direction,
    next: Option<u32>,
}

/// A place in a set that moves in one direction.
#[derive(Debug)]
enum Cursor<'s> {
    Range(RangeInclusive<u32>),
    List(&'s [u32]),
    Long(LongCursor<'s>),
    AllOf(Vec<Cursor<'s>>),
    AnyOf(Vec<Branch<'s>>),
}

/// One set of a union, and where it stands.
#[derive(Debug)]
struct Branch<'s> {
    cursor: Cursor<'s>,
    at: Option<u32>,
}

impl<'a> Ordinals<'a> {
    /// No ordinal.
    pub(crate) const EMPTY: Self = Self(Set::List(Cow::Borrowed(&[])));

    /// All ordinals from one to another.
    #[cfg(test)]
    const fn range(range: RangeInclusive<u32>) -> Self {
        Self(Set::Range(range))
    }

    /// These ordinals, which are in order and without repeats.
    pub(crate) fn list(ordinals: impl Into<Cow<'a, [u32]>>) -> Self {
        Self(Set::List(ordinals.into()))
    }

    /// A long set of a run.
    pub(crate) const fn long(long: Long<'a>) -> Self {
        Self(Set::Long(long))
    }

    /// The ordinals that are in all of the sets; those of a range without any set.
    pub(crate) fn intersection(range: RangeInclusive<u32>, sets: Vec<Self>) -> Self {
        let mut sets: Vec<Set<'a>> = sets.into_iter().map(|set| set.0).collect();
        sets.push(Set::Range(range));
        sets.sort_by_key(Set::count_max);
        if sets.first().is_some_and(|rarest| rarest.count_max() == 0) {
            return Self::EMPTY;
        }
        Self(Set::AllOf(sets))
    }

    /// The ordinals that are in any of the sets.
    pub(crate) fn union(sets: Vec<Self>) -> Self {
        let mut sets: Vec<Set<'a>> = sets
            .into_iter()
            .map(|set| set.0)
            .filter(|set| set.count_max() > 0)
            .collect();
        if sets.len() > 1 {
            return Self(Set::AnyOf(sets));
        }
        sets.pop().map_or(Self::EMPTY, Self)
    }

    /// Whether the set is known to be empty without reading it.
    pub(crate) fn is_trivially_empty(&self) -> bool {
        self.0.count_max() == 0
    }

    /// The ordinals from `from` on, from there upwards.
    pub(crate) fn forward(&self, from: u32) -> Iter<'_> {
        self.iter(from, Direction::Forward)
    }

    /// The ordinals up to and with `from`, from there downwards.
    pub(crate) fn backward(&self, from: u32) -> Iter<'_> {
        self.iter(from, Direction::Backward)
    }

    fn iter(&self, from: u32, direction: Direction) -> Iter<'_> {
        Iter {
            cursor: self.0.cursor(),
            direction,
            next: Some(from),
        }
    }
}

impl Set<'_> {
    /// At most how many ordinals the set has.
    fn count_max(&self) -> u64 {
        match self {
            Self::Range(range) if range.is_empty() => 0,
            Self::Range(range) => u64::from(range.end() - range.start()) + 1,
            Self::List(list) => list.len() as u64,
            Self::Long(long) => long.count().into(),
            Self::AllOf(sets) => sets.iter().map(Self::count_max).min().unwrap_or(0),
            Self::AnyOf(sets) => sets.iter().map(Self::count_max).sum(),
        }
    }

    fn cursor(&self) -> Cursor<'_> {
        match self {
            Self::Range(range) => Cursor::Range(range.clone()),
            Self::List(list) => Cursor::List(list),
            Self::Long(long) => Cursor::Long(long.cursor()),
            Self::AllOf(sets) => Cursor::AllOf(sets.iter().map(Self::cursor).collect()),
            Self::AnyOf(sets) => Cursor::AnyOf(sets.iter().map(Branch::new).collect()),
        }
    }
}

impl Iterator for Iter<'_> {
    type Item = Result<u32>;

    fn next(&mut self) -> Option<Result<u32>> {
        let target = self.next?;
        let found = self.cursor.seek(target, self.direction);
        self.next = match (&found, self.direction) {
            (Ok(Some(ordinal)), Direction::Forward) => ordinal.checked_add(1),
            (Ok(Some(ordinal)), Direction::Backward) => ordinal.checked_sub(1),
            _ => None,
        };
        found.transpose()
    }
}

impl Cursor<'_> {
    /// The first ordinal of the set at the target or past it, in the direction of all calls. Targets never
    /// go back.
    fn seek(&mut self, target: u32, direction: Direction) -> Result<Option<u32>> {
        match self {
            Self::Range(range) => Ok(seek_range(range, target, direction)),
            Self::List(list) => Ok(seek_list(list, target, direction)),
            Self::Long(cursor) => cursor.seek(target, direction),
            Self::AllOf(cursors) => seek_all(cursors, target, direction),
            Self::AnyOf(branches) => seek_any(branches, target, direction),
        }
    }
}

impl<'s> Branch<'s> {
    fn new(set: &'s Set<'_>) -> Self {
        Self {
            cursor: set.cursor(),
            at: None,
        }
    }
}

fn seek_range(range: &RangeInclusive<u32>, target: u32, direction: Direction) -> Option<u32> {
    let nearest = match direction {
        Direction::Forward => target.max(*range.start()),
        Direction::Backward => target.min(*range.end()),
    };
    range.contains(&nearest).then_some(nearest)
}

/// Looks near the front first, as the next ordinal is often close, then in steps that double.
fn seek_list(list: &mut &[u32], target: u32, direction: Direction) -> Option<u32> {
    let mut reach = 1;
    match direction {
        Direction::Forward => {
            while list.get(reach - 1).is_some_and(|ordinal| *ordinal < target) {
                reach *= 2;
            }
            let near = list.get(..reach).unwrap_or(list);
            let skipped = near.partition_point(|ordinal| *ordinal < target);
            *list = list.get(skipped..)?;
            list.first().copied()
        }
        Direction::Backward => {
            let from_end = |reach| list.len().checked_sub(reach);
            while from_end(reach)
                .and_then(|index| list.get(index))
                .is_some_and(|ordinal| *ordinal > target)
            {
                reach *= 2;
            }
            let start = list.len().saturating_sub(reach);
            let near = list.get(start..)?;
            let kept = start + near.partition_point(|ordinal| *ordinal <= target);
            *list = list.get(..kept)?;
            list.last().copied()
        }
    }
}

/// Leaps from set to set until all of them have the target. The first set has the fewest ordinals.
fn seek_all(
    cursors: &mut [Cursor<'_>],
    mut target: u32,
    direction: Direction,
) -> Result<Option<u32>> {
    let Some((rarest, others)) = cursors.split_first_mut() else {
        return Ok(None);
    };
    'candidates: loop {
        let Some(candidate) = rarest.seek(target, direction)? else {
            return Ok(None);
        };
        for other in &mut *others {
            match other.seek(candidate, direction)? {
                None => return Ok(None),
                Some(found) if found == candidate => {}
                Some(found) => {
                    target = found;
                    continue 'candidates;
                }
            }
        }
        return Ok(Some(candidate));
    }
}

/// Takes the nearest of what the sets offer; a set that is used up is dropped.
fn seek_any(
    branches: &mut Vec<Branch<'_>>,
    target: u32,
    direction: Direction,
) -> Result<Option<u32>> {
    let mut nearest: Option<u32> = None;
    let mut used_up = false;
    for branch in branches.iter_mut() {
        let stale = branch.at.is_none_or(|at| match direction {
            Direction::Forward => at < target,
            Direction::Backward => at > target,
        });
        if stale {
            branch.at = branch.cursor.seek(target, direction)?;
        }
        used_up |= branch.at.is_none();
        nearest = match (nearest, branch.at) {
            (Some(a), Some(b)) if direction == Direction::Forward => Some(a.min(b)),
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
    }
    if used_up {
        branches.retain(|branch| branch.at.is_some());
    }
    Ok(nearest)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const END: u32 = 60;

    /// A set by its definition.
    #[derive(Clone, Debug)]
    enum Model {
        Range(u32, u32),
        List(BTreeSet<u32>),
        AllOf((u32, u32), Vec<Model>),
        AnyOf(Vec<Model>),
    }

    impl Model {
        fn set(&self) -> Ordinals<'static> {
            let all = |models: &[Self]| models.iter().map(Self::set).collect();
            match self {
                Self::Range(first, last) => Ordinals::range(*first..=*last),
                Self::List(list) => Ordinals::list(list.iter().copied().collect::<Vec<_>>()),
                Self::AllOf((first, last), models) => {
                    Ordinals::intersection(*first..=*last, all(models))
                }
                Self::AnyOf(models) => Ordinals::union(all(models)),
            }
        }

        fn contains(&self, ordinal: u32) -> bool {
            match self {
                Self::Range(first, last) => (*first..=*last).contains(&ordinal),
                Self::List(list) => list.contains(&ordinal),
                Self::AllOf((first, last), models) => {
                    (*first..=*last).contains(&ordinal)
                        && models.iter().all(|model| model.contains(ordinal))
                }
                Self::AnyOf(models) => models.iter().any(|model| model.contains(ordinal)),
            }
        }
    }

    fn model() -> impl Strategy<Value = Model> {
        let bounds = || (0..END, 0..END);
        let leaf = prop_oneof![
            bounds().prop_map(|(first, last)| Model::Range(first, last)),
            prop::collection::btree_set(0..END, 0..40).prop_map(Model::List),
        ];
        leaf.prop_recursive(3, 12, 4, move |inner| {
            let models = prop::collection::vec(inner, 0..4);
            prop_oneof![
                (bounds(), models.clone()).prop_map(|(range, all)| Model::AllOf(range, all)),
                models.prop_map(Model::AnyOf),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_algebra_is_that_of_sets(model in model(), from in 0..END + 5) {
            let set = model.set();
            let upwards: Vec<u32> = (from..END).filter(|n| model.contains(*n)).collect();
            let mut downwards: Vec<u32> = (0..=from).filter(|n| model.contains(*n)).collect();
            downwards.reverse();
            prop_assert_eq!(set.forward(from).collect::<Result<Vec<_>>>().unwrap(), upwards);
            prop_assert_eq!(set.backward(from).collect::<Result<Vec<_>>>().unwrap(), downwards);
        }
    }

    #[test]
    fn the_last_ordinal_ends_the_set() {
        let set = Ordinals::range(u32::MAX - 1..=u32::MAX);
        assert_eq!(set.forward(0).count(), 2);
        assert_eq!(Ordinals::range(0..=1).backward(u32::MAX).count(), 2);
    }
}
