//! Recording the metrics of the table.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use annals_core::{
    Append, CheckpointName, ConsumerStanding, Error, ErrorKind, Outcome, Receipt, StoreVitals,
    WriterState,
};
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};

use super::table::{self, MetricInfo, MetricKind, MetricLabel};
use crate::operation::Operation;
use crate::shard::PerOperation;
use crate::totals::Measurement;

/// Records the metrics of [`METRICS`](crate::METRICS). Clones are the same.
///
/// What is recorded is looked up once, when this is made, so that a measurement costs a few additions. Label values are
/// few, whatever happens: no stream, no key and no event type is ever one.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    source: Source,
    operations: PerOperation<Option<OperationMetrics>>,
    appends: AppendMetrics,
    coding: [Counter; 2],
    declined: Counter,
    consumers: Mutex<Consumers>,
    store: StoreMetrics,
}

/// The metrics of consumers by name, and those of the ones that came too late for one.
#[derive(Default)]
struct Consumers {
    known: HashMap<CheckpointName, ConsumerMetrics>,
    others: Option<ConsumerMetrics>,
}

/// Where metrics are recorded.
enum Source {
    Global,
    Own(Arc<dyn Recorder + Send + Sync>),
}

struct OperationMetrics {
    count: Counter,
    failures: Counter,
    events: Counter,
    seconds: Histogram,
}

struct AppendMetrics {
    recorded: Counter,
    duplicate: Counter,
    rejected: Counter,
    unknown: Counter,
    conflicts: Counter,
    bytes: Counter,
}

#[derive(Clone)]
struct ConsumerMetrics {
    lag_events: Gauge,
    lag_seconds: Gauge,
    parked: Gauge,
    skipped: Counter,
    handled: Counter,
    retries: Counter,
    has_failed: Gauge,
}

struct StoreMetrics {
    writer_open: Gauge,
    queued_appends: Gauge,
    queued_bytes: Gauge,
    unsynced_bytes: Gauge,
    sync_seconds: Histogram,
    last_sync: Gauge,
    disk_free: Gauge,
    /// How many syncs were recorded, and how long they took.
    synced: Mutex<(u64, Duration)>,
}

impl Metrics {
    /// How many consumers have a label value of their own; those that come later share `other`.
    pub const CONSUMERS_MAX: usize = 64;

    /// Metrics of the recorder that is installed for the whole process, which has to be there by now.
    pub fn global() -> Self {
        Self::of_source(Source::Global)
    }

    /// Metrics of this recorder.
    pub fn of(recorder: Arc<dyn Recorder + Send + Sync>) -> Self {
        Self::of_source(Source::Own(recorder))
    }

