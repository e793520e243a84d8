//! The group commit: one task gathers the commands that wait, and sends them together.

mod batch;
mod session;
mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use annals_core::{Error, ErrorKind, Receipt};
use futures_channel::oneshot;
use tokio::sync::mpsc;

pub(crate) use self::batch::Parameters;
pub(crate) use self::task::{Verdict, judged};
use crate::command::Command;
use crate::settings::Settings;
use crate::store::Shared;

/// The way to the task that appends. The task ends when every writer is gone and all that waited is answered.
#[derive(Debug)]
pub(crate) struct Writer {
    sender: mpsc::UnboundedSender<Waiting>,
    queue: Arc<Queue>,
}

/// A command that waits, and whom to tell.
#[derive(Debug)]
struct Waiting {
    command: Arc<Command>,
    answer: oneshot::Sender<Result<Verdict, Error>>,
    /// Gives its place in the queue back when it is gone.
    _place: Place,
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

impl Writer {
    /// Starts the task.
    pub(crate) fn start(shared: &Arc<Shared>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        shared
            .connector
            .runtime()
            .spawn(task::run(Arc::clone(shared), receiver));
        Self {
            sender,
            queue: Arc::default(),
        }
    }

    /// Lets the command wait for its turn, and gives what was made of it. When this future is dropped, the command
    /// goes its way all the same.
    pub(crate) async fn append(
        &self,
        command: &Arc<Command>,
        settings: &Settings,
    ) -> Result<Verdict, Error> {
        let place = Queue::enter(&self.queue, command.bytes, settings)?;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            command: Arc::clone(command),
            answer,
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
            .unwrap_or_else(|_| Err(crate::error::unknown("the store's writer ended")))
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

/// What the calls of a batch came to, in its order.
type Answers = Vec<Result<Verdict, Error>>;

/// The receipt of a command that was recorded, boxed: most of an answer's size.
type BoxedReceipt = Box<Receipt>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_and_gives_places_back() {
        let settings = Settings {
            queue_appends_max: 2,
            queue_bytes_max: 10,
            ..Settings::default()
        };
        let queue = Arc::new(Queue::default());
        let enter = |bytes| Queue::enter(&queue, bytes, &settings);
        let alone = enter(99).unwrap();
        assert_eq!(enter(1).unwrap_err().kind(), ErrorKind::Overloaded);
        drop(alone);
        let _first = enter(5).unwrap();
        let second = enter(5).unwrap();
        assert_eq!(enter(0).unwrap_err().kind(), ErrorKind::Overloaded);
        drop(second);
        assert!(enter(5).is_ok());
    }
}
