//! The metrics: each is recorded where it should be, the documentation and the dashboard know all of them, and labels
//! stay few.

#![cfg(feature = "prometheus")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use annals_codec::{EventCodec, EventCodecExt, JsonCodec};
use annals_concurrency::ManualTimer;
use annals_core::{
    Append, CheckpointName, ConsumerStanding, ContentType, ErrorKind, EventStore, EventStoreExt,
    Expected, Ids, NewEvent, Observer, ReadRequest, StoreVitals, StreamId, Timestamp, UuidIds,
    Work, WorkEvents, WorkKind, WorkOutcome, WriterState,
};
use annals_macros::Event;
use annals_profile::{
    METRICS, MetricKind, Metrics, Monitor, ProfiledCodec, ProfiledStore, Profiler, Prometheus,
};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "account")]
struct Deposited {
    cents: u64,
}

fn monitor() -> (Monitor, Prometheus) {
    let prometheus = Prometheus::new().unwrap();
    let profiler = Profiler::new(Arc::new(ManualTimer::default()));
    (
        Monitor::new(profiler).with_metrics(prometheus.metrics()),
        prometheus,
    )
}

fn account(key: impl Display) -> StreamId {
    StreamId::parse(&format!("account-{key}")).unwrap()
}

fn append(key: impl Display, events: usize, expected: Expected) -> Append {
    let event = JsonCodec.encode(&Deposited { cents: 1 }).unwrap();
    Append::builder(UuidIds::default().append_id())
        .write(account(key), expected, vec![event; events])
        .build()
        .unwrap()
}

/// The samples of a text: each series with its value.
fn samples(prometheus: &Prometheus) -> BTreeMap<String, f64> {
    let text = prometheus.render();
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let samples = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap())
    });
    samples.collect()
}

fn check(prometheus: &Prometheus, expected: &[(&str, f64)]) {
    let found = samples(prometheus);
    for (series, value) in expected {
        assert_eq!(found.get(*series), Some(value), "{series} in {found:#?}");
    }
}

#[test]
fn what_a_store_does_is_recorded() {
    let (monitor, prometheus) = monitor();
    let store = ProfiledStore::new(MemoryStore::new(), monitor);
    let first = append("ada", 2, Expected::NoStream);
    let bytes: usize = first.events().map(|(_, event)| event.bytes()).sum();
    block_on(async {
        store.append(first.clone()).await.unwrap();
        store.append(first).await.unwrap();
        let conflict = append("ada", 1, Expected::NoStream);
        assert_eq!(
            store.append(conflict).await.unwrap_err().kind(),
            ErrorKind::Conflict
        );
        store.collect(ReadRequest::all()).await.unwrap();
        store.stream_head(&account("ada")).await.unwrap();
    });
    check(
        &prometheus,
        &[
            ("annals_appends_total{outcome=\"recorded\"}", 1.0),
            ("annals_appends_total{outcome=\"duplicate\"}", 1.0),
            ("annals_appends_total{outcome=\"rejected\"}", 1.0),
            ("annals_appends_total{outcome=\"unknown\"}", 0.0),
            ("annals_append_conflicts_total", 1.0),
            (
                "annals_appended_bytes_total",
                f64::from(u32::try_from(bytes).unwrap()),
            ),
            ("annals_operations_total{operation=\"append\"}", 3.0),
            ("annals_operation_failures_total{operation=\"append\"}", 1.0),
            ("annals_operations_total{operation=\"read\"}", 1.0),
            ("annals_operation_events_total{operation=\"read\"}", 2.0),
            ("annals_operations_total{operation=\"ask\"}", 1.0),
            ("annals_operation_seconds_count{operation=\"read\"}", 1.0),
        ],
    );
}

#[test]
fn what_does_not_decode_is_counted_one_by_one() {
    let (monitor, prometheus) = monitor();
    let codec = ProfiledCodec::new(JsonCodec, monitor);
    let good = JsonCodec.encode(&Deposited { cents: 1 }).unwrap();
    let broken = NewEvent::new(good.event_type().clone(), ContentType::JSON, "{").unwrap();
    let store = MemoryStore::new();
    let append = Append::builder(UuidIds::default().append_id())
        .write(account("ada"), Expected::Any, [broken])
        .build();
    block_on(store.append(append.unwrap())).unwrap();
    let recorded = block_on(store.collect(ReadRequest::all())).unwrap();
    for _ in 0..3 {
        EventCodecExt::<Deposited>::decode(&codec, &recorded[0]).unwrap_err();
    }
    check(
        &prometheus,
        &[
            ("annals_decode_errors_total", 3.0),
            ("annals_encode_errors_total", 0.0),
        ],
    );
}