    fn of_source(source: Source) -> Self {
        for info in table::METRICS {
            source.describe(info);
        }
        let mut operations = PerOperation::<Option<OperationMetrics>>::default();
        for operation in Operation::ALL {
            if !matches!(operation, Operation::Encode | Operation::Decode) {
                *operations.of_mut(operation) = Some(OperationMetrics::of(&source, operation));
            }
        }
        let inner = Inner {
            operations,
            appends: AppendMetrics::of(&source),
            coding: [&table::ENCODE_ERRORS, &table::DECODE_ERRORS]
                .map(|info| source.counter(info, None)),
            declined: source.counter(&table::COMMANDS_DECLINED, None),
            consumers: Mutex::default(),
            store: StoreMetrics::of(&source),
            source,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Records an operation.
    pub(crate) fn operation(&self, operation: Operation, measured: &Measurement) {
        let Some(metrics) = self.inner.operations.of(operation) else {
            return;
        };
        metrics.count.increment(1);
        metrics
            .seconds
            .record(Duration::from_nanos(measured.took).as_secs_f64());
        if measured.events > 0 {
            metrics.events.increment(measured.events);
        }
        if measured.is_failed {
            metrics.failures.increment(1);
        }
    }

    /// Records an append, and what became of it.
    pub(crate) fn appended(
        &self,
        append: &Append,
        answer: &Result<Receipt, Error>,
        measured: &Measurement,
    ) {
        self.operation(Operation::Append, measured);
        let appends = &self.inner.appends;
        match answer {
            Ok(receipt) if receipt.is_duplicate() => appends.duplicate.increment(1),
            Ok(_) => {
                appends.recorded.increment(1);
                let bytes: usize = append.events().map(|(_, event)| event.bytes()).sum();
                appends
                    .bytes
                    .increment(bytes.try_into().unwrap_or(u64::MAX));
            }
            Err(error) if error.outcome() == Outcome::Unknown => appends.unknown.increment(1),
            Err(error) => {
                appends.rejected.increment(1);
                if error.kind() == ErrorKind::Conflict {
                    appends.conflicts.increment(1);
                }
            }
        }
    }

    /// An event could not be encoded, or not be decoded.
    pub(crate) fn coding_failed(&self, operation: Operation) {
        let [encode, decode] = &self.inner.coding;
        match operation {
            Operation::Encode => encode.increment(1),
            _ => decode.increment(1),
        }
    }

    /// The application refused a command.
    pub(crate) fn declined(&self) {
        self.inner.declined.increment(1);
    }

    /// A consumer tried again.
    pub(crate) fn retried(&self, consumer: &CheckpointName) {
        self.consumer(consumer).retries.increment(1);
    }

    /// A consumer was looked at.
    pub(crate) fn standing(&self, standing: &ConsumerStanding<'_>) {
        let consumer = self.consumer(standing.name);
        if let Some(events) = standing.lag_events {
            consumer.lag_events.set(number(events));
        }
        if let Some(lag) = standing.lag {
            consumer.lag_seconds.set(lag.as_secs_f64());
        }
        consumer.parked.set(number(standing.parked));
        consumer.skipped.absolute(standing.skipped);
        consumer.handled.absolute(standing.handled);
        consumer
            .has_failed
            .set(f64::from(u8::from(standing.has_failed)));
    }

    /// A store told of its state.
    pub(crate) fn vitals(&self, vitals: &StoreVitals) {
        let store = &self.inner.store;
        let is_open = vitals.writer == WriterState::Open;
        store.writer_open.set(f64::from(u8::from(is_open)));
        for (gauge, value) in [
            (&store.queued_appends, vitals.queued_appends),
            (&store.queued_bytes, vitals.queued_bytes),
            (&store.unsynced_bytes, vitals.unsynced_bytes),
        ] {
            if let Some(value) = value {
                gauge.set(number(value));
            }
        }
        if let Some(at) = vitals.last_sync_at {
            store
                .last_sync
                .set(Duration::from_micros(at.as_micros().unsigned_abs()).as_secs_f64());
        }
        store.note_syncs(vitals.syncs, vitals.sync_time);
    }

    /// How much space is left.
    pub(crate) fn disk_free_bytes(&self, bytes: u64) {
        self.inner.store.disk_free.set(number(bytes));
    }

    /// The metrics of a consumer, or of the others where there are too many.
    fn consumer(&self, name: &CheckpointName) -> ConsumerMetrics {
        let consumers = self.inner.consumers.lock();
        let mut consumers = consumers.unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = consumers.known.get(name) {
            return metrics.clone();
        }
        let source = &self.inner.source;
        if consumers.known.len() < Self::CONSUMERS_MAX {
            let metrics = ConsumerMetrics::of(source, name.as_str());
            consumers.known.insert(name.clone(), metrics.clone());
            return metrics;
        }
        let others = &mut consumers.others;
        others
            .get_or_insert_with(|| ConsumerMetrics::of(source, "other"))
            .clone()
    }
}

impl Source {
    fn with<T>(&self, call: impl FnOnce(&dyn Recorder) -> T) -> T {
        match self {
            Self::Global => metrics::with_recorder(call),
            Self::Own(recorder) => call(&**recorder),
        }
    }

    fn describe(&self, info: &MetricInfo) {
        let (name, meaning) = (info.name.into(), info.meaning.into());
        self.with(|recorder| match info.kind {
            MetricKind::Counter => recorder.describe_counter(name, None, meaning),
            MetricKind::Gauge => recorder.describe_gauge(name, None, meaning),
            MetricKind::Histogram => recorder.describe_histogram(name, None, meaning),
        });
    }

    fn counter(&self, info: &MetricInfo, label: Option<(MetricLabel, &str)>) -> Counter {
        self.with(|recorder| recorder.register_counter(&key(info, label), &METADATA))
    }

    fn gauge(&self, info: &MetricInfo, label: Option<(MetricLabel, &str)>) -> Gauge {
        self.with(|recorder| recorder.register_gauge(&key(info, label), &METADATA))
    }

    fn histogram(&self, info: &MetricInfo, label: Option<(MetricLabel, &str)>) -> Histogram {
        self.with(|recorder| recorder.register_histogram(&key(info, label), &METADATA))
    }
}

impl OperationMetrics {
    fn of(source: &Source, operation: Operation) -> Self {
        let label = Some((MetricLabel::Operation, operation.name()));
        Self {
            count: source.counter(&table::OPERATIONS, label),
            failures: source.counter(&table::OPERATION_FAILURES, label),
            events: source.counter(&table::OPERATION_EVENTS, label),
            seconds: source.histogram(&table::OPERATION_SECONDS, label),
        }
    }
}

impl AppendMetrics {
    fn of(source: &Source) -> Self {
        let by = |outcome| source.counter(&table::APPENDS, Some((MetricLabel::Outcome, outcome)));
        Self {
            recorded: by("recorded"),
            duplicate: by("duplicate"),
            rejected: by("rejected"),
            unknown: by("unknown"),
            conflicts: source.counter(&table::APPEND_CONFLICTS, None),
            bytes: source.counter(&table::APPENDED_BYTES, None),
        }
    }
}

impl ConsumerMetrics {
    fn of(source: &Source, name: &str) -> Self {
        let label = Some((MetricLabel::Consumer, name));
        Self {
            lag_events: source.gauge(&table::CONSUMER_LAG_EVENTS, label),
            lag_seconds: source.gauge(&table::CONSUMER_LAG_SECONDS, label),
            parked: source.gauge(&table::CONSUMER_PARKED, label),
            skipped: source.counter(&table::CONSUMER_SKIPPED, label),
            handled: source.counter(&table::CONSUMER_HANDLED, label),
            retries: source.counter(&table::CONSUMER_RETRIES, label),
            has_failed: source.gauge(&table::CONSUMER_FAILED, label),
        }
    }
}

impl StoreMetrics {
    fn of(source: &Source) -> Self {
        Self {
            writer_open: source.gauge(&table::STORE_WRITER_OPEN, None),
            queued_appends: source.gauge(&table::STORE_QUEUED_APPENDS, None),
            queued_bytes: source.gauge(&table::STORE_QUEUED_BYTES, None),
            unsynced_bytes: source.gauge(&table::STORE_UNSYNCED_BYTES, None),
            sync_seconds: source.histogram(&table::STORE_SYNC_SECONDS, None),
            last_sync: source.gauge(&table::STORE_LAST_SYNC, None),
            disk_free: source.gauge(&table::STORE_DISK_FREE, None),
            synced: Mutex::default(),
        }
    }

    /// Records the syncs since the last look, each with the average of them.
    fn note_syncs(&self, syncs: u64, time: Duration) {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        // A store that was opened again counts from 0.
        let (syncs_before, time_before) = if syncs < synced.0 {
            (0, Duration::ZERO)
        } else {
            *synced
        };
        let new = syncs.saturating_sub(syncs_before);
        let took = time.saturating_sub(time_before);
        *synced = (syncs, time);
        if new > 0 {
            let count = usize::try_from(new).unwrap_or(usize::MAX);
            self.sync_seconds
                .record_many(took.as_secs_f64() / number(new), count);
        }
    }
}

/// For recorders that keep some metrics only.
const METADATA: Metadata<'static> = Metadata::new("annals", Level::INFO, Some("annals"));

fn key(info: &MetricInfo, label: Option<(MetricLabel, &str)>) -> Key {
    let labels = label.map(|(label, value)| Label::new(label.name(), value.to_owned()));
    Key::from_parts(info.name, labels.into_iter().collect::<Vec<_>>())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is no count: beyond 2^53 its last digits do not matter"
)]
fn number(count: u64) -> f64 {
    count as f64
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
