//! A watched store keeps the contract, and nothing that it does goes unmeasured.

use std::sync::Arc;

use annals_concurrency::SystemTimer;
use annals_conformance::{
    HistorySettings, ManualClock, Stores, check, check_histories, check_model,
};
use annals_profile::{Monitor, ProfiledStore, Profiler, Spans, TraceContext, Traces};
use annals_store_memory::MemoryStore;
use tracing::Span;
use tracing_subscriber::Registry;

/// A tracer that has no context at hand: with one, events come back with two headers more.
#[derive(Debug)]
struct Silent;

impl Traces for Silent {
    fn current(&self) -> Option<TraceContext> {
        None
    }

    fn follow(&self, _: &Span, _: &TraceContext) {}

    fn link(&self, _: &Span, _: &TraceContext) {}
}

fn profiler() -> Profiler {
    Profiler::new(Arc::new(SystemTimer))
}

/// A monitor with all of its parts.
fn whole() -> Monitor {
    let monitor = Monitor::new(profiler());
    let monitor = monitor.with_spans(Spans::new().naming_streams().joining(Arc::new(Silent)));
    #[cfg(feature = "prometheus")]
    let monitor = match annals_profile::Prometheus::new() {
        Ok(prometheus) => monitor.with_metrics(prometheus.metrics()),
        Err(_) => monitor,
    };
    monitor
}

fn stores(clock: ManualClock, monitor: impl Into<Monitor>) -> Stores {
    let store = MemoryStore::builder().clock(Arc::new(clock)).build();
    Stores::complete(ProfiledStore::new(store, monitor)).on_the_clock()
}

fn profiled(clock: ManualClock) -> Stores {
    stores(clock, profiler())
}

fn watched(clock: ManualClock) -> Stores {
    stores(clock, whole())
}

#[test]
fn a_measured_store_conforms() {
    let report = check(profiled);
    report.assert_passed();
    assert_eq!(report.skipped().count(), 0, "{report}");
}

#[test]
fn a_store_that_is_watched_in_every_way_conforms() {
    let heard = tracing::subscriber::set_default(Registry::default());
    let report = check(watched);
    report.assert_passed();
    assert_eq!(report.skipped().count(), 0, "{report}");
    drop(heard);
}

#[test]
fn a_watched_store_agrees_with_the_model() {
    check_model(watched, 50).assert_passed();
}

#[test]
fn a_watched_store_keeps_order_under_many_clients() {
    check_histories(watched, HistorySettings::default()).assert_passed();
}
