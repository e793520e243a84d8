//! Which process an event is for.

use std::fmt;
use std::sync::Arc;

use annals_core::RecordedEvent;

/// Which process an event is for, told from what the store knows of it: its stream, its tags, its metadata.
///
/// Not from its payload: an event that does not decode has to wait with its own process, and the events behind it
/// with it.
///
/// ```
/// use annals_projection::ProcessKey;
///
/// // Of `order-7` the process `7`; of `payment-9001` with the tag `order:7` too.
/// let (of_orders, of_payments) = (ProcessKey::stream(), ProcessKey::tag("order"));
/// # let _ = (of_orders, of_payments);
/// ```
#[derive(Clone)]
pub struct ProcessKey(Rule);

#[derive(Clone)]
enum Rule {
    Stream,
    Tag(Arc<str>),
    By(Arc<KeyOf>),
}

type KeyOf = dyn Fn(&RecordedEvent) -> Option<String> + Send + Sync;

impl ProcessKey {
    /// The key of the event's stream, as `7` of `order-7`; the empty one of a stream without a key.
    pub fn stream() -> Self {
        Self(Rule::Stream)
    }

    /// The value of the event's tag with this key, as `7` of `order:7`; an event without one is passed over. Of
    /// several, the first in the order of texts.
    pub fn tag(key: &str) -> Self {
        Self(Rule::Tag(key.into()))
    }

    /// As this function has it: always the same for an event; `None` for one that is no process's.
    pub fn by(key: impl Fn(&RecordedEvent) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Rule::By(Arc::new(key)))
    }

    /// The key of the process that an event is for.
    pub fn of(&self, event: &RecordedEvent) -> Option<String> {
        match &self.0 {
            Rule::Stream => Some(event.stream().key().to_owned()),
            Rule::Tag(key) => {
                let mut tags = event.tags().iter();
                let tag = tags.find(|tag| tag.key() == &**key && tag.as_str() != &**key);
                tag.map(|tag| tag.value().to_owned())
            }
            Rule::By(key) => key(event),
        }
    }
}

impl fmt::Debug for ProcessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Rule::Stream => f.write_str("ProcessKey(stream)"),
            Rule::Tag(key) => write!(f, "ProcessKey(tag {key})"),
            Rule::By(_) => f.write_str("ProcessKey(..)"),
        }
    }
}
