//! A process manager: a reaction that remembers.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use annals_codec::EventCodec;
use annals_concurrency::{Retrier, Tries, can_pass};
use annals_core::{
    Aggregate, Append, BoxError, CheckpointName, Error, ErrorKind, Event, EventStore, NewEvent,
    RecordedEvent, StateKeeper, StreamId,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::builder::ProcessManagerBuilder;
use super::input::{Deciding, Input};
use super::own::{self, Made, Own};
use super::remembered::ProcessState;
use crate::contract::choice::EventChoice;
use crate::contract::failure_policy::FailurePolicy;
use crate::contract::page::{AnyColumn, FeedPage};
use crate::derived;
use crate::panics::{catching, of_panic};
use crate::reaction::definition::Reaction;
use crate::reaction::delivery::Delivery;
use crate::reaction::handler::{React, Sent};
use crate::reaction::start::Start;
use crate::timers::change::TimerChange;

/// Leads processes that take many steps, as an order from its placing to its delivery: a reaction that keeps a state
/// as events of its own, and issues commands.
///
/// For each input event it finds the process by its [`ProcessKey`](crate::ProcessKey), loads the process (an
/// [`Aggregate`] over the stream `<category of its events>-<key>`), decides events of its own, appends them, and then
/// issues the commands that each of them stands for. Its own events may set [timers](crate::Timers), in the same
/// append; those that fire are inputs.
///
/// # What happens once
/// An input may come again: after a crash, or when a command failed. Its own events are then there already, each
/// with the position of the input in its metadata; they are read back, nothing is decided, and their commands are
/// issued again. A command that appends under the [`append_id`](Delivery::append_id) of its delivery is in the log
/// once, however often it is issued; an effect outside the log takes the same text as its idempotency key, and happens
/// once where the other side heeds it, at least once where it does not.
///
/// An input about which nothing was decided is decided again only while no later input of its process was taken. To
/// be exactly-once as a whole, a command records what came of it each time: also a refusal, as an event. One that
/// records nothing is not known the next time.
///
/// # Order
/// The inputs of a process are taken in the order of the log, those of different processes side by side. When one
/// fails, because it does not decode, the decision fails or a command does, the [`FailurePolicy`] has it: with
/// [`park`](FailurePolicy::park) the later inputs of that process wait behind it, and the other processes go on.
///
/// A replay or a rebuild of projections never reaches it, and it has no reset.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use annals_codec::JsonCodec;
/// use annals_core::{Aggregate, EventStore, Refusal};
/// use annals_macros::Event;
/// use annals_projection::{Processor, ProcessKey, ProcessManager, Start, TimerChange};
/// use annals_store_memory::MemoryStore;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(category = "order")]
/// enum OrderEvent { Placed, Paid }
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(category = "payment_watch")]
/// enum Watch { Began, Ended, GaveUp }
///
/// #[derive(Default)]
/// struct PaymentWatch { is_open: bool }
///
/// impl Aggregate for PaymentWatch {
///     type Event = Watch;
///
///     fn apply(&mut self, event: &Watch) -> Result<(), Refusal> {
///         self.is_open = matches!(event, Watch::Began);
///         Ok(())
///     }
/// }
///
/// const DEADLINE: Duration = Duration::from_hours(72);
///
/// let store = Arc::new(MemoryStore::new());
/// let watch = ProcessManager::<PaymentWatch>::builder("payment-watch", store.clone(), JsonCodec)?
///     .on(JsonCodec, ProcessKey::stream(), |watch, event: &OrderEvent, _| {
///         Ok(match event {
///             OrderEvent::Placed => vec![Watch::Began],
///             OrderEvent::Paid if watch.is_open => vec![Watch::Ended],
///             OrderEvent::Paid => vec![],
///         })
///     })
///     .on_timer(|watch, _, _| Ok(if watch.is_open { vec![Watch::GaveUp] } else { vec![] }))?
///     .setting_timers(|event, input| match event {
///         Watch::Began => vec![TimerChange::set("unpaid", input.appended_at().after(DEADLINE))],
///         Watch::Ended | Watch::GaveUp => vec![TimerChange::cancel("unpaid")],
///     })
///     .issuing(|event| async move {
///         if let Watch::GaveUp = *event {
///             println!("cancel order {} as {}", event.recorded().stream().key(), event.append_id(0));
///         }
///         Ok(())
///     })
///     .build()?;
/// let processor = Processor::builder(store.clone()).react(watch.reaction(Start::Beginning)?, store);
/// # drop(processor);
/// # Ok::<(), annals_core::Error>(())
/// ```
pub struct ProcessManager<A: Aggregate> {
    pub(super) definition: Arc<Definition<A>>,
}

