//! Appends of one event, and what of them a log has.

use std::collections::HashMap;
use std::time::Duration;

use annals_core::{
    Append, AppendId, ContentType, Error, ErrorKind, EventStore, EventStoreExt, EventType,
    Expected, NewEvent, Outcome, ReadRequest, Receipt, StreamId,
};

pub(crate) fn stream(name: &str) -> StreamId {
    StreamId::parse(name).unwrap()
}

pub(crate) fn event(payload: &str) -> NewEvent {
    NewEvent::new(
        EventType::from_static("noted"),
        ContentType::JSON,
        payload.to_owned(),
    )
    .unwrap()
}

/// An append of one event, whose id and payload are this text.
pub(crate) fn append(to: &str, expected: Expected, id: &str) -> Append {
    let append = Append::builder(AppendId::parse(id).unwrap());
    append
        .write(stream(to), expected, [event(id)])
        .build()
        .unwrap()
}

/// Appends until it is known to be recorded, as an application does: the same append again where its fate is unknown
/// or no server can be reached.
pub(crate) async fn insist(store: &impl EventStore, append: Append) -> Result<Receipt, Error> {
    loop {
        match store.append(append.clone()).await {
            Err(error)
                if error.outcome() == Outcome::Unknown
                    || error.kind() == ErrorKind::Unavailable =>
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            answer => return answer,
        }
    }
}

/// Holds what was acknowledged against the log: each exactly once, at its place, and places without gaps.
pub(crate) async fn check(store: &impl EventStore, acknowledged: &[Receipt]) {
    let log = store.collect(ReadRequest::all()).await.unwrap();
    let mut versions: HashMap<StreamId, u64> = HashMap::new();
    let mut stored = HashMap::new();
    for (place, event) in (1..).zip(&log) {
        assert_eq!(event.position().value(), place, "positions have no gaps");
        let version = versions.entry(event.stream().clone()).or_default();
        *version += 1;
        assert_eq!(event.version().value(), *version, "versions have no gaps");
        let payload = String::from_utf8(event.payload().to_vec()).unwrap();
        let before = stored.insert(payload.clone(), event.position());
        assert_eq!(before, None, "{payload} is stored once");
    }
    for receipt in acknowledged {
        let found = stored.get(receipt.append_id.as_str());
        assert_eq!(
            found,
            Some(&receipt.first_position),
            "{} is where it was said to be",
            receipt.append_id
        );
    }
    assert_eq!(log.len(), acknowledged.len(), "nothing else is stored");
}
