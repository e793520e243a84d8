//! Codecs that are measured.

use std::cell::Cell;
use std::time::Duration;

use annals_codec::{Decoded, Error, EventCodec};
use annals_core::{ContentRef, ContentType, NewEvent};

use crate::monitor::Monitor;
use crate::operation::Operation;
use crate::profiler::Profiler;

/// A codec of whose events one in
/// [`codec_events_per_sample`](crate::ProfilerSettings::codec_events_per_sample) is timed, for all of them: an
/// event takes so little time that to time each would slow a replay. Which one is drawn, so that no order of events
/// and codecs falls in with it.
///
/// Counts are therefore multiples of that number: true over many events, not over few. Failures are counted one by
/// one.
#[derive(Clone, Debug)]
pub struct ProfiledCodec<C> {
    inner: C,
    monitor: Monitor,
    /// Below what a drawn number has its event timed.
    drawn_max: u64,
}

thread_local! {
    /// The number that this thread drew last, which is never 0.
    static DRAWN: Cell<u64> = const { Cell::new(0x9e37_79b9_7f4a_7c15) };
}

impl<C> ProfiledCodec<C> {
    /// This codec, measured by this profiler or monitor.
    pub fn new(inner: C, monitor: impl Into<Monitor>) -> Self {
        let monitor = monitor.into();
        let each = monitor.profiler().settings().codec_events_per_sample;
        Self {
            inner,
            drawn_max: u64::MAX / each.max(1),
            monitor,
        }
    }

    /// The answer goes on by value and lies in one place: a look at it on its way would have it copied once more, which
    /// takes longer than all else here.
    #[inline]
    fn measure<T>(
        &self,
        operation: Operation,
        call: impl FnOnce(&C) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let _timed = (draw() <= self.drawn_max).then(|| Timed {
            profiler: self.monitor.profiler(),
            operation,
            begun: self.monitor.profiler().now(),
        });
        match call(&self.inner) {
            Ok(done) => Ok(done),
            Err(error) => Err(self.failed(operation, error)),
        }
    }

    #[cold]
    #[inline(never)]
    fn failed(&self, operation: Operation, error: Error) -> Error {
        self.monitor.coding_failed(operation);
        error
    }
}

/// What is timed until it is dropped.
struct Timed<'p> {
    profiler: &'p Profiler,
    operation: Operation,
    begun: Duration,
}

impl Drop for Timed<'_> {
    #[inline(never)]
    fn drop(&mut self) {
        let each = self.profiler.settings().codec_events_per_sample;
        let measured = self.profiler.since(self.begun).events(1);
        self.profiler
            .record(self.operation, None, measured.standing_for(each));
    }
}

/// The next number of a generator of this thread: Marsaglia's xorshift with 64 bits ("Xorshift RNGs", 2003).
#[inline]
fn draw() -> u64 {
    let mut drawn = DRAWN.get();
    drawn ^= drawn << 13;
    drawn ^= drawn >> 7;
    drawn ^= drawn << 17;
    DRAWN.set(drawn);
    drawn
}

#[deny(clippy::missing_trait_methods)]
impl<E, C: EventCodec<E>> EventCodec<E> for ProfiledCodec<C> {
    fn content_type(&self) -> ContentType {
        self.inner.content_type()
    }

    fn encode(&self, event: &E) -> Result<NewEvent, Error> {
        self.measure(Operation::Encode, |codec| codec.encode(event))
    }

    fn decode_content(&self, content: ContentRef<'_>) -> Result<Decoded<E>, Error> {
        self.measure(Operation::Decode, |codec| codec.decode_content(content))
    }
}
