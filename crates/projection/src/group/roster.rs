//! Who is in a group.

use std::collections::HashSet;
use std::sync::Arc;

use annals_concurrency::Retrier;
use annals_core::{
    Append, Category, Clock, ContentType, Error, ErrorKind, EventStore, EventStoreExt, EventType,
    Expected, Ids, NewEvent, ReadRequest, RecordedEvent, StreamId,
};
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};

use super::settings::GroupSettings;

const CATEGORY: Category = Category::from_static("group");
const SEEN: EventType = EventType::from_static("member-seen");
const LEFT: EventType = EventType::from_static("member-left");

/// The members of a group, as they are recorded in the stream `group-<name>`: each says that it is there, again and
/// again. It says who is to have how much, and nothing of who has what: leases do.
#[derive(Debug)]
pub(super) struct Roster {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) retrier: Retrier,
    pub(super) stream: StreamId,
    pub(super) settings: GroupSettings,
}

/// Of whom an event tells.
#[derive(Serialize, Deserialize)]
struct Member {
    member: String,
}

/// The stream of a group.
pub(super) fn stream(group: &str) -> Result<StreamId, Error> {
    StreamId::new(&CATEGORY, group)
}

impl Roster {
    /// Says that a member is there.
    pub(super) async fn seen(&self, member: &str) -> Result<(), Error> {
        self.record(SEEN, member).await
    }

    /// Says that a member is gone.
    pub(super) async fn left(&self, member: &str) -> Result<(), Error> {
        self.record(LEFT, member).await
    }

    /// Who is there, in order.
    pub(super) async fn members(&self) -> Result<Vec<String>, Error> {
        let request = ReadRequest::stream(self.stream.clone()).backward();
        let mut events = self.store.events(request.events_max(100));
        let lives = self.settings.time_to_live + self.settings.clock_difference_max;
        let now = self.clock.now();
        let mut known = HashSet::new();
        let mut members = Vec::new();
        while let Some(event) = events.try_next().await? {
            if event.appended_at().after(lives) < now {
                break;
            }
            let Member { member } = serde_json::from_slice(event.payload())
                .map_err(|source| foreign(&event).caused_by(source))?;
            if known.insert(member.clone()) && *event.event_type() == SEEN {
                members.push(member);
            }
        }
        members.sort();
        Ok(members)
    }

    async fn record(&self, event_type: EventType, member: &str) -> Result<(), Error> {
        let member = member.to_owned();
        let payload = serde_json::to_vec(&Member { member }).map_err(|source| {
            let message = "event of a group does not encode";
            Error::new(ErrorKind::Invalid, message).caused_by(source)
        })?;
        let event = NewEvent::new(event_type, ContentType::JSON, payload)?;
        let append = Append::builder(self.ids.append_id())
            .write(self.stream.clone(), Expected::Any, [event])
            .build()?;
        self.retrier.append(&self.store, &append).await.map(drop)
    }
}

fn foreign(event: &RecordedEvent) -> Error {
    let message = "not an event of a group; nobody else may write its stream";
    Error::new(ErrorKind::Undecodable, message)
        .with("stream", event.stream())
        .with("version", event.version())
}
