//! Who is told of the work that layers do: the hook of measuring and tracing.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::{CheckpointName, ErrorKind, RecordedEvent, StreamId};

/// Is told of work as it begins and ends: of commands and loads by repositories, of steps and deliveries by
/// projections and reactions. What is absent costs a comparison.
///
/// It stands beside the work and changes nothing of it. What it does counts against the work, so it is quick, and
/// never blocks. `annals-profile` has the one that counts, times and traces.
pub trait Observer: fmt::Debug + Send + Sync {
    /// Work begins. What is given is done the work within, and told its end.
    fn begin(&self, work: &Work<'_>) -> Box<dyn Observed>;

    /// A consumer was looked at.
    fn standing(&self, standing: &ConsumerStanding<'_>);
}

/// A piece of work that has begun. Dropped without its [`end`](Self::end), the work was given up.
pub trait Observed: Send {
    /// Calls `step`, once, which does a part of the work: what is current meanwhile, as a span, is set here.
    fn within(&mut self, step: &mut dyn FnMut());

    /// The work is over.
    fn end(self: Box<Self>, outcome: WorkOutcome);
}

/// A piece of work, as an observer sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Work<'a> {
    /// What is done.
    pub kind: WorkKind,
    /// The stream of the aggregate, where it is work on one.
    pub stream: Option<&'a StreamId>,
    /// The projection or reaction, where it is the work of one.
    pub consumer: Option<&'a CheckpointName>,
    /// The events that are worked on, as far as they are known when it begins.
    pub events: WorkEvents<'a>,
    /// How often it was begun, this time included.
    pub attempt: u32,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WorkKind {
    /// A command: loads, the decision, appends, with all their retries.
    Command,
    /// The state of an aggregate is loaded: from a cache, a snapshot, its events.
    Load,
    /// Events are decoded and folded into a state.
    Fold,
    /// Events are brought into a read model.
    Project,
    /// An event is delivered to a reaction.
    React,
}

/// The events that are worked on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum WorkEvents<'a> {
    /// These, in order; none where they are not known.
    All(&'a [RecordedEvent]),
    /// Those of the page that have one of these indexes.
    Picked(&'a [RecordedEvent], &'a [usize]),
}

/// How work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkOutcome {
    /// As it should.
    Done,
    /// The application declined: a rule of its own refused the command.
    Declined,
    /// It failed.
    Failed(ErrorKind),
}

/// How far a consumer of a processor is, at a look.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConsumerStanding<'a> {
    /// Its name.
    pub name: &'a CheckpointName,
    /// How many positions it is behind the head of its store; `None` where the store did not say.
    pub lag_events: Option<u64>,
    /// How long the first event that it has yet to take has been recorded; `None` where the store did not say.
    pub lag: Option<Duration>,
    /// How many events are parked, or wait behind one.
    pub parked: u64,
    /// How many events were ever skipped.
    pub skipped: u64,
    /// How many events it took since its processor began.
    pub handled: u64,
    /// Whether it stopped by an error, and waits to be resumed.
    pub has_failed: bool,
}

impl<'a> Work<'a> {
    /// Work on the aggregate of a stream.
    pub const fn on(kind: WorkKind, stream: &'a StreamId) -> Self {
        Self {
            kind,
            stream: Some(stream),
            consumer: None,
            events: WorkEvents::All(&[]),
            attempt: 1,
        }
    }

    /// Work of a projection or reaction, on these events.
    pub const fn of(kind: WorkKind, consumer: &'a CheckpointName, events: WorkEvents<'a>) -> Self {
        Self {
            kind,
            stream: None,
            consumer: Some(consumer),
            events,
            attempt: 1,
        }
    }

    /// The same on these events.
    #[must_use]
    pub const fn with_events(mut self, events: &'a [RecordedEvent]) -> Self {
        self.events = WorkEvents::All(events);
        self
    }

    /// The same, begun for the so-manieth time.
    #[must_use]
    pub const fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Does the work, told to the observer where there is one.
    ///
    /// ```
    /// use annals_core::{StreamId, Work, WorkKind, WorkOutcome};
    ///
    /// let stream = StreamId::parse("account-ada")?;
    /// let sum: u64 = Work::on(WorkKind::Fold, &stream).run(None, || 1 + 2, |_| WorkOutcome::Done);
    /// assert_eq!(sum, 3);
    /// # Ok::<(), annals_core::Error>(())
    /// ```
    ///
    /// # Panics
    /// As the work and the observer do.
    #[expect(
        clippy::expect_used,
        reason = "whoever takes the work puts its answer in place"
    )]
    pub fn run<T>(
        &self,
        observer: Option<&Arc<dyn Observer>>,
        work: impl FnOnce() -> T,
        outcome: impl FnOnce(&T) -> WorkOutcome,
    ) -> T {
        let Some(observer) = observer else {
            return work();
        };
        let mut begun = observer.begin(self);
        let (mut work, mut answer) = (Some(work), None);
        begun.within(&mut || {
            if let Some(work) = work.take() {
                answer = Some(work());
            }
        });
        // The work is not an observer's to leave out.
        let answer = answer
            .or_else(|| work.take().map(|work| work()))
            .expect("the work is taken only where it is done");
        begun.end(outcome(&answer));
        answer
    }

    /// Does the work that a future does, told to the observer where there is one.
    ///
    /// # Cancellation
    /// When the future is dropped, so is the work, and the observer is told no end.
    pub async fn wait_for<T>(
        &self,
        observer: Option<&Arc<dyn Observer>>,
        work: impl Future<Output = T>,
        outcome: impl FnOnce(&T) -> WorkOutcome,
    ) -> T {
        let Some(observer) = observer else {
            return work.await;
        };
        let mut begun = observer.begin(self);
        let mut work = pin!(work);
        let answer = poll_fn(|context| {
            let mut polled = Poll::Pending;
            let mut is_polled = false;
            begun.within(&mut || {
                if !std::mem::replace(&mut is_polled, true) {
                    polled = work.as_mut().poll(context);
                }
            });
            if is_polled {
                return polled;
            }
            work.as_mut().poll(context)
        })
        .await;
        begun.end(outcome(&answer));
        answer
    }
}

