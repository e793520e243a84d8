//! The power may go at any call.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const MASTER: [u8; 32] = [7; 32];
const OTHER_MASTER: [u8; 32] = [8; 32];
const DIRECTORY: &str = "/keys";

/// Bytes that are never the same twice.
#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Error> {
        for byte in bytes {
            let next = self
                .0
                .fetch_add(1, Ordering::Relaxed)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
            *byte = next.to_be_bytes()[0];
        }
        Ok(())
    }
}

#[derive(Clone, Debug, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Change {
    Name(String, usize),
    Rename(String, String),
    Remove(String),
}

/// A disk of which the power can be cut: what is not synced may be there, or not.
#[derive(Clone, Debug, Default)]
struct PowerDisk(Arc<Mutex<Model>>);

#[derive(Clone, Debug, Default)]
struct Model {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    pending: Vec<Change>,
    calls: u32,
    calls_max: Option<u32>,
}

fn apply(names: &mut BTreeMap<String, usize>, change: &Change) {
    match change {
        Change::Name(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        Change::Rename(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
        Change::Remove(name) => {
            names.remove(name);
        }
    }
}

impl Model {
    fn call(&mut self) -> io::Result<()> {
        if self.calls_max.is_some_and(|max| self.calls >= max) {
            return Err(io::Error::other("the power is out"));
        }
        self.calls += 1;
        Ok(())
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.names, &change);
        self.pending.push(change);
    }

    fn inode(&mut self, name: &str) -> io::Result<&mut Inode> {
        let number = *self.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(&mut self.inodes[number])
    }
}

impl PowerDisk {
    fn model(&self) -> MutexGuard<'_, Model> {
        self.0.lock().unwrap()
    }

    fn with_calls_max(calls_max: u32) -> Self {
        let disk = Self::default();
        disk.model().calls_max = Some(calls_max);
        disk
    }

    /// What a machine finds when the power is back; the seed chooses among what may have happened.
    fn crash(&self, seed: u32) -> Self {
        let mut model = self.model().clone();
        let kept = (seed as usize * model.pending.len()).div_ceil(3);
        let (names, pending) = (&mut model.durable, &model.pending);
        pending
            .iter()
            .take(kept)
            .for_each(|change| apply(names, change));
        for (number, inode) in model.inodes.iter_mut().enumerate() {
            match (seed as usize + number) % 3 {
                0 => inode.now.clone_from(&inode.durable),
                1 => inode.durable.clone_from(&inode.now),
                _ if inode.now != inode.durable => {
                    inode.now.truncate(inode.now.len() / 2);
                    inode.durable.clone_from(&inode.now);
                }
                _ => {}
            }
        }
        model.names.clone_from(&model.durable);
        model.pending.clear();
        (model.calls, model.calls_max) = (0, None);
        Self(Arc::new(Mutex::new(model)))
    }

    fn has(&self, name: &str) -> bool {
        self.model().names.contains_key(name)
    }
}

