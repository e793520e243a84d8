//! Snapshots, in a redb database.
//!
//! What is damaged counts as absent, as snapshots are derived from events: a row that is not right is
//! dropped, a file that redb can't use is set aside and begun anew, each with a warning. redb does not
//! check what it reads, so each row and each payload has a checksum of its own, and a panic of redb over
//! a damaged page is caught and taken for the damage that it is.

use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annals_core::{Error, ErrorKind, Snapshot, SnapshotKey, SnapshotRemoval, StreamId, Version};
use annals_log::LogId;
use annals_log::vfs::{Access, Vfs};
use redb::{Builder, Database};

use super::backend::VfsBackend;
use super::failure;
use super::snapshot_tables::{self, META_FORMAT};

pub(super) const FILE: &str = "snapshots.redb";
const NEW_FILE: &str = "snapshots.redb.new";

/// redb's pages, of which its file has whole ones only.
const PAGE_BYTES: u64 = 4096;

/// How often a file that is damaged is begun anew within one call.
const ATTEMPTS_MAX: u32 = 2;

/// The snapshots of one store.
#[derive(Debug)]
pub(super) struct Snapshots {
    vfs: Arc<dyn Vfs>,
    directory: PathBuf,
    log: LogId,
    cache_bytes: usize,
    opened: Mutex<Opened>,
}

/// The database, when it is open, and how often it has been opened.
#[derive(Debug, Default)]
struct Opened {
    database: Option<Arc<Database>>,
    times: u64,
}

/// Why work on the database failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The file is not what was written.
    Damaged(String),
    /// It is of a later version, in this format.
    Newer(u32),
    Io(io::Error),
    /// redb refuses to go on until the file is opened again.
    Stuck(String),
}

/// Whether a file is made where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absent {
    Create,
    Leave,
}

impl Snapshots {
    pub(super) fn new(vfs: Arc<dyn Vfs>, directory: &Path, log: LogId, cache_bytes: usize) -> Self {
        Self {
            vfs,
            directory: directory.to_owned(),
            log,
            cache_bytes,
            opened: Mutex::default(),
        }
    }

    /// Keeps a snapshot durably, in place of one of the same key and version.
    pub(super) fn save(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let saved = self.work(Absent::Create, |database| {
            snapshot_tables::save(database, snapshot)
        });
        saved.map(drop)
    }

    /// The newest snapshot up to this version that is whole.
    pub(super) fn load(
        &self,
        key: &SnapshotKey,
        at_most: Version,
    ) -> Result<Option<Snapshot>, Error> {
        let found = self.work(Absent::Leave, |database| {
            snapshot_tables::load(database, key, at_most)
        })?;
        let Some(found) = found else {
            return Ok(None);
        };
        if !found.damaged.is_empty() {
            for version in &found.damaged {
                tracing::warn!(
                    stream = %key.stream, fold = %key.fold, %version,
                    "dropping a snapshot that is damaged; it is taken again when it is due"
                );
            }
            self.work(Absent::Leave, |database| {
                snapshot_tables::forget(database, key, &found.damaged)
            })?;
        }
        Ok(found.snapshot)
    }

    /// Removes snapshots, and tells how many.
    pub(super) fn remove(&self, removal: &SnapshotRemoval) -> Result<usize, Error> {
        match removal {
            SnapshotRemoval::Older { key, keep_newest } => {
                let removed = self.work(Absent::Leave, |database| {
                    snapshot_tables::remove(database, key, *keep_newest)
                })?;
                Ok(removed.unwrap_or(0))
            }
            SnapshotRemoval::Purged { streams } => {
                let streams = streams.iter().map(StreamId::as_str).collect();
                self.purge(&streams)
                    .map_err(|trouble| self.error_of(trouble))
            }
            _ => Err(Error::unsupported("remove snapshots")),
        }
    }

