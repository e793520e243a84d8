//! Who decides what reached the disk when the power went.

use std::ops::Range;

use super::image::SECTOR;
use crate::vfs::SeededRng;

/// Who decides what reached the disk.
pub(super) trait Choices {
    /// One of so many ways, 0 for the oldest state and the last for the newest.
    fn choose(&mut self, ways: usize) -> usize;

    /// A length on the way from one to the other; none usually.
    fn between(&mut self, old: u64, new: u64) -> Option<u64>;

    /// A whole sector of garbage, where these bytes of it were being written; none usually.
    fn garbage(&mut self, written: Range<usize>, old: &[u8], new: &[u8]) -> Option<Vec<u8>>;
}

/// How wide garbage spreads in a sector that was being written when the power went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Garbage {
    /// A sector is old or new.
    Never,
    /// Over the bytes that were being written; the sector's other bytes are unharmed. Disks promise that much,
    /// and a log that appends behind acknowledged bytes of the same sector relies on it.
    #[default]
    WrittenBytes,
    /// Over the whole sector, as a disk without that promise does it.
    WholeSectors,
}

/// Chance decides, each crash in another spirit: so that all old, all new, all but one, and the first few of
/// many are as frequent as an even mix.
#[derive(Debug)]
pub(super) struct Random {
    rng: SeededRng,
    spirit: Spirit,
    garbage: Garbage,
    /// Of 256 sectors in flight, so many are garbage.
    garbage_share: u64,
}

#[derive(Clone, Copy, Debug)]
enum Spirit {
    /// Each for itself, the newest state with this chance in 256.
    Mixed { new: u64 },
    /// So many choices are of the newest state, then all are of the oldest.
    NewFirst { left: u64 },
    /// So many choices are of the oldest state, then all are of the newest.
    OldFirst { left: u64 },
}

impl Random {
    pub(super) fn new(seed: u64, garbage: Garbage) -> Self {
        let rng = SeededRng::new(seed);
        // Short runs and long ones are equally frequent.
        let run = |rng: &SeededRng| rng.below(1 << rng.below(9));
        let spirit = match rng.below(8) {
            0 => Spirit::Mixed { new: 0 },
            1 => Spirit::Mixed { new: 256 },
            2 => Spirit::Mixed { new: 20 },
            3 => Spirit::Mixed { new: 236 },
            4 => Spirit::NewFirst { left: run(&rng) },
            5 => Spirit::OldFirst { left: run(&rng) },
            _ => Spirit::Mixed { new: 128 },
        };
        let garbage_share = match rng.below(4) {
            0 => 40,
            1 => 200,
            _ => 0,
        };
        Self {
            rng,
            spirit,
            garbage,
            garbage_share,
        }
    }

    fn takes_newest(&mut self) -> bool {
        match &mut self.spirit {
            Spirit::Mixed { new } => self.rng.below(256) < *new,
            Spirit::NewFirst { left } => take_one(left),
            Spirit::OldFirst { left } => !take_one(left),
        }
    }
}

impl Choices for Random {
    fn choose(&mut self, ways: usize) -> usize {
        let newest = ways.saturating_sub(1);
        // Where there are states between, one of them is taken now and then.
        if newest > 1 && self.rng.below(4) == 0 {
            return index(&self.rng, ways);
        }
        if self.takes_newest() { newest } else { 0 }
    }

    fn between(&mut self, old: u64, new: u64) -> Option<u64> {
        let (low, high) = (old.min(new), old.max(new));
        match self.rng.below(8) {
            // Block by block, as lengths grow while data is written.
            0 | 1 => Some((low + self.rng.below(high - low)).next_multiple_of(SECTOR as u64))
                .filter(|length| *length < high),
            2 => Some(low + self.rng.below(high - low)),
            _ => None,
        }
    }

    fn garbage(&mut self, written: Range<usize>, old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
        if self.garbage == Garbage::Never || self.rng.below(256) >= self.garbage_share {
            return None;
        }
        let range = match self.garbage {
            Garbage::WholeSectors => 0..old.len(),
            Garbage::Never | Garbage::WrittenBytes => written,
        };
        let mut sector = old.to_vec();
        let part = sector.get_mut(range.clone()).unwrap_or_default();
        match self.rng.below(3) {
            0 => part.fill(0),
            1 => part.fill_with(|| self.rng.bits().to_le_bytes()[0]),
            // Torn inside the sector.
            _ => {
                let torn = index(&self.rng, range.len() + 1);
                let new = new.get(range).unwrap_or_default();
                part.iter_mut()
                    .zip(new)
                    .take(torn)
                    .for_each(|(byte, new)| *byte = *new);
            }
        }
        Some(sector)
    }
}

/// Counts down; whether there was something left.
fn take_one(left: &mut u64) -> bool {
    let before = *left;
    *left = before.saturating_sub(1);
    before > 0
}

fn index(rng: &SeededRng, bound: usize) -> usize {
    usize::try_from(rng.below(bound as u64)).unwrap_or(0)
}

/// Every choice in turn, as an odometer counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    /// What is chosen, and of how many ways.
    digits: Vec<(usize, usize)>,
    /// How many digits were asked for in this run.
    asked: usize,
}

impl Script {
    /// Turns to the next run; `false` after the last.
    pub(super) fn advance(&mut self) -> bool {
        self.digits.truncate(self.asked);
        self.asked = 0;
        while let Some((digit, ways)) = self.digits.pop() {
            if digit + 1 < ways {
                self.digits.push((digit + 1, ways));
                return true;
            }
        }
        false
    }
}

impl Choices for Script {
    fn choose(&mut self, ways: usize) -> usize {
        if self.asked == self.digits.len() {
            self.digits.push((0, ways));
        }
        let digit = self.digits.get(self.asked).map_or(0, |digit| digit.0);
        self.asked += 1;
        digit
    }

    fn between(&mut self, old: u64, new: u64) -> Option<u64> {
        let middle = old.midpoint(new).next_multiple_of(SECTOR as u64);
        let inside = old.min(new) < middle && middle < old.max(new);
        (inside && self.choose(2) == 1).then_some(middle)
    }

    fn garbage(&mut self, _written: Range<usize>, _old: &[u8], _new: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// Takes the newest of everything and counts the ways that there were.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) ways: u128,
}

impl Choices for Counter {
    fn choose(&mut self, ways: usize) -> usize {
        self.ways = self.ways.saturating_mul(ways as u128);
        ways.saturating_sub(1)
    }

    fn between(&mut self, _old: u64, _new: u64) -> Option<u64> {
        self.ways = self.ways.saturating_mul(2);
        None
    }

    fn garbage(&mut self, _written: Range<usize>, _old: &[u8], _new: &[u8]) -> Option<Vec<u8>> {
        None
    }
}
