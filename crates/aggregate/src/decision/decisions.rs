//! Decisions in a store.

use std::fmt;
use std::sync::Arc;

use annals_codec::EventCodec;
use annals_core::{Append, Error, ErrorKind, Event, EventStore, Expected, ReadRequest, StreamId};

use super::reading::Reading;
use super::{Decision, DecisionMade, Informed};
use crate::attempts::Attempts;
use crate::duplicate::check_same;
use crate::skipped::Gaps;
use crate::writer::{Writer, writer_setters};
use crate::{CommandError, Context, IntoEvents};

/// Makes decisions on the history of a store, and records them if what they were made on still holds.
///
/// A decision is a question, or several as a tuple ([`DecisionModel`](crate::DecisionModel)): nothing else is
/// read, and nothing else is in its way. There is no aggregate whose version guards the append. What
/// guards it is the read itself: it is appended on condition that no event that the decision selects was
/// recorded after the last page that it read. The condition is made here, of what was read; there is none to
/// write down, and none to forget.
///
/// `C` is the codec of all events: one that is a codec of several event types, as the codecs of the forms
/// are (`JsonCodec`), or a type of the application that hands each type to its
/// own ([`Evolving`](annals_codec::Evolving)).
///
/// Events are recorded in one stream: that of their category without a key, unless
/// [`with_stream`](Self::with_stream) says otherwise. It is where they are kept, not what guards them:
/// any state of it is expected, and criteria don't look at it.
///
/// Cheap to clone, and shared by any number of tasks.
pub struct Decisions<C> {
    writer: Writer,
    pub(super) codec: Arc<C>,
    stream: Option<StreamId>,
    pub(super) page_events_max: usize,
    gaps: Gaps,
}

impl<C: Send + Sync> Decisions<C> {
    /// Decisions in this store, all events in the form of this codec; with the machine's clock, random
    /// append ids, 10 attempts and 3 resends a decision, and 1000 events a page.
    pub fn new(store: Arc<dyn EventStore>, codec: C) -> Self {
        Self {
            writer: Writer::new(store),
            codec: Arc::new(codec),
            stream: None,
            page_events_max: ReadRequest::EVENTS_MAX_DEFAULT,
            gaps: Gaps::Refused,
        }
    }

    /// The same with events recorded in this stream, as the one of an aggregate that they belong to.
    #[must_use]
    pub fn with_stream(mut self, stream: StreamId) -> Self {
        self.stream = Some(stream);
        self
    }

    writer_setters!();

    /// The same with at most this many attempts against conflicts. The first one counts, and is always made.
    #[must_use]
    pub fn with_attempts_max(mut self, attempts_max: u32) -> Self {
        self.writer.retrier = self.writer.retrier.with_attempts_max(attempts_max);
        self
    }

    /// The same with at most this many resends in one decision, as for
    /// [`Repository::with_resends_max`](crate::Repository::with_resends_max).
    #[must_use]
    pub fn with_resends_max(mut self, resends_max: u32) -> Self {
        self.writer.retrier = self.writer.retrier.with_resends_max(resends_max);
        self
    }

    /// The same with at most this many events a page: 1 to
    /// [`PAGE_EVENTS_MAX`](annals_core::limits::PAGE_EVENTS_MAX), which the store checks.
    #[must_use]
    pub fn with_page_events_max(mut self, page_events_max: usize) -> Self {
        self.page_events_max = page_events_max;
        self
    }

    /// The same that decides although the codec's policy passed over events that the decision selects, as
    /// [`Repository::deciding_despite_skipped`](crate::Repository::deciding_despite_skipped). What was passed over is
    /// told with every answer: [`DecisionMade::skipped`].
    #[must_use]
    pub fn deciding_despite_skipped(mut self) -> Self {
        self.gaps = Gaps::Allowed;
        self
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.writer.store
    }

