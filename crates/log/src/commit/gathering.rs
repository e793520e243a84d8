//! The wait of whoever leads next for those who were answered just now, so that they share its commit
//! instead of filling the one after.
//!
//! Where as many callers as before are about to come back, a commit of all of them every `commit + wait`
//! carries more than one of each half every `commit`, as long as the wait is the shorter of the two. So the
//! wait ends when everybody is back, and at the latest when it has taken as long as the last commit.

use std::time::Duration;

use super::slots::Key;
use super::sync::{IDLE_LOOKS_MAX, clock};

/// A commit that is over sooner is not worth a wait.
const COMMIT_MIN: Duration = Duration::from_micros(30);

/// No wait is longer, however long the last commit took.
const WAIT_MAX: Duration = Duration::from_millis(20);

/// After so many waits in vain in a row and more, two to the power of it batches are taken as they are.
const MISSES_MAX: u32 = 8;

/// Who is expected, and who looks whether they have come.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// How many wait once everybody is back: the requests of the last batch and those that waited when it
    /// was done. Zero when the next batch is taken as it is.
    full: usize,
    /// How many waited when the last commit was done.
    found: usize,
    /// When the last commit was done.
    since: Duration,
    /// How long it took.
    took: Duration,
    /// Who looks.
    by: Option<Key>,
    /// How many waited at its last look.
    seen: usize,
    /// How many looks since the last commit found nobody new.
    idle_looks: u32,
    /// Looks ever taken, by which others see that somebody looks.
    looks: u64,
    /// Waits in vain in a row.
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
    /// It lets other threads run first, as nobody came since the last look, and comes again.
    Linger,
    /// It waits to be woken, as another looks.
    Park,
}

impl Gathering {
    /// After a commit that was timed: so many requests were answered, and so many waited by then.
    pub(super) fn expect(
        &mut self,
        answered: usize,
        found: usize,
        since: Duration,
        took: Duration,
    ) {
        let is_worth_it = self.skipped == 0 && took >= COMMIT_MIN;
        *self = Self {
            full: if is_worth_it { answered + found } else { 0 },
            found,
            since,
            took,
            by: None,
            seen: 0,
            idle_looks: 0,
            looks: self.looks,
            misses: self.misses,
            skipped: self.skipped.saturating_sub(1),
        };
    }

    /// After a commit that was not timed, or when a request found no place: nobody is awaited.
    pub(super) fn give_up(&mut self) {
        self.full = 0;
        self.by = None;
    }

    /// What a caller does while others are expected and so many wait; `None` when nobody is.
    ///
    /// The first that comes looks. Others step back once, and then wait to be woken if it has looked
    /// meanwhile; if it has not, its future may be one that nobody polls, and they look in its place.
    pub(super) fn approach(&mut self, key: Key, before: Came, waiting: usize) -> Option<Approach> {
        if waiting >= self.full {
            if self.by.is_some() {
                self.end(waiting, clock());
            }
            return None;
        }
        if self.by.is_some_and(|by| by != key) {
            match before {
                Came::Never | Came::Parked => return Some(Approach::StepBack),
                Came::At(looks) if looks != self.looks => return Some(Approach::Park),
                Came::At(_) => {}
            }
        }
        let now = clock();
        let is_first = self.by.replace(key).is_none();
        let is_idle = !is_first && waiting <= self.seen;
        self.looks += 1;
        self.seen = waiting;
        if is_idle {
            self.idle_looks += 1;
        }
        if self.waited(now) >= self.took.min(WAIT_MAX) || self.idle_looks >= IDLE_LOOKS_MAX {
            self.end(waiting, now);
            return Some(Approach::Lead);
        }
        Some(if is_idle {
            Approach::Linger
        } else {
            Approach::StepBack
        })
    }

    /// What a caller that stepped back knows.
    pub(super) const fn now(&self) -> Came {
        Came::At(self.looks)
    }

    /// Forgets who looks, if it is this one.
    pub(super) fn abandon(&mut self, key: Key) {
        self.by.take_if(|by| *by == key);
    }

    fn waited(&self, now: Duration) -> Duration {
        now.saturating_sub(self.since)
    }

    /// Judges the wait, at whose end so many wait, and takes the batch as it is.
    ///
    /// It was worth it where a fifth more is committed a second: `waiting` a commit and a wait, against those
    /// who were found, a commit. Requests that come evenly are as many a second with and without a wait. After
    /// a wait in vain two batches are taken as they are, then four, eight and so on, until one is worth it.
    fn end(&mut self, waiting: usize, now: Duration) {
        let commit = self.took.as_secs_f64();
        let both = commit + self.waited(now).as_secs_f64();
        let count = |requests: usize| f64::from(u32::try_from(requests).unwrap_or(u32::MAX));
        if count(waiting) * commit >= 1.2 * count(self.found.max(1)) * both {
            self.misses = 0;
        } else {
            self.misses = (self.misses + 1).min(MISSES_MAX);
            self.skipped = 1 << self.misses;
        }
        self.give_up();
    }
}
