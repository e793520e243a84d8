//! The record of an erasure.

use annals_core::{Category, Event, EventKind, EventType, SchemaVersion, Tag, Tags, Timestamp};
use serde::{Deserialize, Serialize};

use super::key::KeyId;
use super::subject::Subject;

/// A subject was erased: the event by which an [`Eraser`](super::Eraser) records it, and by which projections learn
/// what to remove.
///
/// It stands in the category [`CATEGORY`](Event::CATEGORY), `$erasure`, as JSON, and is read with
/// [`JsonCodec`](crate::JsonCodec) like any other event; one for each key. Who erased and why stands in its
/// metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
#[non_exhaustive]
pub struct SubjectErased {
    /// Whose key it was.
    pub subject: Subject,
    /// The key.
    pub key: KeyId,
    /// When it was erased.
    pub erased_at: Timestamp,
    /// How many events held data under the keys of the subject then.
    pub events: u64,
    /// Of how many streams.
    pub streams: u64,
    /// How many snapshots of those streams were removed; nothing where no store of snapshots was given.
    pub snapshots_removed: Option<u64>,
}

/// The event as it is written.
#[derive(Serialize, Deserialize)]
struct Fields {
    subject: String,
    key: String,
    erased_at: String,
    events: u64,
    streams: u64,
    snapshots_removed: Option<u64>,
}

impl From<SubjectErased> for Fields {
    fn from(erased: SubjectErased) -> Self {
        Self {
            subject: erased.subject.as_str().to_owned(),
            key: erased.key.to_string(),
            erased_at: erased.erased_at.to_string(),
            events: erased.events,
            streams: erased.streams,
            snapshots_removed: erased.snapshots_removed,
        }
    }
}

impl TryFrom<Fields> for SubjectErased {
    type Error = annals_core::Error;

    fn try_from(fields: Fields) -> Result<Self, annals_core::Error> {
        Ok(Self {
            subject: Subject::new(fields.subject)?,
            key: fields.key.parse::<KeyId>()?,
            erased_at: fields.erased_at.parse()?,
            events: fields.events,
            streams: fields.streams,
            snapshots_removed: fields.snapshots_removed,
        })
    }
}

impl Event for SubjectErased {
    const CATEGORY: Category = Category::from_static("$erasure");
    const KINDS: &'static [EventKind] = &[EventKind::new(
        EventType::from_static("subject-erased"),
        SchemaVersion::FIRST,
    )];

    fn kind_index(&self) -> usize {
        0
    }

    fn tags(&self) -> Result<Tags, annals_core::Error> {
        Tags::new([Tag::from_parts("erased", self.key)?])
    }
}
