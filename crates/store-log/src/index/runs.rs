//! The directory of the runs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annals_log::vfs::{Access, Vfs, VfsFile};
use annals_log::{LogId, Place};
use tracing::warn;

use super::run::{POSITIONS_MAX, Run, RunReads, merge, write};
use super::{Memtable, Part, Result, RunError, RunErrorKind};
use crate::planted::{self, Bug};

/// Where the runs of one store are, and how they come to be there. Cheap to clone, used from any thread.
#[derive(Clone, Debug)]
pub(crate) struct RunDirectory {
    vfs: Arc<dyn Vfs>,
    path: Arc<Path>,
    log_id: LogId,
    reads: RunReads,
}

/// The runs of a store: each begins where the one before ends, the first at position 1.
#[derive(Debug)]
pub(crate) struct Runs {
    directory: RunDirectory,
    runs: Vec<Arc<Run>>,
}

/// The extension of a run.
const EXTENSION: &str = "run";
/// The extension of a run that is being written.
const UNFINISHED: &str = "unfinished";
/// How many runs make one, at least.
const FAN_OUT: usize = 4;
/// How many runs make one, at most.
const RUNS_MAX: usize = 16;

impl RunDirectory {
    /// The directory at this path, for the store on the log with this id. It is made if it is not there.
    pub(crate) fn new(
        vfs: Arc<dyn Vfs>,
        path: &Path,
        log_id: LogId,
        reads: RunReads,
    ) -> Result<Self> {
        vfs.create_dir_all(path)
            .map_err(|error| RunError::io(path, "the directory can't be made", error))?;
        Ok(Self::to_read(vfs, path, log_id, reads))
    }

    /// As [`new`](Self::new), for who only [looks](Self::look) and [checks](Self::check): nothing is made.
    pub(crate) fn to_read(vfs: Arc<dyn Vfs>, path: &Path, log_id: LogId, reads: RunReads) -> Self {
        Self {
            vfs,
            path: path.into(),
            log_id,
            reads,
        }
    }

    /// Writes the memtable as a run, durable under its name, and opens it. The memtable has at least one
    /// position.
    pub(crate) fn flush(&self, memtable: &Memtable, kinds: &[u8], upto: Place) -> Result<Arc<Run>> {
        self.add(memtable.first(), memtable.last(), |path, file| {
            write(path, file, memtable, kinds, upto)
        })
    }

    /// Writes the run that covers these runs, durable under its name, and opens it. The old files stay until
    /// [`Runs::replace`].
    pub(crate) fn merge(&self, runs: &[Arc<Run>]) -> Result<Arc<Run>> {
        let first = runs.first().map_or(0, |run| run.first());
        let last = runs.last().map_or(0, |run| run.last());
        self.add(first, last, |path, file| merge(path, file, runs))
    }

    /// Opens the runs that go on from position 1 without a gap and not beyond `end`, the end of what is
    /// durable in the log. Runs that are damaged, of another log, covered by a longer one, behind a gap, or
    /// beyond `end` are removed, durably, with a warning where that is not the trace of a crash: the log will
    /// grow beyond a run that was ahead of it, and if that came back it could not be told from a good one.
    pub(crate) fn open(&self, end: Place) -> Result<Runs> {
        let mut found: Vec<Arc<Run>> = Vec::new();
        let mut useless: Vec<PathBuf> = Vec::new();
        for (first, last, path) in self.files()? {
            match self.open_file(first, last, &path, end) {
                Ok(run) => found.push(run),
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => {
                    warn_of_use(&path, &error.to_string());
                    useless.push(path);
                }
            }
        }
        let (runs, rest) = row(found);
        let next = runs.last().map_or(1, |run| run.last() + 1);
        for run in rest {
            if run.last() >= next {
                warn_of_use(run.path(), "it does not follow the runs before it");
            }
            useless.push(run.path().to_path_buf());
        }
        self.remove_durably(&useless)?;
        Ok(Runs {
            directory: self.clone(),
            runs,
        })
    }

    /// The runs that [`open`](Self::open) would give, for a process that only reads: nothing is removed.
    /// Runs come and go meanwhile; what can't be opened is passed over.
    pub(crate) fn look(&self, end: Place) -> Result<Vec<Arc<Run>>> {
        let named = self.names()?.into_iter().filter_map(|name| {
            let (first, last) = positions(&name)?;
            self.open_file(first, last, &self.path.join(name), end).ok()
        });
        Ok(row(named.collect()).0)
    }

