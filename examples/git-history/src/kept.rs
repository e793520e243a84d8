//! Where a history is kept: in a store that was named, or in one of its own for the time of a command.

use std::ffi::OsStr;
use std::sync::Arc;

use annals::embedded::{CommitterThread, Durability, Settings};
use annals::{AnyStore, AnyStoreBuilder, Error, EventStore, LogStore, StoreAddress};
use anyhow::{Context as _, Result};
use futures_executor::block_on;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// An open store.
#[derive(Debug)]
pub(crate) struct Kept {
    store: AnyStore,
    /// Removed with all that is in it, after the store.
    _scratch: Option<TempDir>,
    /// What a store on PostgreSQL or NATS works on; ended after it.
    _runtime: Option<Runtime>,
}

/// The store that a person means.
pub(crate) fn address(typed: &OsStr) -> Result<StoreAddress> {
    match typed.to_str() {
        Some(text) => Ok(text.parse()?),
        // What is no text is a path.
        None => Ok(StoreAddress::Log(typed.into())),
    }
}

/// The store, as a person knows it: a directory by its path.
pub(crate) fn shown(address: &StoreAddress) -> String {
    match address {
        StoreAddress::Log(directory) => directory.display().to_string(),
        address => address.to_string(),
    }
}

impl Kept {
    /// Opens the store at this address, and creates it where there is none. Without an address there is a
    /// new store that ends with the value.
    pub(crate) fn open(address: Option<&StoreAddress>) -> Result<Self> {
        let mut settings = Settings::default();
        // An import has many appends in flight: while the store syncs some, the next ones are made.
        settings.committer = CommitterThread::Own;
        let (store, scratch) = match address {
            None => {
                let scratch =
                    TempDir::with_prefix("git-history-").context("no temporary directory")?;
                // Nobody comes back to it after a power loss.
                settings.durability = Durability::Process;
                let store = LogStore::builder(scratch.path().join("store")).settings(settings);
                (store.create()?, Some(scratch))
            }
            Some(StoreAddress::Log(directory)) => {
                let store = LogStore::builder(directory).settings(settings);
                let failed = || format!("the store in {} can't be opened", directory.display());
                (store.open_or_create().with_context(failed)?, None)
            }
            Some(other) => {
                return Self::open_any(other, |builder| block_on(builder.open_or_create()));
            }
        };
        Ok(Self {
            store: AnyStore::Log(Arc::new(store)),
            _scratch: scratch,
            _runtime: None,
        })
    }

    /// Opens a store that is there.
    pub(crate) fn open_existing(address: &StoreAddress) -> Result<Self> {
        Self::open_any(address, |builder| block_on(builder.open()))
    }

    /// Opens a store of any kind, on a runtime of its own.
    fn open_any(
        address: &StoreAddress,
        open: impl FnOnce(AnyStoreBuilder) -> Result<AnyStore, Error>,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("no runtime for the store")?;
        let entered = runtime.enter();
        let opened = open(AnyStore::at(address.clone()));
        drop(entered);
        let store = opened.with_context(|| format!("the store {address} can't be opened"))?;
        Ok(Self {
            store,
            _scratch: None,
            _runtime: Some(runtime),
        })
    }

    pub(crate) fn store(&self) -> &AnyStore {
        &self.store
    }

    /// The store, to be asked by somebody who keeps it.
    pub(crate) fn shared(&self) -> Arc<dyn EventStore> {
        Arc::new(self.store.clone())
    }

    /// Closes the store, so that the next one opens it without a look at its end.
    pub(crate) fn close(self) -> Result<()> {
        if let AnyStore::Log(store) = &self.store {
            store.close()?;
        }
        Ok(())
    }
}
