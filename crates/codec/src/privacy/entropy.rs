//! Chance, for keys and nonces.

use std::fmt;

use crate::{Error, ErrorKind};

/// Where keys and nonces come from.
///
/// Randomness comes in through this handle, so that a test can foresee it. What it gives must be fit for keys:
/// a nonce that is given twice under one key breaks the encryption of both.
pub trait Entropy: fmt::Debug + Send + Sync {
    /// Fills these with random bytes.
    ///
    /// # Errors
    /// [`ErrorKind::KeysUnavailable`] when there are none to be had.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Error>;
}

/// The system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Error> {
        getrandom::fill(bytes).map_err(|error| {
            let message = "the system gives no random bytes; try again";
            Error::new(ErrorKind::KeysUnavailable, message).with("cause", error)
        })
    }
}

/// So many random bytes.
pub(super) fn draw<const N: usize>(entropy: &dyn Entropy) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes)?;
    Ok(bytes)
}
