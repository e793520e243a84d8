//! What is kept behind one lock.

use std::time::Duration;

use annals_core::{Category, StreamId};
use hdrhistogram::Histogram;

use crate::nanos::{self, Nanos};
use crate::operation::Operation;
use crate::sketch::SpaceSaving;
use crate::totals::{Measurement, Totals};

/// What was measured of some of the streams, and of what has no stream.
#[derive(Debug)]
pub(crate) struct Shard {
    operations: PerOperation<Option<Box<Operated>>>,
    pub(crate) streams: SpaceSaving<StreamId, PerOperation<Totals>>,
    pub(crate) categories: SpaceSaving<Category, PerOperation<Totals>>,
    /// Of the categories that are not kept by name any more.
    pub(crate) other_categories: PerOperation<Totals>,
    /// Of the streams that are not kept by name any more.
    pub(crate) others: PerOperation<Totals>,
}

/// One value for each operation.
#[derive(Clone, Debug, Default)]
pub(crate) struct PerOperation<T>([T; Operation::ALL.len()]);

/// What was measured of one operation.
#[derive(Clone, Debug)]
pub(crate) struct Operated {
    pub(crate) totals: Totals,
    pub(crate) latencies: Latencies,
}

/// How long something took, each time: a histogram of 1 % precision from 128 ns to an hour.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Shard {
    pub(crate) fn new(streams_max: usize, categories_max: usize) -> Self {
        Self {
            operations: PerOperation::default(),
            streams: SpaceSaving::new(streams_max),
            categories: SpaceSaving::new(categories_max),
            other_categories: PerOperation::default(),
            others: PerOperation::default(),
        }
    }

    /// Notes what was measured of an operation; of no stream yet.
    pub(crate) fn note(&mut self, operation: Operation, measured: &Measurement) {
        let took = nanos::of(measured.took);
        let operated = self.operations.of_mut(operation).get_or_insert_default();
        operated.totals.note(measured, took);
        operated.latencies.note(took, measured.times);
    }

    /// Notes what was measured of a stream.
    pub(crate) fn note_stream(
        &mut self,
        operation: Operation,
        stream: &StreamId,
        measured: &Measurement,
    ) {
        let took = nanos::of(measured.took);
        let weight = took.saturating_mul(measured.times);
        let note = |own: &mut PerOperation<Totals>| own.of_mut(operation).note(measured, took);
        if let Some(evicted) = self.streams.add(stream, weight, note) {
            self.others.add_all(&evicted);
        }
        let (name, key) = (stream.category_str(), || stream.category());
        if let Some(evicted) = self.categories.add_as(name, key, weight, note) {
            self.other_categories.add_all(&evicted);
        }
    }

    /// Notes that an operation of no stream failed that is not among those that were measured.
    pub(crate) fn note_failure(&mut self, operation: Operation) {
        let operated = self.operations.of_mut(operation).get_or_insert_default();
        operated.totals.failed = operated.totals.failed.saturating_add(1);
    }

    /// What was measured of an operation, if anything was.
    pub(crate) fn operated(&self, operation: Operation) -> Option<&Operated> {
        self.operations.of(operation).as_deref()
    }
}

impl Operated {
    pub(crate) fn add(&mut self, other: &Self) {
        self.totals.add(&other.totals);
        self.latencies.add(&other.latencies);
    }
}

impl Default for Operated {
    fn default() -> Self {
        Self {
            totals: Totals::default(),
            latencies: Latencies::new(),
        }
    }
}

impl PerOperation<Totals> {
    /// Adds what was measured elsewhere.
    pub(crate) fn add_all(&mut self, other: &Self) {
        for (operation, totals) in other.iter() {
            self.of_mut(operation).add(totals);
        }
    }
}

impl<T> PerOperation<T> {
    #[expect(
        clippy::indexing_slicing,
        reason = "there is one for each operation, and `ALL` has them in the order of declaration"
    )]
    pub(crate) fn of(&self, operation: Operation) -> &T {
        &self.0[operation as usize]
    }

    #[expect(clippy::indexing_slicing, reason = "as for `of`")]
    pub(crate) fn of_mut(&mut self, operation: Operation) -> &mut T {
        &mut self.0[operation as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Operation, &T)> {
        Operation::ALL.into_iter().zip(&self.0)
    }
}

impl Latencies {
    const LEAST: Nanos = 128;
    const GREATEST: Nanos = 3_600_000_000_000;

    #[expect(
        clippy::expect_used,
        reason = "bounds that are apart and two digits make a histogram"
    )]
    fn new() -> Self {
        let histogram = Histogram::new_with_bounds(Self::LEAST, Self::GREATEST, 2);
        Self(histogram.expect("the bounds are constants that fit"))
    }

    fn note(&mut self, took: Nanos, times: u64) {
        // What takes longer than an hour counts as an hour.
        self.0.saturating_record_n(took, times);
    }

    fn add(&mut self, other: &Self) {
        // Both have the same bounds, so nothing is out of range.
        let _ = self.0.add(&other.0);
    }

    /// How long this share of them took at the most.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_its_own_place() {
        let mut each = PerOperation::<usize>::default();
        for (index, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, index, "{operation}");
            *each.of_mut(operation) = index;
        }
        assert!(
            each.iter()
                .all(|(operation, index)| each.of(operation) == index)
        );
    }

    #[test]
    fn a_share_is_within_a_hundredth() {
        let mut latencies = Latencies::new();
        for micros in 1..=1000 {
            latencies.note(micros * 1000, 1);
        }
        latencies.note(u64::MAX, 1);
        for (share, micros) in [(0.5, 500), (0.9, 900), (0.99, 991)] {
            let found = latencies.quantile(share).as_micros();
            assert!(found.abs_diff(micros) <= micros / 100, "{share}: {found}");
        }
        assert!(latencies.quantile(1.0) >= Duration::from_hours(1));
    }
}
