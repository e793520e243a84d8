//! The shop, watched: metrics for Prometheus, and its health.

use std::net::SocketAddr;
use std::sync::Arc;

use annals::profile::{
    Endpoint, HealthReport, HealthSettings, Monitor, Profiler, Prometheus, Spans, disk_free_bytes,
};
use annals::{Error, LogStore, ProcessorHandle, SystemTimer};
use futures_executor::block_on;

/// What watches a shop.
#[derive(Clone, Debug)]
pub struct Watch {
    monitor: Monitor,
    prometheus: Prometheus,
}

impl Watch {
    // ANCHOR: monitor
    /// Counts and times, traces, and records metrics.
    ///
    /// # Errors
    /// None.
    pub fn new() -> Result<Self, Error> {
        let prometheus = Prometheus::new()?;
        let profiler = Profiler::new(Arc::new(SystemTimer));
        let monitor = Monitor::new(profiler)
            .with_spans(Spans::new().of_system("annals.embedded"))
            .with_metrics(prometheus.metrics());
        Ok(Self {
            monitor,
            prometheus,
        })
    }
    // ANCHOR_END: monitor

    /// What the layers of the shop tell.
    pub fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    // ANCHOR: serve
    /// Answers `/metrics` and `/health` there, until the endpoint is dropped.
    ///
    /// # Errors
    /// When the address is taken.
    pub fn serve(
        &self,
        address: SocketAddr,
        store: Arc<LogStore>,
        processor: ProcessorHandle,
    ) -> Result<Endpoint, Error> {
        let (monitor, watched) = (self.monitor.clone(), Arc::clone(&store));
        let (followed, settings) = (processor.clone(), HealthSettings::default());
        let report = HealthReport::builder(settings)?;
        Endpoint::builder(self.prometheus.clone())
            .address(address)
            .before_each(move || {
                // The processor tells its observer, the monitor, how far each consumer is.
                block_on(followed.status());
                monitor.store_vitals(&watched.vitals());
                if let Ok(free) = disk_free_bytes(watched.directory()) {
                    monitor.disk_free_bytes(free);
                }
            })
            .health(move || {
                let mut report = report.clone().store(&store.vitals());
                if let Ok(free) = disk_free_bytes(store.directory()) {
                    report = report.disk_free_bytes(free);
                }
                for consumer in block_on(processor.status()) {
                    report = report.consumer(&consumer.standing());
                }
                report.build()
            })
            .serve()
    }
    // ANCHOR_END: serve
}
