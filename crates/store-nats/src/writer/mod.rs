//! The group commit: one task gathers what waits, and sends it together.

mod batch;
mod publish;
mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use annals_core::{
    Answer, Append, AppendId, Error, ErrorKind, EventId, LimitExceeded, NewEvent, Placement,
    PolicyChange, Position, ReadRequest, Receipt, RecordedEvent, StreamHead, StreamId, Timestamp,
    Version,
};
use tokio::sync::{mpsc, oneshot};

use crate::error::unknown;
use crate::judge::{changed_head, judge};
use crate::record::{Record, Stored};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::state::State;

/// The way to the task that appends. The task ends when every writer is gone and all that waited is answered.
#[derive(Debug)]
pub(crate) struct Writer {
    sender: mpsc::UnboundedSender<Waiting>,
    queue: Arc<Queue>,
}

/// What waits, and whom to tell.
#[derive(Debug)]
struct Waiting {
    command: Command,
    answer: oneshot::Sender<Result<Answered, Error>>,
    /// How often other processes came first when it was about to be recorded.
    overtaken: usize,
    /// With how many it may be in a batch: fewer after a batch that the servers would not take.
    together_max: usize,
    /// Gives its place in the queue back when it is gone.
    _place: Place,
}

/// What is to be recorded.
#[derive(Debug)]
enum Command {
    Append(NewAppend),
    Policy(PolicyChange),
}

/// An append, with an identity for each of its events.
#[derive(Debug)]
pub(crate) struct NewAppend {
    pub(crate) append: Append,
    pub(crate) ids: Vec<EventId>,
    bytes: usize,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Answered {
    Recorded(Box<Receipt>),
    /// An append of this id was recorded before.
    Known(Box<Receipt>),
    Changed(StreamHead),
}

/// How much waits.
#[derive(Debug, Default)]
struct Queue {
    appends: AtomicUsize,
    bytes: AtomicUsize,
}

/// A place in the queue.
#[derive(Debug)]
struct Place {
    queue: Arc<Queue>,
    bytes: usize,
}

/// What an event takes in a batch beside its contents.
const EVENT_BYTES: usize = 256;

impl NewAppend {
    /// # Errors
    /// [`ErrorKind::Invalid`] for an append over a limit of this store, and for the cursor of a partitioned one.
    pub(crate) fn new(append: Append, shared: &Shared, limits: &Limits) -> Result<Self, Error> {
        for condition in append.conditions() {
            ReadRequest::all()
                .after(condition.after.clone())
                .positions()?;
        }
        limits.check(&append)?;
        let ids: Vec<EventId> = append
            .events()
            .map(|(_, event)| event.id().unwrap_or_else(|| shared.ids.event_id()))
            .collect();
        for ((stream, event), id) in append.events().zip(&ids) {
            limits.check_message(shared, append.id(), stream, event, *id)?;
        }
        let bytes = append
            .events()
            .map(|(stream, event)| event.bytes() + stream.as_str().len() + EVENT_BYTES)
            .sum();
        Ok(Self { append, ids, bytes })
    }
}

/// The sizes that the servers take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) payload_bytes_max: usize,
    pub(crate) append_bytes_max: usize,
    pub(crate) append_events_max: usize,
    /// The largest message, headers included.
    pub(crate) max_payload: usize,
}

/// More than what a message has beside the event's own texts, of which each byte takes up to three.
const MESSAGE_BYTES: usize = 8 * 1024;

impl Limits {
    /// Refuses an event whose message the servers would not take. Most are so small that nobody need count.
    fn check_message(
        &self,
        shared: &Shared,
        append: AppendId,
        stream: &StreamId,
        event: &NewEvent,
        id: EventId,
    ) -> Result<(), Error> {
        if event.bytes() * 3 + MESSAGE_BYTES <= self.max_payload {
            return Ok(());
        }
        let placement = Placement {
            id,
            stream: stream.clone(),
            version: Version::MAX,
            position: Position::MAX,
            recorded_at: Timestamp::from_micros(i64::MIN),
            appended_at: Timestamp::from_micros(i64::MIN),
        };
        let largest = Record::Event(Stored {
            sequence: u64::MAX,
            append,
            index: u32::MAX,
            count: u32::MAX,
            event: RecordedEvent::new(event.clone(), placement),
        });
        let bytes = largest.to_message(&shared.subjects).bytes();
        if bytes <= self.max_payload {
            return Ok(());
        }
        let (name, max) = ("max_payload", self.max_payload);
        let what = "event and its context of too many bytes for this store";
        Err(Error::over_limit(
            what,
            LimitExceeded {
                name,
                max,
                actual: bytes,
            },
        ))
    }

