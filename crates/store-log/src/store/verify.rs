//! Checks and repairs of a store that nobody has open.

use std::path::PathBuf;

use annals_core::Error;
use annals_log::{Progress, Repair, Verification};

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
    /// `Unavailable` when there is no store, or a file can't be read.
    pub fn verify(
        &self,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<StoreVerification, Error> {
        let mut verified = || {
            let directory = self.log_directory();
            let log = annals_log::verify(&self.parts, &directory, progress).map_err(from_log)?;
            let (index_files, index) = self.verify_index()?;
            Ok(StoreVerification {
                log,
                index,
                index_files,
            })
        };
        verified().map_err(|error: Error| error.during("verify"))
    }

    /// Makes a store with a damaged log usable again: keeps the damaged files in `log/quarantine`, records which
    /// positions are lost, and lets the store go on. Reading a lost position is an error, never a gap. Restore
    /// a backup instead where there is one.
    ///
    /// # Errors
    /// `Unavailable` when there is no store, or it is open.
    pub fn repair(&self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Repair, Error> {
        annals_log::repair(&self.parts, &self.log_directory(), progress)
            .map_err(|error| from_log(error).during("repair"))
    }

    fn verify_index(&self) -> Result<(usize, Vec<DamagedIndex>), Error> {
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
