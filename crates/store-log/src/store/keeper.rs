//! Keeps the index in files: writes full memories as runs, and merges runs, while appends go on.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use annals_core::{Error, ErrorKind};
use annals_log::Place;
use tracing::warn;

use super::dictionary;
use super::error::corrupt;
use super::recover::Entering;
use super::settings::{Maintenance, Settings};
use super::shared::Shared;
use super::snapshot::unusable;
use crate::index::{Memtable, Part, Run, RunDirectory, RunErrorKind, Runs};
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

/// After how many batches what could not be written is tried again, and after twice as many again.
const RETRY_AFTER: u64 = 64;

/// Writes and merges runs. One job at a time writes, and drops runs that are damaged; another merges.
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
    /// Files of the runs that were there when the store was opened, as far as they still are.
    found: Vec<PathBuf>,
    /// Runs in which damage was met, to be dropped by the job that writes.
    damaged: Vec<PathBuf>,
    /// Where the part of the log ends that is to be read again, as its runs were damaged.
    gap_ends: Option<Place>,
    waiting: VecDeque<Frozen>,
    writes: bool,
    merges: bool,
    /// No more merges are begun.
    closes: bool,
    failure: Option<Failure>,
    /// The threads that jobs run on, some of which may have ended.
    threads: Vec<JoinHandle<()>>,
}

/// Why the last attempt to write did not succeed.
#[derive(Debug)]
struct Failure {
    kind: ErrorKind,
    cause: String,
    /// How many batches came since.
    batches: u64,
}

