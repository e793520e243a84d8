//! What a worker and those who watch it share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annals_core::{CheckpointName, Cursor};
use event_listener::{Event as Bell, EventListener};

use super::status::ConsumerState;
use crate::contract::partition::Partition;

/// The state of one consumer, for its worker to write and for everybody to see.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) name: CheckpointName,
    pub(crate) partition: Partition,
    seen: Mutex<Seen>,
    /// Rung at every change.
    changed: Bell,
}

/// What is seen of a consumer.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) state: ConsumerState,
    pub(crate) cursor: Cursor,
    pub(crate) is_stopping: bool,
}

impl Cell {
    pub(crate) fn new(name: CheckpointName, partition: Partition) -> Arc<Self> {
        Arc::new(Self {
            name,
            partition,
            seen: Mutex::new(Seen {
                state: ConsumerState::CatchingUp,
                cursor: Cursor::START,
                is_stopping: false,
            }),
            changed: Bell::new(),
        })
    }

    pub(crate) fn look(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.look());
        self.changed.notify(usize::MAX);
    }

    pub(crate) fn listen(&self) -> EventListener {
        self.changed.listen()
    }

    /// Waits until what is seen gives an answer.
    pub(crate) async fn wait<T>(&self, mut answer: impl FnMut(&Seen) -> Option<T>) -> T {
        loop {
            let bell = self.listen();
            if let Some(answer) = answer(&self.look()) {
                return answer;
            }
            bell.await;
        }
    }
}
