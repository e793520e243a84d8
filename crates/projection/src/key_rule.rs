//! By what the order of events is kept.

use std::borrow::Cow;
use std::sync::Arc;

use annals_core::RecordedEvent;

/// How the key of an event is found.
#[derive(Clone)]
pub(crate) enum KeyRule {
    /// It is the name of its stream.
    Stream,
    /// The application says.
    By(Arc<dyn Fn(&RecordedEvent) -> String + Send + Sync>),
}

impl KeyRule {
    pub(crate) fn of<'e>(&self, event: &'e RecordedEvent) -> Cow<'e, str> {
        match self {
            Self::Stream => Cow::Borrowed(event.stream().as_str()),
            Self::By(rule) => Cow::Owned(rule(event)),
        }
    }
}