    /// Holds every byte of every run against its checksum. Runs that are gone by the time that their turn comes
    /// were merged meanwhile.
    pub(crate) fn check(&self) -> Result<Vec<(PathBuf, Result<()>)>> {
        let named = self.names()?.into_iter().filter_map(|name| {
            positions(&name)?;
            let path = self.path.join(name);
            let checked = Run::open(self.vfs.as_ref(), &path, self.log_id, self.reads)
                .and_then(|run| run.check());
            let is_gone = checked.as_ref().is_err_and(is_missing);
            (!is_gone).then_some((path, checked))
        });
        Ok(named.collect())
    }

    fn names(&self) -> Result<Vec<String>> {
        match self.vfs.names(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            names => names
                .map_err(|error| RunError::io(&self.path, "the directory can't be read", error)),
        }
    }

    /// What is named as a run, with the positions of its name. What was not finished is removed.
    fn files(&self) -> Result<Vec<(u64, u64, PathBuf)>> {
        let mut files = Vec::new();
        for name in self.names()? {
            let path = self.path.join(&name);
            if name.ends_with(UNFINISHED) {
                self.remove(&path);
            } else if let Some((first, last)) = positions(&name) {
                files.push((first, last, path));
            }
        }
        Ok(files)
    }

    fn open_file(&self, first: u64, last: u64, path: &Path, end: Place) -> Result<Arc<Run>> {
        let run = Run::open(self.vfs.as_ref(), path, self.log_id, self.reads)?;
        let damaged = |what| Err(RunError::new(RunErrorKind::Damaged, path, what));
        if (run.first(), run.last()) != (first, last) {
            return damaged("it is under the name of another run");
        }
        let is_ahead = run.upto().at > end.at || run.upto().next_number > end.next_number;
        if is_ahead && !planted::is_active(Bug::IndexAheadTrusted) {
            return damaged("it is ahead of the log");
        }
        Ok(Arc::new(run))
    }

    fn add(
        &self,
        first: u64,
        last: u64,
        write: impl FnOnce(&Path, Arc<dyn VfsFile>) -> Result<()>,
    ) -> Result<Arc<Run>> {
        let path = self
            .path
            .join(format!("{first:020}-{last:020}.{EXTENSION}"));
        let unfinished = path.with_extension(UNFINISHED);
        let failed = |error| RunError::io(&path, "can't be made", error);
        self.remove(&unfinished);
        let file = self.vfs.open(&unfinished, Access::Create).map_err(failed)?;
        let written = write(&unfinished, file).and_then(|()| {
            self.vfs.rename(&unfinished, &path).map_err(failed)?;
            self.vfs.sync_directory(&self.path).map_err(failed)
        });
        if let Err(error) = written {
            self.remove(&unfinished);
            return Err(error);
        }
        Run::open(self.vfs.as_ref(), &path, self.log_id, self.reads).map(Arc::new)
    }

    /// Removes files so that they stay away after a power loss too.
    fn remove_durably(&self, paths: &[PathBuf]) -> Result<()> {
        for path in paths {
            match self.vfs.remove(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(RunError::io(path, "can't be removed", error));
                }
                _ => {}
            }
        }
        if paths.is_empty() {
            return Ok(());
        }
        self.vfs
            .sync_directory(&self.path)
            .map_err(|error| RunError::io(&self.path, "the directory can't be synced", error))
    }

    /// Removes a file if it can be: what is left over is found again when the directory is opened.
    fn remove(&self, path: &Path) {
        self.vfs.remove(path).ok();
    }
}

impl Runs {
    /// The runs, oldest first.
    pub(crate) fn all(&self) -> &[Arc<Run>] {
        &self.runs
    }

    /// The position after the last one.
    pub(crate) fn next_position(&self) -> u64 {
        self.runs.last().map_or(1, |run| run.last() + 1)
    }

    /// Adds the newest run, which follows the others.
    ///
    /// # Panics
    /// When it does not.
    pub(crate) fn add(&mut self, run: Arc<Run>) {
        assert_eq!(run.first(), self.next_position(), "runs are added in order");
        self.runs.push(run);
    }

