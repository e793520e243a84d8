//! What a profiler recorded, as data and for people.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use annals_core::{Category, StreamId};
use serde::Serialize;

use crate::nanos;
use crate::operation::Operation;
use crate::shard::{Measured, Operated, PerOperation, Streams};
use crate::totals::{Sums, Totals};

/// What a profiler recorded. As data by serde, times in nanoseconds; for people by `Display`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ProfileReport {
    /// How long it was recorded.
    #[serde(rename = "covers_ns", serialize_with = "nanos::serialize")]
    pub covers: Duration,
    /// The operations that were done, in the order of [`Operation::ALL`].
    pub operations: Vec<OperationReport>,
    /// The categories of streams that took the longest, the heaviest first: each a type of aggregate.
    pub categories: Vec<CategoryReport>,
    /// The streams that took the longest, the heaviest first.
    pub streams: Vec<StreamReport>,
    /// The streams that are not kept by name, summed up.
    pub other_streams: Vec<StreamOperation>,
}

/// What was recorded of one operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OperationReport {
    /// Which.
    pub operation: Operation,
    /// The sums.
    #[serde(flatten)]
    pub totals: Totals,
    /// Half of them took no longer.
    #[serde(rename = "p50_ns", serialize_with = "nanos::serialize")]
    pub p50: Duration,
    /// 90 of 100 took no longer.
    #[serde(rename = "p90_ns", serialize_with = "nanos::serialize")]
    pub p90: Duration,
    /// 99 of 100 took no longer.
    #[serde(rename = "p99_ns", serialize_with = "nanos::serialize")]
    pub p99: Duration,
    /// 999 of 1000 took no longer.
    #[serde(rename = "p999_ns", serialize_with = "nanos::serialize")]
    pub p999: Duration,
}

/// What was recorded of the streams of one category, since it is kept by name.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CategoryReport {
    /// Which.
    pub category: Category,
    /// How long all on its streams took.
    #[serde(rename = "total_ns", serialize_with = "nanos::serialize")]
    pub total: Duration,
    /// What was done on its streams.
    pub operations: Vec<StreamOperation>,
}

/// What was recorded of one stream, since it is kept by name.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StreamReport {
    /// Which.
    pub stream: StreamId,
    /// How long all on it took, at the most: what took place before it was kept by name is in this by estimate.
    #[serde(rename = "weight_ns", serialize_with = "nanos::serialize")]
    pub weight: Duration,
    /// How much of the weight is estimated, and may have been others'.
    #[serde(rename = "estimated_ns", serialize_with = "nanos::serialize")]
    pub estimated: Duration,
    /// What was done on it.
    pub operations: Vec<StreamOperation>,
}

/// The sums of one operation on a stream, or on several.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StreamOperation {
    /// Which.
    pub operation: Operation,
    /// The sums.
    #[serde(flatten)]
    pub totals: Totals,
}

impl ProfileReport {
    /// How many streams `Display` shows.
    pub const STREAMS_SHOWN: usize = 10;

    pub(crate) fn of<M: Deref<Target = Measured>, S: Deref<Target = Streams>>(
        covers: Duration,
        measured: impl Iterator<Item = M>,
        shards: impl Iterator<Item = S>,
    ) -> Self {
        let mut operated = PerOperation::<Option<Operated>>::default();
        let mut categories = BTreeMap::<Category, PerOperation<Sums>>::new();
        for measured in measured {
            for operation in Operation::ALL {
                if let Some(more) = measured.operated(operation) {
                    operated.of_mut(operation).get_or_insert_default().add(more);
                }
            }
            for (entry, _) in measured.categories.iter() {
                let known = categories.entry(entry.key.clone()).or_default();
                for (operation, sums) in entry.value.iter() {
                    known.of_mut(operation).add(sums);
                }
            }
        }
        let mut others = PerOperation::<Sums>::default();
        let mut streams = Vec::new();
        for shard in shards {
            for (operation, sums) in shard.others.iter() {
                others.of_mut(operation).add(sums);
            }
            streams.extend(shard.held.iter().map(|(entry, weight)| StreamReport {
                stream: entry.key.clone(),
                weight: Duration::from_nanos(weight),
                estimated: Duration::from_nanos(entry.inherited),
                operations: done(entry.value.iter()),
            }));
        }
        streams.sort_by_cached_key(|report| (Reverse(report.weight), report.stream.clone()));
        let operations = operated.iter().filter_map(|(operation, operated)| {
            let operated = operated.as_ref()?;
            Some(OperationReport::of(operation, operated))
        });
        Self {
            covers,
            operations: operations.collect(),
            categories: by_weight(categories),
            streams,
            other_streams: done(others.iter()),
        }
    }
}

