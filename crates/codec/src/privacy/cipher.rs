//! The one cipher that everything secret goes through: `XChaCha20-Poly1305`, by `RustCrypto`.

use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use zeroize::Zeroizing;

use crate::{Error, ErrorKind};

/// Length of a key, in bytes.
pub(super) const KEY_BYTES: usize = 32;

/// Length of a nonce, in bytes: long enough to be drawn at random for as long as a key lives.
pub(super) const NONCE_BYTES: usize = 24;

/// By how many bytes a ciphertext is longer than its text.
pub(super) const TAG_BYTES: usize = 16;

/// A key; wiped from memory when it is dropped.
pub(super) type Secret = Zeroizing<[u8; KEY_BYTES]>;

/// A text that was secret; wiped from memory when it is dropped.
pub(super) type Plain = Zeroizing<Vec<u8>>;

pub(super) type Nonce = [u8; NONCE_BYTES];

/// The ciphertext, with its tag, after what stands in `head`.
pub(super) fn seal(
    mut head: Vec<u8>,
    key: &Secret,
    nonce: &Nonce,
    associated: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, Error> {
    let cipher = XChaCha20Poly1305::new((&**key).into());
    // Room for all, so that no copy of the text is left behind when the buffer grows.
    let mut buffer = Vec::with_capacity(plain.len() + TAG_BYTES);
    buffer.extend_from_slice(plain);
    cipher
        .encrypt_in_place(nonce.into(), associated, &mut buffer)
        .map_err(|_| Error::new(ErrorKind::Encode, "text is too long to be encrypted"))?;
    head.extend_from_slice(&buffer);
    Ok(head)
}

/// The text; `None` when the ciphertext, the key or what is associated is another one.
pub(super) fn open(key: &Secret, nonce: &Nonce, associated: &[u8], sealed: &[u8]) -> Option<Plain> {
    let cipher = XChaCha20Poly1305::new((&**key).into());
    let mut buffer = Zeroizing::new(sealed.to_vec());
    cipher
        .decrypt_in_place(nonce.into(), associated, &mut *buffer)
        .ok()?;
    Some(buffer)
}