impl<'a> WorkEvents<'a> {
    /// How many.
    pub const fn len(&self) -> usize {
        match self {
            Self::All(events) => events.len(),
            Self::Picked(_, indexes) => indexes.len(),
        }
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The events, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a RecordedEvent> {
        let (page, picked) = match *self {
            Self::All(events) => (events, None),
            Self::Picked(page, indexes) => (page, Some(indexes)),
        };
        let all = if picked.is_none() { page } else { &[] };
        let picked = picked.unwrap_or_default();
        all.iter()
            .chain(picked.iter().filter_map(|index| page.get(*index)))
    }
}

impl WorkOutcome {
    /// What a result of a contract says.
    pub fn of<T>(result: &Result<T, crate::Error>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(error) => Self::Failed(error.kind()),
        }
    }
}

impl WorkKind {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Load => "load",
            Self::Fold => "fold",
            Self::Project => "project",
            Self::React => "react",
        }
    }
}

impl<'a> ConsumerStanding<'a> {
    /// A consumer that keeps up.
    pub const fn new(name: &'a CheckpointName) -> Self {
        Self {
            name,
            lag_events: None,
            lag: None,
            parked: 0,
            skipped: 0,
            handled: 0,
            has_failed: false,
        }
    }

    /// Adds another partition of the same consumer: the greater lag, and the sum of what is counted.
    pub fn add_partition(&mut self, other: &Self) {
        self.lag_events = self.lag_events.max(other.lag_events);
        self.lag = self.lag.max(other.lag);
        self.parked = self.parked.saturating_add(other.parked);
        self.skipped = self.skipped.saturating_add(other.skipped);
        self.handled = self.handled.saturating_add(other.handled);
        self.has_failed |= other.has_failed;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_executor::block_on;

    use super::*;

    #[derive(Clone, Debug, Default)]
    struct Told(Arc<Mutex<Vec<String>>>);

    impl Told {
        fn note(&self, text: String) {
            self.0.lock().unwrap().push(text);
        }
    }

    impl Observer for Told {
        fn begin(&self, work: &Work<'_>) -> Box<dyn Observed> {
            self.note(format!("begin {}", work.kind.name()));
            Box::new(self.clone())
        }

        fn standing(&self, _: &ConsumerStanding<'_>) {}
    }

    impl Observed for Told {
        fn within(&mut self, step: &mut dyn FnMut()) {
            self.note("in".to_owned());
            step();
            self.note("out".to_owned());
        }

        fn end(self: Box<Self>, outcome: WorkOutcome) {
            self.note(format!("end {outcome:?}"));
        }
    }

    fn told(run: impl FnOnce(Option<&Arc<dyn Observer>>)) -> Vec<String> {
        let told = Told::default();
        let observer: Arc<dyn Observer> = Arc::new(told.clone());
        run(Some(&observer));
        told.0.lock().unwrap().clone()
    }

    #[test]
    fn partitions_are_one_consumer() {
        let name = CheckpointName::from_static("orders");
        let mut all = ConsumerStanding::new(&name);
        for (lag, parked) in [(None, 1), (Some(7), 0), (Some(3), 2)] {
            let mut partition = ConsumerStanding::new(&name);
            (partition.lag_events, partition.parked) = (lag, parked);
            partition.has_failed = lag == Some(7);
            all.add_partition(&partition);
        }
        assert_eq!(
            (all.lag_events, all.parked, all.has_failed),
            (Some(7), 3, true)
        );
    }

    #[test]
    fn work_is_done_within_what_observes_it() {
        let stream = StreamId::parse("account-1").unwrap();
        let told = told(|observer| {
            let fold = Work::on(WorkKind::Fold, &stream);
            let failed = |_: &i32| WorkOutcome::Failed(ErrorKind::Refused);
            assert_eq!(fold.run(observer, || 7, failed), 7);
        });
        assert_eq!(told, ["begin fold", "in", "out", "end Failed(Refused)"]);
    }

    #[test]
    fn each_poll_is_done_within_what_observes_it() {
        let stream = StreamId::parse("account-1").unwrap();
        let told = told(|observer| {
            let mut polls = 0;
            let work = poll_fn(|context| {
                polls += 1;
                context.waker().wake_by_ref();
                if polls < 2 {
                    Poll::Pending
                } else {
                    Poll::Ready(polls)
                }
            });
            let load = Work::on(WorkKind::Load, &stream);
            assert_eq!(
                block_on(load.wait_for(observer, work, |_| WorkOutcome::Done)),
                2
            );
        });
        assert_eq!(told, ["begin load", "in", "out", "in", "out", "end Done"]);
    }
}
