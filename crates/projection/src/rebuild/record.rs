//! The events that tell of the versions of a projection.

use annals_core::{Category, ContentType, Error, ErrorKind, EventType, NewEvent, RecordedEvent};
use serde::{Deserialize, Serialize};

use super::comparison::Comparison;

/// The category of the streams `projection-<name>`.
pub(super) const CATEGORY: Category = Category::from_static("projection");

const BEGUN: EventType = EventType::from_static("rebuild-begun");
const COMPARED: EventType = EventType::from_static("rebuild-compared");
const CUT_OVER: EventType = EventType::from_static("version-cut-over");
const ROLLED_BACK: EventType = EventType::from_static("version-rolled-back");
const DROPPED: EventType = EventType::from_static("version-dropped");

/// What happened to the versions of a projection.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    Begun(Begun),
    Compared(Compared),
    CutOver(TakenOver),
    RolledBack(TakenOver),
    Dropped(Dropped),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Begun {
    pub(super) version: u32,
    /// The version that is read meanwhile.
    pub(super) live: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Compared {
    pub(super) version: u32,
    pub(super) comparison: Comparison,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TakenOver {
    /// The version that is read from now on.
    pub(super) version: u32,
    /// The version that was read before, and is kept.
    pub(super) replaced: u32,
    /// Why the checks were passed over, where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) despite: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Dropped {
    pub(super) version: u32,
}

impl Change {
    /// The event to append.
    pub(super) fn encode(&self) -> Result<NewEvent, Error> {
        let (event_type, payload) = match self {
            Self::Begun(begun) => (BEGUN, serde_json::to_vec(begun)),
            Self::Compared(compared) => (COMPARED, serde_json::to_vec(compared)),
            Self::CutOver(replaced) => (CUT_OVER, serde_json::to_vec(replaced)),
            Self::RolledBack(replaced) => (ROLLED_BACK, serde_json::to_vec(replaced)),
            Self::Dropped(dropped) => (DROPPED, serde_json::to_vec(dropped)),
        };
        let payload = payload.map_err(|source| {
            let message = "event of a version does not encode";
            Error::new(ErrorKind::Invalid, message).caused_by(source)
        })?;
        NewEvent::new(event_type, ContentType::JSON, payload)
    }

    /// What a recorded event says.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when somebody else writes the stream.
    pub(super) fn decode(event: &RecordedEvent) -> Result<Self, Error> {
        let (kind, payload) = (event.event_type(), event.payload());
        let change = if *kind == BEGUN {
            serde_json::from_slice(payload).map(Self::Begun)
        } else if *kind == COMPARED {
            serde_json::from_slice(payload).map(Self::Compared)
        } else if *kind == CUT_OVER {
            serde_json::from_slice(payload).map(Self::CutOver)
        } else if *kind == ROLLED_BACK {
            serde_json::from_slice(payload).map(Self::RolledBack)
        } else if *kind == DROPPED {
            serde_json::from_slice(payload).map(Self::Dropped)
        } else {
            return Err(foreign(event));
        };
        change.map_err(|source| foreign(event).caused_by(source))
    }
}

fn foreign(event: &RecordedEvent) -> Error {
    let message = "not an event of a projection's versions; nobody else may write their stream";
    Error::new(ErrorKind::Undecodable, message)
        .with("stream", event.stream())
        .with("version", event.version())
        .with("event type", event.event_type())
}
