//! Metrics by the facade of the crate `metrics`.

#[cfg(feature = "prometheus")]
mod endpoint;
#[cfg(feature = "prometheus")]
mod prometheus;
mod recording;
mod table;

#[cfg(feature = "prometheus")]
pub use endpoint::{Endpoint, EndpointBuilder};
#[cfg(feature = "prometheus")]
pub use prometheus::Prometheus;
pub use recording::Metrics;
pub use table::{METRICS, MetricInfo, MetricKind, MetricLabel, MetricUnit};
