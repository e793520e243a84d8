//! The contract of a store of keys.

use std::fmt;
use std::sync::Arc;

use annals_core::Timestamp;

use super::key::{KeyId, SubjectKey};
use super::subject::Subject;
use crate::Error;

/// Where the keys of subjects are kept: what a backend implements.
///
/// Small, object-safe and synchronous: it is asked while an event is written or read. So a store that is out of
/// reach of a disk (a service for keys) answers from memory for what it gave lately, and asks otherwise while the
/// caller waits, with a limit on that time. It keeps no key in memory that it learns was erased.
///
/// The laws, which `tests/privacy/key_stores.rs` holds every implementation to:
///
/// - A subject has one key at a time; [`key_for`](Self::key_for) makes it on first use, durably before it is
///   given: an event must never be encrypted with a key that a crash takes along. The same for two processes.
/// - An erased key never comes back. It leaves a tombstone, which is durable before the key is gone, so that
///   *erased* and *missing* are told apart for good: a crash at any point leaves the key usable or erased.
/// - A subject that comes back after an erasure has another key.
/// - Neither errors nor `Debug` show a key or a subject.
pub trait KeyStore: fmt::Debug + Send + Sync {
    /// The key to encrypt with for this subject, made at need.
    ///
    /// # Errors
    /// [`ErrorKind::KeyMissing`](crate::ErrorKind::KeyMissing) when the subject has a key and it is not there;
    /// [`ErrorKind::KeysUnavailable`](crate::ErrorKind::KeysUnavailable) and
    /// [`ErrorKind::KeysDamaged`](crate::ErrorKind::KeysDamaged).
    fn key_for(&self, subject: &Subject) -> Result<SubjectKey, Error>;

    /// The key of this name, or the time at which it was erased.
    ///
    /// # Errors
    /// [`ErrorKind::KeyMissing`](crate::ErrorKind::KeyMissing) when there is neither; otherwise as for
    /// [`key_for`](Self::key_for).
    fn key(&self, id: KeyId) -> Result<KeyState, Error>;

    /// What keys the subject has and had. Makes none.
    ///
    /// # Errors
    /// As for [`key_for`](Self::key_for).
    fn keys_of(&self, subject: &Subject) -> Result<SubjectKeys, Error>;

    /// Erases the subject's key, if there is one, and gives the tombstones of all keys that the subject had,
    /// oldest first. Erasing again changes nothing.
    ///
    /// # Durability
    /// When the tombstones are here, the erasure is durable. After an error it may or may not have happened;
    /// erase again.
    ///
    /// # Errors
    /// As for [`key_for`](Self::key_for).
    fn erase(&self, subject: &Subject, at: Timestamp) -> Result<Vec<Tombstone>, Error>;

    /// Up to `max` keys and tombstones in order of key id, those after `after`.
    ///
    /// # Errors
    /// As for [`key_for`](Self::key_for).
    fn list(&self, after: Option<KeyId>, max: usize) -> Result<Vec<KeyEntry>, Error>;
}

/// What became of a key.
#[derive(Clone, Debug)]
pub enum KeyState {
    /// It is there.
    Known(SubjectKey),
    /// It was erased.
    Erased(Tombstone),
}

/// What is left of an erased key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The key.
    pub key: KeyId,
    /// When it was erased.
    pub erased_at: Timestamp,
}

/// The keys that a subject has and had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectKeys {
    /// The one that is used.
    pub current: Option<KeyId>,
    /// Those that were erased, oldest first.
    pub erased: Vec<Tombstone>,
}

/// A key or a tombstone, in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// The key.
    pub key: KeyId,
    /// When it was erased, if it was.
    pub erased_at: Option<Timestamp>,
}

impl SubjectKeys {
    /// Every key, oldest first.
    pub fn all(&self) -> impl Iterator<Item = KeyId> {
        let erased = self.erased.iter().map(|tombstone| tombstone.key);
        erased.chain(self.current)
    }
}

macro_rules! forward {
    ($pointer:ty) => {
        #[deny(clippy::missing_trait_methods)]
        impl<S: KeyStore + ?Sized> KeyStore for $pointer {
            fn key_for(&self, subject: &Subject) -> Result<SubjectKey, Error> {
                (**self).key_for(subject)
            }

            fn key(&self, id: KeyId) -> Result<KeyState, Error> {
                (**self).key(id)
            }

            fn keys_of(&self, subject: &Subject) -> Result<SubjectKeys, Error> {
                (**self).keys_of(subject)
            }

            fn erase(&self, subject: &Subject, at: Timestamp) -> Result<Vec<Tombstone>, Error> {
                (**self).erase(subject, at)
            }

            fn list(&self, after: Option<KeyId>, max: usize) -> Result<Vec<KeyEntry>, Error> {
                (**self).list(after, max)
            }
        }
    };
}

forward!(&S);
forward!(Box<S>);
forward!(Arc<S>);
