//! How events become a state.

use std::fmt;
use std::sync::Arc;

use annals_codec::{Decoded, EventCodec, EventCodecExt};
use annals_core::{Aggregate, Error, ErrorKind, RecordedEvent, Refusal};

/// The three parts of a fold that is replayed: the state before the first event, how a recorded event reads, and
/// what an event changes.
///
/// Cheap to clone. `E` is what `apply` sees: an event of the application, or the [`RecordedEvent`] itself where
/// several event types are folded into one state, or where its place or context counts.
///
/// ```
/// use annals_codec::{EventCodec, EventCodecExt, JsonCodec};
/// use annals_core::{RecordedEvent, Refusal};
/// use annals_replay::ReplayFold;
///
/// // How many events there are of each stream's category.
/// let count = ReplayFold::of_recorded(|| 0_u64, |count: &mut u64, _: &RecordedEvent| {
///     *count += 1;
///     Ok(())
/// });
/// # let _ = count;
/// ```
pub struct ReplayFold<S, E> {
    initial: Arc<dyn Fn() -> S + Send + Sync>,
    decode: Arc<Decode<E>>,
    apply: Arc<Apply<S, E>>,
}

/// How a recorded event reads.
type Decode<E> = dyn Fn(&RecordedEvent) -> Result<Decoded<E>, Error> + Send + Sync;

/// What an event changes.
type Apply<S, E> = dyn Fn(&mut S, &E) -> Result<(), Refusal> + Send + Sync;

impl<S: 'static, E: 'static> ReplayFold<S, E> {
    /// The fold of events that this codec reads.
    pub fn new(
        codec: impl EventCodec<E> + 'static,
        initial: impl Fn() -> S + Send + Sync + 'static,
        apply: impl Fn(&mut S, &E) -> Result<(), Refusal> + Send + Sync + 'static,
    ) -> Self {
        Self {
            initial: Arc::new(initial),
            decode: Arc::new(move |recorded| codec.decode(recorded).map_err(Error::from)),
            apply: Arc::new(apply),
        }
    }

    /// The same by another function over the same states and events, as for a rule that is to change.
    #[must_use]
    pub fn applying(
        &self,
        apply: impl Fn(&mut S, &E) -> Result<(), Refusal> + Send + Sync + 'static,
    ) -> Self {
        Self {
            apply: Arc::new(apply),
            ..self.clone()
        }
    }
}

impl<A: Aggregate> ReplayFold<A, A::Event> {
    /// The fold that an aggregate is.
    pub fn of_aggregate(codec: impl EventCodec<A::Event> + 'static) -> Self {
        Self::new(codec, A::default, A::apply)
    }
}

impl<S: 'static> ReplayFold<S, RecordedEvent> {
    /// The fold of events as they were recorded; what of them is decoded, and how, is up to `apply`.
    pub fn of_recorded(
        initial: impl Fn() -> S + Send + Sync + 'static,
        apply: impl Fn(&mut S, &RecordedEvent) -> Result<(), Refusal> + Send + Sync + 'static,
    ) -> Self {
        Self {
            initial: Arc::new(initial),
            decode: Arc::new(|recorded| Ok(Decoded::One(recorded.clone()))),
            apply: Arc::new(apply),
        }
    }
}

impl<S, E> ReplayFold<S, E> {
    pub(crate) fn initial(&self) -> S {
        (self.initial)()
    }

    pub(crate) fn decode(&self, recorded: &RecordedEvent) -> Result<Decoded<E>, Error> {
        (self.decode)(recorded)
    }

    pub(crate) fn apply(&self, state: &mut S, event: &E) -> Result<(), Refusal> {
        (self.apply)(state, event)
    }

    /// Applies all that a recorded event reads as.
    pub(crate) fn apply_all(
        &self,
        state: &mut S,
        recorded: &RecordedEvent,
        events: &[E],
    ) -> Result<(), Error> {
        let mut events = events.iter();
        events
            .try_for_each(|event| self.apply(state, event))
            .map_err(|refusal| refused(recorded, refusal))
    }

    /// Folds one recorded event; whether the codec passed over it.
    pub(crate) fn step(&self, state: &mut S, recorded: &RecordedEvent) -> Result<bool, Error> {
        let decoded = self.decode(recorded)?;
        self.apply_all(state, recorded, decoded.as_slice())?;
        Ok(decoded.skipped().is_some())
    }
}

impl<S, E> Clone for ReplayFold<S, E> {
    fn clone(&self) -> Self {
        Self {
            initial: self.initial.clone(),
            decode: self.decode.clone(),
            apply: self.apply.clone(),
        }
    }
}

impl<S, E> fmt::Debug for ReplayFold<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayFold").finish_non_exhaustive()
    }
}

fn refused(recorded: &RecordedEvent, refusal: Refusal) -> Error {
    let message = format!("fold refuses an event of the history: {refusal}; correct the fold");
    Error::new(ErrorKind::Refused, message)
        .during("replay")
        .with("stream", recorded.stream())
        .with("version", recorded.version())
        .with("position", recorded.position())
        .with("event type", recorded.event_type())
        .caused_by(refusal)
}
