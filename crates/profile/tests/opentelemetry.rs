//! A trace of OpenTelemetry goes on through an event.

#![cfg(feature = "opentelemetry")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;

use annals_concurrency::ManualTimer;
use annals_core::{
    Append, CheckpointName, ContentType, EventStore, EventStoreExt, EventType, Expected, Ids,
    Metadata, NewEvent, Observer, ReadRequest, StreamId, UuidIds, Work, WorkEvents, WorkKind,
    WorkOutcome,
};
use annals_profile::{Monitor, OpenTelemetryTraces, ProfiledStore, Profiler, Spans, TraceContext};
use annals_store_memory::MemoryStore;
use futures_util::FutureExt as _;
use opentelemetry::trace::{SpanId, SpanKind, Status, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt as _;

/// Runs this with a tracer; the spans that it exported.
fn traced(run: impl FnOnce()) -> Vec<SpanData> {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("annals"));
    tracing::subscriber::with_default(Registry::default().with(layer), run);
    provider.force_flush().unwrap();
    exporter.get_finished_spans().unwrap()
}

/// Gives what a store in memory answers at once: an executor would not let the exporter have one within it.
fn at_once<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().unwrap()
}

fn monitor() -> Monitor {
    let profiler = Profiler::new(Arc::new(ManualTimer::default()));
    Monitor::new(profiler).with_spans(Spans::new().joining(Arc::new(OpenTelemetryTraces)))
}

fn append(key: &str, metadata: &Metadata, expected: Expected) -> Append {
    let event = NewEvent::new(EventType::from_static("opened"), ContentType::JSON, "{}").unwrap();
    Append::builder(UuidIds::default().append_id())
        .write(
            StreamId::parse(&format!("account-{key}")).unwrap(),
            expected,
            [event.with_metadata(metadata.clone())],
        )
        .build()
        .unwrap()
}

fn named<'s>(spans: &'s [SpanData], name: &str) -> Vec<&'s SpanData> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[test]
fn a_trace_joins_append_projection_and_reaction() {
    let spans = traced(|| {
        let monitor = monitor();
        let store = ProfiledStore::new(MemoryStore::new(), monitor.clone());
        let observer: Arc<dyn Observer> = Arc::new(monitor);
        at_once(async {
            for key in ["ada", "bob"] {
                let append = append(key, &Metadata::EMPTY, Expected::NoStream);
                store.append(append).await.unwrap();
            }
        });
        let events = at_once(store.collect(ReadRequest::all())).unwrap();
        let name = CheckpointName::from_static("orders");
        for (kind, events) in [
            (WorkKind::Project, &events[..]),
            (WorkKind::React, &events[..1]),
        ] {
            let work = Work::of(kind, &name, WorkEvents::All(events));
            work.run(Some(&observer), || (), |()| WorkOutcome::Done);
        }
    });
    let appends = named(&spans, "append account");
    let [first, second] = appends[..] else {
        panic!("{} appends", appends.len());
    };
    assert_eq!(first.span_kind, SpanKind::Producer);
    assert_ne!(
        first.span_context.trace_id(),
        second.span_context.trace_id()
    );
    let project = named(&spans, "project orders")[0];
    let linked: Vec<SpanId> = project
        .links
        .iter()
        .map(|link| link.span_context.span_id())
        .collect();
    let appended = [first, second].map(|span| span.span_context.span_id());
    assert_eq!(linked, appended);
    assert_eq!(project.parent_span_id, SpanId::INVALID);
    let react = named(&spans, "react orders")[0];
    assert_eq!(react.span_kind, SpanKind::Consumer);
    assert_eq!(react.parent_span_id, first.span_context.span_id());
    assert_eq!(react.span_context.trace_id(), first.span_context.trace_id());
}

#[test]
fn what_failed_says_so_and_a_context_that_is_there_stays() {
    let elsewhere = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let context = TraceContext::parse(elsewhere, Some("vendor=7")).unwrap();
    let carried = context.add_to(&Metadata::EMPTY).unwrap();
    let spans = traced(|| {
        let store = ProfiledStore::new(MemoryStore::new(), monitor());
        at_once(async {
            let append_of = |expected| append("ada", &carried, expected);
            store.append(append_of(Expected::NoStream)).await.unwrap();
            store
                .append(append_of(Expected::NoStream))
                .await
                .unwrap_err();
            let event = store.collect(ReadRequest::all()).await.unwrap().remove(0);
            assert_eq!(TraceContext::of(event.metadata()), Some(context.clone()));
        });
    });
    let appends = named(&spans, "append account");
    assert_eq!(appends[0].status, Status::Unset);
    assert!(matches!(appends[1].status, Status::Error { .. }));
    let kinds = appends[1].attributes.iter();
    let kinds = kinds.filter(|attribute| attribute.key.as_str() == "error.type");
    let kinds: Vec<_> = kinds.map(|attribute| attribute.value.to_string()).collect();
    assert_eq!(kinds, ["conflict"]);
}

#[test]
fn without_a_tracer_nothing_is_carried() {
    let store = ProfiledStore::new(MemoryStore::new(), monitor());
    at_once(async {
        let append = append("ada", &Metadata::EMPTY, Expected::NoStream);
        store.append(append).await.unwrap();
        let event = store.collect(ReadRequest::all()).await.unwrap().remove(0);
        assert!(event.metadata().is_empty());
    });
}
