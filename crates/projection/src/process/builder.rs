//! A process manager in the making.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use annals_codec::EventCodec;
use annals_concurrency::Retrier;
use annals_core::{
    Aggregate, BoxError, CheckpointName, Criteria, Error, ErrorKind, Event, EventStore,
    RecordedEvent, StateKeeper,
};

use super::input::{OfType, TypedInput};
use super::key::ProcessKey;
use super::manager::{Definition, ProcessManager};
use super::remembered::ProcessState;
use crate::contract::choice::EventChoice;
use crate::contract::failure_policy::FailurePolicy;
use crate::reaction::delivery::Delivery;
use crate::timers::change::TimerChange;
use crate::timers::event::{TimerCodec, TimerEvent, TimerId};

/// A [`ProcessManager`] in the making.
#[must_use = "call `build` to have a process manager"]
pub struct ProcessManagerBuilder<A: Aggregate> {
    definition: Definition<A>,
}

impl<A: Aggregate> ProcessManagerBuilder<A> {
    pub(super) fn new(
        name: &str,
        store: Arc<dyn EventStore>,
        codec: Box<dyn EventCodec<A::Event>>,
    ) -> Result<Self, Error> {
        let definition = Definition {
            name: CheckpointName::parse(name)?,
            store,
            codec,
            inputs: Vec::new(),
            choice: EventChoice::NONE,
            timing: None,
            issue: None,
            states: None,
            policy: FailurePolicy::default(),
            retrier: Retrier::default(),
            concurrent_keys: 1,
        };
        Ok(Self { definition })
    }

    /// Takes the events of this type as inputs: every event of its category that has a key, decoded by this codec.
    ///
    /// What is decided on the state of the process is recorded as its own events; none where nothing is to happen. A
    /// decision changes nothing else, and is the same for the same state and event: it may be asked for again. An
    /// input that reads as several events is decided about one by one, each on what was decided before.
    ///
    /// An error is not a refusal but a failure of the input: what the process is to remember is an event.
    pub fn on<E: Event>(
        self,
        codec: impl EventCodec<E> + 'static,
        key: ProcessKey,
        decide: impl Fn(&A, &E, &RecordedEvent) -> Result<Vec<A::Event>, BoxError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.input(EventChoice::of::<E>(), codec, key, decide)
    }

    /// Like [`on`](Self::on), for the events that match these criteria, of any stream.
    pub fn on_matching<E: Event>(
        self,
        codec: impl EventCodec<E> + 'static,
        criteria: &Criteria,
        key: ProcessKey,
        decide: impl Fn(&A, &E, &RecordedEvent) -> Result<Vec<A::Event>, BoxError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.input(EventChoice::matching(criteria), codec, key, decide)
    }

    /// Takes the timers of its processes as inputs, when they fire.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that makes no tag.
    pub fn on_timer(
        self,
        decide: impl Fn(&A, &TimerId, &RecordedEvent) -> Result<Vec<A::Event>, BoxError>
        + Send
        + Sync
        + 'static,
    ) -> Result<Self, Error> {
        let fired = TimerEvent::fired_for(self.definition.name.as_str())?;
        let key = |event: &RecordedEvent| TimerId::of(event.stream()).map(|timer| timer.key);
        let decide = move |state: &A, event: &TimerEvent, recorded: &RecordedEvent| {
            decide(state, event.timer(), recorded)
        };
        Ok(self.on_matching(TimerCodec, &fired, ProcessKey::by(key), decide))
    }

    /// Sets and cancels timers by its own events, which are handed over with the input that they were decided about:
    /// recorded in one append with them. [`Timers`](crate::Timers) has them fire.
    ///
    /// As a decision, it is the same for the same events: a time counts from that of the input.
    pub fn setting_timers(
        mut self,
        timing: impl Fn(&A::Event, &RecordedEvent) -> Vec<TimerChange> + Send + Sync + 'static,
    ) -> Self {
        self.definition.timing = Some(Box::new(timing));
        self
    }

    /// Issues the commands that an own event stands for. Where it fails, the input is tried again, and with it all
    /// commands of its own events: those that append under [`Delivery::append_id`] are in the log once.
    pub fn issuing<R>(
        mut self,
        issue: impl Fn(Delivery<A::Event>) -> R + Send + Sync + 'static,
    ) -> Self
    where
        R: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.definition.issue = Some(Box::new(move |delivery| Box::pin(issue(delivery))));
        self
    }

    /// Keeps snapshots of its processes, so that one with many own events is not folded from its beginning at each input:
    /// `Snapshots` of the crate `annals-snapshot`, by its policy. A snapshot of another fold, by its fingerprint, is
    /// never used.
    ///
    /// An input that comes again, and is not newer than what a snapshot holds, has the process folded whole, to find
    /// what was decided about it. In a store without [`total_order`](annals_core::Capabilities::total_order), where
    /// newer can't be told, snapshots are not used.
    pub fn with_snapshots(mut self, states: impl StateKeeper<ProcessState<A>> + 'static) -> Self {
        self.definition.states = Some(Box::new(states));
        self
    }

    /// What becomes of an input that can't be handled: [`FailurePolicy::stop`] unless said otherwise.
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.definition.policy = policy;
        self
    }

    /// How often an append of own events is tried again, when another writer of the process was first or its outcome
    /// is unknown: by the default policy and the machine's timer unless said otherwise.
    pub fn with_retrier(mut self, retrier: Retrier) -> Self {
        self.definition.retrier = retrier;
        self
    }

    /// Takes the inputs of so many processes at once; 1 unless said otherwise.
    pub fn concurrent_keys(mut self, keys: usize) -> Self {
        self.definition.concurrent_keys = keys;
        self
    }

    /// The process manager.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] without any input, and for a policy that makes no sense.
    /// [`ErrorKind::Unsupported`] for timers in a store whose appends can't write any streams together.
    pub fn build(mut self) -> Result<ProcessManager<A>, Error> {
        let definition = &mut self.definition;
        definition.policy.validate()?;
        if definition.inputs.is_empty() {
            let message = "process manager without inputs; give it one";
            let error = Error::new(ErrorKind::Invalid, message);
            return Err(error.with("process manager", &definition.name));
        }
        let writes_any = definition.store.capabilities().writes_any_streams();
        if definition.timing.is_some() && !writes_any {
            return Err(Error::unsupported("append of own events with timers"));
        }
        let choices = definition.inputs.iter().map(|input| input.choice());
        definition.choice = choices.fold(EventChoice::NONE, |union, choice| union.or(choice));
        Ok(ProcessManager {
            definition: Arc::new(self.definition),
        })
    }

    fn input<E: Event>(
        mut self,
        choice: EventChoice,
        codec: impl EventCodec<E> + 'static,
        key: ProcessKey,
        decide: impl Fn(&A, &E, &RecordedEvent) -> Result<Vec<A::Event>, BoxError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let input = TypedInput {
            choice,
            key,
            codec,
            decide,
        };
        let event = PhantomData::<fn() -> E>;
        self.definition
            .inputs
            .push(Box::new(OfType { input, event }));
        self
    }
}

impl<A: Aggregate> fmt::Debug for ProcessManagerBuilder<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessManagerBuilder")
            .field("name", &self.definition.name)
            .field("inputs", &self.definition.inputs.len())
            .finish_non_exhaustive()
    }
}
