//! How a follower comes to see what the writer made durable.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use annals_core::{Error, ErrorKind, Position};
use annals_log::vfs::Watch;
use annals_log::{Follower, RecordAt, Scan, Scanned, View};
use tracing::{info, warn};

use crate::index::{Memtable, Part, Run, RunDirectory, RunError, RunErrorKind};
use crate::store::error::from_log;
use crate::store::recover::{Entering, enter};
use crate::store::settings::{LostEvents, Settings};
use crate::store::shared::Shared;
use crate::store::snapshot::{Snapshot as State, unusable};

/// How often a follower looks for itself, should a notification be missed.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How long a follower waits after the first failure before it looks again; doubled with each one, up to
/// [`LOOK_INTERVAL`].
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// How many events are read from the log before the directory is asked for an index file that has them.
const LAG_MAX: u64 = 8192;

/// How often the directory is listed at most, while files go as they are opened.
const LISTINGS_MAX: usize = 8;

/// How many events without an index file a follower takes; a quarter of what fits, as this is looked at only
/// whenever the memory has doubled.
const MEMORY_EVENTS_MAX: usize = Memtable::EVENTS_MAX as usize / 4;

/// How many records are entered under one lock, at most.
const CHUNK_RECORDS_MAX: usize = 256;

/// How many bytes of records are held to be entered, a single record apart.
const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// What reads and the thread that waits share.
pub(super) struct Follow {
    pub(super) shared: Arc<Shared>,
    looking: Mutex<Looking>,
}

/// What one look at a time has in hand.
struct Looking {
    follower: Follower,
    directory: RunDirectory,
    index_bytes_max: usize,
    lost_events: LostEvents,
    /// The index files of the published state.
    runs: Vec<Arc<Run>>,
    /// The memory of the newest part of the index, in bytes, at which a newer index file is looked for.
    full_at: usize,
    /// Index files in which damage was found: used again only when every byte of them is right.
    damaged: Vec<PathBuf>,
}

/// Index files, and a view that they don't reach beyond.
struct Found {
    view: View,
    runs: Vec<Arc<Run>>,
}

impl Follow {
    /// Reads what is there.
    pub(super) fn begin(
        follower: Follower,
        directory: RunDirectory,
        settings: &Settings,
        shared: impl FnOnce(State) -> Shared,
    ) -> Result<Self, Error> {
        let mut looking = Looking {
            follower,
            directory,
            index_bytes_max: settings.index_bytes_max,
            lost_events: settings.lost_events,
            runs: Vec::new(),
            full_at: settings.index_bytes_max,
            damaged: Vec::new(),
        };
        let state = looking.survey()?;
        Ok(Self {
            shared: Arc::new(shared(state)),
            looking: Mutex::new(looking),
        })
    }

    /// The published state, if it is known at once that the writer made nothing durable since. Never waits
    /// for another look.
    pub(super) fn nothing_new(&self) -> Result<Option<Arc<State>>, Error> {
        let Ok(mut looking) = self.looking.try_lock() else {
            return Ok(None);
        };
        let published = self.shared.snapshot();
        let view = looking.follower.refresh().map_err(from_log)?;
        Ok((view.end() == published.view.end()).then_some(published))
    }

    /// Enters what the writer made durable since the last look. Blocks.
    pub(super) fn look(&self) -> Result<Arc<State>, Error> {
        let mut looking = self.lock();
        let before = self.shared.snapshot();
        let view = looking.follower.refresh().map_err(from_log)?;
        if view.end() == before.view.end() {
            return Ok(before);
        }
        let state = looking.advance(&before, &view)?;
        Ok(self.publish(state))
    }

    /// Reads the log in the place of an index file in which damage was found. Blocks.
    pub(super) fn heal(&self, damaged: &Path) -> Result<(), Error> {
        let mut looking = self.lock();
        // Whoever asked an older state finds it healed.
        if looking.runs.iter().any(|run| run.path() == damaged) {
            looking.distrust(damaged);
            let state = looking.survey()?;
            self.publish(state);
        }
        Ok(())
    }

    fn publish(&self, state: State) -> Arc<State> {
        self.shared.publish(|published| *published = state);
        self.shared.changed.notify(usize::MAX);
        self.shared.snapshot()
    }

    pub(super) fn watch(&self) -> Result<Box<dyn Watch>, Error> {
        self.lock().follower.watch().map_err(from_log)
    }

