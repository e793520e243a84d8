//! What is under the group's one mutex: requests that wait, slots for answers, and the core when
//! nobody works with it.
//!
//! Nothing foreign runs here: wakers to call and values to drop are handed out, for after the unlock.
//! No method blocks.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use super::gathering::{Approach, Came, Gathering};
use super::slots::{Key, Slots, State};
use super::{Backlog, Commit, GroupSettings, Leader, SubmitError};

/// After so many commits of one request each, a caller lets others in before it leads again.
const SOLO_MAX: u32 = 4;

pub(super) struct Queue<C: Commit> {
    settings: GroupSettings,
    /// Here while nobody works with it; whoever takes it gives it back, retires or poisons.
    core: Option<Box<C>>,
    phase: Phase,
    waiting: VecDeque<Waiting<C::Request>>,
    waiting_bytes: usize,
    next_ticket: u64,
    slots: Slots<C::Answer>,
    turns: Turns,
    /// The last batch held more than one request, so that a caller may expect company.
    company: bool,
    solo: u32,
    gathering: Gathering,
    thread_idle: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Open,
    Closed,
    Poisoned,
}

struct Waiting<R> {
    ticket: u64,
    key: Key,
    weight: usize,
    request: R,
}

/// Blocked threads that want the core, served in order and before any request.
#[derive(Default)]
struct Turns {
    tickets: u64,
    called: u64,
    /// The core is here, kept for the turn that was called last.
    reserved: bool,
}

/// Requests on their way to the core, with the slots of their answers.
pub(super) struct Batch<R> {
    pub(super) keys: Vec<Key>,
    pub(super) requests: Vec<R>,
    /// Others wait, or have answers to fetch, and may lead next: the commit is timed for them.
    pub(super) has_company: bool,
}

/// What is left to do after the unlock: wake these, drop those.
pub(super) struct Settled<C: Commit> {
    pub(super) wakers: Vec<Waker>,
    pub(super) unwanted: Vec<C::Answer>,
    pub(super) refused: Vec<C::Request>,
}

/// Who is to be told that the core is here.
pub(super) enum Next {
    Nobody,
    Future(Waker),
    Thread,
    Turn,
}

/// What a dropped future leaves to drop after the unlock, and who is to be told in its stead.
pub(super) struct Abandoned<C: Commit> {
    pub(super) request: Option<C::Request>,
    pub(super) answer: Option<C::Answer>,
    pub(super) waker: Option<Waker>,
    pub(super) next: Next,
}

impl<C: Commit> Queue<C> {
    pub(super) fn new(core: C, settings: GroupSettings) -> Self {
        Self {
            settings,
            core: Some(Box::new(core)),
            phase: Phase::Open,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            next_ticket: 0,
            slots: Slots::new(),
            turns: Turns::default(),
            company: false,
            solo: 0,
            gathering: Gathering::default(),
            thread_idle: false,
        }
    }

    /// The error of whoever comes now, unless the group is open.
    pub(super) fn check(&self) -> Result<(), SubmitError> {
        match self.phase {
            Phase::Open => Ok(()),
            Phase::Closed => Err(SubmitError::Closed),
            Phase::Poisoned => Err(SubmitError::Poisoned),
        }
    }

    /// Whether a request of this weight may wait.
    pub(super) fn admit(&mut self, weight: usize) -> Result<(), SubmitError> {
        self.check()?;
        let bytes = self.waiting_bytes.saturating_add(weight);
        let fits = self.waiting.is_empty()
            || (bytes <= self.settings.queue_bytes_max
                && self.waiting.len() < self.settings.queue_requests_max);
        if fits {
            Ok(())
        } else {
            // Those who are awaited would not get in.
            self.gathering.give_up();
            Err(SubmitError::Overloaded)
        }
    }

    /// Puts an admitted request at the queue's end.
    pub(super) fn push(&mut self, request: C::Request, weight: usize) -> Key {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let key = self.slots.insert(ticket);
        self.waiting_bytes = self.waiting_bytes.saturating_add(weight);
        self.waiting.push_back(Waiting {
            ticket,
            key,
            weight,
            request,
        });
        key
    }

