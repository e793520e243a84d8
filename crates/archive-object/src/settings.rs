//! What can be set.

use std::io;
use std::time::Duration;

use crate::archives::invalid;

/// How much a request may take, and how much is kept in memory. Where one of the first three is zero, no archive is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// How often a request is made until one succeeds, at most; what is refused for good is not asked again. 3 by default.
    pub attempts_max: u32,
    /// How long an attempt may take. Stores that are opened by a URL repeat some requests within it by themselves, those
    /// that the server had no time for, and end a little earlier, so that they can say why. 30 seconds by default.
    pub attempt_timeout: Duration,
    /// How much is uploaded at once, in bytes. Stores refuse parts of less than 5 MiB, but for the last. 8 MiB by default.
    pub part_bytes: usize,
    /// How much of what was read ahead is kept in memory, for all archives together, in bytes. 32 MiB by default.
    pub ahead_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attempts_max: 3,
            attempt_timeout: Duration::from_secs(30),
            part_bytes: 8 * 1024 * 1024,
            ahead_bytes_max: 32 * 1024 * 1024,
        }
    }
}

impl Settings {
    /// Refuses what nothing could be done with.
    pub(crate) fn check(&self) -> io::Result<()> {
        let zero = [
            ("attempts_max", self.attempts_max == 0),
            ("attempt_timeout", self.attempt_timeout.is_zero()),
            ("part_bytes", self.part_bytes == 0),
        ];
        match zero.iter().find(|(_, is_zero)| *is_zero) {
            Some((name, _)) => Err(invalid(&format!(
                "the setting `{name}` of archives in object stores is zero: nothing could be put or read"
            ))),
            None => Ok(()),
        }
    }
}
