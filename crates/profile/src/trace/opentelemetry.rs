//! Trace contexts of OpenTelemetry.

use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{TraceContext, Traces};

/// The tracer of OpenTelemetry, where `tracing-opentelemetry` is a layer of the subscriber.
///
/// ```
/// use std::sync::Arc;
///
/// use annals_profile::{OpenTelemetryTraces, Spans};
///
/// let spans = Spans::new().joining(Arc::new(OpenTelemetryTraces));
/// # let _ = spans;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenTelemetryTraces;

impl Traces for OpenTelemetryTraces {
    fn current(&self) -> Option<TraceContext> {
        let context = Span::current().context();
        let span = context.span();
        let span = span.span_context();
        let state = span.trace_state().header();
        let (trace, id, flags) = (span.trace_id(), span.span_id(), span.trace_flags().to_u8());
        let parent = format!("00-{trace}-{id}-{flags:02x}");
        let state = (!state.is_empty()).then_some(state);
        // Without a tracer the ids are zeros, which is no context.
        TraceContext::parse(&parent, state.as_deref()).ok()
    }

    fn follow(&self, span: &Span, parent: &TraceContext) {
        if let Some(parent) = remote(parent) {
            // A span that was entered already has its parent.
            let _ = span.set_parent(Context::new().with_remote_span_context(parent));
        }
    }

    fn link(&self, span: &Span, cause: &TraceContext) {
        if let Some(cause) = remote(cause) {
            span.add_link(cause);
        }
    }
}

/// The context as OpenTelemetry has it.
fn remote(context: &TraceContext) -> Option<SpanContext> {
    let trace_id = TraceId::from_hex(context.trace_id()).ok()?;
    let span_id = SpanId::from_hex(context.span_id()).ok()?;
    let flags = if context.is_sampled() {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::default()
    };
    let state = context
        .tracestate()
        .and_then(|state| state.parse::<TraceState>().ok());
    Some(SpanContext::new(
        trace_id,
        span_id,
        flags,
        true,
        state.unwrap_or_default(),
    ))
}
