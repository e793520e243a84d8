//! A coverage report tells what a store holds, and what the code makes of it.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use annals_codec::coverage::{Coverage, CoverageReport, SCHEMAS_MAX, SchemaCoverage};
use annals_codec::{Evolution, Evolving, JsonCodec, Policy, Value};
use annals_core::{
    Append, AppendId, ContentType, EventStore, EventType, Expected, NewEvent, ReadRequest,
    SchemaVersion, StreamId,
};
use annals_macros::Event;
use annals_store_memory::MemoryStore;
use futures_executor::block_on;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "account")]
enum AccountEvent {
    #[event(version = 2)]
    Deposited {
        cents: u64,
    },
    Closed,
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "journal")]
enum JournalEvent {
    #[event(version = 2)]
    Noted { text: String },
}

fn append(store: &MemoryStore, stream: &str, events: &[(&str, u32, &'static str)]) {
    let new = |(event_type, version, payload): &(&str, u32, &'static str)| {
        NewEvent::new(
            EventType::parse(event_type).unwrap(),
            ContentType::JSON,
            *payload,
        )
        .unwrap()
        .with_schema_version(SchemaVersion::new(*version).unwrap())
    };
    let append = Append::builder(AppendId::parse(stream).unwrap())
        .write(
            StreamId::parse(stream).unwrap(),
            Expected::Any,
            events.iter().map(new),
        )
        .build()
        .unwrap();
    block_on(store.append(append)).unwrap();
}

fn evolution() -> Evolution<AccountEvent> {
    Evolution::builder()
        .upcast("deposited", 1, |mut old: Value| {
            old.rename("amount", "cents");
            old
        })
        .dropped("viewed", 1)
        .on_future(Policy::Skip)
        .build()
        .unwrap()
}

fn report(store: &MemoryStore, request: ReadRequest) -> CoverageReport {
    let evolution = std::sync::Arc::new(evolution());
    let accounts = Evolving::new(JsonCodec, evolution.clone()).unwrap();
    let coverage = Coverage::new()
        .with_evolution(&accounts, &evolution)
        .with::<JournalEvent>(&JsonCodec);
    block_on(sendable(coverage.report(store, request))).unwrap()
}

/// Reports can be made in a task of any executor.
fn sendable<T: Send>(future: T) -> T {
    future
}

fn line(row: &SchemaCoverage) -> String {
    let SchemaCoverage {
        category,
        event_type,
        schema_version,
        standing,
        events,
        decoded,
        decoded_as,
        skipped,
        failed,
        ..
    } = row;
    let (first, last) = (row.first_position, row.last_position);
    format!(
        "{category} {event_type} v{schema_version} {standing:?}: {events} at {first}-{last}, {decoded} as {decoded_as}, \
         {skipped} skipped, {failed} failed, {}",
        row.upcasters.join(", ")
    )
}

fn store() -> MemoryStore {
    let store = MemoryStore::new();
    append(
        &store,
        "account-1",
        &[
            ("deposited", 1, r#"{"amount":5}"#),
            ("deposited", 1, r#"{"amount":6}"#),
            ("deposited", 1, r#"{"sum":"secret"}"#),
            ("deposited", 2, r#"{"cents":7}"#),
            ("deposited", 3, "{}"),
            ("viewed", 1, "{}"),
            ("frozen", 1, "{}"),
        ],
    );
    append(
        &store,
        "journal-1",
        &[("noted", 1, "{}"), ("noted", 2, r#"{"text":"t"}"#)],
    );
    append(&store, "other-1", &[("noted", 1, "{}")]);
    store
}

#[test]
fn every_schema_is_counted_and_told() {
    let store = store();
    for request in [
        ReadRequest::all(),
        ReadRequest::all().events_max(2),
        ReadRequest::all().backward(),
    ] {
        let report = report(&store, request);
        let lines: Vec<String> = report.schemas.iter().map(line).collect();
        assert_eq!(
            lines,
            [
                "account deposited v1 Old: 3 at 1-3, 2 as 2, 0 skipped, 1 failed, deposited v1 -> deposited v2",
                "account deposited v2 Current: 1 at 4-4, 1 as 1, 0 skipped, 0 failed, ",
                "account deposited v3 Future: 1 at 5-5, 0 as 0, 1 skipped, 0 failed, ",
                "account frozen v1 UnknownType: 1 at 7-7, 0 as 0, 0 skipped, 1 failed, ",
                "account viewed v1 Old: 1 at 6-6, 1 as 0, 0 skipped, 0 failed, viewed v1 -> nothing",
                "journal noted v1 Old: 1 at 8-8, 0 as 0, 0 skipped, 1 failed, ",
                "journal noted v2 Current: 1 at 9-9, 1 as 1, 0 skipped, 0 failed, ",
                "other noted v1 Unread: 1 at 10-10, 0 as 0, 0 skipped, 0 failed, ",
            ]
        );
        assert_eq!((report.events, report.decoded, report.failed), (10, 5, 3));
        assert_eq!(
            (report.skipped, report.unread, report.is_complete()),
            (1, 1, false)
        );
        assert_eq!(
            (report.first_position, report.last_position),
            (Some(1), Some(10))
        );
        let failure = report.schemas[0].first_failure.as_ref().unwrap();
        assert_eq!(failure.position, 3);
        assert!(
            failure.error.contains("stream: account-1") && !failure.error.contains("secret"),
            "{failure:?}"
        );
    }
}

#[test]
fn a_report_is_json() {
    let json = serde_json::to_value(report(&store(), ReadRequest::all())).unwrap();
    assert_eq!(json["events"], 10);
    assert_eq!(json["schemas"][0]["standing"], "old");
    assert_eq!(
        json["schemas"][0]["upcasters"][0],
        "deposited v1 -> deposited v2"
    );
    assert_eq!(json["schemas"][7]["standing"], "unread");
    assert_eq!(json["schemas"][7]["first_failure"], serde_json::Value::Null);
}

#[test]
fn a_store_of_many_types_takes_bounded_memory() {
    let store = MemoryStore::new();
    let count = SCHEMAS_MAX + 10;
    let names: Vec<String> = (0..count)
        .map(|number| format!("type-{number:05}"))
        .collect();
    let events: Vec<(&str, u32, &'static str)> =
        names.iter().map(|name| (name.as_str(), 1, "{}")).collect();
    append(&store, "account-1", &events);
    let report = report(&store, ReadRequest::all());
    assert_eq!(
        (report.schemas.len(), report.events_of_other_schemas),
        (SCHEMAS_MAX, 10)
    );
    assert_eq!(report.failed, u64::try_from(count).unwrap());
}

#[test]
fn an_empty_store_is_covered() {
    let report = report(&MemoryStore::new(), ReadRequest::all());
    assert!(report.is_complete() && report.schemas.is_empty() && report.first_position.is_none());
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "account")]
struct Frozen {}

#[test]
fn several_event_types_of_a_category_are_each_read_by_their_own() {
    let store = store();
    let accounts = Evolving::new(JsonCodec, evolution()).unwrap();
    let (accounts, frozen) = (&accounts, &JsonCodec);
    for coverage in [
        Coverage::new().with(accounts).with::<Frozen>(frozen),
        Coverage::new().with::<Frozen>(frozen).with(accounts),
    ] {
        let report = block_on(coverage.report(&store, ReadRequest::all())).unwrap();
        let lines: Vec<String> = report.schemas.iter().map(line).collect();
        assert!(
            lines[3].starts_with("account frozen v1 Current: 1 at 7-7, 1 as 1, "),
            "{lines:?}"
        );
        assert!(lines[1].contains("1 as 1"), "{lines:?}");
        // A type that only the upcasters know, which the codec was given without.
        assert!(
            lines[4].contains("1 as 0, 0 skipped, 0 failed"),
            "{lines:?}"
        );
    }
}

#[test]
fn what_is_handed_over_is_told_apart() {
    let evolution = Evolution::<AccountEvent>::builder()
        .dropped("viewed", 1)
        .upcast("deposited", 1, |old: Value| old)
        .on_unknown_type(Policy::hand_over(|_| AccountEvent::Closed));
    let codec = Evolving::new(JsonCodec, evolution.build().unwrap()).unwrap();
    let store = MemoryStore::new();
    append(
        &store,
        "account-1",
        &[("frozen", 1, "{}"), ("closed", 1, "{}")],
    );
    let coverage = Coverage::new().with(&codec);
    let report = block_on(coverage.report(&store, ReadRequest::all())).unwrap();
    assert_eq!(
        (report.handed_over, report.decoded, report.is_complete()),
        (1, 1, false)
    );
    assert_eq!(report.schemas[1].handed_over, 1);
}

#[test]
fn a_survey_tells_of_what_it_has_seen_so_far() {
    let store = store();
    let journals = JsonCodec;
    let coverage = Coverage::new().with::<JournalEvent>(&journals);
    let mut survey = coverage.survey();
    let page = block_on(store.read(ReadRequest::all().events_max(8))).unwrap();
    page.events.iter().for_each(|recorded| survey.add(recorded));
    assert_eq!((survey.events(), survey.report().schemas.len()), (8, 6));
    let rest = block_on(store.read(page.next.unwrap())).unwrap();
    rest.events.iter().for_each(|recorded| survey.add(recorded));
    let whole = block_on(coverage.report(&store, ReadRequest::all())).unwrap();
    assert_eq!(survey.report(), whole);
}
