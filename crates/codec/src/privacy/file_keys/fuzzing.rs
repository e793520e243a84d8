//! The parsers of the files, for a fuzz body.

#![expect(clippy::expect_used, reason = "a panic is how a fuzz body tells")]

use annals_core::Timestamp;

use super::file::{self, Head, Kind, SubjectKeyIds};
use crate::privacy::cipher::Secret;
use crate::privacy::key::{KeyId, SubjectKey};

const NAME: &str = "name";
const NONCE: [u8; 24] = [3; 24];
const ID: KeyId = KeyId::from_bytes([1; 16]);
const KINDS: [Kind; 4] = [Kind::Head, Kind::Key, Kind::Tombstone, Kind::Subject];

pub(in crate::privacy) fn check(input: &[u8], secret: &Secret) {
    for kind in KINDS {
        if let Ok(plain) = file::open(kind, NAME, secret, input) {
            check_plain(&plain);
            let others = KINDS.into_iter().filter(|other| *other != kind);
            others.for_each(|other| assert!(file::open(other, NAME, secret, input).is_err()));
        }
        let sealed = file::seal(kind, NAME, secret, &NONCE, input).expect("an input is short");
        let plain = file::open(kind, NAME, secret, &sealed).expect("it was sealed here");
        assert_eq!(plain.as_slice(), input);
    }
    check_plain(input);
}

/// What decodes is written as the same bytes.
fn check_plain(plain: &[u8]) {
    if let Some(head) = Head::decode(plain) {
        assert_eq!(head.encode().as_slice(), plain);
    }
    if let Some(key) = file::decode_key(ID, plain) {
        assert_eq!(file::encode_key(&key).as_slice(), plain);
    }
    if let Some(erased_at) = file::decode_tombstone(plain) {
        assert_eq!(file::encode_tombstone(erased_at), *plain);
    }
    if let Some(ids) = SubjectKeyIds::decode(plain) {
        assert_eq!(ids.encode(), plain);
    }
}

pub(in crate::privacy) fn seeds(secret: &Secret, key: &SubjectKey) -> Vec<Vec<u8>> {
    let head = Head {
        directory: secret.clone(),
        index: secret.clone(),
    };
    let ids = SubjectKeyIds {
        current: Some(ID),
        erased: vec![ID],
    };
    let plains = [
        head.encode().to_vec(),
        file::encode_key(key).to_vec(),
        file::encode_tombstone(Timestamp::EPOCH).to_vec(),
        ids.encode(),
    ];
    let sealed = KINDS.into_iter().zip(&plains);
    let sealed = sealed.map(|(kind, plain)| file::seal(kind, NAME, secret, &NONCE, plain));
    let sealed = sealed.map(|file| file.expect("it is short"));
    sealed.chain(plains.iter().cloned()).collect()
}
