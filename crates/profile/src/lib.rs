//! What an application does with its events, to be watched: counts, times and heavy hitters, traces, metrics, health;
//! in bounded memory.
//!
//! A [`Profiler`] keeps, for each [`Operation`], how often it was done, how often it failed, how long it took in all
//! and how the times are spread; and, of any number of streams, those that took the most time. A [`Monitor`] adds
//! [`Spans`] that follow OpenTelemetry's conventions, and `Metrics`. Layers around stores and codecs feed
//! it ([`ProfiledStore`], [`ProfiledCodec`]), and repositories and processors, whose observer it is. A
//! [`HealthReport`] says what is wrong, and what to do.
//!
//! It is *not* a sampler of stacks, and it sends nothing anywhere: [`Profiler::report`] is data, to be printed or
//! handed on, spans go to whoever subscribes to `tracing`, metrics to the recorder of the crate `metrics`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use annals_codec::{EventCodec, JsonCodec};
//! use annals_concurrency::SystemTimer;
//! use annals_core::{Append, EventStore, Expected, Ids, ReadRequest, StreamId, UuidIds};
//! use annals_macros::Event;
//! use annals_profile::{Operation, ProfiledCodec, ProfiledStore, Profiler};
//! use annals_store_memory::MemoryStore;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Event, Serialize, Deserialize)]
//! #[event(category = "account")]
//! struct Deposited { cents: u64 }
//!
//! # futures_executor::block_on(async {
//! let profiler = Profiler::new(Arc::new(SystemTimer));
//! let store = ProfiledStore::new(MemoryStore::new(), profiler.clone());
//! let codec = ProfiledCodec::new(JsonCodec, profiler.clone());
//!
//! let append = Append::builder(UuidIds::default().append_id())
//!     .write(StreamId::parse("account-ada")?, Expected::NoStream, [codec.encode(&Deposited { cents: 5 })?])
//!     .build()?;
//! store.append(append).await?;
//! store.read(ReadRequest::all()).await?;
//!
//! let report = profiler.report();
//! assert_eq!(report.operations[0].operation, Operation::Append);
//! assert_eq!(report.streams[0].stream, "account-ada");
//! println!("{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # Limits
//! 1024 streams are kept by name and all others as one sum ([`ProfilerSettings::streams_max`]). A stream that took
//! more than one part in 128 of the time of an eighth of all streams is among them (the space-saving sketch by
//! Metwally, Agrawal and El Abbadi, one for each of eight locks). Times are told from 128 ns to an hour, to 1 %.
//! Of events encoded and decoded one in 64 is measured
//! ([`ProfilerSettings::codec_events_per_sample`]).
//!
//! # Features
//! | feature | default | gives |
//! |---|---|---|
//! | `metrics` | no | `Metrics`, recorded by the facade of the crate `metrics` |
//! | `prometheus` | no | `Prometheus` and `Endpoint`: the metrics as text, and who asks for them |
//! | `opentelemetry` | no | `OpenTelemetryTraces`: contexts of `tracing-opentelemetry` |

mod codec;
mod health;
#[cfg(feature = "metrics")]
mod metrics;
mod monitor;
mod nanos;
mod operation;
mod profiler;
mod report;
mod settings;
mod shard;
mod sketch;
mod store;
mod totals;
mod trace;

#[cfg(feature = "prometheus")]
pub use self::metrics::{Endpoint, EndpointBuilder, Prometheus};
#[cfg(feature = "metrics")]
pub use self::metrics::{METRICS, MetricInfo, MetricKind, MetricLabel, MetricUnit, Metrics};
pub use codec::ProfiledCodec;
pub use health::{
    HealthBuilder, HealthCheck, HealthLevel, HealthReport, HealthSettings, HealthSubject,
    Thresholds, disk_free_bytes,
};
pub use monitor::Monitor;
pub use operation::Operation;
pub use profiler::Profiler;
pub use report::{CategoryReport, OperationReport, ProfileReport, StreamOperation, StreamReport};
pub use settings::ProfilerSettings;
pub use store::ProfiledStore;
pub use totals::{Measurement, Totals};
#[cfg(feature = "opentelemetry")]
pub use trace::OpenTelemetryTraces;
pub use trace::{Spans, TraceContext, Traces};
