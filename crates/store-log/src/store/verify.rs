//! Checks and repairs of a store that nobody has open.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread;

use annals_core::Error;
use annals_log::{Progress, Repair, Verification, VerifySettings};

use super::error::from_log;
use super::open::LogStoreBuilder;
use super::snapshot::unusable;

/// What was found in the files of a store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreVerification {
    /// What was found in the log: the events themselves.
    pub log: Verification,
    /// Index files that are damaged, each with what is wrong. The store builds them again by itself.
    pub index: Vec<DamagedIndex>,
    /// How many index files were read.
    pub index_files: usize,
}

/// An index file that is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedIndex {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

/// How many index files there are, and what is wrong with which.
type CheckedIndex = (usize, Vec<DamagedIndex>);

impl StoreVerification {
    /// Whether nothing is damaged, and nothing was given up by [`repair`](LogStoreBuilder::repair).
    pub fn is_whole(&self) -> bool {
        self.log.is_whole() && self.index.is_empty()
    }
}

impl LogStoreBuilder {
    /// Reads every byte of the log and of the index files and holds it against its checksum, and lists all
    /// damage. Changes nothing. A store that is open in another process is checked up to what that process
    /// has made durable.
    ///
    /// # Errors
    /// `Unavailable` when there is no store, or a file can't be read, or an archive can't be reached.
    pub fn verify(
        &self,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<StoreVerification, Error> {
        self.verify_with(VerifySettings::default(), progress)
    }

    /// As [`verify`](Self::verify), looking at what the settings say.
    ///
    /// # Errors
    /// As for [`verify`](Self::verify).
    pub fn verify_with(
        &self,
        settings: VerifySettings,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<StoreVerification, Error> {
        let mut verified = || {
            let (log, index) = self.verify_parts(settings, progress);
            let (log, (index_files, index)) = (log?, index?);
            Ok(StoreVerification {
                log,
                index,
                index_files,
            })
        };
        verified().map_err(|error: Error| error.during("verify"))
    }

    /// Looks at the log, and at the index files beside it where several threads are of use.
    fn verify_parts(
        &self,
        settings: VerifySettings,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> (Result<Verification, Error>, Result<CheckedIndex, Error>) {
        let mut log = || {
            let verified =
                annals_log::verify_with(&self.parts, &self.log_directory(), settings, progress);
            verified.map_err(from_log)
        };
        if self.parts.vfs.readers_max() == NonZeroUsize::MIN {
            return (log(), self.verify_index());
        }
        thread::scope(|scope| {
            let thread = thread::Builder::new().name("annals-verify".to_owned());
            let index = thread.spawn_scoped(scope, || self.verify_index());
            let log = log();
            let index = match index {
                Ok(index) => index.join().unwrap_or_else(|panic| resume_unwind(panic)),
                // The system gives no more threads.
                Err(_) => self.verify_index(),
            };
            (log, index)
        })
    }

    /// Makes a store with a damaged log usable again: keeps the damaged files in `log/quarantine`, records which
    /// positions are lost, and lets the store go on. Reading a lost position is an error, never a gap. Restore
    /// a backup instead where there is one. What is archived is not looked at, and stays as it is.
    ///
    /// # Errors
    /// `Unavailable` when there is no store, or it is open.
    pub fn repair(&self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Repair, Error> {
        let repair = annals_log::repair(&self.parts, &self.log_directory(), progress);
        let repair = repair.map_err(|error| from_log(error).during("repair"))?;
        let stated = self.state_kinds_of_index();
        stated.map_err(|error| error.during("repair; it is done but for this, so repair again"))?;
        Ok(repair)
    }

    fn verify_index(&self) -> Result<CheckedIndex, Error> {
        // Without a readable log nothing is known that an index file could be held against.
        let Ok(follower) = self.log_follower() else {
            return Ok((0, Vec::new()));
        };
        let directory = self.run_directory_to_read(follower.log_id());
        let checked = directory.check().map_err(unusable)?;
        let files = checked.len();
        let damaged = checked.into_iter().filter_map(|(file, checked)| {
            let what = checked.err()?.to_string();
            Some(DamagedIndex { file, what })
        });
        Ok((files, damaged.collect()))
    }
}
