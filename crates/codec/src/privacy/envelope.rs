//! What stands in an event in place of what is personal.
//!
//! docs/format/privacy.md describes it byte by byte.

use annals_core::EventId;

use super::cipher::{self, NONCE_BYTES, Nonce, Plain, TAG_BYTES};
use super::key::{KeyId, SubjectKey};
use crate::Error;

/// The version of envelopes that is written.
pub const ENVELOPE_VERSION: u8 = 1;

/// By how many bytes an envelope is longer than what is in it: version, key id, nonce and tag.
pub const ENVELOPE_BYTES: usize = HEAD_BYTES + TAG_BYTES;

const KEY_ID_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_BYTES;

/// What an envelope is used for: one does not open as the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A value of an event.
    Field,
    /// The whole payload of an event.
    Payload,
}

/// An envelope, taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope<'a> {
    pub(super) key: KeyId,
    nonce: Nonce,
    sealed: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Takes bytes apart; `None` for what is no envelope of this version.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (key, rest) = rest.split_first_chunk()?;
        let (nonce, sealed) = rest.split_first_chunk()?;
        let is_whole = *version == ENVELOPE_VERSION && sealed.len() >= TAG_BYTES;
        is_whole.then_some(Self {
            key: KeyId::from_bytes(*key),
            nonce: *nonce,
            sealed,
        })
    }

    /// What is in it; `None` when it was changed, or is of another key, subject or event.
    pub(super) fn open(&self, of: Use, key: &SubjectKey, event: EventId) -> Option<Plain> {
        let associated = associated(of, key, event);
        cipher::open(key.secret(), &self.nonce, &associated, self.sealed)
    }
}

/// The envelope that holds this.
pub(super) fn seal(
    of: Use,
    key: &SubjectKey,
    event: EventId,
    nonce: &Nonce,
    plain: &[u8],
) -> Result<Vec<u8>, Error> {
    let mut head = Vec::with_capacity(HEAD_BYTES + plain.len() + TAG_BYTES);
    head.push(ENVELOPE_VERSION);
    head.extend_from_slice(&key.id().to_bytes());
    head.extend_from_slice(nonce);
    let associated = associated(of, key, event);
    cipher::seal(head, key.secret(), nonce, &associated, plain)
}

/// What an envelope is bound to. All but the subject is of a fixed length, so that no two are written alike.
fn associated(of: Use, key: &SubjectKey, event: EventId) -> Vec<u8> {
    let domain: &[u8] = match of {
        Use::Field => b"annals personal field  \0",
        Use::Payload => b"annals personal payload\0",
    };
    let key_id = key.id().to_bytes();
    let event = event.number().to_be_bytes();
    let subject = key.subject().as_str().as_bytes();
    [domain, &[ENVELOPE_VERSION], &key_id, &event, subject].concat()
}
