//! A hash table from hashes to small numbers.

use super::super::hash::{TAG_BITS, tag};

/// Numbers found by the top bits of a hash; several may share a hash.
///
/// An entry is one word: the hash's top bits, then the number. Its home is told by its topmost bits, so
/// the table can grow without asking for the hashes again. An entry may stand in any later slot up to the
/// next free one.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    slots: Vec<u64>,
    count: usize,
    home_bits: u32,
}

const NUMBER_BITS: u32 = u64::BITS - TAG_BITS;
const FREE: u64 = 0;
const HOME_BITS_FIRST: u32 = 6;

impl Table {
    /// The highest number that an entry can have.
    pub(super) const NUMBER_MAX: u32 = (1 << NUMBER_BITS) - 2;

    /// Enters a number under a hash.
    ///
    /// # Panics
    /// When the number is above [`NUMBER_MAX`](Self::NUMBER_MAX): memtables are flushed long before.
    pub(super) fn insert(&mut self, hash: u64, number: u32) {
        assert!(
            number <= Self::NUMBER_MAX,
            "a memtable is flushed before it is full"
        );
        if self.count * 8 >= self.slots.len() * 5 {
            self.grow();
        }
        self.place(tag(hash) << NUMBER_BITS | (u64::from(number) + 1));
        self.count += 1;
    }

    /// The numbers entered under this hash, and now and then one of another hash.
    pub(super) fn find(&self, hash: u64) -> impl Iterator<Item = u32> {
        let wanted = tag(hash);
        self.slots_from(wanted)
            .take_while(|(_, entry)| *entry != FREE)
            .filter(move |(_, entry)| entry >> NUMBER_BITS == wanted)
            .filter_map(|(_, entry)| number(entry))
    }

    /// All entries as their hash's top bits and the number, in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, u32)> {
        let used = self.slots.iter().copied();
        used.filter_map(|entry| Some((entry >> NUMBER_BITS, number(entry)?)))
    }

    /// The memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.slots.len() * size_of::<u64>()
    }

    fn grow(&mut self) {
        self.home_bits = (self.home_bits + 1).max(HOME_BITS_FIRST);
        let old = std::mem::replace(&mut self.slots, vec![FREE; 1 << self.home_bits]);
        for entry in old {
            if entry != FREE {
                self.place(entry);
            }
        }
    }

    fn place(&mut self, entry: u64) {
        let free = self
            .slots_from(entry >> NUMBER_BITS)
            .find(|(_, taken)| *taken == FREE);
        if let Some(slot) = free.and_then(|(index, _)| self.slots.get_mut(index)) {
            *slot = entry;
        }
    }

    /// The slots from the home of these hash bits on, once around.
    fn slots_from(&self, bits: u64) -> impl Iterator<Item = (usize, u64)> {
        let home = usize::try_from(bits >> (TAG_BITS - self.home_bits)).unwrap_or(0);
        let (wrapped, first) = self.slots.split_at_checked(home).unwrap_or_default();
        let first = first.iter().enumerate();
        first
            .map(move |(index, entry)| (home + index, *entry))
            .chain(wrapped.iter().copied().enumerate())
    }
}

fn number(entry: u64) -> Option<u32> {
    let number = (entry & ((1 << NUMBER_BITS) - 1)).checked_sub(1)?;
    u32::try_from(number).ok()
}
