//! Which store, and opening it: the one place that knows what an address means.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use annals_core::{Checkpoint, CheckpointName, EventStore};
use annals_store_log::{
    LogFollower, LogStore, LogStoreBuilder, Losses, LostEvents, Settings, StoreHistory, is_locked,
};

use crate::archives::archives;
use crate::failure::{Failure, Result};

/// Where a store is, and how it is read: an embedded one, in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoreAddress {
    directory: PathBuf,
    lost_events: LostEvents,
}

impl FromStr for StoreAddress {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if let Some(directory) = text.strip_prefix("log:") {
            return Ok(Self::new(directory));
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(format!(
                "{scheme} is no kind of store that this build knows; give a directory, or log:<directory>"
            ));
        }
        Ok(Self::new(text))
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.directory.display())
    }
}

impl StoreAddress {
    /// The store in this directory, of which all is read or nothing.
    pub(crate) fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            lost_events: LostEvents::Fail,
        }
    }

    /// The same, read past what a repair gave up.
    pub(crate) fn past_lost(&self) -> Self {
        Self {
            directory: self.directory.clone(),
            lost_events: LostEvents::Skip,
        }
    }

    /// Its directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What a person types to say that they mean it.
    pub(crate) fn name(&self) -> String {
        // The directory that one is in has a name too.
        let whole = self.directory().canonicalize().ok();
        let name = whole.as_deref().unwrap_or(self.directory()).file_name();
        name.map_or_else(
            || self.to_string(),
            |name| name.to_string_lossy().into_owned(),
        )
    }

    /// What opens it in any way.
    pub(crate) fn builder(&self) -> LogStoreBuilder {
        let mut settings = Settings::default();
        settings.lost_events = self.lost_events;
        let builder = LogStore::builder(self.directory()).settings(settings);
        builder.archives(archives())
    }

    /// Opens it to read, also while another process writes it.
    pub(crate) fn to_read(&self) -> Result<Arc<dyn EventStore>> {
        Ok(Arc::new(self.follower()?))
    }

    /// Opens it to read and to follow.
    pub(crate) fn follower(&self) -> Result<LogFollower> {
        self.check()?;
        Ok(self.builder().follow()?)
    }

    /// Opens it to write; refused while another process does.
    pub(crate) fn to_write(&self) -> Result<LogStore> {
        self.to_write_or(
            "only one process writes a store at a time; stop the other, or let it do the work. Reading works meanwhile",
        )
    }

    /// The same, with what to do while another process does.
    pub(crate) fn to_write_or(&self, while_written: &str) -> Result<LogStore> {
        self.check()?;
        self.builder().open().map_err(|error| {
            let is_locked = is_locked(&error);
            let failure = Failure::from(error);
            if is_locked {
                failure.or_hint(|| while_written.to_owned())
            } else {
                failure
            }
        })
    }

    /// All that it recorded, in order.
    pub(crate) fn history(&self) -> Result<StoreHistory> {
        self.check()?;
        Ok(self.builder().history()?)
    }

    /// What a repair gave up.
    pub(crate) fn losses(&self) -> Result<Losses> {
        self.check()?;
        Ok(self.builder().losses()?)
    }

    /// The checkpoints that are saved in it.
    pub(crate) fn checkpoints(&self) -> Result<Vec<(CheckpointName, Checkpoint)>> {
        self.check()?;
        Ok(self.builder().checkpoints()?)
    }

    /// Whether there is something that looks like a store.
    pub(crate) fn exists(&self) -> bool {
        self.directory().join("log").is_dir()
    }

    /// Says clearly when there is no store.
    pub(crate) fn check(&self) -> Result {
        let directory = self.directory();
        if self.exists() {
            return Ok(());
        }
        let failure = match directory.try_exists() {
            Err(error) => return Err(Failure::file("look into", directory, &error)),
            Ok(false) => Failure::not_found(format!("there is no directory {self}")),
            Ok(true) if !directory.is_dir() => {
                Failure::not_found(format!("{self} is a file, not the directory of a store"))
                    .hint("name a directory with --store or ANNALS_STORE")
            }
            Ok(true) if directory.join("MANIFEST").is_file() => {
                Failure::not_found(format!("{self} is the log of a store, not the store"))
                    .hint("name the directory above it")
            }
            Ok(true) if directory.join(crate::commands::backup::MARKER).is_file() => {
                Failure::not_found(format!("{self} holds backups, and is no store itself")).hint(
                    format!(
                        "name one of them, as {}",
                        directory.join("000001").display()
                    ),
                )
            }
            Ok(true) => Failure::not_found(format!("{self} is no store: it has no folder `log`")),
        };
        let is_free = || {
            directory
                .read_dir()
                .map_or(true, |mut names| names.next().is_none())
        };
        Err(failure.or_hint(|| {
            let name = "name a store with --store or ANNALS_STORE";
            if is_free() {
                format!("{name}, or make one with `annals init {self}`")
            } else {
                name.to_owned()
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_directory_or_says_what_it_is() {
        let log = |text: &str| StoreAddress::new(text);
        assert_eq!("shop".parse(), Ok(log("shop")));
        assert_eq!("log:shop".parse(), Ok(log("shop")));
        let refused = "postgres://host/db".parse::<StoreAddress>().unwrap_err();
        assert!(
            refused.starts_with("postgres is no kind of store"),
            "{refused}"
        );
    }
}