    fn lock(&self) -> MutexGuard<'_, Looking> {
        self.looking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Looking {
    /// The state that a newer view shows.
    fn advance(&mut self, before: &State, view: &View) -> Result<State, Error> {
        // A look that failed leaves records in memory that the state before does not have.
        let is_whole = before.live.read().last() == before.head.value();
        if !is_whole || view.end().at < before.view.end().at {
            return self.survey();
        }
        let lag = view.last_number().saturating_sub(before.head.value());
        if (lag > LAG_MAX || self.is_full(before))
            && let Some(found) = self.newer(before)?
        {
            return self.build(found);
        }
        self.extend(before, view).or_else(|_| self.survey())
    }

    /// The state with what a newer view shows, entered into the newest part of the index.
    fn extend(&mut self, before: &State, view: &View) -> Result<State, Error> {
        let from = before.view.end();
        let mut scan = view.scan(from);
        let (mut next, mut kinds) = (from.next_number, before.kinds.clone());
        let mut chunk = Chunk::default();
        while chunk.read(&mut scan)? {
            let entered = before.live.change(|memtable| {
                let mut records = chunk.records();
                records.try_for_each(|record| enter(view, record, &mut next, memtable, &mut kinds))
            });
            entered?;
            check_room(&before.live.read())?;
            if self.is_full(before)
                && let Some(found) = self.newer(before)?
            {
                return self.build(found);
            }
        }
        let mut state = State {
            head: Position::new(view.last_number()),
            view: view.clone(),
            kinds,
            ..before.clone()
        };
        if state.head > Position::START {
            state.newest_at = state.appended_at(state.head, &mut Vec::new())?;
        }
        Ok(state)
    }

    fn is_full(&self, state: &State) -> bool {
        state.live.read().bytes() >= self.full_at
    }

    /// What the directory has, if that is more than the published state has. Where it is not, it is asked
    /// again when the memory has doubled.
    fn newer(&mut self, before: &State) -> Result<Option<Found>, Error> {
        let found = self.find()?;
        if covered(&found.runs) > covered(&self.runs) {
            return Ok(Some(found));
        }
        let bytes = before.live.read().bytes();
        if bytes >= self.full_at {
            self.full_at = bytes.saturating_mul(2);
        }
        Ok(None)
    }

    /// The state by the index files and the log after them.
    fn survey(&mut self) -> Result<State, Error> {
        let found = self.find()?;
        self.build(found)
    }

    fn build(&mut self, mut found: Found) -> Result<State, Error> {
        let mut distrusted = 0;
        loop {
            match self.read_log(&mut found) {
                Ok(state) => {
                    let bytes = state.live.read().bytes();
                    self.full_at = self.index_bytes_max.max(bytes.saturating_mul(2));
                    let is_used = |path: &PathBuf| found.runs.iter().any(|run| run.path() == path);
                    self.damaged.retain(|path| !is_used(path));
                    self.runs = found.runs;
                    return Ok(state);
                }
                Err(error) => {
                    let damaged = damaged_run(&error).filter(|_| distrusted < LISTINGS_MAX);
                    let Some(damaged) = damaged else {
                        return Err(error);
                    };
                    distrusted += 1;
                    self.distrust(&damaged);
                    found = self.find()?;
                }
            }
        }
    }

    /// Reads the log after the index files into memory. Newer files are looked for whenever that takes as much
    /// as is meant for it, and twice as much, and so on.
    fn read_log(&mut self, found: &mut Found) -> Result<State, Error> {
        let mut entering = Entering::after(&found.view, &found.runs)?;
        let mut bytes_max = self.index_bytes_max;
        while entering.fill(bytes_max)?.is_some() {
            check_room(&entering.memtable)?;
            bytes_max = bytes_max.saturating_mul(2);
            let newer = self.find()?;
            if covered(&newer.runs) > covered(&found.runs) {
                *found = newer;
                entering = Entering::after(&found.view, &found.runs)?;
            }
        }
        entering.finish(&found.runs, self.lost_events)
    }

    /// The index files of use, those that are open already where the directory has no more.
    ///
    /// A writer that merges meanwhile removes files that were just listed, or makes one that reaches beyond
    /// the view: both look like a hole. So where much is missing the directory is listed until two answers
    /// agree.
    fn find(&mut self) -> Result<Found, Error> {
        let view = self.follower.refresh().map_err(from_log)?;
        let open = self.runs.clone().into_iter();
        let open = open.take_while(|run| run.upto().at <= view.end().at);
        let mut runs = self.trusted(open.collect());
        let mut best = Found {
            view,
            runs: Vec::new(),
        };
        let mut last_answer = None;
        for _ in 0..LISTINGS_MAX {
            best.view = self.follower.refresh().map_err(from_log)?;
            let listed = self.directory.look(best.view.end()).map_err(unusable)?;
            let listed = self.trusted(listed);
            let answer = covered(&listed);
            if answer >= covered(&runs) {
                runs = listed;
            }
            let missing = best.view.last_number().saturating_sub(covered(&runs));
            if missing <= LAG_MAX || last_answer == Some(answer) {
                break;
            }
            last_answer = Some(answer);
        }
        best.runs = runs;
        Ok(best)
    }

    /// The runs before the first one that is still damaged. The writer may have built it again.
    fn trusted(&self, mut runs: Vec<Arc<Run>>) -> Vec<Arc<Run>> {
        let is_damaged = |run: &Arc<Run>| {
            self.damaged.iter().any(|path| path == run.path()) && run.check().is_err()
        };
        if let Some(index) = runs.iter().position(is_damaged) {
            runs.truncate(index);
        }
        runs
    }

    fn distrust(&mut self, damaged: &Path) {
        if !self.damaged.iter().any(|path| path == damaged) {
            warn!(file = %damaged.display(), "index file is damaged; the log is read in its place");
            self.damaged.push(damaged.to_path_buf());
        }
    }
}

/// Records that were read and not entered yet.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    records: Vec<(RecordAt, Option<u64>, Range<usize>)>,
}

