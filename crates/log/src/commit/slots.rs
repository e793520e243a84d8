//! The places where answers are put down until their futures fetch them.

use std::task::Waker;

use super::SubmitError;

/// Names the slot of one future, which alone gives it back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Key(usize);

/// Slots in a vector, reused: as many as there ever were futures at once.
pub(super) struct Slots<A> {
    slots: Vec<Slot<A>>,
    free: Vec<Key>,
}

pub(super) struct Slot<A> {
    /// Who polls, unless it was woken after its last poll or is being polled.
    pub(super) waker: Option<Waker>,
    pub(super) state: State<A>,
}

pub(super) enum State<A> {
    Free,
    /// The request waits in the queue under this ticket.
    Waiting(u64),
    /// The request is in a batch.
    Taken,
    /// The request is in a batch and its future was dropped.
    Abandoned,
    Done(Result<A, SubmitError>),
}

impl<A> Slots<A> {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// How many slots are in use.
    pub(super) fn used(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, ticket: u64) -> Key {
        let slot = Slot {
            waker: None,
            state: State::Waiting(ticket),
        };
        if let Some(key) = self.free.pop() {
            *self.at(key) = slot;
            return key;
        }
        self.slots.push(slot);
        Key(self.slots.len() - 1)
    }

    #[expect(
        clippy::expect_used,
        reason = "slots are never removed from the vector"
    )]
    pub(super) fn at(&mut self, key: Key) -> &mut Slot<A> {
        self.slots
            .get_mut(key.0)
            .expect("a key is the index of a slot that was pushed")
    }

    /// Gives the slot back, and with it what it held.
    pub(super) fn remove(&mut self, key: Key) -> Slot<A> {
        self.free.push(key);
        std::mem::replace(
            self.at(key),
            Slot {
                waker: None,
                state: State::Free,
            },
        )
    }
}