    /// Removes all snapshots of these streams, and every byte of theirs: redb keeps what was removed in pages
    /// that it may use again, so what stays is copied to a new file. Files that were set aside go too. What
    /// another thread saves meanwhile may be lost with the old file; it is taken again.
    fn purge(&self, streams: &BTreeSet<&str>) -> Result<usize, Trouble> {
        let found = match self.database(Absent::Leave) {
            Ok(found) => found,
            Err(Trouble::Damaged(_)) => None,
            Err(trouble) => return Err(trouble),
        };
        let mut opened = self.opened();
        let removed = match found {
            None => 0,
            Some((old, _)) => {
                let copied = self.begin().and_then(|new| {
                    caught(|| {
                        let removed = snapshot_tables::copy_without(&old, &new, streams);
                        drop(new);
                        removed
                    })
                });
                let removed = match copied {
                    Ok(removed) => {
                        self.adopt()?;
                        removed
                    }
                    // What can't be read can't be kept: snapshots are taken again.
                    Err(Trouble::Damaged(_)) => {
                        self.remove_file(FILE)?;
                        0
                    }
                    Err(trouble) => return Err(trouble),
                };
                let database = opened.database.take();
                drop(caught(|| {
                    drop((database, old));
                    Ok(())
                }));
                removed
            }
        };
        self.remove_set_aside()?;
        Ok(removed)
    }

    fn remove_set_aside(&self) -> Result<(), Trouble> {
        let names = self.vfs.names(&self.directory).map_err(Trouble::Io)?;
        let aside = format!("{FILE}.damaged");
        let mut aside = names.iter().filter(|name| name.starts_with(&aside));
        aside.try_for_each(|name| self.remove_file(name))
    }

    fn remove_file(&self, name: &str) -> Result<(), Trouble> {
        let removed = self.vfs.remove(&self.directory.join(name));
        let synced = removed.and_then(|()| self.vfs.sync_directory(&self.directory));
        synced.map_err(Trouble::Io)
    }

    /// Lets go of the file, with all that was saved in it.
    pub(super) fn close(&self) {
        let database = self.opened().database.take();
        // What redb writes when it closes spares the next opening some work, and no more than that.
        drop(caught(|| {
            drop(database);
            Ok(())
        }));
    }

