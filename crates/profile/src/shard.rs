//! What is kept behind locks.

use std::mem;
use std::time::Duration;

use annals_core::{Category, StreamId};
use hashbrown::DefaultHashBuilder;
use hdrhistogram::Histogram;
use smallvec::SmallVec;

use crate::nanos::Nanos;
use crate::operation::Operation;
use crate::sketch::SpaceSaving;
use crate::totals::{Measurement, Sums};

/// What was measured of some of the streams.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) held: SpaceSaving<StreamId, FewSums>,
    /// Of the streams that are not kept by name any more.
    pub(crate) others: PerOperation<Sums>,
}

/// What was measured by some of the threads: all of it that is not by stream.
#[derive(Debug)]
pub(crate) struct Measured {
    /// What is not added up yet. One by one, each would find the sums out of the processor's caches, which after a sync
    /// takes longer than to add.
    pub(crate) pending: Vec<Recorded>,
    operations: PerOperation<Option<Box<Operated>>>,
    pub(crate) categories: SpaceSaving<Category, FewSums>,
}

/// What was recorded.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) operation: Operation,
    pub(crate) stream: Option<StreamId>,
    pub(crate) measured: Measurement,
    /// It is a part of an operation on several streams, which is recorded apart.
    pub(crate) is_part: bool,
}

/// The sums of the operations that were done at all, which for one stream are few.
#[derive(Clone, Debug, Default)]
pub(crate) struct FewSums(SmallVec<[(Operation, Sums); 2]>);

/// One value for each operation.
#[derive(Clone, Debug, Default)]
pub(crate) struct PerOperation<T>([T; Operation::ALL.len()]);

/// What was measured of one operation.
#[derive(Clone, Debug)]
pub(crate) struct Operated {
    pub(crate) sums: Sums,
    pub(crate) latencies: Latencies,
}

/// How long something took, each time: a histogram of 1 % precision from 128 ns to an hour.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Streams {
    pub(crate) fn new(streams_max: usize, hasher: DefaultHashBuilder) -> Self {
        Self {
            held: SpaceSaving::new(streams_max, hasher),
            others: PerOperation::default(),
        }
    }

    /// Adds what was recorded of a stream, which has this hash.
    pub(crate) fn add(&mut self, hash: u64, stream: &StreamId, recorded: &Recorded) {
        let Recorded {
            operation,
            measured,
            ..
        } = recorded;
        let note = |own: &mut FewSums| own.of_mut(*operation).note(measured);
        let weight = measured.weight();
        let key = || stream.clone();
        if let Some(evicted) = self.held.add_hashed(hash, stream, key, weight, note) {
            for (operation, sums) in evicted.iter() {
                self.others.of_mut(operation).add(sums);
            }
        }
    }
}

impl Measured {
    pub(crate) fn new(pending_max: usize, categories_max: usize) -> Self {
        Self {
            pending: Vec::with_capacity(pending_max),
            operations: PerOperation::default(),
            categories: SpaceSaving::new(categories_max, DefaultHashBuilder::default()),
        }
    }

    /// Adds up what is pending, and hands it on for what is of streams.
    pub(crate) fn add_up(&mut self, to_streams: impl FnOnce(&[Recorded])) {
        // Taken out first: who panics on the way leaves sums that lack a part, and counts nothing twice.
        let mut pending = mem::take(&mut self.pending);
        for recorded in &pending {
            let (operation, measured) = (recorded.operation, &recorded.measured);
            if !recorded.is_part {
                let operated = self.operations.of_mut(operation).get_or_insert_default();
                operated.sums.note(measured);
                operated.latencies.note(measured);
            }
            if let Some(stream) = &recorded.stream {
                let (name, weight) = (stream.category_str(), measured.weight());
                let note = |own: &mut FewSums| own.of_mut(operation).note(measured);
                self.categories
                    .add(name, || stream.category(), weight, note);
            }
        }
        to_streams(&pending);
        pending.clear();
        self.pending = pending;
    }

    /// Notes that an operation of no stream failed that is not among those that were measured.
    pub(crate) fn note_failure(&mut self, operation: Operation) {
        let operated = self.operations.of_mut(operation).get_or_insert_default();
        operated.sums.failed = operated.sums.failed.saturating_add(1);
    }

    /// What was measured of an operation, if anything was.
    pub(crate) fn operated(&self, operation: Operation) -> Option<&Operated> {
        self.operations.of(operation).as_deref()
    }
}

impl FewSums {
    pub(crate) fn of_mut(&mut self, operation: Operation) -> &mut Sums {
        let known = self.0.iter().position(|(held, _)| *held == operation);
        let place = known.unwrap_or_else(|| {
            self.0.push((operation, Sums::default()));
            self.0.len() - 1
        });
        #[expect(
            clippy::indexing_slicing,
            reason = "a place that was found, or the last one"
        )]
        let (_, sums) = &mut self.0[place];
        sums
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Operation, &Sums)> {
        self.0.iter().map(|(operation, sums)| (*operation, sums))
    }
}

impl Operated {
    pub(crate) fn add(&mut self, other: &Self) {
        self.sums.add(&other.sums);
        self.latencies.add(&other.latencies);
    }
}

impl Default for Operated {
    fn default() -> Self {
        Self {
            sums: Sums::default(),
            latencies: Latencies::new(),
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

    fn note(&mut self, measured: &Measurement) {
        // What takes longer than an hour counts as an hour.
        self.0.saturating_record_n(measured.took, measured.times);
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
    fn what_is_recorded_is_no_larger_than_is_told() {
        assert!(size_of::<Recorded>() <= 64);
    }

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
            latencies.note(&Measurement::took(Duration::from_micros(micros)));
        }
        latencies.note(&Measurement::took(Duration::MAX));
        for (share, micros) in [(0.5, 500), (0.9, 900), (0.99, 991)] {
            let found = latencies.quantile(share).as_micros();
            assert!(found.abs_diff(micros) <= micros / 100, "{share}: {found}");
        }
        assert!(latencies.quantile(1.0) >= Duration::from_hours(1));
    }
}
