//! The heaviest of many, in bounded memory.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, Equivalent, HashTable};

/// The heaviest of what was seen: a space-saving sketch with weights.
///
/// It holds a fixed number of keys. A new one takes the place of the lightest and inherits its weight, as the
/// new one may have been seen before it was held; so a weight is never too small, and too large by at most what
/// was inherited. Whoever is heavier than `total weight / capacity` is held.
///
/// The algorithm is that of Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k
/// elements in data streams", 2005.
#[derive(Debug)]
pub(crate) struct SpaceSaving<K, V> {
    capacity: usize,
    hasher: DefaultHashBuilder,
    places: HashTable<usize>,
    entries: Vec<Entry<K, V>>,
    /// The weights of the entries, apart from them: the lightest is found by a look at all.
    weights: Vec<u64>,
}

/// One that is held.
#[derive(Debug)]
pub(crate) struct Entry<K, V> {
    pub(crate) key: K,
    /// By how much its weight may be too large.
    pub(crate) inherited: u64,
    /// What is known of it since it is held.
    pub(crate) value: V,
}

impl<K: Eq + Hash, V: Default> SpaceSaving<K, V> {
    /// Holds so many, at least one, of which this gives the hashes.
    pub(crate) fn new(capacity: usize, hasher: DefaultHashBuilder) -> Self {
        Self {
            capacity: capacity.max(1),
            hasher,
            places: HashTable::new(),
            entries: Vec::new(),
            weights: Vec::new(),
        }
    }

    /// Adds to the weight of a key, which is made where it is new, and lets its value be changed; gives the value of the
    /// one that made place for it.
    pub(crate) fn add<Q: ?Sized + Equivalent<K> + Hash>(
        &mut self,
        known_as: &Q,
        key: impl FnOnce() -> K,
        weight: u64,
        change: impl FnOnce(&mut V),
    ) -> Option<V> {
        let hash = self.hasher.hash_one(known_as);
        self.add_hashed(hash, known_as, key, weight, change)
    }

    /// The same where the hash is known.
    pub(crate) fn add_hashed<Q: ?Sized + Equivalent<K>>(
        &mut self,
        hash: u64,
        known_as: &Q,
        key: impl FnOnce() -> K,
        weight: u64,
        change: impl FnOnce(&mut V),
    ) -> Option<V> {
        let entries = &self.entries;
        let is_it = |place: &usize| {
            entries
                .get(*place)
                .is_some_and(|it| known_as.equivalent(&it.key))
        };
        let (place, evicted) = match self.places.find(hash, is_it) {
            Some(&place) => (place, None),
            None => self.admit(key(), hash),
        };
        if let Some(held) = self.weights.get_mut(place) {
            *held = held.saturating_add(weight);
        }
        if let Some(entry) = self.entries.get_mut(place) {
            change(&mut entry.value);
        }
        evicted
    }

    /// All that are held, each with its weight.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Entry<K, V>, u64)> {
        self.entries.iter().zip(self.weights.iter().copied())
    }

    /// Gives a new key a place, and the value of the one that had it.
    fn admit(&mut self, key: K, hash: u64) -> (usize, Option<V>) {
        let mut entry = Entry {
            key,
            inherited: 0,
            value: V::default(),
        };
        let place = self.entries.len();
        if place < self.capacity {
            self.entries.push(entry);
            self.weights.push(0);
            self.hold(hash, place);
            return (place, None);
        }
        let (place, lightest) = self.lightest();
        entry.inherited = lightest;
        let evicted = self.entries.get_mut(place).map(|held| {
            let evicted = std::mem::replace(held, entry);
            let hash = self.hasher.hash_one(&evicted.key);
            if let Ok(held) = self.places.find_entry(hash, |held| *held == place) {
                held.remove();
            }
            evicted.value
        });
        self.hold(hash, place);
        (place, evicted)
    }

    fn hold(&mut self, hash: u64, place: usize) {
        let (hasher, entries) = (&self.hasher, &self.entries);
        let again = |place: &usize| entries.get(*place).map_or(0, |it| hasher.hash_one(&it.key));
        self.places.insert_unique(hash, place, again);
    }

    fn lightest(&self) -> (usize, u64) {
        let weights = self.weights.iter().copied().enumerate();
        weights.min_by_key(|(_, weight)| *weight).unwrap_or((0, 0))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn weights_are_within_their_bounds(
            capacity in 1_usize..12,
            seen in proptest::collection::vec((0_u8..40, 0_u64..100), 0..400),
        ) {
            let mut sketch = SpaceSaving::<u8, u64>::new(capacity, DefaultHashBuilder::default());
            let (mut truth, mut evicted) = (BTreeMap::<u8, u64>::new(), 0);
            for (key, weight) in &seen {
                *truth.entry(*key).or_default() += weight;
                evicted += sketch.add(key, || *key, *weight, |own| *own += weight).unwrap_or(0);
            }
            let total: u64 = truth.values().sum();
            let held: BTreeMap<u8, (u64, u64, u64)> = sketch
                .iter()
                .map(|(entry, weight)| (entry.key, (weight, entry.inherited, entry.value)))
                .collect();
            prop_assert!(held.len() <= capacity && sketch.places.len() == held.len());
            for (key, (weight, inherited, own)) in &held {
                let true_weight = truth[key];
                prop_assert!(weight - inherited <= true_weight && true_weight <= *weight);
                prop_assert_eq!(weight - inherited, *own);
            }
            // Nothing is lost: what is not with its key is with those that made place.
            let own: u64 = held.values().map(|(_, _, own)| own).sum();
            prop_assert_eq!(own + evicted, total);
            let share = total / capacity as u64;
            for (key, weight) in &truth {
                prop_assert!(*weight <= share || held.contains_key(key), "{key} of {weight} is not held");
            }
        }
    }
}
