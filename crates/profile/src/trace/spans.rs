//! The spans of what is done.

use std::collections::HashSet;
use std::sync::Arc;

use annals_core::{
    Append, CheckpointName, ErrorKind, RecordedEvent, StreamId, Work, WorkEvents, WorkKind,
};
use tracing::field::Empty;
use tracing::{Span, debug_span, info_span};

use super::{TraceContext, Traces};
use crate::operation::Operation;

/// The names of a tracer's spans: which there are, and what they tell.
///
/// A span for each append, command, load, fold, step of a projection and delivery to a reaction, for each page that is
/// read, and for each other question to a store. Their attributes are those of OpenTelemetry's conventions for
/// databases and for messaging: the system, the operation, the category of the stream as collection and as
/// destination, how many events, and the kind of an error. **Never a payload, never a header, and never the key of a
/// stream** unless [`naming_streams`](Self::naming_streams) says so: keys often name people.
///
/// Appends, commands, steps and deliveries are of the level `INFO`, the others of `DEBUG`; all of the target `annals`.
/// Where nobody listens to a level, its spans cost a comparison.
#[derive(Clone, Debug)]
pub struct Spans {
    system: &'static str,
    names_streams: bool,
    traces: Option<Arc<dyn Traces>>,
}

/// The one destination or collection of what is done, or none.
struct Target<'a> {
    category: Option<&'a str>,
    stream: Option<&'a StreamId>,
}

impl Spans {
    /// How many traces a step of a projection is linked to at the most: those of its first events.
    pub const LINKS_MAX: usize = 32;

    /// Spans whose system is called `annals`, and that carry no context over.
    pub fn new() -> Self {
        Self {
            system: "annals",
            names_streams: false,
            traces: None,
        }
    }

    /// The same with another name of the system (`db.system.name`, `messaging.system`), as that of the store.
    #[must_use]
    pub fn of_system(mut self, system: &'static str) -> Self {
        self.system = system;
        self
    }

    /// The same with the names of streams, as `annals.stream`: where keys name no one, and traces are kept as safe as
    /// the events.
    #[must_use]
    pub fn naming_streams(mut self) -> Self {
        self.names_streams = true;
        self
    }

    /// The same with this tracer: appended events carry the context of the append's span, a delivery to a reaction is a
    /// child of that span, and a step of a projection is linked to those of its events.
    #[must_use]
    pub fn joining(mut self, traces: Arc<dyn Traces>) -> Self {
        self.traces = Some(traces);
        self
    }

    /// The context that is appended with events that have none, within the span of the append.
    pub(crate) fn carried(&self, span: &Span) -> Option<TraceContext> {
        let traces = self.traces.as_ref()?;
        span.in_scope(|| traces.current())
    }

    /// The span of an append.
    pub(crate) fn append(&self, append: &Append) -> Span {
        let target = Target::of_append(append);
        let (system, events) = (self.system, append.event_count());
        let span = info_span!(
            target: "annals",
            "append",
            otel.name = named("append", target.category),
            otel.kind = "producer",
            otel.status_code = Empty,
            db.system.name = system,
            db.operation.name = "append",
            db.collection.name = target.category,
            messaging.system = system,
            messaging.operation.name = "append",
            messaging.operation.type = "send",
            messaging.destination.name = target.category,
            messaging.batch.message_count = events,
            error.type = Empty,
            annals.stream = Empty,
        );
        self.name_stream(&span, target.stream);
        span
    }

    /// The span of another call of a store.
    pub(crate) fn call(&self, operation: Operation, stream: Option<&StreamId>) -> Span {
        let (name, category) = (operation.name(), stream.map(StreamId::category_str));
        let span = debug_span!(
            target: "annals",
            "store",
            otel.name = named(name, category),
            otel.kind = "client",
            otel.status_code = Empty,
            db.system.name = self.system,
            db.operation.name = name,
            db.collection.name = category,
            db.response.returned_rows = Empty,
            error.type = Empty,
            annals.stream = Empty,
        );
        self.name_stream(&span, stream);
        span
    }

