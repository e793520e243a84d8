//! Keeps the index in files: writes full memories as runs, and merges runs, while appends go on.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use annals_core::{Error, ErrorKind};
use annals_log::Place;
use tracing::{info, warn};

use super::dictionary;
use super::recover::Entering;
use super::settings::{Maintenance, Settings};
use super::shared::Shared;
use super::snapshot::unusable;
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
    index_bytes_max: usize,
    state: Mutex<State>,
    /// Notified when something was written, merged or given up.
    moved: Condvar,
}

#[derive(Debug)]
struct State {
    runs: Runs,
    /// Where the part of the log ends that is to be read again, as its runs were damaged.
    gap_ends: Option<Place>,
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
        settings: &Settings,
    ) -> Self {
        Self {
            shared,
            directory,
            mode: settings.maintenance,
            index_bytes_max: settings.index_bytes_max,
            state: Mutex::new(State {
                runs,
                gap_ends: None,
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
        if self.mode == Maintenance::Inline {
            drop(state);
            self.write_all();
            state = self.lock();
        }
        if state.waiting.len() < HELD_MAX {
            return Ok(());
        }
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

    /// Drops a run in which damage was found, and those after it, and builds them again from the log. Returns
    /// when that is done, or can't be done.
    pub(crate) fn rebuild(self: &Arc<Self>, damaged: &Path) {
        let mut state = self.lock();
        Self::drop_damaged(&mut state, damaged);
        self.begin(&mut state);
        if self.mode == Maintenance::Inline {
            drop(state);
            return self.write_all();
        }
        drop(state);
        self.finish();
    }

    fn drop_damaged(state: &mut State, damaged: &Path) {
        let end = state.runs.upto();
        if state.runs.drop_from(damaged) {
            info!(file = %damaged.display(), "index file is damaged; it is built again from the log");
            state.gap_ends = state.gap_ends.or(end);
        }
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
            if let Some(end) = state.gap_ends {
                drop(state);
                let filled = self.fill_gap(end);
                state = self.lock();
                match filled {
                    Ok(()) => state.gap_ends = None,
                    Err(error) => {
                        warn!(%error, "damaged index files can't be built again");
                        state.failure = Some(error.to_string());
                        return self.end_writing(state);
                    }
                }
            }
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

    /// Reads the log from the end of the runs to this place, into runs.
    fn fill_gap(&self, end: Place) -> Result<(), Error> {
        let view = self.shared.snapshot().view.clone();
        let runs = self.lock().runs.all().to_vec();
        let mut entering = Entering::after(&view, &runs)?;
        loop {
            let upto = entering.fill_until(self.index_bytes_max, end)?;
            let upto = upto.unwrap_or(end);
            let memtable = entering.take();
            if memtable.len() > 0 {
                let kinds = dictionary::encode(&entering.kinds);
                let run = self
                    .directory
                    .flush(&memtable, &kinds, upto)
                    .map_err(unusable)?;
                self.lock().runs.add(run);
            }
            if upto == end {
                self.show_all();
                return Ok(());
            }
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

    fn give_up(self: &Arc<Self>, state: &mut State, error: &RunError) {
        if error.kind() == RunErrorKind::Damaged {
            Self::drop_damaged(state, error.path());
        }
        state.merges = false;
        self.moved.notify_all();
        if state.gap_ends.is_some() {
            self.begin(state);
        }
    }

    /// Puts a run in the place of the parts that it covers.
    fn show(&self, run: &Arc<Run>) {
        self.shared.publish(|snapshot| {
            let mut shown = Some(Arc::clone(run) as Arc<dyn Part>);
            let covered =
                |part: &Arc<dyn Part>| run.first() <= part.first() && part.last() <= run.last();
            let parts = snapshot.older.iter().filter_map(|part| {
                if covered(part) {
                    return shown.take();
                }
                Some(Arc::clone(part))
            });
            snapshot.older = parts.collect();
        });
    }

    /// Puts the runs in the place of whatever was shown of their positions.
    fn show_all(&self) {
        let runs = self.lock().runs.all().to_vec();
        let next = runs.last().map_or(1, |run| run.last() + 1);
        self.shared.publish(|snapshot| {
            let newer = snapshot.older.iter().filter(|part| part.first() >= next);
            let newer: Vec<Arc<dyn Part>> = newer.cloned().collect();
            let runs = runs.into_iter().map(|run| run as Arc<dyn Part>);
            snapshot.older = runs.chain(newer).collect();
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.moved
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }
}
