//! The stream of a process.

use std::sync::Arc;

use annals_codec::{Decoded, EventCodec, EventCodecExt};
use annals_core::{
    Aggregate, Error, ErrorKind, EventStore, Expected, Metadata, Position, ReadRequest,
    RecordedEvent, StreamId, StreamState, Version,
};

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
}

/// An own event as it is recorded.
pub(super) struct Made<E> {
    pub(super) recorded: RecordedEvent,
    pub(super) reads_as: Arc<Decoded<E>>,
}

/// The metadata of what is decided about an input.
pub(super) fn metadata(input: &RecordedEvent) -> Result<Metadata, Error> {
    derived::caused_by(input)?.with_header(INPUT_HEADER, &input.position().to_string())
}

/// Reads the stream of a process whole, with what was decided about this input.
pub(super) async fn read<A: Aggregate>(
    store: &dyn EventStore,
    codec: &dyn EventCodec<A::Event>,
    stream: &StreamId,
    input: &RecordedEvent,
) -> Result<Own<A>, Error> {
    let mut own = Own {
        state: A::default(),
        expected: Expected::Exactly(Version::ABSENT),
        last_input: Position::START,
        made: Vec::new(),
    };
    let mut next = Some(ReadRequest::stream(stream.clone()));
    while let Some(request) = next {
        let page = store.read(request).await?;
        for event in page.events {
            own.take(codec, event, input)?;
        }
        if let Some(head) = page.stream {
            // A deleted stream meets no version.
            own.expected = match head.policy.state {
                StreamState::SoftDeleted => Expected::NoStream,
                _ => Expected::Exactly(head.version),
            };
        }
        next = page.next;
    }
    Ok(own)
}

impl<A: Aggregate> Own<A> {
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