    /// The span of work in an aggregate or a consumer.
    pub(crate) fn work(&self, work: &Work<'_>) -> Span {
        let span = match work.kind {
            WorkKind::Project | WorkKind::React => self.consuming(work),
            WorkKind::Load | WorkKind::Fold => self.reading(work),
            _ => self.commanding(work),
        };
        self.name_stream(&span, work.stream);
        span
    }

    fn commanding(&self, work: &Work<'_>) -> Span {
        let (name, category) = (work.kind.name(), work.stream.map(StreamId::category_str));
        info_span!(
            target: "annals",
            "command",
            otel.name = named(name, category),
            otel.kind = "internal",
            otel.status_code = Empty,
            db.system.name = self.system,
            db.operation.name = name,
            db.collection.name = category,
            error.type = Empty,
            annals.declined = Empty,
            annals.stream = Empty,
        )
    }

    fn reading(&self, work: &Work<'_>) -> Span {
        let (name, category) = (work.kind.name(), work.stream.map(StreamId::category_str));
        let events = (!work.events.is_empty()).then(|| work.events.len());
        debug_span!(
            target: "annals",
            "aggregate",
            otel.name = named(name, category),
            otel.kind = "internal",
            otel.status_code = Empty,
            db.system.name = self.system,
            db.operation.name = name,
            db.collection.name = category,
            db.response.returned_rows = events,
            error.type = Empty,
            annals.stream = Empty,
        )
    }

    fn consuming(&self, work: &Work<'_>) -> Span {
        let (name, consumer) = (work.kind.name(), work.consumer.map(CheckpointName::as_str));
        let (system, events) = (self.system, work.events.len());
        let span = info_span!(
            target: "annals",
            "process",
            otel.name = named(name, consumer),
            otel.kind = "consumer",
            otel.status_code = Empty,
            messaging.system = system,
            messaging.operation.name = name,
            messaging.operation.type = "process",
            messaging.destination.name = the_category(&work.events),
            messaging.consumer.group.name = consumer,
            messaging.batch.message_count = events,
            annals.attempt = work.attempt,
            error.type = Empty,
            annals.stream = Empty,
        );
        self.join(&span, work.kind, &work.events);
        span
    }

    /// Joins the span of a consumer to the traces of its events.
    fn join(&self, span: &Span, kind: WorkKind, events: &WorkEvents<'_>) {
        let Some(traces) = self.traces.as_ref().filter(|_| !span.is_disabled()) else {
            return;
        };
        let mut known = HashSet::new();
        let carrying = events.iter().map(RecordedEvent::metadata);
        let new = carrying.filter(|metadata| {
            let parent = metadata.header(TraceContext::TRACEPARENT);
            parent.is_some_and(|parent| known.insert(parent))
        });
        for context in new.filter_map(TraceContext::of).take(Self::LINKS_MAX) {
            match kind {
                WorkKind::React => traces.follow(span, &context),
                _ => traces.link(span, &context),
            }
        }
    }

    fn name_stream(&self, span: &Span, stream: Option<&StreamId>) {
        if let Some(stream) = stream.filter(|_| self.names_streams) {
            span.record("annals.stream", stream.as_str());
        }
    }
}

impl Default for Spans {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Target<'a> {
    fn of_append(append: &'a Append) -> Self {
        let streams = || append.writes().iter().map(|write| &write.stream);
        Self {
            category: the_one(streams().map(StreamId::category_str)),
            stream: the_one(streams()),
        }
    }
}

/// Notes how many events came back.
pub(crate) fn ending(span: &Span, events: usize) {
    span.record("db.response.returned_rows", events);
}

/// Notes that what was done failed.
pub(crate) fn failing(span: &Span, kind: ErrorKind) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", kind.name());
}

/// The category of all events, if they have one in common.
fn the_category<'a>(events: &WorkEvents<'a>) -> Option<&'a str> {
    the_one(events.iter().map(|event| event.stream().category_str()))
}

/// The one that all are; `None` where they differ, or there is none.
fn the_one<T: PartialEq>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}

/// The name of a span: what is done, and on what.
fn named(operation: &str, target: Option<&str>) -> String {
    match target {
        Some(target) => format!("{operation} {target}"),
        None => operation.to_owned(),
    }
}
