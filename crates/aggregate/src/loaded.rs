//! An aggregate at hand: its state, and what it has not recorded yet.

use std::fmt;
use std::sync::Arc;

use annals_codec::{Decoded, EventCodec, EventCodecExt};
use annals_core::{
    Aggregate, AppendBuilder, Error, ErrorKind, EventStore, Expected, Page, RecordedEvent, Refusal,
    StreamId, StreamPolicy, StreamState, Version,
};
use annals_snapshot::Folded;

use crate::kept::{Kept, Origin};
use crate::skipped::Gaps;
use crate::writer::Stamp;
use crate::{CommandError, IntoEvents, Skipped};

/// An aggregate that a [`Repository`](crate::Repository) loaded, with events that are recorded in
/// memory and not in the store: [`state`](Self::state) shows them at once, a
/// [`save`](crate::Repository::save) or a [`Transaction`](crate::Transaction) appends them.
///
/// For a single command [`Repository::execute`](crate::Repository::execute) is shorter and retries by
/// itself.
#[derive(Clone)]
pub struct Loaded<A: Aggregate> {
    stream: StreamId,
    /// Where the store has the stream, as far as it was read.
    version: Version,
    /// What tells that nobody wrote or deleted the stream since.
    expected: Expected,
    /// What of the stream was shown.
    policy: StreamPolicy,
    state: A,
    skipped: Skipped,
    gaps: Gaps,
    origin: Origin,
    uncommitted: Vec<A::Event>,
    codec: Arc<dyn EventCodec<A::Event>>,
    store: Arc<dyn EventStore>,
}

impl<A: Aggregate> Loaded<A> {
    /// An aggregate to which nothing has happened.
    pub(crate) fn absent(
        stream: StreamId,
        codec: Arc<dyn EventCodec<A::Event>>,
        store: Arc<dyn EventStore>,
        gaps: Gaps,
    ) -> Self {
        Self {
            stream,
            version: Version::ABSENT,
            expected: Expected::Exactly(Version::ABSENT),
            policy: StreamPolicy::default(),
            state: A::default(),
            skipped: Skipped::default(),
            gaps,
            origin: Origin::default(),
            uncommitted: Vec::new(),
            codec,
            store,
        }
    }

    /// The same aggregate as far as this state goes, which was folded before.
    pub(crate) fn resumed(mut self, folded: Folded<Kept<A>>) -> Self {
        self.version = folded.version;
        self.expected = Expected::Exactly(folded.version);
        self.origin.begins_at = Some(folded.begins_at);
        self.origin.snapshot = folded.state.snapshot;
        self.skipped = folded.state.skipped;
        self.state = folded.state.state;
        self
    }

    /// The stream of its events.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// The version up to which its stream was read or saved; uncommitted events do not count.
    /// [`Version::ABSENT`] where there is no stream.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The state, uncommitted events included.
    pub fn state(&self) -> &A {
        &self.state
    }

    /// The state by itself, uncommitted events included. It no longer tells of [skipped](Self::skipped) events.
    pub fn into_state(self) -> A {
        self.state
    }

    /// The events of its stream that the codec's policy passed over: they are not in the state. Empty
    /// unless a policy skips.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// The events that are not in the store, in order.
    pub fn uncommitted(&self) -> &[A::Event] {
        &self.uncommitted
    }

    /// Takes events as having happened: all of them, or none. The state shows them at once.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when the aggregate refuses one of them; all is as before then, for which
    /// a copy of the state is kept during the call.
    pub fn record(&mut self, events: impl IntoEvents<A::Event>) -> Result<(), Error>
    where
        A: Clone,
    {
        let events = events.into_events();
        if events.is_empty() {
            return Ok(());
        }
        let before = self.state.clone();
        self.take(events).inspect_err(|_| self.state = before)
    }

    /// Decides on the state, uncommitted events included, and [records](Self::record) what was decided.
    /// Gives the events of this decision.
    ///
    /// # Errors
    /// [`CommandError::Refused`] as the decision has it; [`CommandError::Store`] when the aggregate
    /// refuses a decided event, or when events were [skipped](Self::skipped) and the repository does not
    /// [allow](crate::Repository::deciding_despite_skipped) that. All is as before then.
    pub fn execute<I, E>(
        &mut self,
        decide: impl FnOnce(&A) -> Result<I, E>,
    ) -> Result<&[A::Event], CommandError<E>>
    where
        A: Clone,
        I: IntoEvents<A::Event>,
    {
        self.check_whole()?;
        let decided = decide(&self.state).map_err(CommandError::Refused)?;
        let before = self.uncommitted.len();
        self.record(decided.into_events())?;
        Ok(self.uncommitted.get(before..).unwrap_or_default())
    }

    /// Like [`record`](Self::record) without a copy: after an error the whole is of no use any more.
    pub(crate) fn take(&mut self, mut events: Vec<A::Event>) -> Result<(), Error> {
        for event in &events {
            self.state
                .apply(event)
                .map_err(|refusal| refused_decision(&self.stream, refusal))?;
        }
        if self.uncommitted.is_empty() {
            self.uncommitted = events;
        } else {
            self.uncommitted.append(&mut events);
        }
        Ok(())
    }

