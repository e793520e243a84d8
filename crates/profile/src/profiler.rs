//! Measuring, and what was measured.

use std::cell::Cell;
use std::fmt;
use std::hash::BuildHasher;
use std::iter;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annals_concurrency::Timer;
use annals_core::{Error, StreamId};
use hashbrown::DefaultHashBuilder;
use smallvec::SmallVec;

use crate::operation::Operation;
use crate::report::ProfileReport;
use crate::settings::ProfilerSettings;
use crate::shard::{Measured, Recorded, Streams};
use crate::totals::{Measurement, Sums, Totals};

/// How many locks there are of each kind: a stream is always behind the same one, and so is what a thread records.
const SHARDS: usize = 8;

/// How many measurements wait behind a lock to be added up. The more, the less often code and sums have to come back into
/// the processor's caches, and the longer the one waits that adds up.
const PENDING_MAX: usize = 64;

thread_local! {
    /// Behind which lock is what this thread records.
    static PLACE: Cell<usize> = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        Cell::new(THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS)
    };
}

/// Counts, sums and latencies of operations, and the streams that take the most time; in bounded memory, whatever
/// the number of streams. Clones are the same profiler.
///
/// Layers around a store, a snapshot store or a codec feed it ([`ProfiledStore`](crate::ProfiledStore),
/// [`ProfiledCodec`](crate::ProfiledCodec)), repositories and processors by a [`Monitor`](crate::Monitor); so may you,
/// by [`record`](Self::record).
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use annals_concurrency::ManualTimer;
/// use annals_core::StreamId;
/// use annals_profile::{Measurement, Operation, Profiler};
///
/// let profiler = Profiler::new(Arc::new(ManualTimer::default())); // `SystemTimer` in earnest
/// let ada = StreamId::parse("account-ada")?;
/// profiler.record(Operation::Load, Some(&ada), Measurement::took(Duration::from_micros(30)).events(12));
/// profiler.record(Operation::Load, Some(&ada), Measurement::took(Duration::from_micros(10)));
///
/// assert_eq!(profiler.average(Operation::Load), Some(Duration::from_micros(20)));
/// assert_eq!(profiler.report().streams[0].stream, ada);
/// # Ok::<(), annals_core::Error>(())
/// ```
///
/// # Limits
/// [`ProfilerSettings::streams_max`] streams are kept by name, some 170 bytes each, more where more than two operations
/// are done on it; the others are one sum. A latency histogram takes 30 KiB, for each operation that is measured and for
/// each of 8 locks; a category takes as much as a stream, for each of the 8. Up to 64 measurements, for
/// which 4 KiB are set apart, wait behind each of the 8 until they are added up: at the latest when somebody looks.
#[derive(Clone)]
pub struct Profiler {
    inner: Arc<Inner>,
}

struct Inner {
    timer: Arc<dyn Timer>,
    settings: ProfilerSettings,
    hasher: DefaultHashBuilder,
    measured: [Mutex<Measured>; SHARDS],
    streams: [Mutex<Streams>; SHARDS],
    begun: Mutex<Duration>,
}

impl Profiler {
    /// A profiler that measures by this timer, with settings as by default.
    pub fn new(timer: Arc<dyn Timer>) -> Self {
        Self::of(timer, ProfilerSettings::DEFAULT)
    }

    /// The same with these settings, and with nothing recorded.
    ///
    /// # Errors
    /// As [`ProfilerSettings::validate`] has it.
    pub fn with_settings(self, settings: ProfilerSettings) -> Result<Self, Error> {
        settings.validate()?;
        Ok(Self::of(Arc::clone(&self.inner.timer), settings))
    }

    fn of(timer: Arc<dyn Timer>, settings: ProfilerSettings) -> Self {
        let begun = Mutex::new(timer.elapsed());
        let measured = std::array::from_fn(|_| Mutex::new(measured_of(&settings)));
        let hasher = DefaultHashBuilder::default();
        let streams = std::array::from_fn(|_| Mutex::new(streams_of(&settings, &hasher)));
        Self {
            inner: Arc::new(Inner {
                timer,
                settings,
                hasher,
                measured,
                streams,
                begun,
            }),
        }
    }

    /// Records what was measured of an operation, on a stream if it is of one.
    pub fn record(&self, operation: Operation, stream: Option<&StreamId>, measured: Measurement) {
        self.keep([Recorded {
            operation,
            stream: stream.cloned(),
            measured,
            is_part: false,
        }]);
    }

    /// Records what was measured of one operation on several streams: once for the operation, and for each stream
    /// with all the time that it took.
    pub fn record_all<'s>(
        &self,
        operation: Operation,
        streams: impl IntoIterator<Item = (&'s StreamId, u64)>,
        measured: Measurement,
    ) {
        let whole = Recorded {
            operation,
            stream: None,
            measured,
            is_part: false,
        };
        let parts = streams.into_iter().map(|(stream, events)| Recorded {
            operation,
            stream: Some(stream.clone()),
            measured: measured.events(events),
            is_part: true,
        });
        // Made before the lock is taken, as the streams come from a caller, who may record too.
        let all: SmallVec<[Recorded; 4]> = iter::once(whole).chain(parts).collect();
        self.keep(all);
    }

    /// Keeps it with what else this thread recorded, and adds all of that up when there is enough.
    fn keep(&self, all: impl IntoIterator<Item = Recorded>) {
        let mut measured = self.measured_here();
        for recorded in all {
            measured.pending.push(recorded);
            if measured.pending.len() >= PENDING_MAX {
                self.add_up(&mut measured);
            }
        }
    }

