//! Keeps the index in files: writes full memories as runs, and merges runs, while appends go on.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use annals_core::{Error, ErrorKind};
use annals_log::Place;
use tracing::warn;

use super::dictionary;
use super::settings::Maintenance;
use super::shared::Shared;
use crate::index::{Memtable, Part, Run, RunDirectory, RunError, RunErrorKind, Runs};
use crate::record::Kinds;

/// How many full memories wait to be written before the committer waits for them.
const WAITING_MAX: usize = 1;

/// How many full memories are held when they can't be written; appends are refused beyond it.
const HELD_MAX: usize = 3;

/// The memory of the index when it is full: it takes no more events.
#[derive(Clone, Debug)]
pub(crate) struct Frozen {
    pub(crate) memtable: Arc<Memtable>,
    /// Everything before this place of the log is in it, or in the runs before it.
    pub(crate) upto: Place,
    pub(crate) kinds: Kinds,
}

/// Writes and merges runs.
#[derive(Debug)]
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    directory: RunDirectory,
    mode: Maintenance,
    state: Mutex<State>,
    /// Notified when something was written, merged or given up.
    moved: Condvar,
}

#[derive(Debug)]
struct State {
    runs: Runs,
    waiting: VecDeque<Frozen>,
    writes: bool,
    merges: bool,
    /// Why the oldest waiting memory could not be written.
    failure: Option<String>,
}

impl Keeper {
    pub(crate) fn new(
        shared: Arc<Shared>,
        directory: RunDirectory,
        runs: Runs,
        mode: Maintenance,
    ) -> Self {
        Self {
            shared,
            directory,
            mode,
            state: Mutex::new(State {
                runs,
                waiting: VecDeque::new(),
                writes: false,
                merges: false,
                failure: None,
            }),
            moved: Condvar::new(),
        }
    }

    /// Takes over a full memory, which is among the older parts of the published state already. Waits while
    /// others are being written, so that memory stays bounded.
    pub(crate) fn take(self: &Arc<Self>, frozen: Frozen) {
        let mut state = self.lock();
        state.waiting.push_back(frozen);
        self.begin(&mut state);
        while state.waiting.len() > WAITING_MAX && state.writes {
            state = self.wait(state);
        }
        drop(state);
        if self.mode == Maintenance::Inline {
            self.write_all();
        }
    }

    /// Refuses appends while more is held than memory is meant for, and tries again to write it.
    pub(crate) fn check_room(self: &Arc<Self>) -> Result<(), Error> {
        let mut state = self.lock();
        if state.waiting.len() < HELD_MAX {
            return Ok(());
        }
        self.begin(&mut state);
        let failure = state.failure.clone().unwrap_or_default();
        let message = "index files can't be written, and memory is full of what they would hold; free space \
                       on the disk, then retry";
        Err(Error::new(ErrorKind::NoSpace, message).with("cause", failure))
    }

    /// Waits until nothing is being written or merged.
    pub(crate) fn finish(&self) {
        let mut state = self.lock();
        while state.writes || state.merges {
            state = self.wait(state);
        }
    }

    /// Forgets a run in which damage was found, so that opening the store builds it again.
    pub(crate) fn discard(&self, damaged: &Path) {
        self.lock().runs.drop_from(damaged);
    }

    fn begin(self: &Arc<Self>, state: &mut State) {
        if self.mode == Maintenance::Background && !state.writes {
            state.writes = true;
            self.spawn(Self::write_all);
        }
    }

    /// Runs work on a thread that may block; a panic in it is the end of that work only.
    fn spawn(self: &Arc<Self>, work: fn(&Arc<Self>)) {
        let keeper = Arc::clone(self);
        let work = move || {
            if catch_unwind(AssertUnwindSafe(|| work(&keeper))).is_err() {
                let mut state = keeper.lock();
                state.failure = Some("a panic while index files were written".to_owned());
                (state.writes, state.merges) = (false, false);
                keeper.moved.notify_all();
            }
        };
        blocking::unblock(work).detach();
    }

    /// Writes what waits, oldest first.
    fn write_all(self: &Arc<Self>) {
        loop {
            let mut state = self.lock();
            let Some(frozen) = state.waiting.front().cloned() else {
                return self.end_writing(state);
            };
            drop(state);
            let kinds = dictionary::encode(&frozen.kinds);
            let written = self.directory.flush(&frozen.memtable, &kinds, frozen.upto);
            state = self.lock();
            match written {
                Ok(run) => {
                    state.runs.add(Arc::clone(&run));
                    state.waiting.pop_front();
                    state.failure = None;
                    self.show(&run);
                }
                Err(error) => {
                    warn!(%error, "index file can't be written; its events stay in memory");
                    state.failure = Some(error.to_string());
                    return self.end_writing(state);
                }
            }
            self.moved.notify_all();
        }
    }

    fn end_writing(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        state.writes = false;
        self.moved.notify_all();
        if self.mode == Maintenance::Inline {
            drop(state);
            self.merge_all();
        } else if !state.merges && state.runs.plan_merge().is_some() {
            state.merges = true;
            self.spawn(Self::merge_all);
        }
    }

    /// Merges runs until there are few.
    fn merge_all(self: &Arc<Self>) {
        loop {
            let mut state = self.lock();
            let Some(plan) = state.runs.plan_merge() else {
                state.merges = false;
                self.moved.notify_all();
                return;
            };
            drop(state);
            let merged = self.directory.merge(&plan);
            state = self.lock();
            match merged {
                Ok(run) => {
                    self.show(&run);
                    state.runs.replace(&run);
                }
                Err(error) => {
                    warn!(%error, "index files can't be merged; look-ups take longer");
                    self.give_up(&mut state, &error);
                    return;
                }
            }
        }
    }

    fn give_up(&self, state: &mut State, error: &RunError) {
        if error.kind() == RunErrorKind::Damaged {
            state.runs.drop_from(error.path());
        }
        state.merges = false;
        self.moved.notify_all();
    }

    /// Puts a run in the place of the parts that it covers.
    fn show(&self, run: &Arc<Run>) {
        self.shared.publish(|snapshot| {
            let mut shown = Some(Arc::clone(run) as Arc<dyn Part>);
            let covered = |part: &Arc<dyn Part>| {
                run.first() <= part.first() && part.last() <= run.last()
            };
            let parts = snapshot.older.iter().filter_map(|part| {
                if covered(part) {
                    return shown.take();
                }
                Some(Arc::clone(part))
            });
            snapshot.older = parts.collect();
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.moved.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}