    /// Reads what a decision selects, and gives it back with the state of every model, to be looked at.
    /// Nothing guards what is done with it: to record something, [`decide`](Self::decide).
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] and [`ErrorKind::Refused`] for an event that does not decode or that a
    /// model refuses, which the error names by stream, version and position;
    /// or as making the criteria and the store have it.
    pub async fn read<D: Decision<C>>(&self, decision: D) -> Result<Informed<D>, Error> {
        let mut reading = Reading::new(decision)?;
        self.read_on(&mut reading).await?;
        let (decision, skipped, cursor) = reading.into_parts();
        Ok(Informed {
            decision,
            skipped,
            cursor,
        })
    }

    /// Makes a decision: reads what it selects, lets `decide` look at the state and give events, and
    /// appends them if nothing that it selects was recorded meanwhile. Otherwise it reads on from where
    /// it stood, and decides again, up to the limit of attempts; so `decide` may run several times.
    ///
    /// - A decision that gives no event appends nothing, and nothing is checked.
    /// - A decision that reads nothing, as `()`, appends without a condition: there is nothing that could
    ///   have changed.
    /// - An event is in the way of a decision that selects it, whatever it says. The events of the decision
    ///   itself are not: they come after the condition was judged.
    /// - A policy that hides events is none: what was read before it was hidden stays read, and conditions
    ///   don't see hidden events.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use annals_aggregate::{CommandError, DecisionModel, Decisions};
    /// use annals_codec::JsonCodec;
    /// use annals_core::{Criteria, Error, Refusal, Tag};
    /// use annals_macros::Event;
    /// use annals_store_memory::MemoryStore;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Debug, Event, Serialize, Deserialize)]
    /// #[event(category = "user")]
    /// enum UserEvent {
    ///     Registered { #[event(tag)] name: String },
    /// }
    ///
    /// struct NameTaken<'a> { name: &'a str, is_taken: bool }
    ///
    /// impl DecisionModel for NameTaken<'_> {
    ///     type Event = UserEvent;
    ///
    ///     fn criteria(&self) -> Result<Criteria, Error> {
    ///         Criteria::of_event::<UserEvent>()?.tagged([Tag::from_parts("name", self.name)?])
    ///     }
    ///
    ///     fn apply(&mut self, _: &UserEvent) -> Result<(), Refusal> {
    ///         self.is_taken = true;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # futures_executor::block_on(async {
    /// let decisions = Decisions::new(Arc::new(MemoryStore::new()), JsonCodec);
    /// let register = async |name: &str| {
    ///     let taken = NameTaken { name, is_taken: false };
    ///     let decided = decisions.decide(taken, |taken| match taken.is_taken {
    ///         true => Err("the name is taken"),
    ///         false => Ok(UserEvent::Registered { name: name.to_owned() }),
    ///     });
    ///     decided.await
    /// };
    /// assert!(register("ada").await?.is_recorded());
    /// assert_eq!(register("ada").await.unwrap_err().refused(), Some(&"the name is taken"));
    /// # Ok::<(), CommandError<&'static str>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Cancellation
    /// When the future is dropped, the events are appended whole or not at all. Whoever has to know which
    /// fixes the append id ([`decide_with`](Self::decide_with)).
    ///
    /// # Errors
    /// See [`CommandError`]. [`ErrorKind::Unsupported`] before anything is read, when the decision reads
    /// something and the store has no [conditions](annals_core::Capabilities::conditions).
    pub async fn decide<D, E, I, R>(
        &self,
        decision: D,
        decide: impl FnMut(&D) -> Result<I, R>,
    ) -> Result<DecisionMade<E>, CommandError<R>>
    where
        D: Decision<C>,
        E: Event,
        I: IntoEvents<E>,
        C: EventCodec<E>,
    {
        self.decide_with(&Context::new(), decision, decide).await
    }

    /// Like [`decide`](Self::decide), with what the command carries to its events.
    ///
    /// # Idempotence
    /// With a fixed append id, a decision that is made twice is recorded once and answers the same, whatever
    /// happened since: the events that the first one recorded, and its receipt as a duplicate; `decide` is
    /// not asked. For the rest as for [`Repository::execute_with`](crate::Repository::execute_with): the id
    /// stands for the command; a different one whose events go to the same stream is taken for the first,
    /// and one that goes to another stream is [`CommandError::AppendIdReused`].
    ///
    /// # Errors
    /// As for [`decide`](Self::decide).
    pub async fn decide_with<D, E, I, R>(
        &self,
        context: &Context,
        decision: D,
        decide: impl FnMut(&D) -> Result<I, R>,
    ) -> Result<DecisionMade<E>, CommandError<R>>
    where
        D: Decision<C>,
        E: Event,
        I: IntoEvents<E>,
        C: EventCodec<E>,
    {
        let stream = self.stream::<E>()?;
        if self.writer.observer.is_none() {
            return self.run(context, &stream, decision, decide).await;
        }
        let run = Box::pin(self.run(context, &stream, decision, decide));
        self.writer.command(&stream, run).await
    }

    async fn run<D, E, I, R>(
        &self,
        context: &Context,
        stream: &StreamId,
        decision: D,
        mut decide: impl FnMut(&D) -> Result<I, R>,
    ) -> Result<DecisionMade<E>, CommandError<R>>
    where
        D: Decision<C>,
        E: Event,
        I: IntoEvents<E>,
        C: EventCodec<E>,
    {
        let mut reading = Reading::new(decision)?;
        self.check_conditions(&reading)?;
        let mut attempts = Attempts::first(&self.writer);
        loop {
            let read = self.read_on(&mut reading).await;
            // Asked once the state is here: so the state is from before the events of the command, if
            // there is no receipt, and an error in it does not matter if there is one.
            if let Some(receipt) = self.writer.recorded(context).await? {
                check_same(&receipt, &[stream])?;
                return Ok(self.made_before(receipt, &attempts).await?);
            }
            read?;
            reading.check_whole(self.gaps, stream)?;
            let events = decide(reading.decision()).map_err(CommandError::Refused)?;
            let events = events.into_events();
            let mut receipt = None;
            if !events.is_empty() {
                let append = self.append_of(context, &reading, stream, &events)?;
                match attempts.send(&self.writer, &append).await {
                    Ok(recorded) => receipt = Some(recorded),
                    Err(error) => {
                        attempts.next(append, error, context).await?;
                        continue;
                    }
                }
            }
            return Ok(DecisionMade {
                events,
                receipt,
                skipped: reading.into_parts().1,
                attempts: attempts.used(),
            });
        }
    }

    async fn read_on<D: Decision<C>>(&self, reading: &mut Reading<D>) -> Result<(), Error> {
        let read = reading.read_on(&*self.writer.store, &*self.codec, self.page_events_max);
        read.await
    }

    /// The events as an append, on condition that what was read still holds.
    fn append_of<D, E: Event>(
        &self,
        context: &Context,
        reading: &Reading<D>,
        stream: &StreamId,
        events: &[E],
    ) -> Result<Append, Error>
    where
        C: EventCodec<E>,
    {
        let (append, stamp) = self.writer.begin(context);
        let encode = |event| match self.codec.encode(event) {
            Ok(encoded) => Ok(stamp.on(encoded)),
            Err(error) => Err(Error::from(error).with("stream", stream)),
        };
        let events: Result<Vec<_>, Error> = events.iter().map(encode).collect();
        let append = append.write(stream.clone(), Expected::Any, events?);
        reading.guard(append).build()
    }

    /// Where events of this type are recorded.
    fn stream<E: Event>(&self) -> Result<StreamId, Error> {
        match &self.stream {
            Some(stream) => Ok(stream.clone()),
            None => StreamId::new(&E::CATEGORY, ""),
        }
    }

    /// Refuses a decision that the store can't guard, before it is made.
    fn check_conditions<D>(&self, reading: &Reading<D>) -> Result<(), Error> {
        if !reading.has_boundary() || self.store().capabilities().conditions {
            return Ok(());
        }
        let message = "store has no conditions, so a decision on what it read can't be guarded; \
                       take a store with conditions, or a repository of aggregates";
        Err(Error::new(ErrorKind::Unsupported, message).during("decide"))
    }
}

impl<C> Clone for Decisions<C> {
    fn clone(&self) -> Self {
        Self {
            writer: self.writer.clone(),
            codec: self.codec.clone(),
            stream: self.stream.clone(),
            page_events_max: self.page_events_max,
            gaps: self.gaps,
        }
    }
}

impl<C: fmt::Debug> fmt::Debug for Decisions<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decisions")
            .field("writer", &self.writer)
            .field("codec", &self.codec)
            .field("stream", &self.stream)
            .field("page_events_max", &self.page_events_max)
            .field("gaps", &self.gaps)
            .finish()
    }
}
