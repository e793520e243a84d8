//! Where trace contexts come from, and how spans are joined to them.

use std::fmt;

use tracing::Span;

use crate::TraceContext;

/// The tracer behind the spans: tells the context of the span at hand, and joins spans to contexts of others.
///
/// `tracing` itself knows no trace beyond the process. With the feature `opentelemetry` there is one over
/// `tracing-opentelemetry`; another tracer is a few lines of the application's own.
pub trait Traces: fmt::Debug + Send + Sync {
    /// The context of the span that is current: what is appended now carries it.
    fn current(&self) -> Option<TraceContext>;

    /// Makes a new span the child of a span elsewhere: of the one in which the event was appended that is reacted to.
    fn follow(&self, span: &Span, parent: &TraceContext);

    /// Links a new span to a span elsewhere: to each in which events of the batch were appended.
    fn link(&self, span: &Span, cause: &TraceContext);
}
