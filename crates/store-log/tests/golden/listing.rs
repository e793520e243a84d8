//! All that a store tells, as text.

use std::fmt::Write as _;

use annals_core::{
    Category, CheckpointName, CheckpointStore, Criteria, CriteriaItem, EventStore, EventStoreExt,
    EventType, ReadRequest, RecordedEvent, SnapshotStore, Tag, Tags, Version,
};

use crate::content::{ACCOUNTS, APPENDS, CHECKPOINTS, account, append_id, snapshots};

/// Every event, head, receipt and answer of the index.
pub(crate) async fn events(store: &impl EventStore) -> String {
    let mut text = String::from("# events\n");
    for event in store.collect(ReadRequest::all()).await.unwrap() {
        writeln!(text, "{}", line(&event)).unwrap();
    }
    text.push_str("\n# streams: version, state, truncated before, age, count, versions shown\n");
    for number in 0..ACCOUNTS {
        let stream = account(number);
        let head = store.stream_head(&stream).await.unwrap();
        let shown = store.collect(ReadRequest::stream(stream.clone())).await;
        let shown: Vec<u64> = match shown {
            Ok(events) => events.iter().map(|event| event.version().value()).collect(),
            Err(error) => panic!("{stream}: {error}"),
        };
        let policy = &head.policy;
        writeln!(
            text,
            "{stream} {} {:?} {} {:?} {:?} {shown:?}",
            head.version, policy.state, policy.truncate_before, policy.max_age, policy.max_count
        )
        .unwrap();
    }
    text.push_str("\n# appends: first and last position, time\n");
    for number in 0..APPENDS {
        let id = append_id(number);
        let receipt = store.receipt(&id).await.unwrap().unwrap();
        let (first, last) = (receipt.first_position, receipt.last_position);
        writeln!(text, "{id} {first} {last} {}", receipt.appended_at).unwrap();
    }
    text.push_str("\n# positions found\n");
    let item = |types: &[&str], tags: &[&str]| {
        let types = types.iter().map(|name| EventType::parse(name).unwrap());
        let tags = Tags::new(tags.iter().map(|tag| Tag::parse(tag).unwrap())).unwrap();
        let item = CriteriaItem::new(types.collect::<Vec<_>>(), tags).unwrap();
        ReadRequest::matching(Criteria::any_of([item]).unwrap())
    };
    for (name, request) in [
        (
            "category transfer",
            ReadRequest::category(Category::parse("transfer").unwrap()),
        ),
        ("type closed", item(&["closed"], &[])),
        ("tag course:c1", item(&[], &["course:c1"])),
        (
            "type opened, tags",
            item(&["opened"], &["course:c3", "flag:\u{e9}"]),
        ),
        ("backward", ReadRequest::all().backward().events_max(5)),
    ] {
        let found = store.collect(request).await.unwrap();
        let found: Vec<u64> = found.iter().map(|event| event.position().value()).collect();
        writeln!(text, "{name}: {found:?}").unwrap();
    }
    text
}

/// What stands beside the events.
pub(crate) async fn auxiliary(store: &(impl SnapshotStore + CheckpointStore)) -> String {
    let mut text = String::from("\n# snapshots: version, form, time, bytes, their CRC-32C\n");
    for snapshot in snapshots() {
        let key = snapshot.key();
        let loaded = store.load_snapshot(key, Version::new(9)).await.unwrap();
        let loaded = loaded.unwrap();
        let (form, payload) = (loaded.content_type(), loaded.payload());
        let (bytes, crc) = (payload.len(), crc32c::crc32c(payload));
        writeln!(
            text,
            "{} {} {} {form} {} {bytes} {crc:08x}",
            key.stream,
            key.fold,
            loaded.version(),
            loaded.taken_at()
        )
        .unwrap();
    }
    text.push_str("\n# checkpoints: cursor, revision\n");
    for name in CHECKPOINTS {
        let name = CheckpointName::parse(name).unwrap();
        match store.load_checkpoint(&name).await.unwrap() {
            Some(saved) => writeln!(text, "{name}: {} {}", saved.cursor, saved.revision).unwrap(),
            None => writeln!(text, "{name}: none").unwrap(),
        }
    }
    text
}

fn line(event: &RecordedEvent) -> String {
    let mut line = format!(
        "{} {} {} {} {} {} {} {} {}",
        event.position(),
        event.stream(),
        event.version(),
        event.id(),
        event.event_type(),
        event.schema_version(),
        event.content_type(),
        event.appended_at(),
        event.recorded_at(),
    );
    for tag in event.tags() {
        write!(line, " #{tag}").unwrap();
    }
    let metadata = event.metadata();
    if let Some(id) = metadata.correlation_id() {
        write!(line, " correlation={id}").unwrap();
    }
    if let Some(id) = metadata.causation_id() {
        write!(line, " causation={id}").unwrap();
    }
    for (name, value) in metadata.headers() {
        write!(line, " {name}={value:?}").unwrap();
    }
    let payload = std::str::from_utf8(event.payload()).unwrap();
    write!(line, " {payload:?}").unwrap();
    line
}
