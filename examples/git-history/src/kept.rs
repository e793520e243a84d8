//! Where a history is kept: in a directory that was named, or in one of its own for the time of a command.

use std::path::Path;
use std::sync::Arc;

use annals::embedded::{CommitterThread, Durability, Settings};
use annals::{EventStore, LogStore};
use anyhow::{Context as _, Result};
use tempfile::TempDir;

/// An open store.
#[derive(Debug)]
pub(crate) struct Kept {
    store: Arc<LogStore>,
    /// Removed with all that is in it, after the store.
    _scratch: Option<TempDir>,
}

impl Kept {
    /// Opens the store in this directory, and creates it where there is none. Without a directory there is a
    /// new store that ends with the value.
    pub(crate) fn open(directory: Option<&Path>) -> Result<Self> {
        let mut settings = Settings::default();
        // An import has many appends in flight: while the store syncs some, the next ones are made.
        settings.committer = CommitterThread::Own;
        let Some(directory) = directory else {
            let scratch = TempDir::with_prefix("git-history-").context("no temporary directory")?;
            // Nobody comes back to it after a power loss.
            settings.durability = Durability::Process;
            let store = LogStore::builder(scratch.path().join("store")).settings(settings);
            return Ok(Self {
                store: Arc::new(store.create()?),
                _scratch: Some(scratch),
            });
        };
        let store = LogStore::builder(directory).settings(settings);
        let store = store
            .open_or_create()
            .with_context(|| format!("the store in {} can't be opened", directory.display()))?;
        Ok(Self {
            store: Arc::new(store),
            _scratch: None,
        })
    }

    pub(crate) fn store(&self) -> &LogStore {
        &self.store
    }

    /// The store, to be asked by somebody who keeps it.
    pub(crate) fn shared(&self) -> Arc<dyn EventStore> {
        self.store.clone()
    }

    /// Closes the store, so that the next one opens it without a look at its end.
    pub(crate) fn close(self) -> Result<()> {
        Ok(self.store.close()?)
    }
}
