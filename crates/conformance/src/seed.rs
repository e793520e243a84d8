//! Where the random parts of the suite begin.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use proptest::test_runner::{RngAlgorithm, TestRng};

/// The seed of a random check: `ANNALS_SEED` from the environment, or another one each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    pub(crate) fn choose() -> Self {
        let given = std::env::var("ANNALS_SEED").ok();
        let given = given.and_then(|text| text.parse().ok());
        Self(given.unwrap_or_else(|| RandomState::new().hash_one("annals")))
    }

    /// A source of random numbers, another one for each number.
    pub(crate) fn rng(self, number: u64) -> TestRng {
        let mut bytes = [0; 32];
        let words = [self.0, number];
        for (target, source) in bytes
            .iter_mut()
            .zip(words.iter().flat_map(|word| word.to_le_bytes()))
        {
            *target = source;
        }
        TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ANNALS_SEED={}", self.0)
    }
}
