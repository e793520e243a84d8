//! Every metric that there is, in one table.

use std::fmt;

/// A metric: its name, what it counts, and in which units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricInfo {
    /// Its name, as Prometheus has it.
    pub name: &'static str,
    /// What becomes of its values.
    pub kind: MetricKind,
    /// What its values are counted in.
    pub unit: MetricUnit,
    /// The labels that it has. Each has few values, whatever the application does: see [`MetricLabel`].
    pub labels: &'static [MetricLabel],
    /// What it says.
    pub meaning: &'static str,
}

/// What becomes of the values of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// They are added up.
    Counter,
    /// The last one counts.
    Gauge,
    /// They are spread over buckets.
    Histogram,
}

/// What the values of a metric are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricUnit {
    /// Things, as the name says.
    Count,
    /// Events.
    Events,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// 1 for yes, 0 for no.
    YesOrNo,
}

/// A label of a metric, and how many values it has at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricLabel {
    /// An operation by its name: 9 of them.
    Operation,
    /// What became of an append: `recorded`, `duplicate`, `rejected`, `unknown`.
    Outcome,
    /// The name of a projection or reaction: the first 64 of an application, and `other`.
    Consumer,
}

impl MetricInfo {
    const fn new(
        name: &'static str,
        kind: MetricKind,
        unit: MetricUnit,
        meaning: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            unit,
            labels: &[],
            meaning,
        }
    }

    const fn by(mut self, labels: &'static [MetricLabel]) -> Self {
        self.labels = labels;
        self
    }
}

impl MetricLabel {
    /// How the label is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operation => "operation",
            Self::Outcome => "outcome",
            Self::Consumer => "consumer",
        }
    }

    /// How many values it has at the most.
    pub const fn values_max(self) -> usize {
        match self {
            Self::Operation => 9,
            Self::Outcome => 4,
            Self::Consumer => super::Metrics::CONSUMERS_MAX + 1,
        }
    }
}

use MetricKind::{Counter, Gauge, Histogram};
use MetricLabel::{Consumer, Operation, Outcome};
use MetricUnit::{Bytes, Count, Events, Seconds, YesOrNo};

macro_rules! table {
    ($($const:ident: $name:literal, $kind:expr, $unit:expr, [$($label:expr),*], $meaning:literal;)*) => {
        $(pub(crate) const $const: MetricInfo =
            MetricInfo::new($name, $kind, $unit, $meaning).by(&[$($label),*]);)*

        /// Every metric that is recorded, in the order of the documentation.
        pub const METRICS: &[MetricInfo] = &[$($const),*];
    };
}

table! {
    OPERATIONS: "annals_operations_total", Counter, Count, [Operation],
        "operations done, failures included";
    OPERATION_FAILURES: "annals_operation_failures_total", Counter, Count, [Operation],
        "operations that failed";
    OPERATION_EVENTS: "annals_operation_events_total", Counter, Events, [Operation],
        "events in the operations: appended, read, folded, projected, reacted to";
    OPERATION_SECONDS: "annals_operation_seconds", Histogram, Seconds, [Operation],
        "how long an operation took; a read is one page";
    APPENDS: "annals_appends_total", Counter, Count, [Outcome],
        "appends by what became of them: recorded, answered by an earlier receipt, certainly not written, or not known";
    APPEND_CONFLICTS: "annals_append_conflicts_total", Counter, Count, [],
        "appends rejected because a check or a condition failed";
    APPENDED_BYTES: "annals_appended_bytes_total", Counter, Bytes, [],
        "payloads, names, tags and context of the events that were recorded";
    COMMANDS_DECLINED: "annals_commands_declined_total", Counter, Count, [],
        "commands that a rule of the application refused";
    DECODE_ERRORS: "annals_decode_errors_total", Counter, Events, [],
        "events whose bytes did not decode, each time";
    ENCODE_ERRORS: "annals_encode_errors_total", Counter, Events, [],
        "events that could not be encoded";
    CONSUMER_LAG_EVENTS: "annals_consumer_lag_events", Gauge, Events, [Consumer],
        "positions between a consumer and the head of its store";
    CONSUMER_LAG_SECONDS: "annals_consumer_lag_seconds", Gauge, Seconds, [Consumer],
        "how long the first event that a consumer has yet to take has been recorded";
    CONSUMER_PARKED: "annals_consumer_parked_events", Gauge, Events, [Consumer],
        "events that are parked, or wait behind one";
    CONSUMER_SKIPPED: "annals_consumer_skipped_events_total", Counter, Events, [Consumer],
        "events that were passed over for good";
    CONSUMER_HANDLED: "annals_consumer_handled_events_total", Counter, Events, [Consumer],
        "events that a consumer took since its processor began";
    CONSUMER_RETRIES: "annals_consumer_retries_total", Counter, Count, [Consumer],
        "batches and deliveries that were tried again";
    CONSUMER_FAILED: "annals_consumer_failed", Gauge, YesOrNo, [Consumer],
        "whether a consumer stopped by an error and waits to be resumed";
    STORE_WRITER_OPEN: "annals_store_writer_open", Gauge, YesOrNo, [],
        "whether the store takes appends";
    STORE_QUEUED_APPENDS: "annals_store_queued_appends", Gauge, Count, [],
        "appends that wait to be written";
    STORE_QUEUED_BYTES: "annals_store_queued_bytes", Gauge, Bytes, [],
        "bytes of appends that wait to be written";
    STORE_UNSYNCED_BYTES: "annals_store_unsynced_bytes", Gauge, Bytes, [],
        "acknowledged bytes that a loss of power could take; 0 with the default durability";
    STORE_SYNC_SECONDS: "annals_store_sync_seconds", Histogram, Seconds, [],
        "how long a write and sync of a batch took: sum and count are exact, a bucket has the average between two looks";
    STORE_LAST_SYNC: "annals_store_last_sync_timestamp_seconds", Gauge, Seconds, [],
        "when the last sync ended, since 1970";
    STORE_DISK_FREE: "annals_store_disk_free_bytes", Gauge, Bytes, [],
        "bytes that are free on the disk of the store";
}

impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Counter => "counter",
            Gauge => "gauge",
            Histogram => "histogram",
        })
    }
}

impl fmt::Display for MetricUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Count => "count",
            Events => "events",
            Bytes => "bytes",
            Seconds => "seconds",
            YesOrNo => "1 or 0",
        })
    }
}

/// A row of the table in the documentation.
impl fmt::Display for MetricInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<_> = self.labels.iter().map(|label| label.name()).collect();
        let Self {
            name,
            kind,
            unit,
            meaning,
            ..
        } = self;
        let labels = labels.join(", ");
        write!(f, "| `{name}` | {kind} | {unit} | {labels} | {meaning} |")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        let mut names = BTreeSet::new();
        for metric in METRICS {
            let name = metric.name;
            assert!(names.insert(name), "{name} is there twice");
            assert!(name.starts_with("annals_"), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == Counter, "{name}");
            let unit = match metric.unit {
                Bytes => "_bytes",
                Seconds => "_seconds",
                Count | Events | YesOrNo => "",
            };
            let base = name.trim_end_matches("_total");
            assert!(base.ends_with(unit), "{name} does not end in its unit");
        }
    }
}
