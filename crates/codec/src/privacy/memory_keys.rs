//! Keys in memory.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annals_core::Timestamp;

use super::entropy::{Entropy, SystemEntropy};
use super::key::{KeyId, SubjectKey};
use super::key_store::{KeyEntry, KeyState, KeyStore, SubjectKeys, Tombstone};
use super::subject::Subject;
use crate::{Error, ErrorKind};

/// Keys in memory, for tests: when the process ends, the keys are gone, and what they encrypted with them.
pub struct MemoryKeys {
    entropy: Arc<dyn Entropy>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    subjects: HashMap<Subject, SubjectKeys>,
    keys: BTreeMap<KeyId, KeyState>,
}

impl MemoryKeys {
    /// No keys yet; they come from the system's generator.
    pub fn new() -> Self {
        Self::with_entropy(Arc::new(SystemEntropy))
    }

    /// No keys yet; they come from here.
    pub fn with_entropy(entropy: Arc<dyn Entropy>) -> Self {
        Self {
            entropy,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.state().keys.len();
        f.debug_struct("MemoryKeys").field("keys", &keys).finish()
    }
}

#[deny(clippy::missing_trait_methods)]
impl KeyStore for MemoryKeys {
    fn key_for(&self, subject: &Subject) -> Result<SubjectKey, Error> {
        let mut state = self.state();
        let current = state.subjects.get(subject).and_then(|keys| keys.current);
        if let Some(KeyState::Known(key)) = current.and_then(|id| state.keys.get(&id)) {
            return Ok(key.clone());
        }
        let key = SubjectKey::generate(subject.clone(), &*self.entropy)?;
        let keys = state.subjects.entry(subject.clone()).or_default();
        keys.current = Some(key.id());
        state.keys.insert(key.id(), KeyState::Known(key.clone()));
        Ok(key)
    }

    fn key(&self, id: KeyId) -> Result<KeyState, Error> {
        let state = self.state().keys.get(&id).cloned();
        state.ok_or_else(|| missing(id))
    }

    fn keys_of(&self, subject: &Subject) -> Result<SubjectKeys, Error> {
        let keys = self.state().subjects.get(subject).cloned();
        Ok(keys.unwrap_or_default())
    }

    fn erase(&self, subject: &Subject, at: Timestamp) -> Result<Vec<Tombstone>, Error> {
        let mut state = self.state();
        let Some(keys) = state.subjects.get_mut(subject) else {
            return Ok(Vec::new());
        };
        let erased = keys
            .current
            .take()
            .map(|key| Tombstone { key, erased_at: at });
        keys.erased.extend(erased);
        let tombstones = keys.erased.clone();
        if let Some(tombstone) = erased {
            let state = &mut state.keys;
            state.insert(tombstone.key, KeyState::Erased(tombstone));
        }
        Ok(tombstones)
    }

    fn list(&self, after: Option<KeyId>, max: usize) -> Result<Vec<KeyEntry>, Error> {
        let state = self.state();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = state.keys.range((start, Bound::Unbounded)).take(max);
        let entry = |(key, state): (&KeyId, &KeyState)| KeyEntry {
            key: *key,
            erased_at: match state {
                KeyState::Known(_) => None,
                KeyState::Erased(tombstone) => Some(tombstone.erased_at),
            },
        };
        Ok(entries.map(entry).collect())
    }
}

/// A key that is neither there nor erased.
pub(super) fn missing(id: KeyId) -> Error {
    let message =
        "key is neither there nor erased; give the key store that it was made in, or restore that";
    Error::new(ErrorKind::KeyMissing, message).with("key", id)
}
