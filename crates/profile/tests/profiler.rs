//! What a profiler tells of known work.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fmt::Display;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use annals_codec::{EventCodec, EventCodecExt, JsonCodec};
use annals_concurrency::ManualTimer;
use annals_core::{
    Append, ContentType, EventStore, EventStoreExt, Expected, Ids, NewEvent, ReadRequest, StreamId,
    UuidIds,
};
use annals_macros::Event;
use annals_profile::{
    Measurement, Operation, ProfiledCodec, ProfiledStore, Profiler, ProfilerSettings, Totals,
};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "account")]
struct Deposited {
    cents: u64,
}

fn profiler(streams_max: usize) -> Profiler {
    let mut settings = ProfilerSettings::DEFAULT;
    settings.streams_max = streams_max;
    settings.codec_events_per_sample = 1;
    let profiler = Profiler::new(Arc::new(ManualTimer::default()));
    profiler.with_settings(settings).unwrap()
}

fn account(key: impl Display) -> StreamId {
    StreamId::parse(&format!("account-{key}")).unwrap()
}

fn event() -> NewEvent {
    JsonCodec.encode(&Deposited { cents: 1 }).unwrap()
}

fn append(writes: &[(&str, usize)], expected: Expected) -> Append {
    let builder = Append::builder(UuidIds::default().append_id());
    let builder = writes.iter().fold(builder, |builder, (key, events)| {
        builder.write(account(key), expected, vec![event(); *events])
    });
    builder.build().unwrap()
}

fn of(profiler: &Profiler, stream: &str, operation: Operation) -> Totals {
    let report = profiler.report();
    let stream = report.streams.iter().find(|found| found.stream == stream);
    let operations = stream.map_or(&[][..], |stream| &stream.operations);
    let found = operations.iter().find(|found| found.operation == operation);
    found.map_or_else(Totals::default, |found| found.totals)
}

#[test]
fn an_operation_on_several_streams_is_one_for_all_and_one_for_each() {
    let profiler = profiler(16);
    let (ada, bob) = (account("ada"), account("bob"));
    let took = Duration::from_micros(7);
    let measured = Measurement::took(took).events(3).failed();
    profiler.record_all(Operation::Append, [(&ada, 2), (&bob, 1)], measured);
    let expected = |count, events| {
        let mut totals = Totals::default();
        (totals.count, totals.failed, totals.events) = (count, count, events);
        (totals.total, totals.max) = (took * u32::try_from(count).unwrap(), took);
        totals
    };
    assert_eq!(profiler.totals(Operation::Append), expected(1, 3));
    let report = profiler.report();
    assert_eq!(report.operations[0].totals, expected(1, 3));
    for (stream, events) in [("account-ada", 2), ("account-bob", 1)] {
        assert_eq!(
            of(&profiler, stream, Operation::Append),
            expected(1, events)
        );
    }
    assert_eq!(report.categories[0].operations[0].totals, expected(2, 3));
}

#[test]
fn what_a_store_does_is_counted_where_it_belongs() {
    let profiler = profiler(16);
    let store = ProfiledStore::new(MemoryStore::new(), profiler.clone());
    block_on(async {
        store
            .append(append(&[("ada", 2), ("bob", 1)], Expected::NoStream))
            .await
            .unwrap();
        store
            .append(append(&[("ada", 1)], Expected::NoStream))
            .await
            .unwrap_err();
        store
            .collect(ReadRequest::stream(account("ada")))
            .await
            .unwrap();
        store.collect(ReadRequest::all()).await.unwrap();
        store.stream_head(&account("bob")).await.unwrap();
    });
    let counts = |totals: Totals| (totals.count, totals.failed, totals.events);
    for (operation, expected) in [
        (Operation::Append, (2, 1, 4)),
        (Operation::Read, (2, 0, 5)),
        (Operation::Ask, (1, 0, 0)),
        (Operation::Decode, (0, 0, 0)),
    ] {
        assert_eq!(counts(profiler.totals(operation)), expected, "{operation}");
    }
    for (stream, operation, expected) in [
        ("account-ada", Operation::Append, (2, 1, 3)),
        ("account-ada", Operation::Read, (1, 0, 2)),
        ("account-bob", Operation::Append, (1, 0, 1)),
        ("account-bob", Operation::Read, (0, 0, 0)),
        ("account-bob", Operation::Ask, (1, 0, 0)),
    ] {
        let found = counts(of(&profiler, stream, operation));
        assert_eq!(found, expected, "{stream} {operation}");
    }
}

