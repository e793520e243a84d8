//! Chance, by which those who collided part.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where random numbers come from; not for secrets.
pub trait Chance: fmt::Debug + Send + Sync {
    /// The next number, any as likely as any other.
    fn draw(&self) -> u64;
}

/// The system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemChance;

/// Numbers that a seed foretells: `SplitMix64`. Clones go on with the same sequence.
///
/// ```
/// use annals_concurrency::{Chance, SeededChance};
///
/// let (first, second) = (SeededChance::new(7), SeededChance::new(7));
/// assert_eq!(first.draw(), second.draw());
/// assert_ne!(first.draw(), SeededChance::new(8).draw());
/// ```
#[derive(Clone, Debug)]
pub struct SeededChance {
    state: Arc<AtomicU64>,
}

impl SeededChance {
    /// How far the state goes on with each number: 2^64 over the golden ratio.
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            state: Arc::new(AtomicU64::new(seed)),
        }
    }
}

impl Chance for SystemChance {
    /// Where the system gives no number, the same one each time: pauses are then without chance.
    fn draw(&self) -> u64 {
        getrandom::u64().unwrap_or(u64::MAX / 2)
    }
}

impl Chance for SeededChance {
    // Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
    fn draw(&self) -> u64 {
        let before = self.state.fetch_add(Self::STEP, Ordering::Relaxed);
        let mut mixed = before.wrapping_add(Self::STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl<C: Chance + ?Sized> Chance for Arc<C> {
    fn draw(&self) -> u64 {
        self.as_ref().draw()
    }
}
