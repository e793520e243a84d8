//! What is measured: anything that records events in PostgreSQL, and perhaps reads them back.

use std::future::Future;

use anyhow::{Result, bail};

use crate::event::Line;

/// Something that the workloads run on. Every append is acknowledged when it is durable.
pub trait Subject: Sized + Send + Sync + 'static {
    /// What a writer keeps of a stream between two appends to it.
    type Known: Default + Send;

    /// Opens it on this server, and makes its tables where they are missing.
    fn open(url: &str) -> impl Future<Output = Result<Self>> + Send;

    /// Appends lines of one order to its stream, which must have `before` events.
    fn append(
        &self,
        writer: usize,
        lines: &[Line],
        before: u64,
        known: &mut Self::Known,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Gives up each of so many places of the log, after this one; where the log ends, from its beginning: how many
    /// events there were, and the place of the last, or the beginning.
    fn page(&self, after: i64, events: i64) -> impl Future<Output = Result<(u64, i64)>> + Send {
        async move { bail!("reads of {events} events after {after} are not measured here") }
    }

    /// Reads the stream of an order: how many events there were.
    fn stream(&self, order: u64) -> impl Future<Output = Result<u64>> + Send {
        async move { bail!("reads of order {order} are not measured here") }
    }
}
