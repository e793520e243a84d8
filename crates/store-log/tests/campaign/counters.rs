//! Seeds, and what was reached with them.

use std::collections::BTreeMap;
use std::env;
use std::fmt;

/// What breaks a promise, in words.
pub(crate) type Violation = String;

/// How often each interesting state was reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters(BTreeMap<&'static str, u64>);

impl Counters {
    pub(crate) fn count(&mut self, state: &'static str) {
        self.add(state, 1);
    }

    pub(crate) fn add(&mut self, state: &'static str, times: u64) {
        *self.0.entry(state).or_default() += times;
    }

    fn of(&self, state: &str) -> u64 {
        self.0.get(state).copied().unwrap_or(0)
    }

    /// Fails when one of these states was never reached: the campaign proves nothing of it then. A single
    /// seed need not reach all.
    pub(crate) fn require(&self, states: &[&str]) {
        if number("ANNALS_SEED").is_some() {
            return;
        }
        for state in states {
            assert!(self.of(state) > 0, "never reached: {state}; reached {self}");
        }
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.0).finish()
    }
}

/// How many times the size of a run of CI is asked for.
pub(crate) fn scale() -> u64 {
    number("ANNALS_CAMPAIGN_SCALE").unwrap_or(1)
}

/// The seeds of a campaign: `count` of them at the size of CI.
pub(crate) fn seeds(first: u64, count: u64) -> impl Iterator<Item = u64> {
    match number("ANNALS_SEED") {
        Some(seed) => seed..seed + 1,
        None => first..first + count * scale(),
    }
}

/// Runs the body for each seed; a violation fails the test and names the seed.
pub(crate) fn run(
    name: &str,
    seeds: impl Iterator<Item = u64>,
    body: impl Fn(u64, &mut Counters) -> Result<(), Violation>,
) -> Counters {
    let mut counters = Counters::default();
    for seed in seeds {
        counters.count("seeds");
        if let Err(violation) = body(seed, &mut counters) {
            panic!("{name}: {violation}; again with ANNALS_SEED={seed}");
        }
    }
    println!("campaign {name}: {counters}");
    counters
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().and_then(|text| text.parse().ok())
}
