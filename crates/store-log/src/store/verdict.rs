//! What becomes of each request of a batch.

use std::sync::Arc;

use annals_core::{
    Error, ErrorKind, EventId, Ids, PolicyAction, PolicyChange, Receipt, StreamHead, StreamState,
    Timestamp,
};

use super::batch::{Batch, Standing};
use super::fresh::FreshIds;
use super::judge::{Judge, refuse};
use super::prepared::Prepared;
use super::receipts::{self, Placed};
use super::snapshot::Snapshot;
use crate::index::Memtable;
use crate::planted::{self, Bug};

/// What waits in the queue.
#[derive(Debug)]
pub(crate) enum Request {
    /// Shared with its caller, on whose task it is dropped.
    Append(Arc<Prepared>),
    Policy(PolicyChange),
}

/// What it is answered, when it is not an error.
#[derive(Debug)]
pub(crate) enum Reply {
    Recorded(Placed),
    /// The append was sent before.
    Duplicate(Box<Receipt>),
    Changed(Box<StreamHead>),
}

/// What became of a request before the batch is durable.
pub(crate) enum Verdict {
    /// It was recorded before, or changes nothing: what becomes of the batch does not matter.
    Settled(Reply),
    /// It is part of the batch, or stands on it.
    Staged(Reply),
    /// It is refused by a state that the batch is part of.
    Refused(Error),
}

/// Judges requests one after another, each on what is recorded and on the batch of those before it.
pub(crate) struct Judging<'s> {
    snapshot: &'s Snapshot,
    live: &'s Memtable,
    now: Timestamp,
    ids: &'s dyn Ids,
    /// No event of the store has an id above this one.
    highest_id: u128,
    /// Of the append at hand how the streams stand that it writes, and the ids of its events.
    standing: Vec<Standing>,
    new_ids: Vec<EventId>,
}

impl<'s> Judging<'s> {
    /// On this state, whose newest part of the index this is, at this time, with new ids from this source.
    pub(crate) fn new(
        snapshot: &'s Snapshot,
        live: &'s Memtable,
        now: Timestamp,
        ids: &'s dyn Ids,
    ) -> Self {
        let older = snapshot.older.iter().map(|part| part.highest_event_id());
        Self {
            snapshot,
            live,
            now,
            ids,
            highest_id: older.fold(live.event_id_bounds().highest, u128::max),
            standing: Vec::new(),
            new_ids: Vec::new(),
        }
    }

    /// Judges a request and adds to the batch what is to be recorded.
    pub(crate) fn judge<'r>(&mut self, batch: &mut Batch<'r>, request: &'r Request) -> Verdict {
        let judged = match request {
            Request::Append(prepared) => self.append(batch, prepared),
            Request::Policy(change) => self.policy(batch, change),
        };
        judged.unwrap_or_else(Verdict::Refused)
    }

    fn append<'r>(
        &mut self,
        batch: &mut Batch<'r>,
        prepared: &'r Prepared,
    ) -> Result<Verdict, Error> {
        let Prepared { append, looked, .. } = prepared;
        if let Some(verdict) = self.repeated(batch, prepared) {
            return verdict;
        }
        let ids = looked.ids(self.snapshot);
        if let Some(receipt) = receipts::answer_again(self.snapshot, append, ids)? {
            return Ok(Verdict::Settled(Reply::Duplicate(Box::new(receipt))));
        }
        self.standing.clear();
        self.new_ids.clear();
        let judge = Judge {
            snapshot: self.snapshot,
            live: Some(self.live),
            batch,
            now: self.now,
        };
        let hashes = prepared.stream_hashes();
        let failures = judge.failures(append, looked, hashes, &mut self.standing)?;
        if !planted::is_active(Bug::NotCheckedAgain) {
            refuse(failures)?;
        }
        let ids = FreshIds::new(&judge, self.ids, self.highest_id);
        ids.give(prepared, &mut self.new_ids)?;
        let placing = batch.add(prepared, &self.standing, &self.new_ids);
        Ok(Verdict::Staged(Reply::Recorded(
            batch.placed(&placing, self.now),
        )))
    }

    /// The answer to an append whose id another one of the batch has.
    fn repeated(&self, batch: &Batch<'_>, prepared: &Prepared) -> Option<Result<Verdict, Error>> {
        let Prepared { append, .. } = prepared;
        let first = batch.append(&append.id(), prepared.id_hash)?;
        let placed = batch.placed(&first, self.now);
        let recorded = &first.prepared.append;
        if !append.same_content(recorded.contents().map(Some)) {
            return Some(Err(receipts::reused(&append.id(), placed.first_position)));
        }
        let receipt = placed.receipt(recorded).as_duplicate();
        let reply = Reply::Duplicate(Box::new(receipt));
        Some(Ok(if planted::is_active(Bug::RepeatAcknowledged) {
            Verdict::Settled(reply)
        } else {
            Verdict::Staged(reply)
        }))
    }

    fn policy<'r>(
        &self,
        batch: &mut Batch<'r>,
        change: &'r PolicyChange,
    ) -> Result<Verdict, Error> {
        let PolicyChange {
            stream,
            expected,
            action,
        } = change;
        let judge = Judge {
            snapshot: self.snapshot,
            live: Some(self.live),
            batch,
            now: self.now,
        };
        let hash = self.snapshot.hasher().stream(stream.as_str());
        let (standing, facts) = judge.standing(stream, hash, None)?;
        let again =
            *action == PolicyAction::Tombstone && facts.policy.state == StreamState::Tombstoned;
        if !again {
            let failed = judge.failed_expectation(stream, *expected, &facts)?;
            refuse(failed.into_iter().collect())?;
        }
        let first = judge.first_shown(stream, &facts)?;
        let first = (first <= facts.version).then_some(first);
        let changed = facts.policy.changed(action, facts.version, first);
        let head = StreamHead {
            stream: stream.clone(),
            version: facts.version,
            policy: changed.unwrap_or_else(|| facts.policy.clone()),
        };
        let is_new = head.policy != facts.policy;
        if is_new {
            batch.set_policy(stream, head.policy.clone(), standing);
        }
        let reply = Reply::Changed(Box::new(head));
        Ok(if is_new || batch.stream(stream).is_some() {
            Verdict::Staged(reply)
        } else {
            Verdict::Settled(reply)
        })
    }
}

impl Verdict {
    /// The answer, now that the batch is durable.
    pub(crate) fn answer(self) -> Result<Reply, Error> {
        match self {
            Self::Settled(reply) | Self::Staged(reply) => Ok(reply),
            Self::Refused(error) => Err(error),
        }
    }

    /// The answer when the batch could not be recorded. What was refused may have been refused on account of
    /// the batch, so it is not told.
    pub(crate) fn after_failure(self, failure: &Error) -> Result<Reply, Error> {
        let kind = match (self, failure.kind()) {
            (Self::Settled(reply), _) => return Ok(reply),
            (Self::Refused(_), ErrorKind::Unknown) => ErrorKind::Unavailable,
            (_, kind) => kind,
        };
        Err(Error::new(kind, failure.to_string()))
    }
}
