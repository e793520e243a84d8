//! What travels beside an event: where it came from, and the application's own headers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::name::name_type;
use crate::error::check_limit;
use crate::vocabulary::ids::EventId;
use crate::{Error, ErrorKind};

name_type! {
    /// What a whole conversation of commands and events shares, as a request's or a trace's id.
    CorrelationId, "correlation id"
}

name_type! {
    /// What directly caused this: the id of a command, or of the event that was reacted to.
    CausationId, "causation id"
}

name_type! {
    /// The name of a header of the application's own.
    HeaderName, "header name"
}

impl From<EventId> for CausationId {
    fn from(id: EventId) -> Self {
        Self(super::name::Name::Shared(id.to_string().into()))
    }
}

impl From<EventId> for CorrelationId {
    fn from(id: EventId) -> Self {
        Self(super::name::Name::Shared(id.to_string().into()))
    }
}

/// The context of an event: correlation, causation and headers, carried from the command.
///
/// At most [`limits::METADATA_BYTES_MAX`](crate::limits::METADATA_BYTES_MAX) in all. Cheap to clone,
/// free when empty.
///
/// ```
/// use annals_core::{CorrelationId, Metadata};
///
/// let metadata = Metadata::EMPTY
///     .with_correlation_id(CorrelationId::parse("request-7")?)?
///     .with_header("user", "erika")?;
/// assert_eq!(metadata.header("user"), Some("erika"));
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(Option<Arc<Content>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Content {
    correlation_id: Option<CorrelationId>,
    causation_id: Option<CausationId>,
    headers: BTreeMap<HeaderName, Box<str>>,
}

impl Metadata {
    /// No context.
    pub const EMPTY: Self = Self(None);

    /// The same with this correlation id.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the whole grows over the limit.
    pub fn with_correlation_id(self, id: CorrelationId) -> Result<Self, Error> {
        self.changed(|content| content.correlation_id = Some(id))
    }

    /// The same with this causation id.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the whole grows over the limit.
    pub fn with_causation_id(self, id: CausationId) -> Result<Self, Error> {
        self.changed(|content| content.causation_id = Some(id))
    }

    /// The same with this header, in place of one of the same name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a bad name, or when the whole grows over
    /// the limit. The value may be any text without U+0000, which some databases can't keep.
    pub fn with_header(self, name: &str, value: &str) -> Result<Self, Error> {
        let name = HeaderName::parse(name)?;
        if value.contains('\0') {
            let message = "header value has a zero character; remove it";
            return Err(Error::new(ErrorKind::Invalid, message).with("header", name));
        }
        self.changed(|content| {
            content.headers.insert(name, value.into());
        })
    }

    /// What the whole conversation shares.
    pub fn correlation_id(&self) -> Option<&CorrelationId> {
        self.0.as_ref()?.correlation_id.as_ref()
    }

    /// What directly caused this.
    pub fn causation_id(&self) -> Option<&CausationId> {
        self.0.as_ref()?.causation_id.as_ref()
    }

    /// The value of the header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.as_ref()?.headers.get(name).map(|value| &**value)
    }

    /// The headers, ordered by name.
    pub fn headers(&self) -> impl Iterator<Item = (&HeaderName, &str)> {
        self.0
            .iter()
            .flat_map(|content| &content.headers)
            .map(|(name, value)| (name, &**value))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The bytes of all ids, names and values, as counted against the limit.
    pub fn bytes(&self) -> usize {
        let ids = self.correlation_id().map_or(0, |id| id.as_str().len())
            + self.causation_id().map_or(0, |id| id.as_str().len());
        let headers = self
            .headers()
            .map(|(name, value)| name.as_str().len() + value.len());
        ids + headers.sum::<usize>()
    }

    fn changed(self, change: impl FnOnce(&mut Content)) -> Result<Self, Error> {
        let mut content = self.0.unwrap_or_default();
        change(Arc::make_mut(&mut content));
        let metadata = Self(Some(content));
        check_limit!(
            "metadata of too many bytes",
            metadata.bytes(),
            METADATA_BYTES_MAX
        )?;
        Ok(metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_leaves_clones_alone_and_keeps_to_the_limit() {
        let first = Metadata::EMPTY.with_header("a", "1").unwrap();
        let second = first.clone().with_header("a", "2").unwrap();
        assert_eq!(
            (first.header("a"), second.header("a")),
            (Some("1"), Some("2"))
        );
        assert_eq!(second.bytes(), 2);
        let error = second.with_header("big", &"x".repeat(65_536)).unwrap_err();
        assert_eq!(
            error.limit().map(|limit| limit.name),
            Some("METADATA_BYTES_MAX")
        );
    }
}