impl OperationReport {
    fn of(operation: Operation, operated: &Operated) -> Self {
        let totals = Totals::from(operated.sums);
        let quantile = |share| operated.latencies.quantile(share).min(totals.max);
        Self {
            operation,
            totals,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
        }
    }
}

fn by_weight(categories: BTreeMap<Category, PerOperation<Sums>>) -> Vec<CategoryReport> {
    let categories = categories.into_iter().map(|(category, sums)| {
        let operations = done(sums.iter());
        let times = operations.iter().map(|done| done.totals.total);
        CategoryReport {
            category,
            total: times.fold(Duration::ZERO, Duration::saturating_add),
            operations,
        }
    });
    let mut categories: Vec<_> = categories.collect();
    categories.sort_by_key(|report| Reverse(report.total));
    categories
}

/// The operations that were done at all, in the order of declaration.
fn done<'s>(sums: impl Iterator<Item = (Operation, &'s Sums)>) -> Vec<StreamOperation> {
    let done = sums.filter(|(_, sums)| sums.count > 0);
    let mut done: Vec<_> = done
        .map(|(operation, sums)| StreamOperation {
            operation,
            totals: Totals::from(*sums),
        })
        .collect();
    done.sort_by_key(|done| done.operation);
    done
}

impl fmt::Display for ProfileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} were recorded", nanos::text(self.covers))?;
        writeln!(
            f,
            "{:<10} {:>12} {:>8} {:>12} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "operation", "count", "failed", "events", "total", "average", "p50", "p99", "max"
        )?;
        for report in &self.operations {
            writeln!(f, "{report}")?;
        }
        if !self.categories.is_empty() {
            writeln!(f, "types of aggregates that took the longest")?;
        }
        for report in self.categories.iter().take(Self::STREAMS_SHOWN) {
            writeln!(f, "{report}")?;
        }
        if !self.streams.is_empty() {
            writeln!(f, "streams that took the longest")?;
        }
        for report in self.streams.iter().take(Self::STREAMS_SHOWN) {
            writeln!(f, "{report}")?;
        }
        Ok(())
    }
}

impl fmt::Display for OperationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals {
            count,
            failed,
            events,
            total,
            max,
        } = self.totals;
        let average = self.totals.average().unwrap_or_default();
        let [total, average, p50, p99, max] =
            [total, average, self.p50, self.p99, max].map(nanos::text);
        write!(
            f,
            "{:<10} {count:>12} {failed:>8} {events:>12} {total:>9} {average:>9} {p50:>9} {p99:>9} {max:>9}",
            self.operation
        )
    }
}

impl fmt::Display for StreamReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<40} {:>9}", self.stream, nanos::text(self.weight))?;
        if !self.estimated.is_zero() {
            write!(
                f,
                " (of it up to {} of others)",
                nanos::text(self.estimated)
            )?;
        }
        show(&self.operations, f)
    }
}

impl fmt::Display for CategoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<40} {:>9}", self.category, nanos::text(self.total))?;
        show(&self.operations, f)
    }
}

/// Shows how often what was done, and how long it took on average.
fn show(operations: &[StreamOperation], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    operations.iter().try_for_each(|done| {
        let average = done.totals.average().unwrap_or_default();
        let (count, operation) = (done.totals.count, done.operation);
        write!(f, ", {count} {operation} of {}", nanos::text(average))
    })
}
