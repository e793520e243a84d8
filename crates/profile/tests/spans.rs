//! What spans tell, and what they never tell.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex};

use annals_aggregate::{CommandError, Repository};
use annals_codec::JsonCodec;
use annals_concurrency::{ManualTimer, Spawn};
use annals_core::{Aggregate, CheckpointStore, EventStore, Refusal};
use annals_macros::Event;
use annals_profile::{
    Monitor, ProfiledCodec, ProfiledStore, Profiler, Spans, TraceContext, Traces,
};
use annals_projection::{MemorySink, Processor, Projection, Reaction, Start};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Span, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

/// A span as it was seen: its name, its parent, its fields.
#[derive(Clone, Debug, Default)]
struct Seen {
    parent: Option<u64>,
    fields: BTreeMap<String, String>,
    follows: Vec<String>,
}

impl Seen {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |value| value)
    }
}

/// Keeps all spans, and every text of every event.
#[derive(Clone, Debug, Default)]
struct Watch {
    spans: Arc<Mutex<BTreeMap<u64, Seen>>>,
    texts: Arc<Mutex<Vec<String>>>,
}

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        let text = text.trim_matches('"').to_owned();
        self.0.insert(field.name().to_owned(), text);
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Watch {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut seen = Seen::default();
        attributes.record(&mut Fields(&mut seen.fields));
        let span = context.span(id).unwrap();
        seen.parent = span.parent().map(|parent| parent.id().into_u64());
        seen.fields
            .insert("name".to_owned(), span.name().to_owned());
        self.spans.lock().unwrap().insert(id.into_u64(), seen);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut spans = self.spans.lock().unwrap();
        values.record(&mut Fields(
            &mut spans.get_mut(&id.into_u64()).unwrap().fields,
        ));
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        self.texts.lock().unwrap().push(format!("{fields:?}"));
    }
}

impl Watch {
    fn spans(&self) -> Vec<Seen> {
        self.spans.lock().unwrap().values().cloned().collect()
    }

    fn of(&self, operation: &str) -> Vec<Seen> {
        let mut spans = self.spans();
        spans.retain(|span| {
            [
                span.field("db.operation.name"),
                span.field("messaging.operation.name"),
            ]
            .contains(&operation)
        });
        spans
    }
}

/// A tracer that makes the number of a span its id, and notes in the watch what follows what.
#[derive(Clone, Debug)]
struct Numbering(Watch);

impl Numbering {
    fn note(&self, span: &Span, text: String) {
        let id = span.id().unwrap().into_u64();
        let mut spans = self.0.spans.lock().unwrap();
        spans.get_mut(&id).unwrap().follows.push(text);
    }
}

impl Traces for Numbering {
    fn current(&self) -> Option<TraceContext> {
        let id = Span::current().id()?.into_u64();
        TraceContext::from_ids(7, id, true).ok()
    }

    fn follow(&self, span: &Span, parent: &TraceContext) {
        self.note(span, format!("child of {}", parent.span_id()));
    }

    fn link(&self, span: &Span, cause: &TraceContext) {
        self.note(span, format!("linked to {}", cause.span_id()));
    }
}

/// What no span may show: it stands in payloads, headers, keys and refusals.
const SECRET: &str = "s3cret-of-erika";

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "account")]
enum AccountEvent {
    Deposited { note: String },
    Thanked { note: String },
}

#[derive(Debug, Default)]
struct Account;

impl Aggregate for Account {
    type Event = AccountEvent;

    fn apply(&mut self, _: &AccountEvent) -> Result<(), Refusal> {
        Ok(())
    }
}

fn note() -> String {
    format!("{SECRET}, in a payload")
}

/// Threads that see the subscriber of the test.
#[derive(Debug)]
struct Threads(Dispatch);

impl Spawn for Threads {
    fn spawn(&self, task: futures_util::future::BoxFuture<'static, ()>) {
        let dispatch = self.0.clone();
        std::thread::spawn(move || {
            tracing::dispatcher::with_default(&dispatch, || block_on(task));
        });
    }
}

/// An application that is watched in all its parts: two deposits, a projection, a reaction that appends, and commands
/// that are declined and fail.
fn run(spans: impl FnOnce(&Watch) -> Spans) -> Watch {
    let watch = Watch::default();
    let dispatch = Dispatch::new(Registry::default().with(watch.clone()));
    let profiler = Profiler::new(Arc::new(ManualTimer::default()));
    let monitor = Monitor::new(profiler).with_spans(spans(&watch));
    tracing::dispatcher::with_default(&dispatch, || {
        block_on(live(monitor, Threads(dispatch.clone())));
    });
    watch
}

