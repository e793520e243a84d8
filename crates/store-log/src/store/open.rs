//! Opening and creating a store.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use annals_core::{Checkpoint, CheckpointName, Clock, Error, ErrorKind, Ids, SystemClock, UuidIds};
use annals_log::commit::{GroupCommit, GroupSettings, Leader};
use annals_log::{Archives, ErrorKind as LogErrorKind, Follower, Log, LogId, LogSettings, Parts};

use super::ahead::ReadAhead;
use super::committer::Committer;
use super::error::from_log;
use super::follower::LogFollower;
use super::heat::Heat;
use super::idle::{Activity, Idler};
use super::keeper::Keeper;
use super::log_store::LogStore;
use super::optimize::Rewriting;
use super::recover::recover;
use super::settings::{CommitterThread, Maintenance, ReadMode, Settings};
use super::shared::Shared;
use super::snapshot::unusable;
use crate::auxiliary::Auxiliary;
use crate::index::{RunDirectory, RunReads};

/// The directory of the log, in that of the store.
const LOG: &str = "log";

/// The directory of the index files, in that of the store.
const INDEX: &str = "index";

/// Opens or creates a [`LogStore`].
#[derive(Clone, Debug)]
#[must_use = "call `open`, `create` or `open_or_create` to have a store"]
pub struct LogStoreBuilder {
    directory: PathBuf,
    pub(crate) settings: Settings,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    pub(crate) parts: Parts,
}