    fn check(&self, append: &Append) -> Result<(), Error> {
        let over = |what: &str, name: &'static str, max: usize, actual: usize| {
            Err(Error::over_limit(what, LimitExceeded { name, max, actual }))
        };
        let events = append.event_count();
        if events > self.append_events_max {
            let what = "append of too many events for this store";
            return over(what, "append_events_max", self.append_events_max, events);
        }
        let largest = append
            .events()
            .map(|(_, event)| event.payload().len())
            .max();
        let largest = largest.unwrap_or_default();
        if largest > self.payload_bytes_max {
            let what = "payload of too many bytes for this store";
            return over(what, "payload_bytes_max", self.payload_bytes_max, largest);
        }
        let names = append
            .expectations()
            .map(|(stream, _)| stream.as_str().len());
        let conditions = append.conditions().iter();
        let bytes = append
            .events()
            .map(|(_, event)| event.bytes())
            .sum::<usize>()
            + names.sum::<usize>()
            + conditions
                .map(|condition| condition.unless.bytes())
                .sum::<usize>();
        if bytes > self.append_bytes_max {
            let what = "append of too many bytes for this store";
            return over(what, "append_bytes_max", self.append_bytes_max, bytes);
        }
        Ok(())
    }
}

impl Writer {
    /// Starts the task.
    pub(crate) fn start(shared: &Arc<Shared>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        shared
            .runtime
            .spawn(task::run(Arc::clone(shared), receiver));
        Self {
            sender,
            queue: Arc::default(),
        }
    }

    /// Lets an append wait for its turn, and gives what was made of it. When this future is dropped, it goes its way all
    /// the same.
    pub(crate) async fn append(
        &self,
        append: NewAppend,
        settings: &Settings,
    ) -> Result<Answered, Error> {
        let bytes = append.bytes;
        self.wait(Command::Append(append), bytes, settings).await
    }

    /// The same for a change of a policy.
    pub(crate) async fn change(
        &self,
        change: PolicyChange,
        settings: &Settings,
    ) -> Result<Answered, Error> {
        let bytes = change.stream.as_str().len() + EVENT_BYTES;
        self.wait(Command::Policy(change), bytes, settings).await
    }

    async fn wait(
        &self,
        command: Command,
        bytes: usize,
        settings: &Settings,
    ) -> Result<Answered, Error> {
        let place = Queue::enter(&self.queue, bytes, settings)?;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            command,
            answer,
            overtaken: 0,
            together_max: usize::MAX,
            _place: place,
        };
        self.sender.send(waiting).map_err(|_| {
            Error::new(
                ErrorKind::Unavailable,
                "the store's writer has ended; open the store again",
            )
        })?;
        answered
            .await
            .unwrap_or_else(|_| Err(unknown("the store's writer ended")))
    }
}

impl Waiting {
    /// Answers; whoever asked may be gone.
    fn tell(self, answer: Result<Answered, Error>) {
        drop(self.answer.send(answer));
    }

    /// What the state by itself answers; `None` where the command may be recorded.
    fn answer_of(&self, state: &State, now: Timestamp) -> Option<Result<Answered, Error>> {
        let judged = match &self.command {
            Command::Append(new) => {
                if let Some(receipt) = state.receipt(&new.append.id(), Answer::Duplicate) {
                    return Some(Ok(Answered::Known(Box::new(receipt))));
                }
                judge(state, &new.append, &new.ids, now)
            }
            Command::Policy(change) => changed_head(state, change, now).map(drop),
        };
        judged.err().map(Err)
    }

    fn bytes(&self) -> usize {
        match &self.command {
            Command::Append(append) => append.bytes,
            Command::Policy(_) => EVENT_BYTES,
        }
    }

    fn events(&self) -> usize {
        match &self.command {
            Command::Append(append) => append.ids.len(),
            Command::Policy(_) => 1,
        }
    }
}

impl Queue {
    fn enter(queue: &Arc<Self>, bytes: usize, settings: &Settings) -> Result<Place, Error> {
        let appends_before = queue.appends.fetch_add(1, Ordering::Relaxed);
        let bytes_before = queue.bytes.fetch_add(bytes, Ordering::Relaxed);
        // Made first, so that a refusal gives the place back.
        let place = Place {
            queue: Arc::clone(queue),
            bytes,
        };
        let is_full = appends_before >= settings.queue_appends_max
            || (appends_before > 0
                && bytes_before.saturating_add(bytes) > settings.queue_bytes_max);
        if is_full {
            let message = "too many appends wait; retry later, or let queue_bytes_max be more";
            return Err(Error::new(ErrorKind::Overloaded, message));
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.appends.fetch_sub(1, Ordering::Relaxed);
        self.queue.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