async fn live(monitor: Monitor, threads: Threads) {
    let inner = Arc::new(MemoryStore::new());
    let store: Arc<dyn EventStore> =
        Arc::new(ProfiledStore::new(Arc::clone(&inner), monitor.clone()));
    let checkpoints: Arc<dyn CheckpointStore> = inner;
    let codec = ProfiledCodec::new(JsonCodec, monitor.clone());
    let accounts = Repository::<Account>::new(Arc::clone(&store), codec)
        .with_observer(Arc::new(monitor.clone()));
    let deposit = |_: &Account| Ok::<_, String>(AccountEvent::Deposited { note: note() });
    accounts.execute(SECRET, deposit).await.unwrap();
    accounts.execute(SECRET, deposit).await.unwrap();
    let declined = accounts.execute(SECRET, |_| Err::<Vec<AccountEvent>, _>(note()));
    assert!(matches!(declined.await, Err(CommandError::Refused(_))));

    let count = Projection::builder("count", 1)
        .unwrap()
        .on(JsonCodec, |count: &mut u64, _: &AccountEvent, _| {
            *count += 1;
            Ok(())
        })
        .build()
        .unwrap();
    let thanking = accounts.clone();
    let thanks = Reaction::builder("thanks", Start::Beginning)
        .unwrap()
        .on(
            JsonCodec,
            move |delivery: annals_projection::Delivery<AccountEvent>| {
                let accounts = thanking.clone();
                async move {
                    if matches!(*delivery, AccountEvent::Deposited { .. }) {
                        let thank = |_: &Account| {
                            Ok::<_, Infallible>(AccountEvent::Thanked { note: note() })
                        };
                        accounts.execute("thanks", thank).await?;
                    }
                    Ok(())
                }
            },
        )
        .build()
        .unwrap();
    let processor = Processor::builder(Arc::clone(&store))
        .project(count, MemorySink::new(0))
        .react(thanks, checkpoints)
        .observer(Arc::new(monitor))
        .spawn(threads)
        .build()
        .unwrap()
        .start();
    processor.wait_until_live("thanks").await.unwrap();
    processor.wait_until_live("thanks").await.unwrap();
    processor.wait_until_live("count").await.unwrap();
    processor.stop().await;
}

#[test]
fn spans_tell_what_is_done_by_the_conventions() {
    let watch = run(|_| Spans::new().of_system("annals.memory"));
    for (operation, name, kind, count, fields) in [
        (
            "append",
            "append account",
            "producer",
            4,
            &[
                ("db.system.name", "annals.memory"),
                ("db.collection.name", "account"),
                ("messaging.system", "annals.memory"),
                ("messaging.operation.type", "send"),
                ("messaging.destination.name", "account"),
                ("messaging.batch.message_count", "1"),
            ][..],
        ),
        (
            "command",
            "command account",
            "internal",
            5,
            &[("db.collection.name", "account")],
        ),
        ("load", "load account", "internal", 5, &[]),
        (
            "react",
            "react thanks",
            "consumer",
            4,
            &[
                ("messaging.operation.type", "process"),
                ("messaging.consumer.group.name", "thanks"),
                ("messaging.destination.name", "account"),
                ("messaging.batch.message_count", "1"),
                ("annals.attempt", "1"),
            ],
        ),
    ] {
        let found = watch.of(operation);
        assert_eq!(found.len(), count, "{operation}: {found:#?}");
        for span in &found {
            assert_eq!(span.field("otel.name"), name);
            assert_eq!(span.field("otel.kind"), kind);
            assert_eq!(span.field("annals.stream"), "");
            for (field, value) in fields {
                assert_eq!(span.field(field), *value, "{operation}: {field}");
            }
        }
    }
    let declined = watch.of("command");
    let declined = declined
        .iter()
        .filter(|span| span.field("annals.declined") == "true");
    assert_eq!(declined.count(), 1);
    assert!(!watch.of("project").is_empty() && !watch.of("fold").is_empty());
    assert!(!watch.of("read").is_empty());
}

#[test]
fn spans_stand_within_each_other() {
    let watch = run(|_| Spans::new());
    let all = watch.spans.lock().unwrap().clone();
    for (operation, parent) in [("load", "command"), ("append", "command"), ("fold", "load")] {
        for span in watch.of(operation) {
            let within = &all[&span.parent.unwrap()];
            assert_eq!(within.field("db.operation.name"), parent, "{operation}");
        }
    }
    let reacting = all.values().filter(|span| {
        let command = span.field("db.operation.name") == "command";
        let within = span.parent.and_then(|parent| all.get(&parent));
        command && within.is_some_and(|parent| parent.field("messaging.operation.name") == "react")
    });
    assert_eq!(reacting.count(), 2);
}

#[test]
fn no_span_shows_a_payload_a_header_or_a_key() {
    let watch = run(|_| Spans::new());
    let told = format!("{:?} {:?}", watch.spans(), watch.texts.lock().unwrap());
    assert!(told.contains("append account"));
    assert!(!told.contains("s3cret"), "{told}");
    // The grep would find it: with names of streams, the key is there.
    let watch = run(|_| Spans::new().naming_streams());
    let streams = watch.of("append").into_iter();
    let mut streams = streams.map(|span| span.field("annals.stream").to_owned());
    assert!(streams.any(|stream| stream == format!("account-{SECRET}")));
}

#[test]
fn a_trace_goes_on_from_the_append_to_whoever_takes_the_event() {
    let watch = run(|watch| Spans::new().joining(Arc::new(Numbering(watch.clone()))));
    let all = watch.spans.lock().unwrap().clone();
    let appends: Vec<String> = all
        .iter()
        .filter(|(_, span)| span.field("db.operation.name") == "append")
        .map(|(id, _)| format!("{id:016x}"))
        .collect();
    assert_eq!(appends.len(), 4);
    let mut children: Vec<String> = Vec::new();
    for span in watch.of("react") {
        children.extend(span.follows);
    }
    let mut expected: Vec<_> = appends.iter().map(|id| format!("child of {id}")).collect();
    children.sort();
    expected.sort();
    assert_eq!(children, expected);
    let mut links: Vec<String> = Vec::new();
    for span in watch.of("project") {
        links.extend(span.follows);
    }
    let mut expected: Vec<_> = appends.iter().map(|id| format!("linked to {id}")).collect();
    links.sort();
    expected.sort();
    assert_eq!(links, expected);
}