#[derive(Clone, Copy, Debug)]
enum Job {
    Write,
    Merge,
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
                found: runs
                    .all()
                    .iter()
                    .map(|run| run.path().to_path_buf())
                    .collect(),
                runs,
                damaged: Vec::new(),
                gap_ends: None,
                waiting: VecDeque::new(),
                writes: false,
                merges: false,
                closes: false,
                failure: None,
                threads: Vec::new(),
            }),
            moved: Condvar::new(),
        }
    }

    /// Merges the runs that were there when the store was opened, if there are many.
    pub(crate) fn tidy(self: &Arc<Self>) {
        self.begin_merging(self.lock());
    }

    /// Takes over a full memory, which is among the older parts of the published state already. Waits while
    /// others are being written, so that memory stays bounded.
    pub(crate) fn take(self: &Arc<Self>, frozen: Frozen) {
        let mut state = self.lock();
        state.waiting.push_back(frozen);
        state = self.begin_writing(state);
        while state.waiting.len() > WAITING_MAX && state.writes {
            state = self.wait(state);
        }
    }

    /// Refuses appends while more is held than memory is meant for. What could not be written is tried again:
    /// before a refusal each time, else now and then.
    pub(crate) fn check_room(self: &Arc<Self>) -> Result<(), Error> {
        let mut state = self.lock();
        if !state.is_full() {
            if state.is_worth_a_retry() {
                drop(self.begin_writing(state));
            }
            return Ok(());
        }
        // A damaged log is the same when it is read again.
        if state.failure_kind() != Some(ErrorKind::Corrupt) {
            state = self.begin_writing(state);
            while state.is_full() && state.writes {
                state = self.wait(state);
            }
        }
        if state.is_full() {
            return Err(refusal(state.failure.as_ref()));
        }
        Ok(())
    }

    /// Waits until all that can be written is written, and for the present merge; no other is begun.
    pub(crate) fn finish(&self) {
        let mut state = self.lock();
        state.closes = true;
        while state.writes || state.merges {
            state = self.wait(state);
        }
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        for thread in threads {
            // A panic in a job is told by the job.
            let _ = thread.join();
        }
    }

    /// Has a run in which damage was found dropped, and those after it, and built again from the log. Returns
    /// when that is done, or can't be done; at once when the store closes.
    pub(crate) fn rebuild(self: &Arc<Self>, damaged: &Path) {
        let mut state = self.lock();
        if state.closes {
            return;
        }
        state.damaged.push(damaged.to_path_buf());
        state = self.begin_writing(state);
        while state.is_broken() && state.writes {
            state = self.wait(state);
        }
    }

    /// Has what is to be written written, on a thread of the store's own, or here and now.
    fn begin_writing<'s>(
        self: &'s Arc<Self>,
        mut state: MutexGuard<'s, State>,
    ) -> MutexGuard<'s, State> {
        match self.mode {
            Maintenance::Background => {
                if !state.writes {
                    state.writes = true;
                    self.start(&mut state, Job::Write);
                }
                state
            }
            Maintenance::Inline => {
                while state.writes {
                    state = self.wait(state);
                }
                state.writes = true;
                drop(state);
                self.run(Job::Write);
                self.lock()
            }
        }
    }

    /// Has runs merged where there are many, on a thread of the store's own, or here and now.
    fn begin_merging(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if state.merges || state.plan_merge().is_none() {
            return;
        }
        state.merges = true;
        match self.mode {
            Maintenance::Background => self.start(&mut state, Job::Merge),
            Maintenance::Inline => {
                drop(state);
                self.run(Job::Merge);
            }
        }
    }

    /// Runs a job on a thread of its own.
    fn start(self: &Arc<Self>, state: &mut State, job: Job) {
        state.threads.retain(|thread| !thread.is_finished());
        let keeper = Arc::clone(self);
        let thread = std::thread::Builder::new().name("annals-index".to_owned());
        match thread.spawn(move || keeper.run(job)) {
            Ok(thread) => state.threads.push(thread),
            Err(error) => {
                state.end(job);
                state.fail(ErrorKind::Unavailable, format!("no thread: {error}"));
            }
        }
    }

    /// Runs a job; a panic in it is the end of that job only.
    fn run(self: &Arc<Self>, job: Job) {
        let work = || match job {
            Job::Write => while self.write_next() {},
            Job::Merge => while self.merge_next() {},
        };
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            let mut state = self.lock();
            state.end(job);
            let cause = "a panic while index files were written; report it as a defect";
            state.fail(ErrorKind::Unavailable, cause.to_owned());
            self.moved.notify_all();
        }
    }

    /// Writes what is first to be written; `false`, and the job has ended, when there is nothing or it fails.
    fn write_next(self: &Arc<Self>) -> bool {
        let mut state = self.lock();
        if state.is_broken() {
            // A merge writes under a name that a run which is built again may have.
            while state.merges {
                state = self.wait(state);
            }
            state = self.drop_damaged(state);
        }
        let written = if let Some(end) = state.gap_ends {
            drop(state);
            self.fill_gap(end)
        } else if let Some(frozen) = state.waiting.front().cloned() {
            drop(state);
            self.write(&frozen)
        } else {
            self.end_writing(state);
            return false;
        };
        let mut state = self.lock();
        match written {
            Ok(()) => {
                state.failure = None;
                self.moved.notify_all();
                true
            }
            Err(error) => {
                state.fail(kind_of(&error), describe(&error));
                self.end_writing(state);
                false
            }
        }
    }

    /// Drops the first run that is damaged, and those after it. Damage seldom comes alone, so all are checked.
    fn drop_damaged<'s>(&'s self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        let (met, runs) = (state.damaged.clone(), state.runs.all().to_vec());
        // What was built since may have the name of a run that readers met before.
        let known: Vec<PathBuf> = met
            .iter()
            .filter(|met| state.found.contains(met))
            .cloned()
            .collect();
        drop(state);
        let is_damaged = |run: &&Arc<Run>| {
            let is_known = known.iter().any(|known| known == run.path());
            is_known
                || run
                    .check()
                    .is_err_and(|error| error.kind() == RunErrorKind::Damaged)
        };
        let first = runs.iter().filter(|_| !met.is_empty()).find(is_damaged);
        let mut state = self.lock();
        state.damaged.drain(..met.len());
        if let Some(run) = first {
            let end = state.runs.upto();
            state.runs.drop_from(run.path());
            state.gap_ends = state.gap_ends.or(end);
            let left: Vec<PathBuf> = state
                .runs
                .all()
                .iter()
                .map(|run| run.path().to_path_buf())
                .collect();
            state.found.retain(|found| left.contains(found));
        }
        state
    }

    /// Writes the oldest memory that waits.
    fn write(&self, frozen: &Frozen) -> Result<(), Error> {
        let kinds = dictionary::encode(&frozen.kinds);
        let written = self.directory.flush(&frozen.memtable, &kinds, frozen.upto);
        let run = written.map_err(unusable)?;
        let mut state = self.lock();
        state.runs.add(Arc::clone(&run));
        state.waiting.pop_front();
        self.show(&run);
        Ok(())
    }

    /// Reads the log from the end of the runs to this place, into runs.
    fn fill_gap(&self, end: Place) -> Result<(), Error> {
        let view = self.shared.snapshot().view.clone();
        let mut entering = Entering::after_runs(&view, &mut self.lock().runs)?;
        loop {
            let full = entering.fill_until(self.index_bytes_max, end)?;
            let memtable = entering.take();
            if memtable.len() > 0 {
                let kinds = dictionary::encode(&entering.kinds);
                let upto = full.unwrap_or(end);
                let run = self.directory.flush(&memtable, &kinds, upto);
                self.lock().runs.add(run.map_err(unusable)?);
            }
            if full.is_none() {
                break;
            }
        }
        let mut state = self.lock();
        if state.runs.upto() != Some(end) {
            return Err(corrupt(
                "log does not reach to where the index did; verify the store",
            ));
        }
        state.gap_ends = None;
        self.show_all(state.runs.all());
        Ok(())
    }

    fn end_writing(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        state.end(Job::Write);
        self.moved.notify_all();
        self.begin_merging(state);
    }

    /// Merges what is first to be merged; `false`, and the job has ended, when there is nothing or it fails.
    fn merge_next(self: &Arc<Self>) -> bool {
        let mut state = self.lock();
        let Some(plan) = state.plan_merge() else {
            state.end(Job::Merge);
            self.moved.notify_all();
            return false;
        };
        drop(state);
        let merged = self.directory.merge(&plan);
        let mut state = self.lock();
        match merged {
            Ok(run) => {
                if state.runs.replace(&run) {
                    self.show(&run);
                }
                true
            }
            Err(error) => {
                warn!(%error, "index files can't be merged; look-ups take longer");
                state.end(Job::Merge);
                self.moved.notify_all();
                if error.kind() == RunErrorKind::Damaged {
                    state.damaged.push(error.path().to_path_buf());
                    drop(self.begin_writing(state));
                }
                false
            }
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
    fn show_all(&self, runs: &[Arc<Run>]) {
        let next = runs.last().map_or(1, |run| run.last() + 1);
        self.shared.publish(|snapshot| {
            let newer = snapshot.older.iter().filter(|part| part.first() >= next);
            let newer: Vec<Arc<dyn Part>> = newer.cloned().collect();
            let runs = runs.iter().map(|run| Arc::clone(run) as Arc<dyn Part>);
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

impl State {
    /// Whether appends are refused until something is written.
    fn is_full(&self) -> bool {
        self.waiting.len() >= HELD_MAX
    }

    /// Whether runs are to be dropped and built again.
    fn is_broken(&self) -> bool {
        !self.damaged.is_empty() || self.gap_ends.is_some()
    }

    /// Counts a batch, and says whether after so many what failed is tried again.
    fn is_worth_a_retry(&mut self) -> bool {
        let Some(failure) = self.failure.as_mut().filter(|_| !self.writes) else {
            return false;
        };
        failure.batches += 1;
        failure.batches >= RETRY_AFTER && failure.batches.is_power_of_two()
    }

    fn failure_kind(&self) -> Option<ErrorKind> {
        self.failure.as_ref().map(|failure| failure.kind)
    }

    /// The runs to merge next, unless runs are to be dropped or the store is closed.
    fn plan_merge(&self) -> Option<Vec<Arc<Run>>> {
        if self.closes || self.is_broken() {
            return None;
        }
        self.runs.plan_merge()
    }

    fn end(&mut self, job: Job) {
        match job {
            Job::Write => self.writes = false,
            Job::Merge => self.merges = false,
        }
    }

    /// Notes why something could not be written, and tells it once.
    fn fail(&mut self, kind: ErrorKind, cause: String) {
        let known = self.failure.as_ref();
        if known.is_none_or(|known| known.cause != cause) {
            warn!(
                cause,
                "index files can't be written; what they would hold stays in memory"
            );
        }
        let batches = known.map_or(0, |known| known.batches);
        self.failure = Some(Failure {
            kind,
            cause,
            batches,
        });
    }
}

/// Why appends are refused when index files can't be written.
fn refusal(failure: Option<&Failure>) -> Error {
    let kind = failure.map_or(ErrorKind::Unavailable, |failure| failure.kind);
    let message = match kind {
        ErrorKind::NoSpace => {
            "index files can't be written, and memory is full of what they would hold; free space on the \
             disk, then retry"
        }
        ErrorKind::Corrupt => {
            "index can't be built again from a damaged log, and memory is full of what it would hold; close \
             the store and verify it"
        }
        _ => {
            "index files can't be written, and memory is full of what they would hold; remove the cause, \
             then retry"
        }
    };
    let cause = failure.map_or_else(String::new, |failure| failure.cause.clone());
    Error::new(kind, message).with("cause", cause)
}

/// What is to be done about it: an index file that can't be written for want of space says so in its cause.
fn kind_of(error: &Error) -> ErrorKind {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(error) = cause {
        let refused = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if let Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) = refused {
            return ErrorKind::NoSpace;
        }
        cause = error.source();
    }
    match error.kind() {
        ErrorKind::Corrupt => ErrorKind::Corrupt,
        ErrorKind::NoSpace => ErrorKind::NoSpace,
        _ => ErrorKind::Unavailable,
    }
}

/// The error and its causes, in a line.
fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
