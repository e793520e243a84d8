//! The parsers of envelopes and of key files, for fuzz bodies: each takes any bytes, and panics when a promise is
//! broken.
//!
//! Chance never meets an authentication tag, so the bytes are also looked at as what was sealed with the right key.

#![expect(clippy::expect_used, reason = "a panic is how a fuzz body tells")]

use annals_core::EventId;
use zeroize::Zeroizing;

use super::cipher::Secret;
use super::envelope::{Envelope, Use, seal};
use super::file_keys::fuzzing as files;
use super::key::{KeyId, SubjectKey};
use super::subject::Subject;

const NONCE: [u8; 24] = [3; 24];
const ID: KeyId = KeyId::from_bytes([1; 16]);

fn key() -> SubjectKey {
    let subject = Subject::new("ada").expect("the text is short");
    SubjectKey::new(ID, subject, [7; 32])
}

fn event() -> EventId {
    let id = "01890a5d-ac96-774b-bcce-b302099a8057".parse();
    id.expect("it is a uuid")
}

/// Bytes that parse as an envelope open under the right key alone; and what is sealed is opened again.
pub fn envelope(input: &[u8]) {
    let key = key();
    if let Some(envelope) = Envelope::parse(input)
        && let Some(plain) = envelope.open(Use::Field, &key, event())
    {
        let other = SubjectKey::new(ID, key.subject().clone(), [8; 32]);
        assert!(envelope.open(Use::Field, &other, event()).is_none());
        assert!(envelope.open(Use::Payload, &key, event()).is_none());
        assert!(plain.len() < input.len());
    }
    let sealed = seal(Use::Field, &key, event(), &NONCE, input).expect("an input is short");
    let envelope = Envelope::parse(&sealed).expect("it is an envelope");
    let plain = envelope.open(Use::Field, &key, event());
    assert_eq!(plain.as_ref().map(|plain| plain.as_slice()), Some(input));
}

/// Envelopes to begin with.
pub fn envelopes() -> Vec<Vec<u8>> {
    let sealed = seal(Use::Field, &key(), event(), &NONCE, b"\x01\x63Ada");
    vec![sealed.expect("it is short"), b"\x01\x63Ada".to_vec()]
}

/// A file of keys, of each kind: as it is, and as what was sealed in one.
pub fn key_file(input: &[u8]) {
    files::check(input, &secret());
}

/// Files of keys to begin with.
pub fn key_files() -> Vec<Vec<u8>> {
    files::seeds(&secret(), &key())
}

fn secret() -> Secret {
    Zeroizing::new([9; 32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_to_begin_with_and_every_cut_of_them_keep_the_promises() {
        for (body, seeds) in [
            (envelope as fn(&[u8]), envelopes()),
            (key_file, key_files()),
        ] {
            for seed in seeds {
                (0..=seed.len()).for_each(|end| body(&seed[..end]));
            }
        }
    }
}