    /// What the caller of a waiting request does now; `came` is brought up to date.
    pub(super) fn approach(&mut self, key: Key, came: &mut Came) -> Approach {
        let before = std::mem::replace(came, Came::Parked);
        if self.settings.leader == Leader::Thread || !self.is_free() {
            return Approach::Lead;
        }
        if self.waiting_bytes >= self.settings.batch_bytes_max {
            self.gathering.give_up();
        }
        let waiting = self.waiting.len();
        let gathers = self.gathering.approach(key, before, waiting);
        // Others may stand behind it on the same thread, which its commit would block.
        let has_company = self.company || waiting > 1 || self.solo >= SOLO_MAX;
        let approach = match gathers {
            Some(approach) => approach,
            None if before == Came::Never && has_company => Approach::StepBack,
            None => Approach::Lead,
        };
        if matches!(approach, Approach::StepBack | Approach::Linger) {
            self.solo = 0;
            *came = self.gathering.now();
        }
        approach
    }

    /// The core and the first batch, if both are here and callers lead.
    pub(super) fn lead_as_caller(&mut self) -> Option<(Box<C>, Batch<C::Request>)> {
        match self.settings.leader {
            Leader::Caller => self.lead(),
            Leader::Thread => None,
        }
    }

    /// The core and the first batch, if both are here.
    pub(super) fn lead(&mut self) -> Option<(Box<C>, Batch<C::Request>)> {
        if self.waiting.is_empty() {
            return None;
        }
        let core = self.take_core()?;
        Some((core, self.batch()?))
    }

    /// The first requests that fit a batch, at least one, unless none waits.
    pub(super) fn batch(&mut self) -> Option<Batch<C::Request>> {
        if self.waiting.is_empty() {
            return None;
        }
        let mut batch = Batch {
            keys: Vec::new(),
            requests: Vec::new(),
            has_company: self.settings.leader == Leader::Caller && self.slots.used() > 1,
        };
        let mut bytes = 0_usize;
        let max = self.settings.batch_bytes_max;
        while let Some(first) = self.waiting.pop_front_if(|first| {
            let fits = batch.keys.is_empty() || bytes.saturating_add(first.weight) <= max;
            bytes = bytes.saturating_add(first.weight);
            fits
        }) {
            self.waiting_bytes = self.waiting_bytes.saturating_sub(first.weight);
            self.slots.at(first.key).state = State::Taken;
            batch.keys.push(first.key);
            batch.requests.push(first.request);
        }
        self.company = batch.keys.len() > 1;
        self.solo = if self.company {
            0
        } else {
            self.solo.saturating_add(1)
        };
        Some(batch)
    }

    /// Puts the answers of a batch into the slots of its requests. A commit that was timed tells when it began
    /// and when it was done.
    pub(super) fn settle(
        &mut self,
        keys: Vec<Key>,
        answers: Vec<C::Answer>,
        timed: Option<(Duration, Duration)>,
    ) -> Settled<C> {
        let mut settled = Settled::new();
        match timed {
            Some((from, until)) => {
                let took = until.saturating_sub(from);
                self.gathering
                    .expect(keys.len(), self.waiting.len(), until, took);
            }
            None => self.gathering.give_up(),
        }
        for (key, answer) in keys.into_iter().zip(answers) {
            self.finish(key, Ok(answer), &mut settled);
        }
        settled
    }

    /// Ends the group: the batch that was with the core is unknown, what waits is refused.
    pub(super) fn poison(&mut self, keys: Vec<Key>) -> Settled<C> {
        self.phase = Phase::Poisoned;
        let mut settled = Settled::new();
        for key in keys {
            self.finish(key, Err(SubmitError::Unknown), &mut settled);
        }
        self.waiting_bytes = 0;
        for waiting in std::mem::take(&mut self.waiting) {
            self.finish(waiting.key, Err(SubmitError::Poisoned), &mut settled);
            settled.refused.push(waiting.request);
        }
        settled
    }