impl Chunk {
    /// Reads the next records in the place of those before; `false` when there are none.
    fn read(&mut self, scan: &mut Scan) -> Result<bool, Error> {
        self.bytes.clear();
        self.records.clear();
        while self.records.len() < CHUNK_RECORDS_MAX && self.bytes.len() < CHUNK_BYTES_MAX {
            let Some(record) = scan.next_record().map_err(from_log)? else {
                break;
            };
            let start = self.bytes.len();
            self.bytes.extend_from_slice(record.body);
            let body = start..self.bytes.len();
            self.records.push((record.at, record.number, body));
        }
        Ok(!self.records.is_empty())
    }

    fn records(&self) -> impl Iterator<Item = Scanned<'_>> {
        self.records.iter().map(|(at, number, body)| Scanned {
            at: *at,
            number: *number,
            body: self.bytes.get(body.clone()).unwrap_or_default(),
        })
    }
}

/// Looks whenever the writer made something durable, until the follower is gone. A failure rings the bell, so
/// that who waits looks for itself and says why; then this goes on.
pub(super) fn wait_and_look(follow: &Weak<Follow>, mut watch: Box<dyn Watch>) {
    let mut pause = PAUSE_MIN;
    let mut fails = false;
    loop {
        let waited = watch.wait(LOOK_INTERVAL);
        let Some(follow) = follow.upgrade() else {
            return;
        };
        let looked = match waited {
            Ok(_) => follow.look().map(drop),
            Err(error) => {
                if let Ok(again) = follow.watch() {
                    watch = again;
                }
                let error = Error::new(ErrorKind::Unavailable, "the store can't be watched")
                    .caused_by(error);
                follow.look().and(Err(error))
            }
        };
        let Err(error) = looked else {
            if fails {
                info!("the follower sees again what the writer makes durable");
            }
            (fails, pause) = (false, PAUSE_MIN);
            continue;
        };
        if !fails {
            warn!(%error, "the follower does not see what the writer makes durable; it goes on trying");
            fails = true;
        }
        follow.shared.changed.notify(usize::MAX);
        drop(follow);
        std::thread::park_timeout(pause);
        pause = (pause * 2).min(LOOK_INTERVAL);
    }
}

/// The index file whose damage is the cause of this error.
pub(super) fn damaged_run(error: &Error) -> Option<PathBuf> {
    let cause = std::error::Error::source(error)?.downcast_ref::<RunError>()?;
    (cause.kind() == RunErrorKind::Damaged).then(|| cause.path().to_path_buf())
}

/// Refuses to hold more of the index than one memory takes.
fn check_room(memtable: &Memtable) -> Result<(), Error> {
    if memtable.len() < MEMORY_EVENTS_MAX {
        return Ok(());
    }
    let message = "too many events have no index file for a follower; open the store to write, which builds them";
    Err(Error::new(ErrorKind::Unavailable, message).with("events", memtable.len()))
}

/// The last position that the runs have; 0 when they have none.
fn covered(runs: &[Arc<Run>]) -> u64 {
    runs.last().map_or(0, |run| run.last())
}
