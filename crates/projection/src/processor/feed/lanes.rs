//! Which consumer is in which lane.

use annals_core::{Cursor, Error, ErrorKind};

use super::Taken;
use super::lane::{Lane, Member};

/// The lanes of a processor.
#[derive(Debug)]
pub(super) struct Lanes {
    open: Vec<Lane>,
    opened: u64,
    /// How many consumers are yet to come before anything is read, so that those that begin together share a lane.
    awaited: usize,
}

impl Lanes {
    pub(super) fn new(awaited: usize) -> Self {
        Self {
            open: Vec::new(),
            opened: 0,
            awaited,
        }
    }

    /// Gives a consumer at this cursor a seat: its own, one in a lane that is further on, or one in a new lane, whose
    /// number is given.
    pub(super) fn seat(&mut self, member: &Member, cursor: &Cursor) -> Option<u64> {
        let present = self.open.iter().find(|lane| lane.has(member.id));
        let better = self.open.iter().filter_map(|lane| {
            let place = lane.place_of(cursor, &member.choice)?;
            let is_better = present.is_none_or(|present| lane.is_before(present));
            is_better.then_some((lane.id, place))
        });
        // The furthest of them would do as well; the next time it is found.
        let better = better.min();
        if let Some((lane, place)) = better {
            self.leave(member.id);
            self.lane(lane)?.join(member, place);
            return None;
        }
        if present.is_some() {
            return None;
        }
        let mut lane = Lane::new(self.opened, cursor.clone());
        self.opened += 1;
        let id = lane.id;
        lane.join(member, 0);
        self.open.push(lane);
        Some(id)
    }

    pub(super) fn take(&mut self, id: u64) -> Taken {
        let mut lanes = self.open.iter_mut();
        let taken = lanes.find_map(|lane| lane.take(id));
        self.sweep();
        taken.unwrap_or_else(|| {
            let message = "consumer has no place to read from; report this as a defect";
            Taken::Failed(Error::new(ErrorKind::Unavailable, message))
        })
    }

    pub(super) fn leave(&mut self, id: u64) {
        for lane in &mut self.open {
            if lane.has(id) {
                lane.leave(id);
            }
        }
        self.sweep();
    }

    pub(super) fn arrived(&mut self) {
        self.awaited = self.awaited.saturating_sub(1);
        if self.awaited == 0 {
            for lane in &self.open {
                lane.work.notify(usize::MAX);
            }
        }
    }

    /// Reads without those who have not come yet.
    pub(super) fn await_nobody(&mut self) {
        self.awaited = 0;
    }

    pub(super) fn is_awaiting(&self) -> bool {
        self.awaited > 0
    }

    pub(super) fn lane(&mut self, id: u64) -> Option<&mut Lane> {
        self.open.iter_mut().find(|lane| lane.id == id)
    }

    /// Forgets the lanes that nobody needs any more.
    pub(super) fn sweep(&mut self) {
        self.open.retain(|lane| !lane.is_left());
    }
}
