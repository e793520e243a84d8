//! The events of a lease.

use std::time::Duration;

use annals_core::{
    Category, ContentType, Error, ErrorKind, EventType, NewEvent, RecordedEvent, StreamId,
};

/// The stream that tells who holds a lease; its version is the token.
pub(super) const GRANTS: Category = Category::from_static("lease");
/// The stream of renewals: apart, so that a renewal leaves the token as it is.
pub(super) const RENEWALS: Category = Category::from_static("lease_renewals");

const ACQUIRED: EventType = EventType::from_static("lease-acquired");
const RENEWED: EventType = EventType::from_static("lease-renewed");
const RELEASED: EventType = EventType::from_static("lease-released");

/// What happened to a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Acquired(Grant),
    Renewed(Renewal),
    Released,
}

/// Who got a lease, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Grant {
    pub(super) owner: String,
    pub(super) time_to_live_micros: u64,
}

/// Which grant goes on for how long.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Renewal {
    pub(super) token: u64,
    pub(super) time_to_live_micros: u64,
}

impl Change {
    /// The event to append.
    pub(super) fn encode(&self) -> Result<NewEvent, Error> {
        let (event_type, payload) = match self {
            Self::Acquired(grant) => (ACQUIRED, serde_json::to_vec(grant)),
            Self::Renewed(renewal) => (RENEWED, serde_json::to_vec(renewal)),
            Self::Released => (RELEASED, Ok(b"{}".to_vec())),
        };
        let payload = payload.map_err(|source| {
            let message = "event of a lease does not encode";
            Error::new(ErrorKind::Invalid, message).caused_by(source)
        })?;
        NewEvent::new(event_type, ContentType::JSON, payload)
    }

    /// What a recorded event says.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when it is no event of a lease: somebody else writes the stream.
    pub(super) fn decode(event: &RecordedEvent) -> Result<Self, Error> {
        let kind = event.event_type();
        let change = if *kind == ACQUIRED {
            serde_json::from_slice(event.payload()).map(Self::Acquired)
        } else if *kind == RENEWED {
            serde_json::from_slice(event.payload()).map(Self::Renewed)
        } else if *kind == RELEASED {
            Ok(Self::Released)
        } else {
            return Err(foreign(event));
        };
        change.map_err(|source| foreign(event).caused_by(source))
    }
}

/// A time as it is recorded.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The streams of grants and of renewals.
pub(super) fn streams(name: &str) -> Result<(StreamId, StreamId), Error> {
    Ok((
        StreamId::new(&GRANTS, name)?,
        StreamId::new(&RENEWALS, name)?,
    ))
}

fn foreign(event: &RecordedEvent) -> Error {
    let message = "not an event of a lease; leave the streams of leases to `Leases`";
    Error::new(ErrorKind::Undecodable, message)
        .with("stream", event.stream())
        .with("version", event.version())
        .with("event type", event.event_type())
}
