//! What a worker and those who watch and steer it share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use annals_core::{CheckpointName, Cursor, Error};
use event_listener::{Event as Bell, EventListener};
use futures_channel::oneshot;

use super::meter::Meter;
use super::orders::{Order, Reply, Wish, answer, gone};
use super::status::ConsumerState;
use crate::contract::choice::EventChoice;
use crate::contract::parked::ParkedEvents;
use crate::contract::partition::Partition;
use crate::sync::{Mutex, MutexGuard};

/// The state of one consumer: its worker writes it, everybody sees it, and orders go the other way.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) id: u64,
    pub(super) name: CheckpointName,
    pub(super) partition: Partition,
    pub(super) choice: EventChoice,
    seen: Mutex<Seen>,
    /// Set while there is something else to do than to handle events.
    interrupted: Arc<AtomicBool>,
    /// Rung when what is seen changed.
    changed: Bell,
    /// Rung when there is an order, or another wish.
    ordered: Bell,
}

/// What is seen of a consumer, and what is wanted of it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) state: ConsumerState,
    pub(super) cursor: Cursor,
    pub(super) handled: u64,
    pub(super) parked: Arc<ParkedEvents>,
    pub(super) meter: Meter,
    wish: Wish,
    orders: VecDeque<Order>,
    is_over: bool,
}

impl Cell {
    pub(super) fn new(
        id: u64,
        name: CheckpointName,
        partition: Partition,
        choice: EventChoice,
    ) -> Self {
        Self {
            id,
            name,
            partition,
            choice,
            seen: Mutex::new(Seen {
                state: ConsumerState::CatchingUp,
                cursor: Cursor::START,
                handled: 0,
                parked: Arc::default(),
                meter: Meter::default(),
                wish: Wish::Run,
                orders: VecDeque::new(),
                is_over: false,
            }),
            interrupted: Arc::default(),
            changed: Bell::new(),
            ordered: Bell::new(),
        }
    }

    pub(super) fn look(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is seen.
    pub(super) fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.look());
        self.changed.notify(usize::MAX);
    }

    pub(super) fn set_state(&self, state: ConsumerState) {
        let is_new = self.look().state != state;
        if is_new {
            self.change(|seen| seen.state = state);
        }
    }

    /// Waits until what is seen gives an answer.
    pub(super) async fn wait<T>(&self, mut answer: impl FnMut(&Seen) -> Option<T>) -> T {
        loop {
            let bell = self.changed.listen();
            if let Some(answer) = answer(&self.look()) {
                return answer;
            }
            bell.await;
        }
    }

    /// Says what the consumer is to be doing. A stop is for good.
    pub(super) fn wish(&self, wish: Wish) {
        {
            let mut seen = self.look();
            if seen.wish != Wish::Stop {
                seen.wish = wish;
            }
        }
        self.interrupt();
    }

    /// Sends an order that nobody waits for.
    pub(super) fn order(&self, order: Order) {
        {
            let mut seen = self.look();
            if seen.is_over {
                return;
            }
            seen.orders.push_back(order);
        }
        self.interrupt();
    }

    /// Sends an order, and waits for its answer.
    pub(super) async fn ask<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> Result<T, Error> {
        let (sender, receiver) = oneshot::channel();
        if self.look().is_over {
            return Err(gone());
        }
        self.order(order(sender));
        answer(receiver).await
    }

    fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
        self.ordered.notify(usize::MAX);
    }

    /// Set while there is something else to do than to handle events.
    pub(super) fn interrupted(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.interrupted)
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// What the consumer is to be doing.
    pub(super) fn wanted(&self) -> Wish {
        self.look().wish
    }

    /// What rings at the next order. Listen before looking for orders.
    pub(super) fn ordered(&self) -> EventListener {
        self.ordered.listen()
    }

    /// The next order, and what the consumer is to be doing after the last.
    pub(super) fn next_order(&self) -> (Option<Order>, Wish) {
        let mut seen = self.look();
        let order = seen.orders.pop_front();
        if order.is_none() {
            self.interrupted.store(false, Ordering::Relaxed);
        }
        (order, seen.wish)
    }

    /// Nobody takes orders any more, and nothing changes.
    pub(super) fn end(&self) {
        self.change(|seen| {
            seen.is_over = true;
            seen.orders.clear();
            seen.state = ConsumerState::Stopped;
        });
    }
}

impl Seen {
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The state as it is shown.
    pub(super) fn shown(&self) -> ConsumerState {
        let parked = self.parked.events().len();
        if self.state == ConsumerState::Live && parked > 0 {
            return ConsumerState::Parked(parked);
        }
        self.state.clone()
    }
}
