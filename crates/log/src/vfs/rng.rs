//! Sources of chance.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Rng;

/// The operating system's random numbers.
///
/// A failure of the system is an error of the call, not a panic and not a weaker source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OsRng;

impl Rng for OsRng {
    fn next_u64(&self) -> io::Result<u64> {
        Ok(getrandom::u64()?)
    }
}

/// Numbers that follow from a seed: the same seed, the same sequence, on every machine.
///
/// The generator is `SplitMix64` of Steele, Lea and Flood ("Fast splittable pseudorandom number
/// generators", OOPSLA 2014). Not for secrets. Threads that share one get each number once, in an order of their own.
#[derive(Debug)]
pub struct SeededRng {
    state: AtomicU64,
}

impl SeededRng {
    /// The sequence of this seed, from its beginning.
    pub fn new(seed: u64) -> Self {
        Self {
            state: AtomicU64::new(seed),
        }
    }

    /// 64 random bits.
    pub fn bits(&self) -> u64 {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self
            .state
            .fetch_add(GOLDEN, Ordering::Relaxed)
            .wrapping_add(GOLDEN);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when the bound is 0. Its bias is below `bound` / 2^64.
    pub fn below(&self, bound: u64) -> u64 {
        let product = u128::from(self.bits()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or(0)
    }
}

impl Rng for SeededRng {
    fn next_u64(&self) -> io::Result<u64> {
        Ok(self.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_published_sequence() {
        // The reference values of the authors' generator for this seed.
        let rng = SeededRng::new(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| rng.bits()).collect();
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn a_bound_is_kept_and_every_value_below_it_comes() {
        let rng = SeededRng::new(7);
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[usize::try_from(rng.below(5)).expect("small")] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn the_systems_numbers_differ() {
        let drawn = [OsRng.next_u64(), OsRng.next_u64()].map(|bits| bits.expect("a system"));
        assert_ne!(drawn[0], drawn[1]);
    }
}
