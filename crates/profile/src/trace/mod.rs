//! Spans, and the context that joins them across processes and time.

mod context;
#[cfg(feature = "opentelemetry")]
mod opentelemetry;
mod spans;
mod traces;

pub use context::TraceContext;
#[cfg(feature = "opentelemetry")]
pub use opentelemetry::OpenTelemetryTraces;
pub use spans::Spans;
pub(crate) use spans::{ending, failing};
pub use traces::Traces;
