//! Keys in a directory.

mod cache;
mod disk;
mod file;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annals_core::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use self::cache::Cache;
use self::disk::{Disk, OsDisk, destroy, replace};
use self::file::{ERASED_MAX, Flaw, HEAD_NAME, Head, Kind, SubjectKeyIds};
use super::cipher::{Plain, Secret};
use super::entropy::{Entropy, SystemEntropy, draw};
use super::key::{KeyId, MasterKey, SubjectKey};
use super::key_store::{KeyEntry, KeyState, KeyStore, SubjectKeys, Tombstone};
use super::memory_keys::missing;
use super::subject::Subject;
use crate::{Error, ErrorKind};

pub use self::cache::FILE_KEYS_CACHED_MAX;

/// Keys in files of one directory, wrapped with a master key that the caller keeps elsewhere.
///
/// Put the directory where the store's backups do not reach: a backup of it brings erased keys back. Several
/// processes may use it at once, and see each other's erasures. It takes up to [`FILE_KEYS_CACHED_MAX`] keys
/// into memory, however many there are.
///
/// # Durability
/// A key is synced before it is given out. An erasure is a tombstone that is synced first; then zeros are
/// written over the key's file, and it is removed. A crash at any point leaves the key usable or erased; what a
/// crash left half done is finished when the directory is opened. Some disks keep old blocks in spite of what is
/// written over them: there an erasure is as strong as the secrecy of the master key, so
/// [`rotate`](Self::rotate) it, and forget the old one.
///
/// ```
/// use annals_codec::privacy::{FileKeys, KeyState, KeyStore, MasterKey, Subject, SystemEntropy};
/// use annals_core::{Clock, SystemClock};
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let directory = directory.path().join("keys");
/// let master = MasterKey::generate(&SystemEntropy)?; // in earnest, from a vault
/// let keys = FileKeys::create(&directory, &master)?;
/// let customer = Subject::new("customer-42")?;
/// let key = keys.key_for(&customer)?;
/// keys.erase(&customer, SystemClock.now())?;
/// assert!(matches!(keys.key(key.id())?, KeyState::Erased(_)));
/// # Ok::<(), annals_codec::Error>(())
/// ```
pub struct FileKeys {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    entropy: Arc<dyn Entropy>,
    directory: Secret,
    index: Secret,
    cache: Mutex<Cache>,
}

impl FileKeys {
    /// A new store of keys in this directory, which is made at need; with the system's randomness.
    ///
    /// # Errors
    /// [`ErrorKind::KeysUnavailable`] when there is one already, and when the disk refuses.
    pub fn create(directory: impl AsRef<Path>, master: &MasterKey) -> Result<Self, Error> {
        Self::create_with(directory, master, Arc::new(SystemEntropy))
    }

