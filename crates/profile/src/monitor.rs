//! What layers tell of what is done, and who is told.

use std::sync::Arc;
use std::time::Duration;

use annals_core::{
    ConsumerStanding, ErrorKind, Observed, Observer, StoreVitals, StreamId, Work, WorkKind,
    WorkOutcome,
};
use tracing::Span;

#[cfg(feature = "metrics")]
use crate::Metrics;
use crate::operation::Operation;
use crate::profiler::Profiler;
use crate::totals::Measurement;
use crate::trace::{Spans, failing};

/// Watches an application: counts and times in a [`Profiler`], and, where they are asked for, traces in [`Spans`] and
/// records metrics. Clones are the same monitor.
///
/// One monitor serves all layers: hand it to [`ProfiledStore`](crate::ProfiledStore) and
/// [`ProfiledCodec`](crate::ProfiledCodec), and, as the [`Observer`] that it is, to repositories
/// (`Repository::with_observer`) and processors (`ProcessorBuilder::observer`). What was begun and given up, as by a
/// future that is dropped, is counted nowhere.
///
/// ```
/// use std::sync::Arc;
///
/// use annals_concurrency::SystemTimer;
/// use annals_profile::{Monitor, Profiler, Spans};
///
/// let profiler = Profiler::new(Arc::new(SystemTimer));
/// let monitor = Monitor::new(profiler.clone()).with_spans(Spans::new().of_system("annals.embedded"));
/// # let _ = monitor;
/// ```
#[derive(Clone, Debug)]
pub struct Monitor {
    profiler: Profiler,
    spans: Option<Arc<Spans>>,
    #[cfg(feature = "metrics")]
    metrics: Option<Metrics>,
}

/// What has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    at: Duration,
    pub(crate) span: Option<Span>,
}

/// Work that has begun, of an aggregate or a consumer.
#[derive(Debug)]
struct BegunWork {
    monitor: Monitor,
    begun: Begun,
    kind: WorkKind,
    stream: Option<StreamId>,
    events: u64,
}

impl Monitor {
    /// A monitor that counts and times.
    pub fn new(profiler: Profiler) -> Self {
        Self {
            profiler,
            spans: None,
            #[cfg(feature = "metrics")]
            metrics: None,
        }
    }

    /// The same that traces too.
    #[must_use]
    pub fn with_spans(mut self, spans: Spans) -> Self {
        self.spans = Some(Arc::new(spans));
        self
    }

    /// The same that records metrics too.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn with_metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// The profiler.
    pub fn profiler(&self) -> &Profiler {
        &self.profiler
    }

    /// Notes what a store tells of its own state, as gauges; ask it again every few seconds, or before each scrape.
    pub fn store_vitals(&self, vitals: &StoreVitals) {
        #[cfg(feature = "metrics")]
        if let Some(metrics) = &self.metrics {
            metrics.vitals(vitals);
        }
        #[cfg(not(feature = "metrics"))]
        let _ = vitals;
    }

    /// Notes how many bytes are free on the disk of a store.
    pub fn disk_free_bytes(&self, bytes: u64) {
        #[cfg(feature = "metrics")]
        if let Some(metrics) = &self.metrics {
            metrics.disk_free_bytes(bytes);
        }
        #[cfg(not(feature = "metrics"))]
        let _ = bytes;
    }

    /// Begins to measure, within the span that `span` makes where spans are asked for.
    pub(crate) fn begin(&self, span: impl FnOnce(&Spans) -> Span) -> Begun {
        Begun {
            span: self.spans.as_deref().map(span),
            at: self.profiler.now(),
        }
    }

    /// How long what was begun took, and how it ended.
    pub(crate) fn ended(&self, begun: &Begun, failed: Option<ErrorKind>) -> Measurement {
        let measured = self.profiler.since(begun.at);
        let Some(kind) = failed else {
            return measured;
        };
        if let Some(span) = &begun.span {
            failing(span, kind);
        }
        measured.failed()
    }

    pub(crate) fn spans(&self) -> Option<&Spans> {
        self.spans.as_deref()
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn metrics(&self) -> Option<&Metrics> {
        self.metrics.as_ref()
    }

    /// Records what was measured of an operation, in the metrics too.
    pub(crate) fn record(
        &self,
        operation: Operation,
        stream: Option<&StreamId>,
        measured: Measurement,
    ) {
        self.profiler.record(operation, stream, measured);
        #[cfg(feature = "metrics")]
        if let Some(metrics) = &self.metrics {
            metrics.operation(operation, &measured);
        }
    }

    /// An event could not be encoded, or not be decoded.
    pub(crate) fn coding_failed(&self, operation: Operation) {
        self.profiler.record_failure(operation);
        #[cfg(feature = "metrics")]
        if let Some(metrics) = &self.metrics {
            metrics.coding_failed(operation);
        }
    }
}

impl From<Profiler> for Monitor {
    fn from(profiler: Profiler) -> Self {
        Self::new(profiler)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Observer for Monitor {
    fn begin(&self, work: &Work<'_>) -> Box<dyn Observed> {
        #[cfg(feature = "metrics")]
        if let (Some(metrics), Some(consumer)) = (&self.metrics, work.consumer)
            && work.attempt > 1
        {
            metrics.retried(consumer);
        }
        Box::new(BegunWork {
            monitor: self.clone(),
            begun: Self::begin(self, |spans| spans.work(work)),
            kind: work.kind,
            stream: work.stream.cloned(),
            events: u64::try_from(work.events.len()).unwrap_or(u64::MAX),
        })
    }

    fn standing(&self, standing: &ConsumerStanding<'_>) {
        #[cfg(feature = "metrics")]
        if let Some(metrics) = &self.metrics {
            metrics.standing(standing);
        }
        #[cfg(not(feature = "metrics"))]
        let _ = standing;
    }
}

#[deny(clippy::missing_trait_methods)]
impl Observed for BegunWork {
    fn within(&mut self, step: &mut dyn FnMut()) {
        match &self.begun.span {
            Some(span) => span.in_scope(step),
            None => step(),
        }
    }

    fn end(self: Box<Self>, outcome: WorkOutcome) {
        let failed = match outcome {
            WorkOutcome::Failed(kind) => Some(kind),
            _ => None,
        };
        let measured = self.monitor.ended(&self.begun, failed).events(self.events);
        if outcome == WorkOutcome::Declined {
            self.declined();
        }
        self.monitor
            .record(self.kind.into(), self.stream.as_ref(), measured);
    }
}

impl BegunWork {
    /// The application refused a command by a rule of its own, which is no failure.
    fn declined(&self) {
        if let Some(span) = &self.begun.span {
            span.record("annals.declined", true);
        }
        #[cfg(feature = "metrics")]
        if let Some(metrics) = &self.monitor.metrics {
            metrics.declined();
        }
    }
}
