//! Reading the version that is live.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use annals_core::{ConsistencyLevel, Error, ErrorKind, EventStore, Version};
use arc_swap::ArcSwap;
use event_listener::Event as Bell;

use super::versions::{ProjectionVersions, RecordedVersions};
use crate::errors::may_pass;
use crate::sync::Mutex;

/// How long it is until the record is read again after it could not be.
const PAUSE: Duration = Duration::from_millis(100);

/// Reads the version of a projection that is live, and the next one from the moment on at which it is cut over to.
/// Cheap to clone; reading takes no lock.
///
/// It is made of one reader for each version that the program knows, whatever a reader is: a
/// [`MemoryView`](crate::MemoryView), a connection, the name of a table. Readers of several types are one by an enum
/// or a trait of yours. [`follow`](Self::follow) keeps it up with the record; without it, it moves when
/// [`refresh`](Self::refresh) is called.
///
/// ```
/// use std::sync::Arc;
///
/// use annals_projection::{Live, MemorySink, ProjectionVersions};
/// use annals_store_memory::MemoryStore;
///
/// # futures_executor::block_on(async {
/// let versions = ProjectionVersions::new(Arc::new(MemoryStore::new()), "revenue", 1)?;
/// let (old, new) = (MemorySink::new(1_u64), MemorySink::new(2_u64));
/// let live = Live::open(versions, [(1, old.view()), (2, new.view())]).await?;
/// let reader = live.read()?;
/// assert_eq!((reader.version(), *reader.read()), (1, 1));
/// # Ok::<(), annals_core::Error>(())
/// # }).unwrap();
/// ```
pub struct Live<R> {
    shared: Arc<Shared<R>>,
}

struct Shared<R> {
    versions: ProjectionVersions,
    readers: BTreeMap<u32, Arc<R>>,
    now: ArcSwap<Now>,
    /// Held while the record is taken over, so that it never goes back.
    taking: Mutex<()>,
    changed: Bell,
}

#[derive(Debug)]
struct Now {
    version: u32,
    revision: Version,
}

/// The reader of the version that was live when it was asked for. Dereferences to the reader.
pub struct LiveReader<R> {
    reader: Arc<R>,
    version: u32,
}

impl<R: Send + Sync> Live<R> {
    /// Reads these versions, each by its reader, as the record has it now.
    ///
    /// # Errors
    /// As the store has it.
    pub async fn open(
        versions: ProjectionVersions,
        readers: impl IntoIterator<Item = (u32, R)>,
    ) -> Result<Self, Error> {
        let readers = readers.into_iter();
        let readers = readers.map(|(version, reader)| (version, Arc::new(reader)));
        let readers = readers.collect();
        let recorded = versions.read().await?;
        let now = Now::of(&recorded);
        Ok(Self {
            shared: Arc::new(Shared {
                versions,
                readers,
                now: ArcSwap::from_pointee(now),
                taking: Mutex::default(),
                changed: Bell::new(),
            }),
        })
    }

    /// The version that is live.
    pub fn version(&self) -> u32 {
        self.shared.now.load().version
    }

    /// The reader of the version that is live. Ask for it for each question, and put all of a question to one.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when a version is live that this program has no reader for: it is older than the
    /// projection.
    pub fn read(&self) -> Result<LiveReader<R>, Error> {
        let version = self.version();
        let Some(reader) = self.shared.readers.get(&version) else {
            let message =
                "program does not know the live version of the projection; run a newer one";
            let error = Error::new(ErrorKind::Unsupported, message);
            let error = error.with("projection", self.shared.versions.name());
            return Err(error.with("version", version));
        };
        Ok(LiveReader {
            reader: Arc::clone(reader),
            version,
        })
    }

    /// Takes over what is recorded, and tells which version is live.
    ///
    /// # Errors
    /// As the store has it; it reads on as before then.
    pub async fn refresh(&self) -> Result<u32, Error> {
        let recorded = self.shared.versions.read().await?;
        self.shared.take(&recorded);
        Ok(self.version())
    }

    /// Keeps up with the record for as long as the future runs. Waits without polling, and through errors that
    /// pass.
    ///
    /// # Errors
    /// Ends by an error of the store that does not pass.
    pub async fn follow(&self) -> Result<(), Error> {
        loop {
            let Err(error) = self.follow_well().await else {
                return Ok(());
            };
            if !may_pass(error.kind()) {
                return Err(error);
            }
            self.shared.versions.timer().sleep(PAUSE).await;
        }
    }

    /// Waits until a version is live, as far as this handle knows.
    pub async fn wait_for_version(&self, version: u32) {
        loop {
            let bell = self.shared.changed.listen();
            if self.version() == version {
                return;
            }
            bell.await;
        }
    }

    async fn follow_well(&self) -> Result<(), Error> {
        let store = self.shared.versions.store();
        let mut seen = store.head(ConsistencyLevel::Strong).await?;
        loop {
            self.refresh().await?;
            seen = store.changed_since(&seen).await?;
        }
    }
}

impl<R> Shared<R> {
    fn take(&self, recorded: &RecordedVersions) {
        let _taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.revision > self.now.load().revision {
            self.now.store(Arc::new(Now::of(recorded)));
            self.changed.notify(usize::MAX);
        }
    }
}

impl Now {
    fn of(recorded: &RecordedVersions) -> Self {
        Self {
            version: recorded.live(),
            revision: recorded.revision,
        }
    }
}

impl<R> LiveReader<R> {
    /// The version that it reads.
    pub fn version(&self) -> u32 {
        self.version
    }
}

impl<R> Deref for LiveReader<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.reader
    }
}

impl<R> Clone for Live<R> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<R> fmt::Debug for Live<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("versions", &self.shared.versions)
            .field("now", &self.shared.now.load())
            .finish_non_exhaustive()
    }
}

impl<R: fmt::Debug> fmt::Debug for LiveReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveReader")
            .field("version", &self.version)
            .field("reader", &self.reader)
            .finish()
    }
}