impl LogStoreBuilder {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            settings: Settings::default(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(UuidIds::default()),
            parts: Parts::os(),
        }
    }

    /// With these settings.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// With this clock: for `appended_at`, and for the age of events under a policy.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// With identities from here, for events that come without.
    pub fn ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// On this file system, with this source of chance, and archives that are found so.
    pub fn parts(mut self, parts: Parts) -> Self {
        self.parts = parts;
        self
    }

    /// With archives that are found so; directories are found without.
    pub fn archives(mut self, archives: Archives) -> Self {
        self.parts.archives = archives;
        self
    }

    /// Opens the store that is there.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when there is none, or another process writes to it;
    /// [`ErrorKind::Corrupt`] when durable data is damaged.
    pub fn open(self) -> Result<LogStore, Error> {
        self.settings.validate()?;
        let (log, _) = Log::open(&self.parts, &self.log_directory(), self.log_settings())
            .map_err(|error| from_log(error).during("open"))?;
        self.start(log).map_err(|error| error.during("open"))
    }

    /// Creates a store where there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when there is one already.
    pub fn create(self) -> Result<LogStore, Error> {
        self.settings.validate()?;
        let context = self.clock.now().as_micros().cast_unsigned();
        let directory = self.log_directory();
        let log = Log::create(&self.parts, &directory, self.log_settings(), context)
            .map_err(|error| from_log(error).during("create"))?;
        self.start(log).map_err(|error| error.during("create"))
    }

    /// Opens the store that is there; creates one where there is none.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(self) -> Result<LogStore, Error> {
        self.settings.validate()?;
        match Log::open(&self.parts, &self.log_directory(), self.log_settings()) {
            Ok((log, _)) => self.start(log).map_err(|error| error.during("open")),
            Err(error) if error.kind() == LogErrorKind::NotFound => self.create(),
            Err(error) => Err(from_log(error).during("open")),
        }
    }

    pub(crate) fn log_directory(&self) -> PathBuf {
        Self::log_of(&self.directory)
    }

    /// The same for the store in another directory.
    pub(crate) fn at(mut self, directory: PathBuf) -> Self {
        self.directory = directory;
        self
    }

    /// The directory of the log of a store.
    pub(crate) fn log_of(directory: &Path) -> PathBuf {
        directory.join(LOG)
    }

    pub(crate) fn log_settings(&self) -> LogSettings {
        let mut settings = LogSettings::default();
        settings.segment_bytes = self.settings.segment_bytes;
        settings.reads = self.settings.reads;
        settings.durability = self.settings.durability;
        settings.block_cache_bytes_max = self.settings.block_cache_bytes_max;
        settings
    }

    /// Opens the store that another process writes, to read and to follow it.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when there is none.
    pub fn follow(self) -> Result<LogFollower, Error> {
        let started = || {
            self.settings.validate()?;
            let follower = self.log_follower()?;
            let runs = self.run_directory_to_read(follower.log_id());
            LogFollower::start(follower, runs, self.settings.clone(), self.clock, self.ids)
        };
        started().map_err(|error: Error| error.during("follow"))
    }

    /// Every checkpoint that readers saved in the store, in the order of their names. The store may be open
    /// meanwhile, in this process or another.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when there is no store; as loading a checkpoint has it.
    pub fn checkpoints(&self) -> Result<Vec<(CheckpointName, Checkpoint)>, Error> {
        let follower = self.log_follower();
        let log = follower.map(|follower| follower.log_id());
        let listed =
            log.and_then(|log| Auxiliary::all_checkpoints(&self.parts.vfs, &self.directory, log));
        listed.map_err(|error| error.during("list checkpoints"))
    }

    pub(crate) fn log_follower(&self) -> Result<Follower, Error> {
        let follower = Follower::open(&self.parts, &self.log_directory(), self.settings.reads);
        let follower = follower.map_err(from_log)?;
        follower.limit_block_cache(self.settings.block_cache_bytes_max);
        Ok(follower)
    }

    fn run_directory(&self, log_id: LogId) -> Result<RunDirectory, Error> {
        let directory = self.directory.join(INDEX);
        let vfs = Arc::clone(&self.parts.vfs);
        RunDirectory::new(vfs, &directory, log_id, self.run_reads()).map_err(unusable)
    }

    /// The index files, for who only reads them.
    pub(crate) fn run_directory_to_read(&self, log_id: LogId) -> RunDirectory {
        let directory = self.directory.join(INDEX);
        let vfs = Arc::clone(&self.parts.vfs);
        RunDirectory::to_read(vfs, &directory, log_id, self.run_reads())
    }

    fn run_reads(&self) -> RunReads {
        match self.settings.reads {
            ReadMode::Map => RunReads::Map,
            ReadMode::Pread => RunReads::Owned,
        }
    }

    /// Reads what stands after the index files into memory, and begins.
    fn start(self, log: Log) -> Result<LogStore, Error> {
        let directory = self.run_directory(log.id())?;
        let view = log.view();
        let mut runs = directory.open(view.end()).map_err(unusable)?;
        let snapshot = recover(&view, &directory, &mut runs, &self.settings)?;
        let shared = Arc::new(Shared::new(snapshot, self.clock, self.ids));
        let keeper = Arc::new(Keeper::new(
            Arc::clone(&shared),
            directory,
            runs,
            &self.settings,
        ));
        let activity = Arc::new(Activity::default());
        let committer = Committer::new(
            log,
            Arc::clone(&shared),
            Arc::clone(&keeper),
            Arc::clone(&activity),
            &self.settings,
        );
        let commits = GroupCommit::new(committer, group_settings(&self.settings));
        let commits = Arc::new(commits.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "no thread for the committer").caused_by(error)
        })?);
        let idler = match self.settings.maintenance {
            Maintenance::Background => Some(Idler::start(activity, Arc::downgrade(&commits))?),
            Maintenance::Inline => None,
        };
        let auxiliary = Auxiliary::open(
            &self.parts.vfs,
            &self.directory,
            view.log_id(),
            self.settings.auxiliary_bytes_max,
        );
        keeper.tidy();
        let heat = Arc::<Heat>::default();
        heat.read_far(view.has_archived());
        Ok(LogStore {
            auxiliary,
            rewriting: Rewriting::default(),
            shared,
            commits,
            idler: Mutex::new(idler),
            keeper,
            heat,
            ahead: ReadAhead::new(pages_ahead(&self.settings)),
            settings: self.settings,
            directory: self.directory,
        })
    }
}

/// How many pages are made ahead: none in a simulation, which does all its work where it is asked for.
fn pages_ahead(settings: &Settings) -> usize {
    match settings.maintenance {
        Maintenance::Background => settings.read_ahead_pages,
        Maintenance::Inline => 0,
    }
}

fn group_settings(settings: &Settings) -> GroupSettings {
    let mut group = GroupSettings::default();
    group.queue_bytes_max = settings.queue_bytes_max;
    group.queue_requests_max = settings.queue_appends_max;
    group.batch_bytes_max = settings.batch_bytes_max;
    group.leader = match settings.committer {
        CommitterThread::Caller => Leader::Caller,
        CommitterThread::Own => Leader::Thread,
    };
    group
}