/// What issues the commands of an own event.
pub(super) type Issue<E> =
    Box<dyn Fn(Delivery<E>) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

/// What own events say of timers.
pub(super) type Timing<E> = Box<dyn Fn(&E, &RecordedEvent) -> Vec<TimerChange> + Send + Sync>;

pub(super) struct Definition<A: Aggregate> {
    pub(super) name: CheckpointName,
    pub(super) store: Arc<dyn EventStore>,
    pub(super) codec: Box<dyn EventCodec<A::Event>>,
    pub(super) inputs: Vec<Box<dyn Input<A>>>,
    pub(super) choice: EventChoice,
    pub(super) timing: Option<Timing<A::Event>>,
    pub(super) issue: Option<Issue<A::Event>>,
    pub(super) states: Option<Box<dyn StateKeeper<ProcessState<A>>>>,
    pub(super) policy: FailurePolicy,
    pub(super) retrier: Retrier,
    pub(super) concurrent_keys: usize,
}

/// The inputs of a process manager, as a reaction hands them over.
struct Inputs<A: Aggregate>(Arc<Definition<A>>);

impl<A: Aggregate> ProcessManager<A> {
    /// Begins a process manager of this name, whose processes are kept in this store by this codec.
    ///
    /// The name stands for good: the append ids of its commands derive from it. No other manager has the category of
    /// its events.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is no name.
    pub fn builder(
        name: &str,
        store: Arc<dyn EventStore>,
        codec: impl EventCodec<A::Event> + 'static,
    ) -> Result<ProcessManagerBuilder<A>, Error> {
        ProcessManagerBuilder::new(name, store, Box::new(codec))
    }

    /// Its name.
    pub fn name(&self) -> &CheckpointName {
        &self.definition.name
    }

    /// The events that it takes.
    pub fn choice(&self) -> &EventChoice {
        &self.definition.choice
    }

    /// What becomes of an input that can't be handled.
    pub fn failure_policy(&self) -> &FailurePolicy {
        &self.definition.policy
    }

    /// The key of the process that an event is an input of; `None` where it is none.
    pub fn key(&self, event: &RecordedEvent) -> Option<String> {
        self.definition.key(event)
    }

    /// The reaction that hands the inputs over, for a [`Processor`](crate::Processor): it begins there when it is new.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is to take no key at once.
    pub fn reaction(&self, start: Start) -> Result<Reaction, Error> {
        let definition = Arc::clone(&self.definition);
        Reaction::builder(self.name().as_str(), start)?
            .handled_by(Box::new(Inputs(Arc::clone(&definition))))
            .on_failure(self.failure_policy().clone())
            .concurrent_keys(definition.concurrent_keys)
            .keyed_by(move |event| {
                let key = definition.key(event);
                key.unwrap_or_else(|| event.stream().as_str().to_owned())
            })
            .build()
    }

    /// Takes one input, as a processor has it do, by an attempt of this number, from 1: for tests. The same input may
    /// be taken again at any time.
    ///
    /// # Cancellation
    /// The future may be dropped at any point; what it began is finished when the input is taken again.
    ///
    /// # Errors
    /// Why it can't be handled now: the error of the decision, of a command, or of the store.
    pub async fn take(&self, input: &RecordedEvent, attempt: u32) -> Result<(), BoxError> {
        self.definition.take(input, attempt).await
    }
}

impl<A: Aggregate> Definition<A> {
    pub(super) fn key(&self, event: &RecordedEvent) -> Option<String> {
        let mut inputs = self.inputs.iter();
        inputs.find_map(|input| {
            let is_taken = input.choice().contains(event);
            is_taken.then(|| input.key(event)).flatten()
        })
    }

