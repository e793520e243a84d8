//! What only the application knows, from the metrics that it tells.

use std::collections::HashMap;
use std::time::Duration;

use annals_core::Timestamp;
use serde::Serialize;

use crate::failure::{Exit, Failure, Result};

/// How long the application may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

const SYNC_SECONDS: &str = "annals_store_sync_seconds_sum";
const SYNCS: &str = "annals_store_sync_seconds_count";
const EVENTS: &str = "annals_operation_events_total";
const QUEUED: &str = "annals_store_queued_appends";
const UNSYNCED: &str = "annals_store_unsynced_bytes";

/// An application's metrics, asked for again and again.
pub(super) struct Application {
    url: String,
    agent: ureq::Agent,
    before: Option<(Timestamp, Totals)>,
}

/// What the application has done since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Totals {
    syncs: f64,
    sync_seconds: f64,
    events_appended: f64,
    events_read: f64,
    queued_appends: f64,
    unsynced_bytes: f64,
}

/// What the application does: since the look before, and at the first look since it began.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Activity {
    /// How long a write and sync of a batch took on average, in milliseconds; nothing where there was none.
    pub(super) sync_ms: Option<f64>,
    /// Nothing at the first look.
    pub(super) syncs_per_second: Option<f64>,
    pub(super) events_appended_per_second: Option<f64>,
    pub(super) events_read_per_second: Option<f64>,
    pub(super) queued_appends: f64,
    pub(super) unsynced_bytes: f64,
}

impl Application {
    pub(super) fn new(url: &str) -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(ANSWER_MAX));
        Self {
            url: url.to_owned(),
            agent: config.build().into(),
            before: None,
        }
    }

    /// What it does at this time.
    pub(super) fn look(&mut self, at: Timestamp) -> Result<Activity> {
        let totals = Totals::of(&self.text()?).ok_or_else(|| {
            let message = format!("{} tells no metrics of a store of annals", self.url);
            Failure::new(Exit::Failed, message).hint(
                "give the address of the application's Prometheus endpoint, as http://127.0.0.1:9000/metrics; \
                 the chapter \"Monitoring\" shows how it has one",
            )
        })?;
        let before = self.before.replace((at, totals));
        Ok(Activity::of(totals, before, at))
    }

    fn text(&self) -> Result<String> {
        let answer = self.agent.get(&self.url).call();
        let text = answer.and_then(|mut answer| {
            let body = answer.body_mut().with_config();
            body.limit(ANSWER_BYTES_MAX).read_to_string()
        });
        text.map_err(|error| {
            let message = format!("the metrics can't be read from {}: {error}", self.url);
            Failure::new(Exit::Failed, message)
                .hint("is the application running, and is this the address of its metrics?")
        })
    }
}

impl Totals {
    /// What an answer in Prometheus's text format says; `None` where it says nothing of a store.
    fn of(text: &str) -> Option<Self> {
        let values: HashMap<&str, f64> = text.lines().filter_map(series).collect();
        let value = |name: &str| values.get(name).copied();
        let events = |operation: &str| {
            value(&format!("{EVENTS}{{operation=\"{operation}\"}}")).unwrap_or_default()
        };
        Some(Self {
            syncs: value(SYNCS)?,
            sync_seconds: value(SYNC_SECONDS)?,
            events_appended: events("append"),
            events_read: events("read"),
            queued_appends: value(QUEUED).unwrap_or_default(),
            unsynced_bytes: value(UNSYNCED).unwrap_or_default(),
        })
    }
}

impl Activity {
    fn of(totals: Totals, before: Option<(Timestamp, Totals)>, at: Timestamp) -> Self {
        // An application that was started again counts from the beginning.
        let before = before.filter(|(_, before)| before.syncs <= totals.syncs);
        let seconds = before.map(|(time, _)| at.since(time).as_secs_f64());
        let earlier = before.map(|(_, totals)| totals).unwrap_or_default();
        let rate = |now: f64, then: f64| {
            let seconds = seconds.filter(|seconds| *seconds > 0.0);
            seconds.map(|seconds| (now - then).max(0.0) / seconds)
        };
        let syncs = totals.syncs - earlier.syncs;
        let sync_seconds = totals.sync_seconds - earlier.sync_seconds;
        Self {
            sync_ms: (syncs > 0.0).then(|| sync_seconds / syncs * 1000.0),
            syncs_per_second: rate(totals.syncs, earlier.syncs),
            events_appended_per_second: rate(totals.events_appended, earlier.events_appended),
            events_read_per_second: rate(totals.events_read, earlier.events_read),
            queued_appends: totals.queued_appends,
            unsynced_bytes: totals.unsynced_bytes,
        }
    }
}

/// The name of a series, with its labels, and its value.
fn series(line: &str) -> Option<(&str, f64)> {
    let (name, value) = line.trim_end().rsplit_once(' ')?;
    let is_comment = name.starts_with('#');
    let value = value.parse().ok().filter(|_| !is_comment)?;
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use annals_profile::METRICS;

    use super::*;

    const ANSWER: &str = "\
# TYPE annals_store_sync_seconds histogram
annals_store_sync_seconds_bucket{le=\"0.001\"} 90
annals_store_sync_seconds_sum 0.25
annals_store_sync_seconds_count 100
annals_operation_events_total{operation=\"append\"} 400
annals_operation_events_total{operation=\"read\"} 1e3
annals_store_queued_appends 3
annals_store_unsynced_bytes 0
";

    fn totals(syncs: f64) -> Totals {
        Totals {
            syncs,
            ..Totals::of(ANSWER).unwrap()
        }
    }

    #[test]
    fn rates_are_those_since_the_look_before() {
        let at = Timestamp::from_seconds(100);
        let first = Activity::of(totals(100.0), None, at);
        assert_eq!((first.sync_ms, first.syncs_per_second), (Some(2.5), None));
        let before = Totals {
            syncs: 80.0,
            sync_seconds: 0.23,
            events_read: 0.0,
            ..totals(0.0)
        };
        let before = Some((Timestamp::from_seconds(96), before));
        let next = Activity::of(totals(100.0), before, at);
        let rates = (next.syncs_per_second, next.events_read_per_second);
        assert_eq!(rates, (Some(5.0), Some(250.0)));
        assert_eq!(next.events_appended_per_second, Some(0.0));
        assert!((next.sync_ms.unwrap() - 1.0).abs() < 1e-9, "{next:?}");
        // An application that began anew.
        let again = Activity::of(totals(7.0), Some((at, totals(100.0))), at);
        assert_eq!(again.syncs_per_second, None);
    }

    #[test]
    fn an_answer_without_a_store_is_none() {
        assert_eq!(Totals::of("# TYPE up gauge\nup 1\n"), None);
        assert_eq!(Totals::of("<html>"), None);
    }

    #[test]
    fn the_metrics_are_those_of_the_table() {
        for name in [SYNC_SECONDS, SYNCS, EVENTS, QUEUED, UNSYNCED] {
            let is_it = |metric: &annals_profile::MetricInfo| {
                let rest = name.strip_prefix(metric.name);
                rest.is_some_and(|rest| matches!(rest, "" | "_sum" | "_count"))
            };
            assert!(METRICS.iter().any(is_it), "{name}");
        }
    }
}