    /// Like [`create`](Self::create), with keys and nonces from here.
    ///
    /// # Errors
    /// As for [`create`](Self::create).
    pub fn create_with(
        directory: impl AsRef<Path>,
        master: &MasterKey,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Error> {
        let path = directory.as_ref();
        OsDisk::create(path).map_err(|error| of_io(error, path))?;
        Self::create_on(Arc::new(OsDisk::new(path)), path, master, entropy)
    }

    /// The store of keys in this directory; never makes one. Finishes what a crash left half done.
    ///
    /// # Errors
    /// [`ErrorKind::WrongMasterKey`] when the keys are wrapped with another master key: nothing was changed;
    /// [`ErrorKind::KeysUnavailable`] when there is no store of keys, and when the disk refuses;
    /// [`ErrorKind::KeysDamaged`].
    pub fn open(directory: impl AsRef<Path>, master: &MasterKey) -> Result<Self, Error> {
        Self::open_with(directory, master, Arc::new(SystemEntropy))
    }

    /// Like [`open`](Self::open), with keys and nonces from here.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_with(
        directory: impl AsRef<Path>,
        master: &MasterKey,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Error> {
        let path = directory.as_ref();
        Self::open_on(Arc::new(OsDisk::new(path)), path, master, entropy)
    }

    /// Wraps the keys with another master key, in one step: a crash leaves the one or the other. Processes that
    /// have the directory open go on. The old master key opens nothing any more but old copies of the directory.
    ///
    /// # Errors
    /// [`ErrorKind::KeysUnavailable`] when the disk refuses: the old or the new master key opens the keys.
    pub fn rotate(&self, new: &MasterKey) -> Result<(), Error> {
        let _lock = self.lock()?;
        self.write_head(new)
    }

    fn write_head(&self, master: &MasterKey) -> Result<(), Error> {
        let head = Head {
            directory: self.directory.clone(),
            index: self.index.clone(),
        };
        let bytes = file::seal(
            Kind::Head,
            HEAD_NAME,
            master.secret(),
            &draw(&*self.entropy)?,
            &head.encode(),
        )?;
        replace(&*self.disk, HEAD_NAME, &bytes).map_err(|error| self.io(error, HEAD_NAME))
    }

    fn create_on(
        disk: Arc<dyn Disk>,
        path: &Path,
        master: &MasterKey,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Error> {
        let head = Head {
            directory: Zeroizing::new(draw(&*entropy)?),
            index: Zeroizing::new(draw(&*entropy)?),
        };
        let keys = Self::of(disk, path, head, entropy);
        let lock = keys.lock()?;
        let exists = keys.disk.exists(HEAD_NAME);
        if exists.map_err(|error| keys.io(error, HEAD_NAME))? {
            let message = "there is a store of keys already; open it, or name another directory";
            return Err(
                Error::new(ErrorKind::KeysUnavailable, message).with("directory", path.display())
            );
        }
        keys.write_head(master)?;
        drop(lock);
        Ok(keys)
    }

    fn open_on(
        disk: Arc<dyn Disk>,
        path: &Path,
        master: &MasterKey,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Error> {
        let head = disk.read(HEAD_NAME);
        let head = head.map_err(|error| of_io(error, &path.join(HEAD_NAME)))?;
        let Some(head) = head else {
            let message = "there is no store of keys; create one, or name the right directory";
            return Err(
                Error::new(ErrorKind::KeysUnavailable, message).with("directory", path.display())
            );
        };
        let opened = file::open(Kind::Head, HEAD_NAME, master.secret(), &head);
        let opened = opened.map_err(|flaw| match flaw {
            Flaw::OtherKey => {
                let message =
                    "master key is another one than the keys are wrapped with; give that one";
                Error::new(ErrorKind::WrongMasterKey, message).with("directory", path.display())
            }
            flaw => of_flaw(flaw, &path.join(HEAD_NAME)),
        })?;
        let head = Head::decode(&opened);
        let head = head.ok_or_else(|| of_flaw(Flaw::Damaged, &path.join(HEAD_NAME)))?;
        let keys = Self::of(disk, path, head, entropy);
        keys.finish_erasures()?;
        Ok(keys)
    }

    fn of(disk: Arc<dyn Disk>, path: &Path, head: Head, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            path: path.to_owned(),
            disk,
            entropy,
            directory: head.directory,
            index: head.index,
            cache: Mutex::default(),
        }
    }

    /// Destroys the files of keys that have a tombstone: an erasure that a crash stopped half-way.
    fn finish_erasures(&self) -> Result<(), Error> {
        let mut half_done = Vec::new();
        self.names(|name| {
            let id = name
                .strip_suffix(".erased")
                .and_then(|id| KeyId::from_str(id).ok());
            half_done.extend(id.filter(|id| {
                // A file that can't be looked at now is looked at when its key is used.
                self.disk.exists(&key_name(*id)).unwrap_or(false)
            }));
        })?;
        if half_done.is_empty() {
            return Ok(());
        }
        let _lock = self.lock()?;
        half_done
            .into_iter()
            .try_for_each(|id| self.destroy_key(id))
    }

    fn destroy_key(&self, id: KeyId) -> Result<(), Error> {
        let name = key_name(id);
        destroy(&*self.disk, &name).map_err(|error| self.io(error, &name))
    }

    /// When the key was erased, if it was.
    fn tombstone(&self, id: KeyId) -> Result<Option<Tombstone>, Error> {
        let name = tombstone_name(id);
        let Some(plain) = self.read(Kind::Tombstone, &name)? else {
            return Ok(None);
        };
        let erased_at = file::decode_tombstone(&plain);
        let erased_at = erased_at.ok_or_else(|| self.flaw(Flaw::Damaged, &name))?;
        Ok(Some(Tombstone { key: id, erased_at }))
    }

    fn is_erased(&self, id: KeyId) -> Result<bool, Error> {
        let name = tombstone_name(id);
        self.disk
            .exists(&name)
            .map_err(|error| self.io(error, &name))
    }

    /// The key of this name, if its file is there.
    fn read_key(&self, id: KeyId) -> Result<Option<SubjectKey>, Error> {
        let name = key_name(id);
        let Some(plain) = self.read(Kind::Key, &name)? else {
            return Ok(None);
        };
        let key = file::decode_key(id, &plain);
        key.map(Some).ok_or_else(|| self.flaw(Flaw::Damaged, &name))
    }

    fn subject_keys(&self, name: &str) -> Result<SubjectKeyIds, Error> {
        let Some(plain) = self.read(Kind::Subject, name)? else {
            return Ok(SubjectKeyIds::default());
        };
        SubjectKeyIds::decode(&plain).ok_or_else(|| self.flaw(Flaw::Damaged, name))
    }

    /// Makes a key for a subject that has none. The key is there before the subject's file names it: a crash
    /// in between leaves a key that nobody was given.
    fn make_key(&self, subject: &Subject, mut ids: SubjectKeyIds) -> Result<SubjectKey, Error> {
        let key = SubjectKey::generate(subject.clone(), &*self.entropy)?;
        self.write(Kind::Key, &key_name(key.id()), &file::encode_key(&key))?;
        ids.current = Some(key.id());
        self.write(Kind::Subject, &self.subject_name(subject), &ids.encode())?;
        Ok(key)
    }

    /// Erases the current key, from wherever a crash left an earlier erasure of it.
    fn erase_current(
        &self,
        subject: &Subject,
        mut ids: SubjectKeyIds,
        at: Timestamp,
    ) -> Result<SubjectKeyIds, Error> {
        let Some(id) = ids.current.take() else {
            return Ok(ids);
        };
        if ids.erased.len() >= ERASED_MAX {
            let message = "subject was erased too often; it has no room for another tombstone";
            return Err(Error::new(ErrorKind::BadSubject, message).with("limit", ERASED_MAX));
        }
        if self.tombstone(id)?.is_none() {
            let plain = file::encode_tombstone(at);
            self.write(Kind::Tombstone, &tombstone_name(id), &plain)?;
        }
        self.cache().forget(id);
        self.destroy_key(id)?;
        ids.erased.push(id);
        self.write(Kind::Subject, &self.subject_name(subject), &ids.encode())?;
        Ok(ids)
    }

    fn tombstones(&self, ids: &[KeyId]) -> Result<Vec<Tombstone>, Error> {
        let tombstones = ids.iter().map(|id| {
            let tombstone = self.tombstone(*id)?;
            tombstone.ok_or_else(|| missing(*id))
        });
        tombstones.collect()
    }

    /// The name of a subject's file: a keyed hash, so that a directory listing does not tell who is there.
    #[expect(clippy::expect_used, reason = "an HMAC takes keys of any length")]
    fn subject_name(&self, subject: &Subject) -> String {
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&*self.index);
        let mut mac = mac.expect("the key has a length that is taken");
        mac.update(subject.as_str().as_bytes());
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        let digits = digest.iter().map(|byte| format!("{byte:02x}"));
        digits.chain([".subject".to_owned()]).collect()
    }

    fn read(&self, kind: Kind, name: &str) -> Result<Option<Plain>, Error> {
        let bytes = self.disk.read(name).map_err(|error| self.io(error, name))?;
        let plain = bytes.map(|bytes| file::open(kind, name, &self.directory, &bytes));
        plain.transpose().map_err(|flaw| self.flaw(flaw, name))
    }

    fn write(&self, kind: Kind, name: &str, plain: &[u8]) -> Result<(), Error> {
        let bytes = file::seal(kind, name, &self.directory, &draw(&*self.entropy)?, plain)?;
        replace(&*self.disk, name, &bytes).map_err(|error| self.io(error, name))
    }

    fn names(&self, mut visit: impl FnMut(&str)) -> Result<(), Error> {
        let names = self.disk.names(&mut visit);
        names.map_err(|error| of_io(error, &self.path))
    }

    fn lock(&self) -> Result<Box<dyn Send>, Error> {
        self.disk.lock().map_err(|error| of_io(error, &self.path))
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn io(&self, error: io::Error, name: &str) -> Error {
        of_io(error, &self.path.join(name))
    }

    fn flaw(&self, flaw: Flaw, name: &str) -> Error {
        of_flaw(flaw, &self.path.join(name))
    }
}

#[deny(clippy::missing_trait_methods)]
impl KeyStore for FileKeys {
    fn key_for(&self, subject: &Subject) -> Result<SubjectKey, Error> {
        let cached = self.cache().by_subject(subject);
        if let Some(key) = cached {
            if !self.is_erased(key.id())? {
                return Ok(key);
            }
            self.cache().forget(key.id());
        }
        let _lock = self.lock()?;
        let mut ids = self.subject_keys(&self.subject_name(subject))?;
        let key = match ids.current {
            Some(id) => match self.tombstone(id)? {
                None => self.read_key(id)?.ok_or_else(|| missing(id))?,
                Some(tombstone) => {
                    ids = self.erase_current(subject, ids, tombstone.erased_at)?;
                    self.make_key(subject, ids)?
                }
            },
            None => self.make_key(subject, ids)?,
        };
        self.cache().put(&key);
        Ok(key)
    }

    fn key(&self, id: KeyId) -> Result<KeyState, Error> {
        if let Some(tombstone) = self.tombstone(id)? {
            self.cache().forget(id);
            return Ok(KeyState::Erased(tombstone));
        }
        let cached = self.cache().by_id(id);
        let key = match cached {
            Some(key) => Some(key),
            None => self.read_key(id)?,
        };
        if let Some(key) = key {
            self.cache().put(&key);
            return Ok(KeyState::Known(key));
        }
        // Another process may have erased it since the first look.
        let tombstone = self.tombstone(id)?;
        tombstone.map(KeyState::Erased).ok_or_else(|| missing(id))
    }

    fn keys_of(&self, subject: &Subject) -> Result<SubjectKeys, Error> {
        let mut ids = self.subject_keys(&self.subject_name(subject))?;
        if let Some(id) = ids.current
            && self.is_erased(id)?
        {
            ids.current = None;
            ids.erased.push(id);
        }
        Ok(SubjectKeys {
            current: ids.current,
            erased: self.tombstones(&ids.erased)?,
        })
    }

    fn erase(&self, subject: &Subject, at: Timestamp) -> Result<Vec<Tombstone>, Error> {
        let _lock = self.lock()?;
        let ids = self.subject_keys(&self.subject_name(subject))?;
        let ids = self.erase_current(subject, ids, at)?;
        self.tombstones(&ids.erased)
    }

    /// Reads all names of the directory for every page.
    fn list(&self, after: Option<KeyId>, max: usize) -> Result<Vec<KeyEntry>, Error> {
        let mut ids = BTreeSet::new();
        self.names(|name| {
            let stem = name.strip_suffix(".key").or(name.strip_suffix(".erased"));
            let id = stem.and_then(|id| KeyId::from_str(id).ok());
            ids.extend(id.filter(|id| after.is_none_or(|after| *id > after)));
            if ids.len() > max {
                ids.pop_last();
            }
        })?;
        let entries = ids.into_iter().map(|key| {
            let tombstone = self.tombstone(key)?;
            let erased_at = tombstone.map(|tombstone| tombstone.erased_at);
            Ok(KeyEntry { key, erased_at })
        });
        entries.collect()
    }
}

impl fmt::Debug for FileKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKeys")
            .field("directory", &self.path)
            .finish_non_exhaustive()
    }
}

fn key_name(id: KeyId) -> String {
    format!("{id}.key")
}

fn tombstone_name(id: KeyId) -> String {
    format!("{id}.erased")
}

fn of_io(error: io::Error, path: &Path) -> Error {
    let message = "key store refuses; see the cause, and try again";
    Error::new(ErrorKind::KeysUnavailable, message)
        .with("file", path.display())
        .caused_by(error)
}

fn of_flaw(flaw: Flaw, path: &Path) -> Error {
    let (kind, message) = match flaw {
        Flaw::Damaged => (
            ErrorKind::KeysDamaged,
            "file of keys is damaged; restore it",
        ),
        Flaw::Newer(_) => (
            ErrorKind::KeysUnavailable,
            "file of keys is of a newer version of annals; update the code",
        ),
        Flaw::OtherKey => (
            ErrorKind::KeysDamaged,
            "file of keys is of another directory, or has another's name; restore it",
        ),
    };
    let error = Error::new(kind, message).with("file", path.display());
    match flaw {
        Flaw::Newer(format) => error
            .with("format", format)
            .with("known format", file::FORMAT),
        Flaw::Damaged | Flaw::OtherKey => error,
    }
}