    /// Folds a page of the stream, as far as `until`, and hands each event to `folded` with its version.
    pub(crate) fn fold(
        &mut self,
        page: &Page,
        until: Version,
        mut folded: impl FnMut(Version, A::Event),
    ) -> Result<(), Error> {
        if let Some(first) = page.events.first() {
            self.origin.begins_at.get_or_insert(first.version());
        }
        for recorded in &page.events {
            match self.codec.decode(recorded)? {
                Decoded::Skipped(reason) => self.skipped.push(reason),
                events => {
                    for event in events {
                        self.state
                            .apply(&event)
                            .map_err(|refusal| refused_history(recorded, refusal))?;
                        folded(recorded.version(), event);
                    }
                }
            }
            self.version = recorded.version();
        }
        if let Some(head) = &page.stream {
            self.version = head.version.min(until);
            self.policy = head.policy.clone();
            let is_deleted = head.policy.state == StreamState::SoftDeleted;
            // A deleted stream meets no version; one that is read as of the past is not to be written.
            self.expected = if is_deleted && self.version == head.version {
                Expected::NoStream
            } else {
                Expected::Exactly(self.version)
            };
        }
        Ok(())
    }

    /// The state with the versions that are folded in it, once the uncommitted events are appended; or as
    /// it is, where there are none. `None` when nothing is folded in it.
    pub(crate) fn folded(&self) -> Option<Folded<&A>> {
        let version = self.next_version();
        let begins_at = self.origin.begins_at.unwrap_or(self.version.next());
        (begins_at <= version).then_some(Folded {
            state: &self.state,
            begins_at,
            version,
        })
    }

    /// Where its state comes from.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn origin_mut(&mut self) -> &mut Origin {
        &mut self.origin
    }

    /// The store that it was loaded from.
    pub(crate) fn store(&self) -> &Arc<dyn EventStore> {
        &self.store
    }

    /// Whether this is the policy under which it was loaded.
    pub(crate) fn has_policy(&self, policy: &StreamPolicy) -> bool {
        self.policy == *policy
    }

    /// The same without its uncommitted events, in the state before them; and these events.
    pub(crate) fn set_back(mut self, before: A) -> (Self, Vec<A::Event>) {
        let uncommitted = std::mem::take(&mut self.uncommitted);
        self.state = before;
        (self, uncommitted)
    }

    /// Refuses a state that leaves out events, where decisions may not rest on one.
    pub(crate) fn check_whole(&self) -> Result<(), Error> {
        self.skipped.check(self.gaps, &self.stream)
    }

    /// Adds the uncommitted events to an append: as a write of the stream as it was loaded, or as a check
    /// of it where there are none.
    pub(crate) fn add_to(
        &self,
        append: AppendBuilder,
        stamp: &Stamp,
    ) -> Result<AppendBuilder, Error> {
        self.check_whole()?;
        if self.uncommitted.is_empty() {
            return Ok(append.check(self.stream.clone(), self.expected));
        }
        let encode = |event| match self.codec.encode(event) {
            Ok(content) => Ok(stamp.on(content)),
            Err(error) => Err(Error::from(error).with("stream", &self.stream)),
        };
        let events: Result<Vec<_>, Error> = self.uncommitted.iter().map(encode).collect();
        Ok(append.write(self.stream.clone(), self.expected, events?))
    }

    /// The version that the stream has once the uncommitted events are appended to it.
    pub(crate) fn next_version(&self) -> Version {
        let count = u64::try_from(self.uncommitted.len()).unwrap_or(u64::MAX);
        self.version.forward(count)
    }

    /// Notes that the uncommitted events are in the store.
    pub(crate) fn commit(&mut self) {
        self.origin.begins_at.get_or_insert(self.version.next());
        self.version = self.next_version();
        self.expected = Expected::Exactly(self.version);
        self.uncommitted.clear();
    }

    pub(crate) fn into_parts(self) -> (StreamId, A, Skipped, Vec<A::Event>) {
        (self.stream, self.state, self.skipped, self.uncommitted)
    }
}

impl<A: Aggregate + fmt::Debug> fmt::Debug for Loaded<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("stream", &self.stream)
            .field("version", &self.version)
            .field("state", &self.state)
            .field("skipped", &self.skipped.count())
            .field("uncommitted", &self.uncommitted.len())
            .finish_non_exhaustive()
    }
}

fn refused_decision(stream: &StreamId, refusal: Refusal) -> Error {
    let message = format!(
        "aggregate refuses an event that was decided: {refusal}; correct the decision or `apply`"
    );
    Error::new(ErrorKind::Refused, message)
        .during("record")
        .with("stream", stream)
        .caused_by(refusal)
}

fn refused_history(recorded: &RecordedEvent, refusal: Refusal) -> Error {
    let message = format!("aggregate refuses an event of its history: {refusal}; correct `apply`");
    Error::new(ErrorKind::Refused, message)
        .during("load")
        .with("stream", recorded.stream())
        .with("version", recorded.version())
        .with("position", recorded.position())
        .with("event type", recorded.event_type())
        .caused_by(refusal)
}
