//! Calls that record many events, of which some fields are said once and some are left away.

use std::collections::{BTreeMap, BTreeSet};

use annals_core::{
    Append, AppendId, CausationId, ContentType, EventStore, EventStoreExt, EventType, Expected,
    Metadata, NewEvent, ReadRequest, SchemaVersion, Tag, Tags, Timestamp,
};
use futures_util::future::join_all;

use crate::support::events::stream;
use crate::support::{RUNTIME, builder, client, fresh_schema, server};

const ROUNDS: u64 = 60;
/// So many that several share a call.
const APPENDS: u64 = 12;

/// An event that has some fields and not others, as its number has it.
fn event(number: u64) -> NewEvent {
    let every = |each: u64| number.is_multiple_of(each);
    let event_type = EventType::parse(if every(5) { "seldom" } else { "often" }).unwrap();
    let content_type = if every(7) {
        ContentType::parse("text/plain").unwrap()
    } else {
        ContentType::JSON
    };
    let mut event = NewEvent::new(event_type, content_type, format!("{number}"))
        .unwrap()
        .with_schema_version(SchemaVersion::new(if every(11) { 2 } else { 1 }).unwrap());
    if every(3) {
        let tag = Tag::parse(&format!("n:{number}")).unwrap();
        event = event.with_tags(Tags::new([tag]).unwrap());
    }
    let mut metadata = Metadata::EMPTY;
    if every(4) {
        metadata = metadata.with_header("number", &number.to_string()).unwrap();
    }
    if every(6) {
        let cause = CausationId::parse(&number.to_string()).unwrap();
        metadata = metadata.with_causation_id(cause).unwrap();
    }
    event = event.with_metadata(metadata);
    if every(13) {
        event = event.with_recorded_at(Timestamp::from_micros(i64::try_from(number).unwrap()));
    }
    event
}

/// What an event says, whoever keeps it.
fn said(event: &NewEvent) -> String {
    format!(
        "{} {} {} {:?} {:?} {:?}",
        event.event_type(),
        event.schema_version().value(),
        event.content_type(),
        event.tags(),
        event.metadata(),
        event.payload()
    )
}

/// The numbers of the events of an append: one to five.
fn numbers(append: u64) -> impl Iterator<Item = u64> {
    (0..=append % 5).map(move |place| append * 5 + place + 1)
}

/// One that writes to two streams of two categories; every third is refused.
fn append(number: u64) -> Append {
    let mut events: Vec<NewEvent> = numbers(number).map(event).collect();
    let others = events.split_off(events.len() / 2);
    let append = Append::builder(AppendId::parse(&format!("a{number}")).unwrap());
    let is_refused = number.is_multiple_of(3);
    let (to, other) = if is_refused {
        (stream("refused-1"), stream("all-1"))
    } else {
        (stream("all-1"), stream(&format!("c{}-1", number % 4)))
    };
    let append = append.write(to, Expected::Any, others);
    let append = if events.is_empty() {
        append
    } else {
        append.write(other, Expected::Any, events)
    };
    // Nothing is ever there, which no other append of the call has a bearing on.
    let append = if is_refused {
        append.check(stream("none-1"), Expected::StreamExists)
    } else {
        append
    };
    append.build().unwrap()
}

#[test]
fn what_shares_a_call_keeps_its_own_fields_and_places() {
    let Some(url) = server("what_shares_a_call_keeps_its_own_fields_and_places") else {
        return;
    };
    RUNTIME.block_on(async {
        let schema = fresh_schema();
        let store = builder(&url).schema(&schema).open_or_create().await.unwrap();
        store.append(append(1)).await.unwrap();
        let mut recorded = BTreeSet::from([1]);
        for round in 0..ROUNDS {
            let these = 2 + round * APPENDS..2 + (round + 1) * APPENDS;
            let answers = these.clone().map(|number| store.append(append(number)));
            for (number, answer) in these.zip(join_all(answers).await) {
                assert_eq!(answer.is_ok(), !number.is_multiple_of(3), "{answer:?}");
                if answer.is_ok() {
                    recorded.insert(number);
                }
            }
        }

        let log = store.collect(ReadRequest::all()).await.unwrap();
        let expected: BTreeSet<u64> = recorded.iter().copied().flat_map(numbers).collect();
        let mut found = BTreeSet::new();
        let mut versions = BTreeMap::new();
        for (place, event_found) in (1..).zip(&log) {
            let version = versions.entry(event_found.stream()).or_insert(0);
            *version += 1;
            assert_eq!(event_found.version().value(), *version);
            assert_eq!(event_found.position().value(), place);
            let number = std::str::from_utf8(event_found.payload()).unwrap();
            let number: u64 = number.parse().unwrap();
            let sent = event(number);
            assert_eq!(said(&event_found.to_new_event()), said(&sent));
            let time = sent.recorded_at().unwrap_or(event_found.appended_at());
            assert_eq!(event_found.recorded_at(), time);
            assert!(found.insert(number), "{number} is there twice");
        }
        assert_eq!(found, expected);

        let blocks = "SELECT kind::text || name || ':' || block FROM";
        let noted = format!("{blocks} {schema}.blocks");
        let found = format!(
            "{blocks} (SELECT DISTINCT n.kind, n.name, e.position / 32 AS block FROM {schema}.events e CROSS JOIN LATERAL \
             (VALUES ('t', e.type), ('c', split_part(e.stream, '-', 1))) n(kind, name)) b"
        );
        let client = client(&url).await;
        // Otherwise nothing here was about what shares a call.
        let shared = format!(
            "SELECT max(appends) FROM (SELECT count(append_id) AS appends FROM {schema}.events GROUP BY appended_at) a"
        );
        let most: i64 = client.query_one(&shared, &[]).await.unwrap().get(0);
        assert!(most > 1, "{most}");
        let mut sets = Vec::new();
        for query in [noted, found] {
            let rows = client.query(&query, &[]).await.unwrap();
            let set: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
            sets.push(set);
        }
        assert_eq!(sets[0], sets[1]);
    });
}
