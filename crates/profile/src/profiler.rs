//! Measuring, and what was measured.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annals_concurrency::Timer;
use annals_core::{Error, StreamId};

use crate::operation::Operation;
use crate::report::ProfileReport;
use crate::settings::ProfilerSettings;
use crate::shard::Shard;
use crate::totals::{Measurement, Totals};

/// How many locks there are; a stream is always behind the same one.
const SHARDS: usize = 8;

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
/// [`ProfilerSettings::streams_max`] streams are kept by name, about 1 KiB each; the others are one sum. A
/// latency histogram takes 30 KiB, for each operation that is measured and for each of 8 locks; a category takes
/// 1 KiB, for each of the 8.
#[derive(Clone)]
pub struct Profiler {
    inner: Arc<Inner>,
}

struct Inner {
    timer: Arc<dyn Timer>,
    settings: ProfilerSettings,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
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
        let shards = std::array::from_fn(|_| Mutex::new(shard_of(&settings)));
        Self {
            inner: Arc::new(Inner {
                timer,
                settings,
                hasher: RandomState::new(),
                shards,
                begun,
            }),
        }
    }

    /// Records what was measured of an operation, on a stream if it is of one.
    pub fn record(&self, operation: Operation, stream: Option<&StreamId>, measured: Measurement) {
        let mut shard = self.shard(stream);
        shard.note(operation, &measured);
        if let Some(stream) = stream {
            shard.note_stream(operation, stream, &measured);
        }
    }

    /// Records what was measured of one operation on several streams: once for the operation, and for each stream
    /// with all the time that it took.
    pub fn record_all<'s>(
        &self,
        operation: Operation,
        streams: impl IntoIterator<Item = (&'s StreamId, u64)>,
        measured: Measurement,
    ) {
        let mut streams = streams.into_iter();
        let Some((first, events)) = streams.next() else {
            return self.record(operation, None, measured);
        };
        {
            let mut shard = self.shard(Some(first));
            shard.note(operation, &measured);
            shard.note_stream(operation, first, &measured.events(events));
        }
        for (stream, events) in streams {
            let mut shard = self.shard(Some(stream));
            shard.note_stream(operation, stream, &measured.events(events));
        }
    }

    /// Records that an operation failed that is not among those that were measured: failures are counted one by one,
    /// where times are sampled.
    pub(crate) fn record_failure(&self, operation: Operation) {
        self.shard(None).note_failure(operation);
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
        let mut totals = Totals::default();
        for shard in self.shards() {
            if let Some(operated) = shard.operated(operation) {
                totals.add(&operated.totals);
            }
        }
        totals
    }

    /// All that was recorded. What is recorded at the same time may be in it in part.
    pub fn report(&self) -> ProfileReport {
        let begun = *self.begun();
        let covers = self.now().saturating_sub(begun);
        ProfileReport::of(covers, self.shards())
    }

    /// Forgets all that was recorded.
    pub fn reset(&self) {
        for mut shard in self.shards() {
            *shard = shard_of(&self.inner.settings);
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

    fn shards(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.inner.shards.iter().map(lock)
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "an index below the number of shards"
    )]
    fn shard(&self, stream: Option<&StreamId>) -> MutexGuard<'_, Shard> {
        let hash = stream.map_or(0, |stream| self.inner.hasher.hash_one(stream));
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        lock(&self.inner.shards[index])
    }

    fn begun(&self) -> MutexGuard<'_, Duration> {
        lock(&self.inner.begun)
    }
}

fn shard_of(settings: &ProfilerSettings) -> Shard {
    Shard::new(
        settings.streams_max.div_ceil(SHARDS),
        settings.categories_max,
    )
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
