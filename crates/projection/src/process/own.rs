//! The stream of a process.

use std::sync::Arc;

use annals_codec::{Decoded, EventCodec, EventCodecExt};
use annals_core::{
    Aggregate, Error, ErrorKind, EventStore, Expected, KeptState, Metadata, Position, ReadRequest,
    RecordedEvent, StreamId, StreamPolicy, StreamState, Version,
};

use super::remembered::ProcessState;
use crate::derived;

/// The header of an own event that holds the position of the input it was decided about.
const INPUT_HEADER: &str = "annals-process-input";

/// A process as its own events make it.
pub(super) struct Own<A: Aggregate> {
    pub(super) state: A,
    /// What the next append is to expect of the stream.
    pub(super) expected: Expected,
    /// The newest input about which something was decided.
    pub(super) last_input: Position,
    /// The events that were decided about the input in question, in order.
    pub(super) made: Vec<Made<A::Event>>,
    /// The version of the first event that is folded in the state, and of the last.
    begins_at: Version,
    pub(super) version: Version,
    /// The policy of the stream, when its end was read.
    policy: Option<StreamPolicy>,
    /// How many events were folded since the snapshot, or since the beginning.
    pub(super) events_since: u64,
}

/// A process as it is kept.
pub(super) type Kept<A> = KeptState<ProcessState<A>>;

/// An own event as it is recorded.
pub(super) struct Made<E> {
    pub(super) recorded: RecordedEvent,
    pub(super) reads_as: Arc<Decoded<E>>,
}

/// The metadata of what is decided about an input.
pub(super) fn metadata(input: &RecordedEvent) -> Result<Metadata, Error> {
    derived::caused_by(input)?.with_header(INPUT_HEADER, &input.position().to_string())
}

impl<A: Aggregate> Own<A> {
    /// The process before its first event.
    pub(super) fn new() -> Self {
        Self::of(KeptState {
            state: ProcessState {
                state: A::default(),
                last_input: Position::START,
            },
            begins_at: Version::FIRST,
            version: Version::ABSENT,
        })
    }

    /// The process as it was kept.
    pub(super) fn of(kept: Kept<A>) -> Self {
        Self {
            state: kept.state.state,
            expected: Expected::Exactly(Version::ABSENT),
            last_input: kept.state.last_input,
            made: Vec::new(),
            begins_at: kept.begins_at,
            version: kept.version,
            policy: None,
            events_since: 0,
        }
    }

    /// What was decided about the input in question, and what is to be kept of the process.
    pub(super) fn into_parts(self) -> (Vec<Made<A::Event>>, Kept<A>) {
        let kept = KeptState {
            state: ProcessState {
                state: self.state,
                last_input: self.last_input,
            },
            begins_at: self.begins_at,
            version: self.version,
        };
        (self.made, kept)
    }

    /// Whether the stream had this policy to the end, so that what was hidden at first is what is hidden.
    pub(super) fn is_under(&self, policy: &StreamPolicy) -> bool {
        self.policy.as_ref() == Some(policy)
    }

    /// Reads the rest of the stream, with what was decided about this input.
    pub(super) async fn read_on(
        mut self,
        store: &dyn EventStore,
        codec: &dyn EventCodec<A::Event>,
        stream: &StreamId,
        input: &RecordedEvent,
    ) -> Result<Self, Error> {
        let mut next = Some(ReadRequest::stream(stream.clone()).after_version(self.version));
        while let Some(request) = next {
            let page = store.read(request).await?;
            for event in page.events {
                self.take(codec, event, input)?;
            }
            if let Some(head) = page.stream {
                // A deleted stream meets no version.
                self.expected = match head.policy.state {
                    StreamState::SoftDeleted => Expected::NoStream,
                    _ => Expected::Exactly(head.version),
                };
                self.policy = Some(head.policy);
            }
            next = page.next;
        }
        Ok(self)
    }

    fn take(
        &mut self,
        codec: &dyn EventCodec<A::Event>,
        recorded: RecordedEvent,
        input: &RecordedEvent,
    ) -> Result<(), Error> {
        let reads_as = match codec.decode(&recorded)? {
            Decoded::Skipped(reason) => return Err(skipped(&recorded).caused_by(reason)),
            decoded => decoded,
        };
        for event in reads_as.as_slice() {
            let applied = self.state.apply(event);
            applied.map_err(|refusal| refused(&recorded).caused_by(refusal))?;
        }
        if self.version == Version::ABSENT {
            self.begins_at = recorded.version();
        }
        self.version = recorded.version();
        self.events_since += 1;
        let about = input_of(&recorded);
        self.last_input = self.last_input.max(about.unwrap_or_default());
        if about == Some(input.position()) {
            let reads_as = Arc::new(reads_as);
            self.made.push(Made { recorded, reads_as });
        }
        Ok(())
    }
}

/// The position of the input about which an own event was decided.
fn input_of(own: &RecordedEvent) -> Option<Position> {
    let position = own.metadata().header(INPUT_HEADER)?;
    position.parse().ok().map(Position::new)
}

fn skipped(event: &RecordedEvent) -> Error {
    let message = "codec passes over an event of the process, whose state would leave it out";
    place(Error::new(ErrorKind::Undecodable, message), event)
}

fn refused(event: &RecordedEvent) -> Error {
    let message = "state of the process refuses an event of its own";
    place(Error::new(ErrorKind::Refused, message), event)
}

fn place(error: Error, event: &RecordedEvent) -> Error {
    error
        .during("process")
        .with("stream", event.stream())
        .with("version", event.version())
}
