//! A part of the events, by the hash of their keys.

use std::fmt;
use std::num::NonZeroU32;

use annals_core::{Error, ErrorKind};

/// A part of the events of a consumer: those whose keys fall in it.
///
/// All events of a key are of the same partition, so the partitions of one count can be worked on beside each other
/// while the order of each key is kept. Which partition a key is of never changes, in any version: the FNV-1a hash
/// (64 bits) of the key's bytes, its upper and lower half combined by exclusive or, modulo the count.
///
/// ```
/// use annals_projection::Partition;
///
/// let second = Partition::new(1, 4)?;
/// assert_eq!(second.to_string(), "1-of-4");
/// assert_eq!(second.contains("order-7"), Partition::index_of("order-7", 4)? == 1);
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    index: u32,
    count: NonZeroU32,
}

impl Partition {
    /// All events: the only partition of one.
    pub const WHOLE: Self = Self {
        index: 0,
        count: NonZeroU32::MIN,
    };

    /// The most partitions: 1024.
    pub const COUNT_MAX: u32 = 1024;

    /// The partition of this index, from 0, of so many.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for no partition, more than [`COUNT_MAX`](Self::COUNT_MAX), and an index that is not
    /// below the count.
    pub fn new(index: u32, count: u32) -> Result<Self, Error> {
        let known = NonZeroU32::new(count).filter(|count| count.get() <= Self::COUNT_MAX);
        match known {
            Some(count) if index < count.get() => Ok(Self { index, count }),
            _ => {
                let message = "no such partition; there are 1 to 1024, counted from 0";
                let error = Error::new(ErrorKind::Invalid, message);
                Err(error.with("index", index).with("count", count))
            }
        }
    }

    /// All partitions of this count.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn all(count: u32) -> Result<Vec<Self>, Error> {
        Self::new(0, count)?;
        (0..count).map(|index| Self::new(index, count)).collect()
    }

    /// The index of the partition that a key is of, among so many.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn index_of(key: &str, count: u32) -> Result<u32, Error> {
        Ok(index_of(key, Self::new(0, count)?.count))
    }

    /// Its place among the partitions, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many partitions there are.
    pub fn count(self) -> u32 {
        self.count.get()
    }

    /// Whether it is all there is.
    pub fn is_whole(self) -> bool {
        self.count == NonZeroU32::MIN
    }

    /// Whether the events of this key are in it.
    pub fn contains(self, key: &str) -> bool {
        self.is_whole() || index_of(key, self.count) == self.index
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-of-{}", self.index, self.count)
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Partition({self})")
    }
}

fn index_of(key: &str, count: NonZeroU32) -> u32 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash = key.bytes().fold(BASIS, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    });
    let halves = (hash >> 32) ^ (hash & u64::from(u32::MAX));
    u32::try_from(halves % u64::from(count.get())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_in_its_partition_for_good() {
        for (key, count, expected) in [
            ("", 8, 1),
            ("order-1", 8, 2),
            ("order-2", 8, 3),
            ("order-8842", 1024, 979),
            ("\u{e9}", 3, 2),
            ("anything", 1, 0),
        ] {
            let index = Partition::index_of(key, count).unwrap();
            assert_eq!((key, count, index), (key, count, expected));
        }
    }

    #[test]
    fn every_key_is_in_one_partition_and_they_fill_alike() {
        let all = Partition::all(8).unwrap();
        let mut counts = [0_u32; 8];
        for number in 0..8_000 {
            let key = format!("order-{number}");
            let of: Vec<u32> = all
                .iter()
                .filter(|partition| partition.contains(&key))
                .map(|partition| partition.index())
                .collect();
            assert_eq!(of, [Partition::index_of(&key, 8).unwrap()]);
            counts[of[0] as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (800..1_200).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn senseless_partitions_are_refused() {
        for (index, count) in [(0, 0), (1, 1), (4, 4), (0, 1025)] {
            assert!(Partition::new(index, count).is_err(), "{index} of {count}");
        }
    }
}
