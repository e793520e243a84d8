//! The files of a directory of keys: one frame for all, and what is in each.
//!
//! docs/format/privacy.md describes them byte by byte.

use annals_core::Timestamp;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::disk::FILE_BYTES_MAX;
use crate::Error;
use crate::privacy::cipher::{self, KEY_BYTES, NONCE_BYTES, Nonce, Plain, Secret};
use crate::privacy::key::{KeyId, SubjectKey};
use crate::privacy::subject::Subject;

const MAGIC: [u8; 8] = *b"ANNALKEY";

/// The newest format that is read, and the one that is written.
pub(super) const FORMAT: u8 = 1;

const HEAD_BYTES: usize = MAGIC.len() + 2 + NONCE_BYTES;
const CHECK_BYTES: usize = 8;

/// The name of the head file.
pub(super) const HEAD_NAME: &str = "keys";

/// How many keys of one subject are remembered, those that were erased.
pub(super) const ERASED_MAX: usize = 4_096;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Head,
    Key,
    Tombstone,
    Subject,
}

/// Why a file does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The bytes are not those that were written.
    Damaged,
    /// They follow a newer format, this one.
    Newer(u8),
    /// They are as they were written, with another key or under another name.
    OtherKey,
}

/// What is in the head file: the keys of the directory.
pub(super) struct Head {
    /// What all other files are encrypted with.
    pub(super) directory: Secret,
    /// What the names of subject files are made with.
    pub(super) index: Secret,
}

/// What is in a subject file.
#[derive(Debug, Default)]
pub(super) struct SubjectKeyIds {
    pub(super) current: Option<KeyId>,
    pub(super) erased: Vec<KeyId>,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Head => 0,
            Self::Key => 1,
            Self::Tombstone => 2,
            Self::Subject => 3,
        }
    }
}

/// The bytes of a file.
pub(super) fn seal(
    kind: Kind,
    name: &str,
    key: &Secret,
    nonce: &Nonce,
    plain: &[u8],
) -> Result<Vec<u8>, Error> {
    let start = start(kind);
    let head = [&start[..], nonce].concat();
    let mut bytes = cipher::seal(head, key, nonce, &associated(kind, name), plain)?;
    let check = check(&bytes);
    bytes.extend_from_slice(&check);
    Ok(bytes)
}

/// What is in a file.
pub(super) fn open(kind: Kind, name: &str, key: &Secret, bytes: &[u8]) -> Result<Plain, Flaw> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Flaw::Damaged);
    }
    let (body, expected) = bytes.split_last_chunk().ok_or(Flaw::Damaged)?;
    if check(body) != *expected {
        return Err(Flaw::Damaged);
    }
    let (head, sealed) = body
        .split_first_chunk::<HEAD_BYTES>()
        .ok_or(Flaw::Damaged)?;
    let (head, nonce) = head.split_last_chunk().ok_or(Flaw::Damaged)?;
    match head {
        [magic @ .., format, _] if *magic == MAGIC && *format > FORMAT => {
            return Err(Flaw::Newer(*format));
        }
        head if *head == start(kind) => {}
        _ => return Err(Flaw::Damaged),
    }
    cipher::open(key, nonce, &associated(kind, name), sealed).ok_or(Flaw::OtherKey)
}

fn start(kind: Kind) -> [u8; MAGIC.len() + 2] {
    let mut start = [0; MAGIC.len() + 2];
    let (magic, rest) = start.split_at_mut(MAGIC.len());
    magic.copy_from_slice(&MAGIC);
    rest.copy_from_slice(&[FORMAT, kind.byte()]);
    start
}

fn associated(kind: Kind, name: &str) -> Vec<u8> {
    [&start(kind)[..], name.as_bytes()].concat()
}

/// Tells damage from a wrong key: it is no secret, and protects against nobody.
fn check(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(digest.split_at(CHECK_BYTES).0);
    check
}

impl Head {
    pub(super) fn encode(&self) -> Plain {
        Zeroizing::new([&self.directory[..], &self.index[..]].concat())
    }

    pub(super) fn decode(plain: &[u8]) -> Option<Self> {
        let (directory, rest) = plain.split_first_chunk::<KEY_BYTES>()?;
        let (index, rest) = rest.split_first_chunk::<KEY_BYTES>()?;
        rest.is_empty().then(|| Self {
            directory: Zeroizing::new(*directory),
            index: Zeroizing::new(*index),
        })
    }
}

pub(super) fn encode_key(key: &SubjectKey) -> Plain {
    let subject = key.subject().as_str().as_bytes();
    let mut plain = Zeroizing::new(Vec::with_capacity(KEY_BYTES + subject.len()));
    plain.extend_from_slice(key.expose());
    plain.extend_from_slice(subject);
    plain
}

pub(super) fn decode_key(id: KeyId, plain: &[u8]) -> Option<SubjectKey> {
    let (secret, subject) = plain.split_first_chunk::<KEY_BYTES>()?;
    let subject = Subject::new(std::str::from_utf8(subject).ok()?).ok()?;
    Some(SubjectKey::new(id, subject, *secret))
}

pub(super) fn encode_tombstone(erased_at: Timestamp) -> [u8; 8] {
    erased_at.as_micros().to_le_bytes()
}

pub(super) fn decode_tombstone(plain: &[u8]) -> Option<Timestamp> {
    let micros = <[u8; 8]>::try_from(plain).ok()?;
    Some(Timestamp::from_micros(i64::from_le_bytes(micros)))
}

impl SubjectKeyIds {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut plain = vec![u8::from(self.current.is_some())];
        let ids = self.current.iter().chain(&self.erased);
        ids.for_each(|id| plain.extend_from_slice(&id.to_bytes()));
        plain
    }

    pub(super) fn decode(plain: &[u8]) -> Option<Self> {
        let (has_current, rest) = plain.split_first()?;
        let (ids, rest) = rest.as_chunks::<16>();
        let mut ids = ids.iter().copied().map(KeyId::from_bytes);
        let current = match has_current {
            0 => None,
            1 => Some(ids.next()?),
            _ => return None,
        };
        let erased: Vec<KeyId> = ids.collect();
        let is_whole = rest.is_empty() && erased.len() <= ERASED_MAX;
        is_whole.then_some(Self { current, erased })
    }
}