#[test]
fn the_slowest_streams_are_found_among_many() {
    let profiler = profiler(64);
    for round in 0..50 {
        for key in 0..2000 {
            let light = Measurement::took(Duration::from_micros(1));
            profiler.record(Operation::Load, Some(&account(key)), light);
        }
        for key in ["slow", "slower"] {
            let took = Duration::from_millis(if key == "slow" { 20 } else { 30 });
            profiler.record(
                Operation::Load,
                Some(&account(key)),
                Measurement::took(took),
            );
        }
        let report = profiler.report();
        assert!(report.streams.len() <= 64, "round {round}");
    }
    let report = profiler.report();
    let heaviest: Vec<&str> = report
        .streams
        .iter()
        .map(|found| found.stream.as_str())
        .collect();
    assert_eq!(heaviest[..2], ["account-slower", "account-slow"]);
    let slower = &report.streams[0];
    assert!(slower.weight >= Duration::from_millis(1500));
    assert!(slower.weight <= Duration::from_millis(1500) + slower.estimated);
    // Nothing is lost: what has no name any more is in the sum of the others.
    let named = report.streams.iter().flat_map(|stream| &stream.operations);
    let all = named
        .chain(&report.other_streams)
        .map(|found| found.totals.count);
    assert_eq!(all.sum::<u64>(), 50 * 2002);
    assert_eq!(profiler.totals(Operation::Load).count, 50 * 2002);
}

#[test]
fn a_codec_is_measured_by_samples() {
    let seven = {
        let mut settings = ProfilerSettings::DEFAULT;
        settings.codec_events_per_sample = 7;
        let profiler = Profiler::new(Arc::new(ManualTimer::default()));
        profiler.with_settings(settings).unwrap()
    };
    let each = profiler(1);
    let sampled = ProfiledCodec::new(JsonCodec, seven.clone());
    let codec = ProfiledCodec::new(JsonCodec, each.clone());
    // Turn and turn about, which samples must not fall in with.
    for _ in 0..7000 {
        let event = sampled.encode(&Deposited { cents: 3 }).unwrap();
        let _: Deposited = sampled.decode_one(event.content()).unwrap();
        codec.encode(&Deposited { cents: 3 }).unwrap();
    }
    assert_eq!(each.totals(Operation::Encode).count, 7000);
    for operation in [Operation::Encode, Operation::Decode] {
        let totals = seven.totals(operation);
        assert!(totals.count.abs_diff(7000) < 700, "{operation}: {totals:?}");
        assert_eq!(totals.count % 7, 0);
        assert_eq!(totals.events, totals.count);
    }

    let broken = NewEvent::new(event().event_type().clone(), ContentType::JSON, "{").unwrap();
    let store = MemoryStore::new();
    let append = Append::builder(UuidIds::default().append_id())
        .write(account("ada"), Expected::Any, [broken])
        .build();
    block_on(store.append(append.unwrap())).unwrap();
    let recorded = block_on(store.collect(ReadRequest::all())).unwrap();
    EventCodecExt::<Deposited>::decode(&codec, &recorded[0]).unwrap_err();
    assert_eq!(each.totals(Operation::Decode).failed, 1);
}

#[test]
fn threads_record_into_one_profile() {
    let profiler = profiler(16);
    thread::scope(|scope| {
        for thread in 0..4 {
            let profiler = &profiler;
            scope.spawn(move || {
                for number in 0..1000 {
                    let took = Measurement::took(Duration::from_nanos(number)).events(2);
                    profiler.record(Operation::Fold, Some(&account(thread % 2)), took);
                }
            });
        }
    });
    let totals = profiler.totals(Operation::Fold);
    assert_eq!((totals.count, totals.events), (4000, 8000));
    assert_eq!(totals.max, Duration::from_nanos(999));
    assert_eq!(of(&profiler, "account-1", Operation::Fold).count, 2000);
    profiler.reset();
    assert_eq!(profiler.totals(Operation::Fold), Totals::default());
    assert!(profiler.report().streams.is_empty());
}

#[test]
fn a_report_is_for_people_and_for_programs() {
    let profiler = profiler(16);
    let took = |micros| Measurement::took(Duration::from_micros(micros)).events(1);
    for micros in 1..=100 {
        profiler.record(Operation::Append, Some(&account("ada")), took(micros));
    }
    let report = profiler.report();
    let text = report.to_string();
    let line = text.lines().nth(2).unwrap();
    assert_eq!(
        line.split_whitespace().collect::<Vec<_>>(),
        [
            "append", "100", "0", "100", "5.05", "ms", "50.5", "us", "50.1", "us", "99.3", "us",
            "100", "us"
        ],
        "{text}"
    );
    assert!(text.contains("account-ada"), "{text}");

    let value = serde_json::to_value(&report).unwrap();
    let append = &value["operations"][0];
    assert_eq!(append["operation"], "append");
    assert_eq!(append["total_ns"], 5_050_000);
    assert_eq!(append["max_ns"], 100_000);
    assert_eq!(value["streams"][0]["stream"], "account-ada");
}
