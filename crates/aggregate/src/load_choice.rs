//! How fresh a loaded state is to be.

use annals_core::{Aggregate, ConsistencyLevel, Error, Receipt, Version};
use annals_snapshot::CacheCounts;

use crate::reading::Reading;
use crate::{Loaded, Repository};

/// How fresh a loaded state is to be, where the repository has a cache.
///
/// A state that is taken from the cache without asking the store is one that the aggregate had. It may be of
/// an earlier version, and hold events that the stream's policy hides by now. A command that is decided on it
/// and saved is refused as a conflict where others wrote the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadChoice {
    /// As it is now: the cached state with the tail after it. What commands are decided on.
    #[default]
    Latest,
    /// The cached state, whatever its version, without asking the store; as it is now where none is cached.
    AnyCached,
    /// One that shows the append of this receipt: the cached state without asking the store where it does,
    /// else one as fresh as the receipt's cursor. So a user sees what the user wrote.
    AtLeast(Receipt),
}

impl<A: Aggregate> Repository<A> {
    /// The aggregate with this key, as fresh as asked for. Without a cache every choice is answered by the
    /// store.
    ///
    /// # Errors
    /// As for [`load`](Self::load); with [`LoadChoice::AtLeast`] also
    /// [`ErrorKind::CursorAhead`](annals_core::ErrorKind::CursorAhead) for a receipt of another store, and
    /// [`ErrorKind::Unavailable`](annals_core::ErrorKind::Unavailable) where a store that lags gives up.
    pub async fn load_with(&self, key: &str, choice: &LoadChoice) -> Result<Loaded<A>, Error> {
        let stream = self.stream(key)?;
        let (at_least, consistency) = match choice {
            LoadChoice::Latest => return self.read(stream, Version::MAX).await,
            LoadChoice::AnyCached => (Version::ABSENT, ConsistencyLevel::Strong),
            LoadChoice::AtLeast(receipt) => {
                // An append that did not write the stream is shown by no version of it.
                let version = receipt.version_of(&stream).unwrap_or(Version::MAX);
                (version, ConsistencyLevel::Session(receipt.cursor.clone()))
            }
        };
        let cached = self.keeping.cached(&stream);
        let fresh = cached.filter(|cached| cached.version >= at_least);
        if let Some(folded) = fresh.and_then(|cached| self.keeping.copy_of(&cached)) {
            return Ok(self.absent(stream).resumed(folded));
        }
        let reading = Reading::until(stream, Version::MAX).consistent(consistency);
        Ok(self.read_kept(&reading).await?.0)
    }

    /// Lets go of the cached state of an aggregate, as when its person is erased.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) when the key makes no stream id.
    pub fn forget(&self, key: &str) -> Result<(), Error> {
        let stream = self.stream(key)?;
        if let Some(cache) = &self.keeping.cache {
            cache.states.forget(&stream);
        }
        Ok(())
    }

    /// Lets go of every cached state.
    pub fn forget_all(&self) {
        if let Some(cache) = &self.keeping.cache {
            cache.states.clear();
        }
    }

    /// What the cache did so far, and what it holds; `None` without a cache.
    pub fn cache_counts(&self) -> Option<CacheCounts> {
        let cache = self.keeping.cache.as_ref()?;
        Some(cache.states.counts())
    }
}