    pub(super) async fn take(&self, input: &RecordedEvent, attempt: u32) -> Result<(), BoxError> {
        let Some(key) = self.key(input) else {
            return Ok(());
        };
        let stream = StreamId::new(&A::Event::CATEGORY, &key)?;
        for made in self.decided(&key, &stream, input).await? {
            self.issue(made, attempt).await?;
        }
        Ok(())
    }

    /// What is decided about an input, now or before, as it is recorded.
    async fn decided(
        &self,
        key: &str,
        stream: &StreamId,
        input: &RecordedEvent,
    ) -> Result<Vec<Made<A::Event>>, Error> {
        let mut tries = self.retrier.begin();
        loop {
            match self.decide(&mut tries, key, stream, input).await {
                Err(error) if is_outrun(&error) && tries.again().await => {}
                decided => return decided,
            }
        }
    }

    async fn decide(
        &self,
        tries: &mut Tries,
        key: &str,
        stream: &StreamId,
        input: &RecordedEvent,
    ) -> Result<Vec<Made<A::Event>>, Error> {
        let own = self.read(stream, input).await?;
        if !own.made.is_empty() || self.is_past(own.last_input, input) {
            return Ok(own.made);
        }
        let expected = own.expected;
        let decided = self.decide_on(own.state, key, input)?;
        if decided.is_empty() {
            return Ok(Vec::new());
        }
        let writes = self.writes(&decided, key, input)?;
        let id = derived::decided(self.name.as_str(), input.id());
        let mut append = Append::builder(id).write(stream.clone(), expected, writes.own);
        for (timer, changes) in writes.timers {
            append = append.write(timer, annals_core::Expected::Any, changes);
        }
        tries.append(&*self.store, &append.build()?).await?;
        let own = self.read(stream, input).await?;
        if own.made.is_empty() {
            return Err(hidden(stream, input));
        }
        Ok(self.keep(own, stream, input))
    }

    /// The process as its own events make it: those after a snapshot, where one can be gone on from.
    async fn read(&self, stream: &StreamId, input: &RecordedEvent) -> Result<Own<A>, Error> {
        if let Some(own) = self.read_from_snapshot(stream, input).await? {
            return Ok(own);
        }
        let own = Own::new();
        own.read_on(&*self.store, &*self.codec, stream, input).await
    }

    async fn read_from_snapshot(
        &self,
        stream: &StreamId,
        input: &RecordedEvent,
    ) -> Result<Option<Own<A>>, Error> {
        let states = self.states.as_ref();
        let Some(states) = states.filter(|_| self.store.capabilities().total_order) else {
            return Ok(None);
        };
        let head = self.store.stream_head(stream).await?;
        let kept = states.load_state(&head).await;
        // What was decided about an older input is before the snapshot.
        let Some(kept) = kept.filter(|kept| kept.state.last_input < input.position()) else {
            return Ok(None);
        };
        let own = Own::of(kept).read_on(&*self.store, &*self.codec, stream, input);
        Ok(Some(own.await?).filter(|own| own.is_under(&head.policy)))
    }

    /// Has a snapshot taken, where one is due, and gives what was decided.
    fn keep(&self, own: Own<A>, stream: &StreamId, input: &RecordedEvent) -> Vec<Made<A::Event>> {
        let now = input.appended_at();
        let Some(states) = &self.states else {
            return own.made;
        };
        let is_due = states.is_due(stream, own.version, own.events_since, now);
        let (made, kept) = own.into_parts();
        if is_due {
            states.keep_state(stream, kept, now);
        }
        made
    }

    /// Whether a later input of the process was decided about, so that this one was taken before, without any event.
    /// Positions of several partitions tell no order.
    fn is_past(&self, last_input: annals_core::Position, input: &RecordedEvent) -> bool {
        self.store.capabilities().total_order && last_input >= input.position()
    }

    fn decide_on(
        &self,
        state: A,
        key: &str,
        input: &RecordedEvent,
    ) -> Result<Vec<A::Event>, Error> {
        let decided = Vec::new();
        let mut deciding = Deciding { state, decided };
        let inputs = self
            .inputs
            .iter()
            .filter(|it| it.choice().contains(input) && it.key(input).as_deref() == Some(key));
        let caught = catching(|| {
            let mut inputs = inputs;
            inputs.try_for_each(|it| it.decide(&mut deciding, input))
        });
        caught.map_err(|error| undecided(input).caused_by(error))?;
        Ok(deciding.decided)
    }

