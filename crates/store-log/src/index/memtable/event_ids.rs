//! The ids of a memtable's events.

use super::super::bounds::Bounds;
use super::super::hash::{Hasher, tag};
use super::table::Table;

/// Event ids and the ordinals of their events.
///
/// Ids that a store makes rise, as they begin with the time: one above all before it is put at the end of a
/// row, to be found by bisection. The others are in a table.
#[derive(Clone, Debug)]
pub(super) struct EventIds {
    rising: Vec<u128>,
    /// The ordinals of the rising ids.
    ordinals: Vec<u32>,
    others: Table,
    bounds: Bounds,
}

impl EventIds {
    pub(super) fn insert(&mut self, hasher: Hasher, id: u128, ordinal: u32) {
        if self.bounds.are_below(id) {
            self.rising.push(id);
            self.ordinals.push(ordinal);
        } else {
            self.others.insert(hasher.id(id), ordinal);
        }
        self.bounds.include(id);
    }

    /// The ordinals of events that have this id, and now and then of one that has another.
    pub(super) fn find(&self, hasher: Hasher, id: u128) -> impl Iterator<Item = u32> {
        let may_be = self.bounds.contain(id);
        let rising = self.rising.binary_search(&id).ok().filter(|_| may_be);
        let rising = rising.and_then(|index| self.ordinals.get(index).copied());
        let others = may_be.then(|| self.others.find(hasher.id(id)));
        rising.into_iter().chain(others.into_iter().flatten())
    }

    /// The lowest and the highest id.
    pub(super) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Tags and ordinals of all ids, in no order.
    pub(super) fn entries(&self, hasher: Hasher) -> impl Iterator<Item = (u64, u32)> {
        let rising = self.rising.iter().map(move |id| tag(hasher.id(*id)));
        let rising = rising.zip(self.ordinals.iter().copied());
        rising.chain(self.others.entries())
    }

    /// The memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.rising.capacity() * size_of::<u128>()
            + self.ordinals.capacity() * size_of::<u32>()
            + self.others.bytes()
    }
}

impl Default for EventIds {
    fn default() -> Self {
        Self {
            rising: Vec::new(),
            ordinals: Vec::new(),
            others: Table::default(),
            bounds: Bounds::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use annals_log::LogId;

    use super::*;

    #[test]
    fn an_id_is_found_in_whatever_order_ids_come() {
        let hasher = Hasher::new(LogId::from_bytes([7; 16]));
        let ids = [5, 9, 7, 11, 1, u128::MAX, 12, 0];
        let mut some = EventIds::default();
        for (ordinal, id) in (0..).zip(ids) {
            some.insert(hasher, id, ordinal);
        }
        for (ordinal, id) in (0..).zip(ids) {
            let found: Vec<u32> = some.find(hasher, id).collect();
            assert_eq!(found, [ordinal], "{id}");
        }
        assert_eq!(some.find(hasher, 8).count(), 0);
        assert_eq!((some.rising.len(), some.entries(hasher).count()), (4, 8));
        assert_eq!(
            (some.bounds().lowest, some.bounds().highest),
            (0, u128::MAX)
        );
    }
}
