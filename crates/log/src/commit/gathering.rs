//! The wait of whoever leads next for those who were answered just now, so that they share its commit instead of
//! filling the one after.
//!
//! Where as many callers as before are about to come back, a commit of all of them every `commit + wait` carries more than
//! one of each half every `commit`, as long as the wait is shorter than the commit. So the wait ends when everybody is
//! back, and at the latest when it has taken as long as the last commit.

use std::time::Duration;

use super::slots::Key;
use super::sync::{IDLE_LOOKS_MAX, clock};

/// A commit that is over sooner is not worth a wait.
const COMMIT_MIN: Duration = Duration::from_micros(30);

/// The logarithm of how many batches at most are taken as they are after one that did not fill.
const MISSES_MAX: u32 = 8;

/// Who is expected, and who looks whether they have come.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// How many wait once everybody is back: the requests of the last batch and those that waited when it was done. Zero
    /// when the next batch is taken as it is.
    full: usize,
    /// How long the last commit took.
    longest: Duration,
    /// Who looks.
    by: Option<Key>,
    /// When it began to.
    since: Duration,
    /// How many waited at its last look.
    seen: usize,
    /// How many of its looks found nobody new.
    idle_looks: u32,
    /// Looks ever taken, by which others see that somebody looks.
    looks: u64,
    /// Batches in a row that did not fill.
    misses: u32,
    /// Batches left to take as they are.
    skipped: u32,
}

/// What a caller knew when it last came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Came {
    /// It comes for the first time.
    Never,
    /// It stepped back when so many looks had been taken.
    At(u64),
    /// It waited to be woken.
    Parked,
}

/// What a caller whose request waits does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Approach {
    /// It takes the core, if that is here.
    Lead,
    /// It lets in those behind it on the same thread, and comes again.
    StepBack,
    /// It lets other threads run first, as nobody came since its last look, and comes again.
    Linger,
    /// It waits to be woken, as another looks.
    Park,
}

impl Gathering {
    /// Whether a batch of so many is taken as it is.
    pub(super) const fn is_over(&self, waiting: usize) -> bool {
        waiting >= self.full
    }

    /// After a commit that took so long: so many may be back soon.
    pub(super) fn expect(&mut self, full: usize, took: Duration) {
        let is_worth_it = self.skipped == 0 && took >= COMMIT_MIN;
        self.full = if is_worth_it { full } else { 0 };
        self.longest = took;
        self.skipped = self.skipped.saturating_sub(1);
    }

    /// What a caller does while not everybody is back.
    ///
    /// The first that comes looks. Others step back once, and wait to be woken if it has looked meanwhile; if it has not,
    /// its future may be one that nobody polls, and they look in its place.
    pub(super) fn approach(&mut self, key: Key, before: Came, waiting: usize) -> Approach {
        let by_another = self.by.is_some_and(|by| by != key);
        match before {
            Came::Never if by_another => return Approach::StepBack,
            Came::At(looks) if by_another && looks != self.looks => return Approach::Park,
            _ => {}
        }
        let is_first = self.by.replace(key).is_none();
        let is_idle = !is_first && waiting <= self.seen;
        if is_first {
            self.since = clock();
            self.idle_looks = 0;
        }
        self.looks += 1;
        self.seen = waiting;
        if !is_idle {
            return Approach::StepBack;
        }
        self.idle_looks += 1;
        if self.idle_looks < IDLE_LOOKS_MAX && clock().saturating_sub(self.since) < self.longest {
            Approach::Linger
        } else {
            Approach::Lead
        }
    }

    /// What a caller that stepped back knows.
    pub(super) const fn now(&self) -> Came {
        Came::At(self.looks)
    }

    /// Forgets who looks, if it is this one.
    pub(super) fn abandon(&mut self, key: Key) {
        self.by.take_if(|by| *by == key);
    }

    /// A batch is taken when so many wait. Where they did not come, the wait was in vain, and the next ones are taken as
    /// they are: two, four, eight and so on, until one fills again.
    pub(super) fn end(&mut self, waiting: usize) {
        let gathered = self.by.take().is_some();
        if self.full <= 1 {
            return;
        }
        // Three quarters are worth a wait.
        if waiting >= self.full - self.full / 4 {
            self.misses = 0;
        } else if gathered {
            self.misses = (self.misses + 1).min(MISSES_MAX);
            self.skipped = 1 << self.misses;
        }
    }
}
