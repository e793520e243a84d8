//! Whose data it is.

use std::fmt;
use std::sync::Arc;

use crate::{Error, ErrorKind};

/// The longest subject, in bytes of UTF-8.
pub const SUBJECT_BYTES_MAX: usize = 1024;

/// The person, or whoever else, that personal data is about and that can be erased: a text by which the
/// application knows them, such as a customer's number.
///
/// Take one that tells nothing by itself: it often stands in stream ids and tags as well, and the record of an
/// erasure names it for good. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// The subject of this text.
    ///
    /// # Errors
    /// [`ErrorKind::BadSubject`] for an empty text and for one over [`SUBJECT_BYTES_MAX`].
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, Error> {
        let text = text.into();
        match text.len() {
            0 => {
                let message = "subject is empty; say whose the personal data is";
                Err(Error::new(ErrorKind::BadSubject, message))
            }
            bytes if bytes > SUBJECT_BYTES_MAX => {
                let message = "subject is too long; take a shorter id of the person";
                Err(Error::new(ErrorKind::BadSubject, message)
                    .with("bytes", bytes)
                    .with("SUBJECT_BYTES_MAX", SUBJECT_BYTES_MAX))
            }
            _ => Ok(Self(text)),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(..)")
    }
}