    /// Whoever holds the lock meanwhile lets nobody look who would miss something.
    fn add_up(&self, measured: &mut Measured) {
        measured.add_up(|pending| self.add_to_streams(pending));
    }

    /// Takes each lock once. Between locks the processor looks for nothing ahead, and of many streams most are out of its
    /// caches: one at a time, each would be waited for.
    fn add_to_streams(&self, pending: &[Recorded]) {
        let hashed = pending.iter().filter_map(|recorded| {
            let stream = recorded.stream.as_ref()?;
            Some((self.inner.hasher.hash_one(stream), stream, recorded))
        });
        let hashed: SmallVec<[_; PENDING_MAX]> = hashed.collect();
        for (shard, streams) in self.inner.streams.iter().enumerate() {
            let is_here = |(hash, ..): &&(u64, _, _)| shard_of(*hash) == shard;
            let mut here = hashed.iter().filter(is_here).peekable();
            if here.peek().is_none() {
                continue;
            }
            let mut streams = lock(streams);
            for (hash, stream, recorded) in here {
                streams.add(*hash, stream, recorded);
            }
        }
    }

    /// Records that an operation failed that is not among those that were measured: failures are counted one by one,
    /// where times are sampled.
    pub(crate) fn record_failure(&self, operation: Operation) {
        self.measured_here().note_failure(operation);
    }

    /// Does something and records how long it took.
    pub fn time<T>(
        &self,
        operation: Operation,
        stream: Option<&StreamId>,
        work: impl FnOnce() -> T,
    ) -> T {
        let begun = self.now();
        let done = work();
        self.record(operation, stream, self.since(begun));
        done
    }

    /// How long an operation took on average; `None` when none was recorded.
    pub fn average(&self, operation: Operation) -> Option<Duration> {
        self.totals(operation).average()
    }

    /// The sums of an operation.
    pub fn totals(&self, operation: Operation) -> Totals {
        let mut sums = Sums::default();
        for measured in self.measured() {
            if let Some(operated) = measured.operated(operation) {
                sums.add(&operated.sums);
            }
        }
        sums.into()
    }

    /// All that was recorded. What is recorded at the same time may be in it in part.
    pub fn report(&self) -> ProfileReport {
        let begun = *self.begun();
        let covers = self.now().saturating_sub(begun);
        ProfileReport::of(covers, self.measured(), self.inner.streams.iter().map(lock))
    }

    /// Forgets all that was recorded.
    pub fn reset(&self) {
        // Nobody adds up meanwhile, so that no stream keeps what its operation forgets.
        let mut measured: Vec<_> = self.inner.measured.iter().map(lock).collect();
        for mut streams in self.inner.streams.iter().map(lock) {
            *streams = streams_of(&self.inner.settings, &self.inner.hasher);
        }
        for measured in &mut measured {
            **measured = measured_of(&self.inner.settings);
        }
        *self.begun() = self.now();
    }

    /// The settings.
    pub fn settings(&self) -> &ProfilerSettings {
        &self.inner.settings
    }

    /// The time of the profiler's timer.
    pub(crate) fn now(&self) -> Duration {
        self.inner.timer.elapsed()
    }

    /// What took from then until now.
    pub(crate) fn since(&self, begun: Duration) -> Measurement {
        Measurement::took(self.now().saturating_sub(begun))
    }

    /// What was measured, added up.
    fn measured(&self) -> impl Iterator<Item = MutexGuard<'_, Measured>> {
        self.inner.measured.iter().map(|measured| {
            let mut measured = lock(measured);
            self.add_up(&mut measured);
            measured
        })
    }

    /// What was measured by this thread, and by others behind the same lock.
    #[expect(
        clippy::indexing_slicing,
        reason = "a place is below the number of locks"
    )]
    fn measured_here(&self) -> MutexGuard<'_, Measured> {
        lock(&self.inner.measured[PLACE.get()])
    }

    fn begun(&self) -> MutexGuard<'_, Duration> {
        lock(&self.inner.begun)
    }
}

fn measured_of(settings: &ProfilerSettings) -> Measured {
    Measured::new(PENDING_MAX, settings.categories_max)
}

fn streams_of(settings: &ProfilerSettings, hasher: &DefaultHashBuilder) -> Streams {
    Streams::new(settings.streams_max.div_ceil(SHARDS), hasher.clone())
}

/// The lock of a stream of this hash, by bits that the table behind the lock does not look at first.
const fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

/// Who panicked with it left it whole: sums that lack a part.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Profiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profiler")
            .field("settings", &self.inner.settings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use annals_concurrency::ManualTimer;

    use super::*;

    #[test]
    fn what_is_pending_is_bounded_when_nobody_looks() {
        let profiler = Profiler::new(Arc::new(ManualTimer::default()));
        let streams = [StreamId::from_static("a-1"), StreamId::from_static("b-1")];
        let measured = Measurement::took(Duration::from_micros(1)).events(2);
        for _ in 0..PENDING_MAX {
            profiler.record_all(
                Operation::Append,
                streams.iter().map(|it| (it, 1)),
                measured,
            );
            assert!(profiler.measured_here().pending.len() < PENDING_MAX);
        }
        // A caller whose streams come while something is recorded is not locked out by itself.
        let busy = streams
            .iter()
            .inspect(|_| profiler.record(Operation::Load, None, measured));
        profiler.record_all(Operation::Append, busy.map(|it| (it, 1)), measured);
        assert_eq!(profiler.totals(Operation::Load).count, 2);
        let held = profiler.inner.streams.iter().map(lock);
        assert_eq!(
            held.map(|streams| streams.held.iter().count())
                .sum::<usize>(),
            2
        );
    }
}