    fn opened(&self) -> MutexGuard<'_, Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// Works on the database, on a new one if the old one is damaged; `None` when there is none.
    fn work<T>(
        &self,
        absent: Absent,
        work: impl Fn(&Database) -> Result<T, Trouble>,
    ) -> Result<Option<T>, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let (database, times) = match self.database(absent) {
                Ok(Some(opened)) => opened,
                Ok(None) => return Ok(None),
                Err(trouble) => return Err(self.error_of(trouble)),
            };
            let done = caught(|| {
                let done = work(&database);
                // The last handle closes the file, which may panic over damage too.
                drop(database);
                done
            });
            match done {
                Ok(done) => return Ok(Some(done)),
                Err(Trouble::Damaged(how)) => self.set_aside(times, &how)?,
                Err(trouble) => {
                    self.forget(times);
                    return Err(self.error_of(trouble));
                }
            }
        }
        let how = "a new file is damaged as well".to_owned();
        Err(self.error_of(Trouble::Damaged(how)))
    }

    /// The database, opened at need, and how often it had been opened by then.
    fn database(&self, absent: Absent) -> Result<Option<(Arc<Database>, u64)>, Trouble> {
        let mut opened = self.opened();
        if let Some(database) = &opened.database {
            return Ok(Some((Arc::clone(database), opened.times)));
        }
        let database = match self.open() {
            Err(Trouble::Damaged(how)) => {
                self.rename_damaged(&how).map_err(Trouble::Io)?;
                None
            }
            found => found?,
        };
        let database = match (database, absent) {
            (Some(database), _) => database,
            (None, Absent::Leave) => return Ok(None),
            (None, Absent::Create) => self.create()?,
        };
        let database = Arc::new(database);
        opened.database = Some(Arc::clone(&database));
        opened.times += 1;
        Ok(Some((database, opened.times)))
    }

    /// The database that is there, if it is this store's.
    fn open(&self) -> Result<Option<Database>, Trouble> {
        let file = match self.vfs.open(&self.path(), Access::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(Trouble::Io)?,
        };
        let length = file.length().map_err(Trouble::Io)?;
        let pages = length - length % PAGE_BYTES;
        if pages == 0 {
            return Err(Trouble::Damaged("the file is empty".to_owned()));
        }
        // A crash may stop it half-way to another length, which redb would refuse. It writes to a page only
        // once the file's new length is durable.
        if pages < length {
            file.set_length(pages).map_err(Trouble::Io)?;
        }
        // After a sync that failed, memory may show what the disk never got.
        file.forget_cached(0..length).map_err(Trouble::Io)?;
        caught(|| {
            let database = self.builder().create_with_backend(VfsBackend::new(file))?;
            snapshot_tables::check_meta(&database, self.log)?;
            Ok(Some(database))
        })
    }

    /// A new database. Its name stands for a whole file at any time, so that a crash leaves no half one.
    fn create(&self) -> Result<Database, Trouble> {
        let database = self.begin()?;
        self.adopt()?;
        Ok(database)
    }

    /// A new database under a name that nobody looks at.
    fn begin(&self) -> Result<Database, Trouble> {
        let new = self.directory.join(NEW_FILE);
        match self.vfs.remove(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Trouble::Io(error));
            }
            _ => {}
        }
        let file = self.vfs.open(&new, Access::Create).map_err(Trouble::Io)?;
        caught(|| {
            let database = self.builder().create_with_backend(VfsBackend::new(file))?;
            snapshot_tables::put_meta(&database, self.log)?;
            Ok(database)
        })
    }

    /// Puts the new database in place of the old one.
    fn adopt(&self) -> Result<(), Trouble> {
        let new = self.directory.join(NEW_FILE);
        self.vfs.rename(&new, &self.path()).map_err(Trouble::Io)?;
        self.vfs
            .sync_directory(&self.directory)
            .map_err(Trouble::Io)
    }

    fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        builder.set_cache_size(self.cache_bytes);
        builder
    }

    /// Drops the database that was opened as the so-many-th, if it is still the one.
    fn forget(&self, times: u64) {
        let mut opened = self.opened();
        if opened.times == times {
            let database = opened.database.take();
            drop(caught(|| {
                drop(database);
                Ok(())
            }));
        }
    }

    /// Sets the file aside that was opened as the so-many-th, if nobody has done so yet.
    fn set_aside(&self, times: u64, how: &str) -> Result<(), Error> {
        let mut opened = self.opened();
        if opened.times != times {
            return Ok(());
        }
        let Some(database) = opened.database.take() else {
            return Ok(());
        };
        drop(caught(|| {
            drop(database);
            Ok(())
        }));
        self.rename_damaged(how)
            .map_err(|error| failure::of_io(error, &self.path()))
    }

    fn rename_damaged(&self, how: &str) -> io::Result<()> {
        let names = self.vfs.names(&self.directory)?;
        // One number more than there are names, so that one is free.
        let aside = (1..=names.len() + 1)
            .map(|number| format!("{FILE}.damaged-{number}"))
            .find(|aside| !names.contains(aside));
        let aside = self
            .directory
            .join(aside.unwrap_or_else(|| format!("{FILE}.damaged")));
        tracing::warn!(
            file = %self.path().display(), aside = %aside.display(), damage = how,
            "setting aside a snapshot file that is damaged; snapshots are taken again when they are due"
        );
        self.vfs.rename(&self.path(), &aside)?;
        self.vfs.sync_directory(&self.directory)
    }

    fn error_of(&self, trouble: Trouble) -> Error {
        let path = self.path();
        match trouble {
            Trouble::Io(error) => failure::of_io(error, &path),
            Trouble::Newer(format) => failure::newer_format(&path, format, META_FORMAT),
            Trouble::Damaged(how) => {
                let message = "the snapshot file is damaged; remove it, snapshots are taken again";
                Error::new(ErrorKind::Corrupt, message)
                    .with("file", path.display())
                    .with("damage", how)
            }
            Trouble::Stuck(how) => {
                let message = "the snapshot file was closed after an error; try again";
                Error::new(ErrorKind::Unavailable, message)
                    .with("file", path.display())
                    .with("cause", how)
            }
        }
    }
}

impl<E: Into<redb::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::Io(error) => match error.kind() {
                // No redb file at all, or one that ends where a page should stand.
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                    Self::Damaged(error.to_string())
                }
                _ => Self::Io(error),
            },
            error @ (redb::Error::PreviousIo
            | redb::Error::DatabaseClosed
            | redb::Error::LockPoisoned(_)
            | redb::Error::TransactionPoisoned) => Self::Stuck(error.to_string()),
            error => Self::Damaged(error.to_string()),
        }
    }
}

/// Takes a panic for damage: redb trusts the pages that it reads.
fn caught<T>(work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    // What the work leaves behind is never used again: after damage the database is closed.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Trouble::Damaged(text.unwrap_or("redb panics").to_owned()))
    })
}