#[test]
fn work_of_aggregates_and_consumers_is_recorded() {
    let (monitor, prometheus) = monitor();
    let (ada, orders) = (account("ada"), CheckpointName::from_static("orders"));
    let observer: Arc<dyn Observer> = Arc::new(monitor.clone());
    let command = Work::on(WorkKind::Command, &ada);
    command.run(Some(&observer), || (), |()| WorkOutcome::Declined);
    command.run(
        Some(&observer),
        || (),
        |()| WorkOutcome::Failed(ErrorKind::Conflict),
    );
    let react = Work::of(WorkKind::React, &orders, WorkEvents::All(&[])).with_attempt(2);
    react.run(Some(&observer), || (), |()| WorkOutcome::Done);
    let mut standing = ConsumerStanding::new(&orders);
    standing.lag_events = Some(7);
    standing.lag = Some(Duration::from_millis(1500));
    standing.parked = 2;
    standing.skipped = 1;
    standing.handled = 40;
    standing.has_failed = true;
    observer.standing(&standing);
    check(
        &prometheus,
        &[
            ("annals_operations_total{operation=\"command\"}", 2.0),
            (
                "annals_operation_failures_total{operation=\"command\"}",
                1.0,
            ),
            ("annals_commands_declined_total", 1.0),
            ("annals_operations_total{operation=\"react\"}", 1.0),
            ("annals_consumer_retries_total{consumer=\"orders\"}", 1.0),
            ("annals_consumer_lag_events{consumer=\"orders\"}", 7.0),
            ("annals_consumer_lag_seconds{consumer=\"orders\"}", 1.5),
            ("annals_consumer_parked_events{consumer=\"orders\"}", 2.0),
            (
                "annals_consumer_skipped_events_total{consumer=\"orders\"}",
                1.0,
            ),
            (
                "annals_consumer_handled_events_total{consumer=\"orders\"}",
                40.0,
            ),
            ("annals_consumer_failed{consumer=\"orders\"}", 1.0),
        ],
    );
}

#[test]
fn what_a_store_tells_of_itself_is_recorded() {
    let (monitor, prometheus) = monitor();
    let mut vitals = StoreVitals::default();
    vitals.queued_appends = Some(3);
    vitals.queued_bytes = Some(900);
    vitals.unsynced_bytes = Some(0);
    vitals.last_sync_at = Some(Timestamp::from_micros(2_500_000));
    for (syncs, millis) in [(4, 8), (10, 20), (1, 2)] {
        vitals.syncs = syncs;
        vitals.sync_time = Duration::from_millis(millis);
        monitor.store_vitals(&vitals);
    }
    monitor.disk_free_bytes(1 << 30);
    check(
        &prometheus,
        &[
            ("annals_store_writer_open", 1.0),
            ("annals_store_queued_appends", 3.0),
            ("annals_store_queued_bytes", 900.0),
            ("annals_store_unsynced_bytes", 0.0),
            ("annals_store_last_sync_timestamp_seconds", 2.5),
            ("annals_store_disk_free_bytes", 1_073_741_824.0),
            // 10 of the first opening, and one of the second.
            ("annals_store_sync_seconds_count", 11.0),
            ("annals_store_sync_seconds_bucket{le=\"0.0025\"}", 11.0),
        ],
    );
    vitals.writer = WriterState::Failed;
    monitor.store_vitals(&vitals);
    check(&prometheus, &[("annals_store_writer_open", 0.0)]);
}