impl Disk for PowerDisk {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let mut model = self.model();
        model
            .calls_max
            .is_none_or(|max| model.calls < max)
            .then_some(())
            .ok_or(io::ErrorKind::Other)?;
        Ok(model.inode(name).ok().map(|inode| inode.now.clone()))
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        Ok(self.has(name))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut model = self.model();
        model.call()?;
        let number = model.inodes.len();
        model.inodes.push(Inode {
            now: bytes.to_vec(),
            durable: Vec::new(),
        });
        model.change(Change::Name(name.to_owned(), number));
        model.call()?;
        model.inodes[number].durable = bytes.to_vec();
        Ok(())
    }

    fn overwrite(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut model = self.model();
        model.call()?;
        model.inode(name)?.now = bytes.to_vec();
        model.call()?;
        model.inode(name)?.durable = bytes.to_vec();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut model = self.model();
        model.call()?;
        model.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut model = self.model();
        model.call()?;
        model.change(Change::Remove(name.to_owned()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut model = self.model();
        model.call()?;
        model.durable = model.names.clone();
        model.pending.clear();
        Ok(())
    }

    fn names(&self, visit: &mut dyn FnMut(&str)) -> io::Result<()> {
        let names: Vec<String> = self.model().names.keys().cloned().collect();
        for name in &names {
            visit(name);
        }
        Ok(())
    }

    fn lock(&self) -> io::Result<Box<dyn Send>> {
        Ok(Box::new(()))
    }
}

fn master() -> MasterKey {
    MasterKey::new(MASTER)
}

fn create(disk: &PowerDisk) -> Result<FileKeys, Error> {
    let entropy = Arc::new(Counting::default());
    FileKeys::create_on(
        Arc::new(disk.clone()),
        Path::new(DIRECTORY),
        &master(),
        entropy,
    )
}

fn open(disk: &PowerDisk, master: &MasterKey) -> Result<FileKeys, Error> {
    let entropy = Arc::new(Counting(AtomicU64::new(1_000_000)));
    FileKeys::open_on(
        Arc::new(disk.clone()),
        Path::new(DIRECTORY),
        master,
        entropy,
    )
}

fn subject(text: &str) -> Subject {
    Subject::new(text).unwrap()
}

/// What was told before the power went.
#[derive(Default)]
struct Told {
    created: bool,
    keys: Vec<SubjectKey>,
    erasing: Vec<KeyId>,
    erased: Vec<KeyId>,
}

fn work(disk: &PowerDisk, told: &mut Told) -> Result<(), Error> {
    let keys = create(disk)?;
    told.created = true;
    for name in ["ada", "eve", "ada"] {
        told.keys.push(keys.key_for(&subject(name))?);
    }
    let ada = told.keys[0].id();
    told.erasing.push(ada);
    keys.erase(&subject("ada"), Timestamp::from_seconds(5))?;
    told.erased.push(ada);
    told.keys.push(keys.key_for(&subject("ada"))?);
    let ada = told.keys[3].id();
    keys.rotate(&MasterKey::new(OTHER_MASTER))?;
    told.erasing.push(ada);
    keys.erase(&subject("ada"), Timestamp::from_seconds(6))?;
    told.erased.push(ada);
    Ok(())
}

fn check(disk: &PowerDisk, told: &Told, what: &str) {
    let opened = open(disk, &master()).or_else(|_| open(disk, &MasterKey::new(OTHER_MASTER)));
    let keys = match opened {
        Ok(keys) => keys,
        Err(error) => {
            assert!(!told.created, "{what}: {error}");
            assert_eq!(error.kind(), ErrorKind::KeysUnavailable, "{what}: {error}");
            create(disk).unwrap();
            return;
        }
    };
    for key in &told.keys {
        let id = key.id();
        match keys.key(id) {
            Ok(KeyState::Known(found)) => {
                assert!(!told.erased.contains(&id), "{what}: an erased key is back");
                assert_eq!(found.expose(), key.expose(), "{what}");
                assert_eq!(found.subject(), key.subject(), "{what}");
                assert!(!disk.has(&tombstone_name(id)), "{what}");
            }
            Ok(KeyState::Erased(tombstone)) => {
                assert!(told.erasing.contains(&id), "{what}");
                assert!(tombstone.erased_at > Timestamp::EPOCH);
                assert!(
                    !disk.has(&key_name(id)),
                    "{what}: the key is still on the disk"
                );
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }
    for name in ["ada", "eve", "zoe"] {
        let before = keys.keys_of(&subject(name)).unwrap();
        let key = keys.key_for(&subject(name)).unwrap();
        assert_eq!(before.current.unwrap_or(key.id()), key.id(), "{what}");
        let tombstones = keys
            .erase(&subject(name), Timestamp::from_seconds(9))
            .unwrap();
        assert_eq!(tombstones.last().unwrap().key, key.id(), "{what}");
        assert_eq!(tombstones.len(), before.erased.len() + 1, "{what}");
    }
}

#[test]
fn a_crash_at_any_call_leaves_every_key_usable_or_erased() {
    let mut reached_the_end = false;
    for calls in 0..200 {
        let disk = PowerDisk::with_calls_max(calls);
        let mut told = Told::default();
        let ended = work(&disk, &mut told);
        for seed in 0..6 {
            check(
                &disk.crash(seed),
                &told,
                &format!("power out after {calls} calls, seed {seed}"),
            );
        }
        if ended.is_ok() {
            reached_the_end = true;
            break;
        }
    }
    assert!(reached_the_end, "the power went every time");
}

const GOLDEN: &str = include_str!("../../../tests/golden/keys.txt");

/// A directory from lines of a name and the bytes in hexadecimal.
fn of_text(text: &str) -> PowerDisk {
    let disk = PowerDisk::default();
    for line in text.lines() {
        let (name, digits) = line.split_once(' ').unwrap();
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
        disk.write(name, &bytes).unwrap();
    }
    disk
}

#[test]
fn the_golden_directory_reads_for_good() {
    let disk = PowerDisk::default();
    let keys = create(&disk).unwrap();
    keys.key_for(&subject("ada")).unwrap();
    keys.key_for(&subject("eve")).unwrap();
    keys.erase(&subject("eve"), Timestamp::from_seconds(5))
        .unwrap();
    let model = disk.model();
    let mut text = String::new();
    for (name, inode) in &model.names {
        write!(text, "{name} ").unwrap();
        for byte in &model.inodes[*inode].now {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    drop(model);
    assert_eq!(text, GOLDEN);

    let golden = of_text(GOLDEN);
    let read = open(&golden, &master()).unwrap();
    let key = read.key_for(&subject("ada")).unwrap();
    assert_eq!(
        key.expose(),
        keys.key_for(&subject("ada")).unwrap().expose()
    );
    let erased_at = read.keys_of(&subject("eve")).unwrap().erased[0].erased_at;
    assert_eq!(erased_at, Timestamp::from_seconds(5));
}

#[test]
fn no_bit_of_a_file_changes_unseen() {
    let disk = PowerDisk::default();
    let keys = create(&disk).unwrap();
    let (ada, eve) = (subject("ada"), subject("eve"));
    let key = keys.key_for(&ada).unwrap();
    let gone = keys.key_for(&eve).unwrap();
    keys.erase(&eve, Timestamp::EPOCH).unwrap();
    let names: Vec<(String, usize)> = disk.model().names.clone().into_iter().collect();
    for (name, inode) in names {
        let bytes = disk.model().inodes[inode].now.clone();
        for (at, byte) in bytes.iter().enumerate() {
            disk.model().inodes[inode].now[at] ^= 1 << (at % 8);
            let all = open(&disk, &master()).and_then(|keys| {
                keys.key_for(&ada)?;
                keys.key(key.id())?;
                keys.key(gone.id())?;
                keys.keys_of(&eve)
            });
            let error = all.unwrap_err();
            let kinds = [ErrorKind::KeysDamaged, ErrorKind::KeysUnavailable];
            assert!(kinds.contains(&error.kind()), "{name} at {at}: {error}");
            disk.model().inodes[inode].now[at] = *byte;
        }
    }
}

#[test]
fn a_wrong_master_key_changes_nothing() {
    let disk = PowerDisk::default();
    let keys = create(&disk).unwrap();
    let key = keys.key_for(&subject("ada")).unwrap();
    keys.erase(&subject("ada"), Timestamp::EPOCH).unwrap();
    // As a crash leaves it: the tombstone is there and the key too.
    let name = key_name(key.id());
    keys.write(Kind::Key, &name, &file::encode_key(&key))
        .unwrap();
    let before = format!("{:?}", disk.model().names);
    let error = open(&disk, &MasterKey::new(OTHER_MASTER)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongMasterKey);
    assert_eq!(format!("{:?}", disk.model().names), before);
    open(&disk, &master()).unwrap();
    assert!(!disk.has(&name), "opening finishes the erasure");
}
