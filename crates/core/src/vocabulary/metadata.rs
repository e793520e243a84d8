//! What travels beside an event: where it came from, and the application's own headers.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::ids::EventId;
use super::name::{Name, name_type};
use crate::error::check_limit;
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
        Self(name_of(id))
    }
}

impl From<EventId> for CorrelationId {
    fn from(id: EventId) -> Self {
        Self(name_of(id))
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

    /// The context of these ids and headers, made in one step; for authors of stores. Of two headers with
    /// one name the later stays.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a header value with U+0000, or when the whole is over the limit.
    pub fn from_parts(
        correlation_id: Option<CorrelationId>,
        causation_id: Option<CausationId>,
        headers: impl IntoIterator<Item = (HeaderName, Box<str>)>,
    ) -> Result<Self, Error> {
        let headers: BTreeMap<HeaderName, Box<str>> = headers.into_iter().collect();
        if correlation_id.is_none() && causation_id.is_none() && headers.is_empty() {
            return Ok(Self::EMPTY);
        }
        for (name, value) in &headers {
            check_value(name, value)?;
        }
        let content = Content {
            correlation_id,
            causation_id,
            headers,
        };
        Self(Some(Arc::new(content))).checked()
    }

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
        check_value(&name, value)?;
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
        if self.is_empty() {
            return 0;
        }
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
        Self(Some(content)).checked()
    }

    fn checked(self) -> Result<Self, Error> {
        check_limit!(
            "metadata of too many bytes",
            self.bytes(),
            METADATA_BYTES_MAX
        )?;
        Ok(self)
    }
}

fn check_value(name: &HeaderName, value: &str) -> Result<(), Error> {
    if value.contains('\0') {
        let message = "header value has a zero character; remove it";
        return Err(Error::new(ErrorKind::Invalid, message).with("header", name));
    }
    Ok(())
}

/// The canonical text of a UUID has nothing that a name may not have.
fn name_of(id: EventId) -> Name {
    let mut text = Uuid::encode_buffer();
    Name::from_checked(id.as_uuid().hyphenated().encode_lower(&mut text))
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
        let header = (HeaderName::from_static("a"), Box::from("1"));
        assert_eq!(Metadata::from_parts(None, None, [header]).unwrap(), first);
        assert_eq!(
            Metadata::from_parts(None, None, []).unwrap(),
            Metadata::EMPTY
        );
        let zero = (HeaderName::from_static("a"), Box::from("\0"));
        assert!(Metadata::from_parts(None, None, [zero]).is_err());
        let error = second.with_header("big", &"x".repeat(65_536)).unwrap_err();
        assert_eq!(
            error.limit().map(|limit| limit.name),
            Some("METADATA_BYTES_MAX")
        );
    }
}
