//! Keys: of a subject, and the master key.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding};
use zeroize::Zeroizing;

use super::cipher::{KEY_BYTES, Secret};
use super::entropy::{Entropy, draw};
use super::subject::Subject;
use crate::{Error, ErrorKind};

/// The name of a key: random, so that it tells nothing of whose it is. Written as 32 digits of hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 16]);

/// The key of a subject. Cheap to clone; wiped from memory with the last clone.
#[derive(Clone)]
pub struct SubjectKey {
    id: KeyId,
    subject: Subject,
    secret: Arc<Secret>,
}

/// The key that all others are wrapped with. It comes from the caller, who keeps it elsewhere: with it, the
/// keys and the events can be read; without it, neither can.
///
/// Wiped from memory when it is dropped; `Debug` does not show it.
pub struct MasterKey(Secret);

impl KeyId {
    /// The name of these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    pub(super) fn draw(entropy: &dyn Entropy) -> Result<Self, Error> {
        draw(entropy).map(Self)
    }
}

impl SubjectKey {
    /// Length of the key itself, in bytes.
    pub const BYTES: usize = KEY_BYTES;

    /// A key, as a store of keys has it.
    pub fn new(id: KeyId, subject: Subject, secret: [u8; Self::BYTES]) -> Self {
        Self {
            id,
            subject,
            secret: Arc::new(Zeroizing::new(secret)),
        }
    }

    /// A fresh key for this subject.
    ///
    /// # Errors
    /// As for [`Entropy::fill`].
    pub fn generate(subject: Subject, entropy: &dyn Entropy) -> Result<Self, Error> {
        let mut secret = Zeroizing::new([0; Self::BYTES]);
        entropy.fill(&mut *secret)?;
        Ok(Self {
            id: KeyId::draw(entropy)?,
            subject,
            secret: Arc::new(secret),
        })
    }

    /// Its name.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Whose it is.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The key itself: for a store of keys, to wrap it.
    pub fn expose(&self) -> &[u8; Self::BYTES] {
        &self.secret
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.secret
    }
}

impl MasterKey {
    /// Length in bytes.
    pub const BYTES: usize = KEY_BYTES;

    /// The master key of these bytes, which are random ones: a password is no key.
    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A fresh master key.
    ///
    /// # Errors
    /// As for [`Entropy::fill`].
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, Error> {
        let mut key = Zeroizing::new([0; Self::BYTES]);
        entropy.fill(&mut *key)?;
        Ok(Self(key))
    }

    /// The master key of this text: its bytes in base64url without padding, as [`to_text`](Self::to_text)
    /// gives it.
    ///
    /// # Errors
    /// [`ErrorKind::WrongMasterKey`] for anything else; the error does not repeat the text.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let mut key = Zeroizing::new([0; Self::BYTES]);
        let decoded = Base64UrlUnpadded::decode(text.trim(), &mut *key);
        if decoded.is_ok_and(|bytes| bytes.len() == Self::BYTES) {
            return Ok(Self(key));
        }
        let message = "text is no master key; give 32 random bytes as 43 characters of base64url";
        Err(Error::new(ErrorKind::WrongMasterKey, message))
    }

    /// The key as text, for wherever the caller keeps it; wiped from memory when it is dropped.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(Base64UrlUnpadded::encode_string(&*self.0))
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let is_hex = text.len() == 32 && !text.starts_with('+');
        let number = is_hex.then(|| u128::from_str_radix(text, 16).ok());
        let number = number.flatten().map(u128::to_be_bytes);
        number.map(Self).ok_or_else(|| {
            let message = "text is no key id; give 32 digits of hexadecimal";
            Error::new(ErrorKind::KeyMissing, message)
        })
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectKey({}, ..)", self.id)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}