    /// What became of the request; a slot that is done is given back.
    pub(super) fn outcome(&mut self, key: Key) -> Option<Result<C::Answer, SubmitError>> {
        if !matches!(self.slots.at(key).state, State::Done(_)) {
            return None;
        }
        match self.slots.remove(key).state {
            State::Done(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Remembers whom to wake for the slot; gives the waker that it replaces.
    pub(super) fn park(&mut self, key: Key, waker: &Waker) -> Option<Waker> {
        let slot = self.slots.at(key);
        if slot
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(waker))
        {
            return None;
        }
        slot.waker.replace(waker.clone())
    }

    /// Forgets a request whose future is dropped: removed if it waits, unanswered if it was taken.
    pub(super) fn abandon(&mut self, key: Key) -> Abandoned<C> {
        let slot = self.slots.at(key);
        if matches!(slot.state, State::Taken) {
            slot.state = State::Abandoned;
            let waker = slot.waker.take();
            return Abandoned {
                request: None,
                answer: None,
                waker,
                next: Next::Nobody,
            };
        }
        let slot = self.slots.remove(key);
        let (request, answer) = match slot.state {
            State::Waiting(ticket) => (self.remove(ticket), None),
            State::Done(outcome) => (None, outcome.ok()),
            State::Free | State::Taken | State::Abandoned => (None, None),
        };
        self.gathering.abandon(key);
        // It may have been the one that was told that the core is here.
        let next = if self.is_free() {
            self.next()
        } else {
            Next::Nobody
        };
        Abandoned {
            request,
            answer,
            waker: slot.waker,
            next,
        }
    }

    /// The core, if it is here and kept for nobody.
    pub(super) fn take_core(&mut self) -> Option<Box<C>> {
        if self.turns.reserved {
            None
        } else {
            self.core.take()
        }
    }

    /// Puts the core back; says who is to be told.
    pub(super) fn give_back(&mut self, core: Box<C>) -> Next {
        self.core = Some(core);
        if self.turns.called < self.turns.tickets {
            self.turns.called += 1;
            self.turns.reserved = true;
            return Next::Turn;
        }
        self.next()
    }

    /// Asks for the core between two commits. The turn has come when [`turn`](Self::turn) says so.
    pub(super) fn ask_turn(&mut self) -> u64 {
        self.turns.tickets += 1;
        if self.is_free() {
            self.turns.called += 1;
            self.turns.reserved = true;
        }
        self.turns.tickets
    }

    /// The core, once the turn with this ticket is called; an error when it never will be.
    pub(super) fn turn(&mut self, ticket: u64) -> Result<Option<Box<C>>, SubmitError> {
        if self.phase == Phase::Poisoned {
            return Err(SubmitError::Poisoned);
        }
        if self.turns.called < ticket {
            return Ok(None);
        }
        self.turns.reserved = false;
        Ok(self.core.take())
    }

    /// Whether a blocked thread waits for the core.
    pub(super) fn turn_waits(&self) -> bool {
        self.turns.called < self.turns.tickets
    }

    /// Refuses whatever comes from now on.
    pub(super) fn close(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closed;
        }
    }

    /// Whether nothing is left to lead, now or later.
    pub(super) fn is_over(&self) -> bool {
        self.phase != Phase::Open && self.waiting.is_empty()
    }

    /// Tells the leading thread of a request, if it sleeps and the core is here.
    pub(super) fn call_thread(&mut self) -> Next {
        match self.settings.leader {
            Leader::Thread if self.is_free() => self.next(),
            Leader::Thread | Leader::Caller => Next::Nobody,
        }
    }

    /// Notes whether the leading thread sleeps; says whether it did.
    pub(super) fn thread_idle(&mut self, idle: bool) -> bool {
        std::mem::replace(&mut self.thread_idle, idle)
    }

    pub(super) fn backlog(&self) -> Backlog {
        Backlog {
            requests: self.waiting.len(),
            bytes: self.waiting_bytes,
            unanswered: self.slots.used(),
        }
    }

    fn is_free(&self) -> bool {
        self.core.is_some() && !self.turns.reserved
    }

    /// Who leads next: the first that waits, unless it was told already.
    fn next(&mut self) -> Next {
        let Some(first) = self.waiting.front() else {
            return Next::Nobody;
        };
        match self.settings.leader {
            Leader::Thread if self.thread_idle => {
                self.thread_idle = false;
                Next::Thread
            }
            Leader::Thread => Next::Nobody,
            Leader::Caller => self
                .slots
                .at(first.key)
                .waker
                .take()
                .map_or(Next::Nobody, Next::Future),
        }
    }

    fn remove(&mut self, ticket: u64) -> Option<C::Request> {
        let index = self
            .waiting
            .binary_search_by_key(&ticket, |waiting| waiting.ticket)
            .ok()?;
        let removed = self.waiting.remove(index)?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(removed.weight);
        Some(removed.request)
    }

    fn finish(
        &mut self,
        key: Key,
        outcome: Result<C::Answer, SubmitError>,
        settled: &mut Settled<C>,
    ) {
        let slot = self.slots.at(key);
        settled.wakers.extend(slot.waker.take());
        if matches!(slot.state, State::Abandoned) {
            self.slots.remove(key);
            settled.unwanted.extend(outcome);
        } else {
            slot.state = State::Done(outcome);
        }
    }
}

impl<C: Commit> Settled<C> {
    pub(super) const fn new() -> Self {
        Self {
            wakers: Vec::new(),
            unwanted: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Wakes and drops; never under the lock, for both may come back here.
    pub(super) fn deliver(self) {
        for waker in self.wakers {
            waker.wake();
        }
    }
}