#[test]
fn no_number_of_streams_and_consumers_grows_a_label() {
    let (monitor, prometheus) = monitor();
    let store = ProfiledStore::new(MemoryStore::new(), monitor.clone());
    let observer: Arc<dyn Observer> = Arc::new(monitor.clone());
    let fill = |from: u32, to: u32| {
        for number in from..to {
            let name = CheckpointName::parse(&format!("consumer-{number}")).unwrap();
            observer.standing(&ConsumerStanding::new(&name));
            let stream = account(number);
            let load = Work::on(WorkKind::Load, &stream);
            load.run(Some(&observer), || (), |()| WorkOutcome::Done);
            if number.is_multiple_of(100) {
                block_on(store.append(append(number, 1, Expected::Any))).unwrap();
            }
        }
        samples(&prometheus).into_keys().collect::<BTreeSet<_>>()
    };
    let few = fill(0, 1000);
    let many = fill(1000, 100_000);
    assert_eq!(few, many);
    for series in &many {
        assert!(!series.contains("account-"), "{series} names a stream");
    }
    for metric in METRICS {
        for label in metric.labels {
            let start = format!("{}=\"", label.name());
            let of_metric = many.iter().filter(|series| series.starts_with(metric.name));
            let values: BTreeSet<&str> = of_metric
                .filter_map(|series| series.split_once(&start)?.1.split('"').next())
                .collect();
            let name = metric.name;
            assert!(values.len() <= label.values_max(), "{name} has {values:?}");
            assert!(!values.is_empty(), "{name} has no {}", label.name());
        }
    }
    assert!(
        many.iter()
            .any(|series| series.contains("consumer=\"other\""))
    );
    let report = monitor.profiler().report();
    assert!(report.streams.len() <= 1024, "{}", report.streams.len());
    assert_eq!(report.categories.len(), 1);
    let loads = report.categories[0].operations.iter();
    let loads = loads.filter(|done| done.operation == annals_profile::Operation::Load);
    assert_eq!(loads.map(|done| done.totals.count).sum::<u64>(), 100_000);
}

#[test]
fn every_metric_of_the_table_is_exposed_with_its_kind() {
    let (monitor, prometheus) = monitor();
    monitor.store_vitals(&StoreVitals::default());
    monitor.disk_free_bytes(1);
    monitor.standing(&ConsumerStanding::new(&CheckpointName::from_static(
        "orders",
    )));
    let text = prometheus.render();
    let exposed: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    for metric in METRICS {
        let kind = exposed.get(metric.name).copied();
        // A histogram without a value is not exposed.
        if kind.is_some() || metric.kind != MetricKind::Histogram {
            assert_eq!(kind, Some(&*metric.kind.to_string()), "{}", metric.name);
        }
    }
    let known: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    for name in exposed.keys() {
        assert!(known.contains(name), "{name} is not in the table");
    }
}

fn beside(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_book_has_the_table() {
    let page = beside("../../docs/book/src/monitoring.md");
    let text = fs::read_to_string(&page).unwrap();
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| `annals_"))
        .collect();
    let table: Vec<String> = METRICS.iter().map(ToString::to_string).collect();
    assert_eq!(
        rows,
        table,
        "put these rows in the book:\n{}",
        table.join("\n")
    );
}

#[test]
fn the_dashboard_shows_what_there_is() {
    let text = fs::read_to_string(beside("dashboard/annals.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut shown = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{} shows nothing", panel["title"]);
        for target in targets {
            shown.extend(names_in(target["expr"].as_str().unwrap()));
        }
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    for query in variables
        .iter()
        .filter_map(|variable| variable["query"].as_str())
    {
        shown.extend(names_in(query));
    }
    let known: BTreeSet<String> = METRICS
        .iter()
        .map(|metric| metric.name.to_owned())
        .collect();
    assert_eq!(shown, known);
}

/// The names of metrics in an expression; those of a histogram's parts as the histogram.
fn names_in(expression: &str) -> BTreeSet<String> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = expression.split(|character| !is_part(character));
    let names = words.filter(|word| word.starts_with("annals_"));
    let histograms: BTreeSet<&str> = METRICS
        .iter()
        .filter(|metric| metric.kind == MetricKind::Histogram)
        .map(|metric| metric.name)
        .collect();
    let base = |name: &str| {
        let parts = ["_bucket", "_sum", "_count"].iter();
        let of = parts.filter_map(|part| name.strip_suffix(part));
        let mut of = of.filter(|base| histograms.contains(base));
        of.next().unwrap_or(name).to_owned()
    };
    names.map(base).collect()
}

#[test]
fn a_recorder_of_the_process_will_do() {
    // None is installed here, so nothing is recorded, and nothing fails.
    let profiler = Profiler::new(Arc::new(ManualTimer::default()));
    let monitor = Monitor::new(profiler).with_metrics(Metrics::global());
    let store = ProfiledStore::new(MemoryStore::new(), monitor);
    block_on(store.append(append("ada", 1, Expected::Any))).unwrap();
}
