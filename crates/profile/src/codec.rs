//! Codecs that are measured.

use std::cell::Cell;

use annals_codec::{Decoded, Error, EventCodec};
use annals_core::{ContentRef, ContentType, NewEvent};

use crate::monitor::Monitor;
use crate::operation::Operation;

/// A codec of whose events one in
/// [`codec_events_per_sample`](crate::ProfilerSettings::codec_events_per_sample) is timed, for all of them: an
/// event takes so little time that to time each would slow a replay.
///
/// Counts are therefore multiples of that number: true over many events, not over few. Failures are counted one by
/// one.
#[derive(Clone, Debug)]
pub struct ProfiledCodec<C> {
    inner: C,
    monitor: Monitor,
}

thread_local! {
    /// How many events this thread's codecs have passed; which of them are measured is of no matter.
    static PASSED: Cell<u64> = const { Cell::new(0) };
}

impl<C> ProfiledCodec<C> {
    /// This codec, measured by this profiler or monitor.
    pub fn new(inner: C, monitor: impl Into<Monitor>) -> Self {
        Self {
            inner,
            monitor: monitor.into(),
        }
    }

    fn measure<T>(
        &self,
        operation: Operation,
        call: impl FnOnce(&C) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let profiler = self.monitor.profiler();
        let each = profiler.settings().codec_events_per_sample;
        let passed = PASSED.get();
        PASSED.set(passed.wrapping_add(1));
        let done = if passed.is_multiple_of(each) {
            let begun = profiler.now();
            let done = call(&self.inner);
            let measured = profiler.since(begun).events(1).standing_for(each);
            profiler.record(operation, None, measured);
            done
        } else {
            call(&self.inner)
        };
        if done.is_err() {
            self.monitor.coding_failed(operation);
        }
        done
    }
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