    /// The own events, and what they say of timers, as they are appended.
    fn writes(
        &self,
        decided: &[A::Event],
        key: &str,
        input: &RecordedEvent,
    ) -> Result<Writes, Error> {
        let metadata = own::metadata(input)?;
        let mut writes = Writes::default();
        for event in decided {
            let named = self.codec.encode(event)?;
            writes.own.push(named.with_metadata(metadata.clone()));
            let changes = self.timing.as_ref().map(|timing| timing(event, input));
            for change in changes.unwrap_or_default() {
                let metadata = derived::caused_by(input)?;
                writes.time(change.into_event(self.name.as_str(), key, metadata)?);
            }
        }
        Ok(writes)
    }

    async fn issue(&self, made: Made<A::Event>, attempt: u32) -> Result<(), BoxError> {
        let Some(issue) = &self.issue else {
            return Ok(());
        };
        let sent = Sent {
            index: 0,
            recorded: made.recorded,
            attempt,
            name: self.name.clone(),
        };
        for part in 0..made.reads_as.as_slice().len() {
            let delivery = Delivery::alone(Arc::clone(&made.reads_as), part, &sent);
            let issued = AssertUnwindSafe(async { issue(delivery).await });
            match issued.catch_unwind().await {
                Ok(issued) => issued?,
                Err(panic) => return Err(of_panic(&*panic)),
            }
        }
        Ok(())
    }
}

impl<A: Aggregate> React for Inputs<A> {
    fn choice(&self) -> &EventChoice {
        &self.0.choice
    }

    /// An input is decoded where it is decided about, which for one that comes again it is not.
    fn column(&self, _: &FeedPage) -> AnyColumn {
        Arc::new(())
    }

    fn prepare(&self, _: &AnyColumn, _: usize, _: &RecordedEvent) {}

    fn deliver(&self, _: AnyColumn, sent: Sent) -> BoxFuture<'static, Result<(), BoxError>> {
        let definition = Arc::clone(&self.0);
        let taken = async move { definition.take(&sent.recorded, sent.attempt).await };
        let caught = AssertUnwindSafe(taken).catch_unwind();
        caught
            .map(|taken| taken.unwrap_or_else(|panic| Err(of_panic(&*panic))))
            .boxed()
    }
}

/// What one append writes.
#[derive(Default)]
struct Writes {
    own: Vec<NewEvent>,
    /// A stream stands once, with its events in order.
    timers: Vec<(StreamId, Vec<NewEvent>)>,
}

impl Writes {
    fn time(&mut self, (stream, event): (StreamId, NewEvent)) {
        let mut known = self.timers.iter_mut();
        match known.find(|(known, _)| *known == stream) {
            Some((_, events)) => events.push(event),
            None => self.timers.push((stream, vec![event])),
        }
    }
}

/// Whether another writer of the process was first, so that deciding again may help.
fn is_outrun(error: &Error) -> bool {
    error.kind() == ErrorKind::Conflict && error.conflict().is_some_and(can_pass)
}

fn undecided(input: &RecordedEvent) -> Error {
    let error = Error::new(ErrorKind::Refused, "process can't decide about an input");
    error
        .with("stream", input.stream())
        .with("version", input.version())
}

fn hidden(stream: &StreamId, input: &RecordedEvent) -> Error {
    let message = "what a process decided is hidden by a policy; keep its stream while it runs";
    Error::new(ErrorKind::Corrupt, message)
        .with("stream", stream)
        .with("input", input.position())
}

impl<A: Aggregate> Clone for ProcessManager<A> {
    fn clone(&self) -> Self {
        let definition = Arc::clone(&self.definition);
        Self { definition }
    }
}

impl<A: Aggregate> fmt::Debug for ProcessManager<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessManager")
            .field("name", &self.definition.name)
            .field("choice", &self.definition.choice)
            .field("policy", &self.definition.policy)
            .finish_non_exhaustive()
    }
}