    /// The runs to merge next, if any: neighbours, at least four, of about one size. An event is written anew
    /// once for each time that the store grows threefold or more.
    pub(crate) fn plan_merge(&self) -> Option<Vec<Arc<Run>>> {
        let sizes: Vec<u64> = self
            .runs
            .iter()
            .map(|run| run.last() - run.first() + 1)
            .collect();
        let range = plan(&sizes)?;
        self.runs.get(range).map(<[_]>::to_vec)
    }

    /// Puts a run in the place of those that it covers and removes their files; `false`, and nothing else, when
    /// it does not cover whole runs that are there.
    pub(crate) fn replace(&mut self, merged: &Arc<Run>) -> bool {
        let (first, last) = (merged.first(), merged.last());
        let start = self.runs.iter().position(|run| run.first() == first);
        let end = self.runs.iter().position(|run| run.last() == last);
        let (Some(start), Some(end)) = (start, end) else {
            return false;
        };
        let replaced: Vec<Arc<Run>> = self
            .runs
            .splice(start..=end, [Arc::clone(merged)])
            .collect();
        for run in replaced {
            if run.path() != merged.path() {
                self.directory.remove(run.path());
            }
        }
        true
    }

    /// Drops the run in which damage was found, and those after it, so that the log can be read again from
    /// [`upto`](Self::upto); `false` when it is not there.
    pub(crate) fn drop_from(&mut self, damaged: &Path) -> bool {
        let Some(index) = self.runs.iter().position(|run| run.path() == damaged) else {
            return false;
        };
        self.truncate(index);
        true
    }

    /// Keeps so many runs and drops those after them: the first of these is damaged.
    pub(crate) fn truncate(&mut self, count: usize) {
        let count = count.min(self.runs.len());
        for run in self.runs.drain(count..).rev() {
            warn_of_use(run.path(), "it, or one before it, is damaged");
            self.directory.remove(run.path());
        }
    }

    /// Where in the log a reader goes on who knows all runs; `None` for its beginning.
    pub(crate) fn upto(&self) -> Option<Place> {
        self.runs.last().map(|run| run.upto())
    }
}

/// The runs that follow each other from position 1 on, the longest where several begin, and the rest.
fn row(mut found: Vec<Arc<Run>>) -> (Vec<Arc<Run>>, Vec<Arc<Run>>) {
    found.sort_by_key(|run| (run.first(), std::cmp::Reverse(run.last())));
    let mut next = 1;
    found.into_iter().partition(|run| {
        let follows = run.first() == next;
        if follows {
            next = run.last() + 1;
        }
        follows
    })
}

/// Whether the file must stay as it is: a newer version's, or one that can't be read at the moment.
fn is_final(error: &RunError) -> bool {
    matches!(error.kind(), RunErrorKind::NewerFormat | RunErrorKind::Io)
}

/// Whether there is no such file.
fn is_missing(error: &RunError) -> bool {
    let source = std::error::Error::source(error);
    let source = source.and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::NotFound)
}

fn warn_of_use(path: &Path, why: &str) {
    warn!(file = %path.display(), why, "an index file is of no use and removed; it is built again");
}

/// First and last position of a run's name.
fn positions(name: &str) -> Option<(u64, u64)> {
    let stem = name.strip_suffix(EXTENSION)?.strip_suffix('.')?;
    let (first, last) = stem.split_once('-')?;
    let number = |text: &str| (text.len() == 20).then(|| text.parse().ok()).flatten();
    Some((number(first)?, number(last)?))
}

/// Which of neighbours of these sizes to merge: at least [`FAN_OUT`] of them that are together thrice the
/// longest or more, so that every event comes into a much longer run. Shorter ones go first, and as many at
/// once as there are.
fn plan(sizes: &[u64]) -> Option<std::ops::Range<usize>> {
    let mut best: Option<(u64, u64, std::ops::Range<usize>)> = None;
    for start in 0..sizes.len() {
        let (mut total, mut longest) = (0_u64, 0);
        for (end, size) in sizes.iter().enumerate().skip(start).take(RUNS_MAX) {
            total = total.saturating_add(*size);
            longest = longest.max(*size);
            if total > POSITIONS_MAX {
                break;
            }
            let pays = end - start + 1 >= FAN_OUT && total / 3 >= longest;
            let is_better = |(of, sum, _): &(u64, u64, _)| {
                (longest, std::cmp::Reverse(total)) < (*of, std::cmp::Reverse(*sum))
            };
            if pays && best.as_ref().is_none_or(is_better) {
                best = Some((longest, total, start..end + 1));
            }
        }
    }
    best.map(|(_, _, range)| range)
}
