//! The keys that were used lately.

use std::collections::{HashMap, VecDeque};

use crate::privacy::key::{KeyId, SubjectKey};
use crate::privacy::subject::Subject;

/// How many keys a [`FileKeys`](super::FileKeys) holds in memory: 1,024.
pub const FILE_KEYS_CACHED_MAX: usize = 1_024;

/// A bounded number of keys, the oldest dropped for a new one.
#[derive(Default)]
pub(super) struct Cache {
    keys: HashMap<KeyId, SubjectKey>,
    current: HashMap<Subject, KeyId>,
    order: VecDeque<KeyId>,
}

impl Cache {
    pub(super) fn by_id(&self, id: KeyId) -> Option<SubjectKey> {
        self.keys.get(&id).cloned()
    }

    pub(super) fn by_subject(&self, subject: &Subject) -> Option<SubjectKey> {
        self.by_id(*self.current.get(subject)?)
    }

    pub(super) fn put(&mut self, key: &SubjectKey) {
        self.current.insert(key.subject().clone(), key.id());
        if self.keys.insert(key.id(), key.clone()).is_none() {
            self.order.push_back(key.id());
        }
        while self.order.len() > FILE_KEYS_CACHED_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.drop_key(oldest);
            }
        }
    }

    pub(super) fn forget(&mut self, id: KeyId) {
        self.drop_key(id);
        self.order.retain(|known| *known != id);
    }

    fn drop_key(&mut self, id: KeyId) {
        if let Some(key) = self.keys.remove(&id) {
            let subject = key.subject();
            if self.current.get(subject) == Some(&id) {
                self.current.remove(subject);
            }
        }
    }
}
