//! The metrics in the text form of Prometheus.

use std::fmt;
use std::sync::Arc;

use annals_core::{Error, ErrorKind};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use super::Metrics;

/// Keeps metrics and writes them in the text form of Prometheus. Clones are the same.
///
/// A recorder of its own: another one may be installed for the rest of the process.
///
/// ```
/// use annals_profile::{Metrics, Prometheus};
///
/// let prometheus = Prometheus::new()?;
/// let metrics = prometheus.metrics();
/// assert!(prometheus.render().contains("annals_appends_total{outcome=\"recorded\"} 0"));
/// # let _ = metrics;
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Prometheus {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl Prometheus {
    /// The upper ends of the buckets of seconds: from 10 us to 10 s.
    pub const BUCKETS_SECONDS: [f64; 19] = [
        0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01,
        0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ];

    /// No metrics yet.
    ///
    /// # Errors
    /// None: the buckets are right.
    pub fn new() -> Result<Self, Error> {
        let builder = PrometheusBuilder::new();
        let of_seconds = Matcher::Suffix("_seconds".to_owned());
        let builder = builder
            .set_buckets_for_metric(of_seconds, &Self::BUCKETS_SECONDS)
            .map_err(|error| {
                Error::new(ErrorKind::Invalid, "buckets are refused").caused_by(error)
            })?;
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        Ok(Self {
            recorder: Arc::new(recorder),
            handle,
        })
    }

    /// The metrics of annals, recorded here.
    pub fn metrics(&self) -> Metrics {
        Metrics::of(Arc::clone(&self.recorder) as _)
    }

    /// All metrics as text.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Takes in what was recorded since the last time, so that it takes little memory. [`render`](Self::render) does
    /// so too; where nobody renders for long, call this every few seconds. An [`Endpoint`](crate::Endpoint) does.
    pub fn tidy_up(&self) {
        self.handle.run_upkeep();
    }
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus").finish_non_exhaustive()
    }
}
