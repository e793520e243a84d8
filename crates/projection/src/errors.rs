//! What is done after an error.

use std::error::Error;

use annals_core::{BoxError, ErrorKind};

use crate::contract::parked::ParkedEvents;

/// Whether what failed so may go well later.
pub(crate) fn may_pass(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Unavailable | ErrorKind::Overloaded | ErrorKind::NoSpace | ErrorKind::Unknown
    )
}

/// What kind of error a handler gave: that of a contract, or [`ErrorKind::Refused`] for one of the application.
pub(crate) fn kind_of(error: &BoxError) -> ErrorKind {
    let known = error.downcast_ref::<annals_core::Error>();
    known.map_or(ErrorKind::Refused, annals_core::Error::kind)
}

/// An error with its causes, as it is kept in lists: one line, of bounded length.
pub(crate) fn in_words(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    let chars_max = ParkedEvents::ERROR_CHARS_MAX;
    if let Some((end, _)) = text.char_indices().nth(chars_max) {
        text.truncate(end);
    }
    text
}
