//! Codecs that are measured.

use std::cell::Cell;

use annals_codec::{Decoded, Error, EventCodec};
use annals_core::{ContentRef, ContentType, NewEvent};

use crate::operation::Operation;
use crate::profiler::Profiler;

/// A codec of whose events one in
/// [`codec_events_per_sample`](crate::ProfilerSettings::codec_events_per_sample) is measured, for all of them: an
/// event takes so little time that to measure each would slow a replay.
///
/// Counts are therefore multiples of that number, failures too: true over many events, not over few.
#[derive(Clone, Debug)]
pub struct ProfiledCodec<C> {
    inner: C,
    profiler: Profiler,
}

thread_local! {
    /// How many events this thread's codecs have passed; which of them are measured is of no matter.
    static PASSED: Cell<u64> = const { Cell::new(0) };
}

impl<C> ProfiledCodec<C> {
    /// This codec, measured by this profiler.
    pub fn new(inner: C, profiler: Profiler) -> Self {
        Self { inner, profiler }
    }

    fn measure<T>(
        &self,
        operation: Operation,
        call: impl FnOnce(&C) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let each = self.profiler.settings().codec_events_per_sample;
        let passed = PASSED.get();
        PASSED.set(passed.wrapping_add(1));
        if !passed.is_multiple_of(each) {
            return call(&self.inner);
        }
        let begun = self.profiler.now();
        let done = call(&self.inner);
        let measured = self.profiler.since(begun).events(1).standing_for(each);
        self.profiler.record(operation, None, measured.of(&done));
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
