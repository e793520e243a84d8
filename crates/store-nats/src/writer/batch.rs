//! What of the commands that wait is recorded together.

use std::collections::VecDeque;

use annals_core::{
    Answer, AppendId, Error, Placement, Position, Receipt, RecordedEvent, StreamHead, Timestamp,
};

use super::{Answered, Command, NewAppend, Waiting};
use crate::judge::{Overlay, changed_head, judge};
use crate::record::{PolicyRecord, Record, Stored};
use crate::shared::Shared;
use crate::state::State;

/// Commands judged by one state, and the records that follow it.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The last sequence of the state: the records are meant for what follows.
    pub(super) after: u64,
    pub(super) records: Vec<Record>,
    pub(super) accepted: Vec<(Waiting, Promise)>,
    /// Refused by the state; that it was the newest is still to be shown.
    pub(super) refused: Vec<(Waiting, Error)>,
    /// Answered by what is recorded for good.
    pub(super) known: Vec<(Waiting, Receipt)>,
}

/// What is answered when the batch is recorded.
#[derive(Debug)]
pub(super) enum Promise {
    Append(AppendId),
    Policy(StreamHead),
}

/// What the records of a batch are made of.
struct Maker<'a> {
    shared: &'a Shared,
    state: &'a State,
    now: Timestamp,
    overlay: Overlay,
    batch: Batch,
    head: Position,
    bytes: usize,
    /// The most commands that it may have.
    commands_max: usize,
}

impl Batch {
    /// Judges commands in their order, as many as fit into a batch; the others stay.
    pub(super) fn of(commands: &mut VecDeque<Waiting>, shared: &Shared, state: &State) -> Self {
        let mut maker = Maker {
            shared,
            state,
            now: state.not_before_newest(shared.clock.now()),
            overlay: Overlay::default(),
            batch: Self {
                after: state.sequence(),
                ..Self::default()
            },
            head: state.head(),
            bytes: 0,
            commands_max: usize::MAX,
        };
        let mut later = VecDeque::new();
        let mut is_closed = false;
        while let Some(waiting) = commands.pop_front() {
            if is_closed || !maker.has_room_for(&waiting) {
                later.push_back(waiting);
                break;
            }
            is_closed = matches!(waiting.command, Command::Policy(_));
            later.extend(maker.add(waiting));
        }
        // What waits for others to be settled goes before what came after it.
        while let Some(waiting) = later.pop_back() {
            commands.push_front(waiting);
        }
        maker.batch
    }

    /// Lets those be in smaller batches from now on: the servers would not take this one.
    pub(super) fn split(&mut self) {
        let half = (self.accepted.len() / 2).max(1);
        for (waiting, _) in &mut self.accepted {
            waiting.together_max = half;
        }
    }

    /// Counts that another process came first.
    pub(super) fn note_overtaken(&mut self) {
        let accepted = self.accepted.iter_mut().map(|(waiting, _)| waiting);
        let refused = self.refused.iter_mut().map(|(waiting, _)| waiting);
        for waiting in accepted.chain(refused) {
            waiting.overtaken += 1;
        }
    }

    /// The commands again, in no batch.
    pub(super) fn dissolve(self, commands: &mut VecDeque<Waiting>) {
        let accepted = self.accepted.into_iter().map(|(waiting, _)| waiting);
        let refused = self.refused.into_iter().map(|(waiting, _)| waiting);
        for waiting in accepted.chain(refused).rev() {
            commands.push_front(waiting);
        }
    }
}

impl Maker<'_> {
    fn has_room_for(&self, waiting: &Waiting) -> bool {
        let is_policy = matches!(waiting.command, Command::Policy(_));
        let records = self.batch.records.len();
        let commands_max = self.commands_max.min(waiting.together_max);
        records == 0
            || (!is_policy
                && self.batch.accepted.len() < commands_max
                && records + waiting.events() <= self.shared.batch_events_max()
                && self.bytes + waiting.bytes() <= self.shared.settings.batch_bytes_max)
    }

    /// Adds a command, or gives it back where it has to wait for those before it.
    fn add(&mut self, waiting: Waiting) -> Option<Waiting> {
        match &waiting.command {
            Command::Append(new) => {
                let id = new.append.id();
                if let Some(receipt) = self.state.receipt(&id, Answer::Duplicate) {
                    self.batch.known.push((waiting, receipt));
                } else if let Err(error) = judge(self.state, &new.append, &new.ids, self.now) {
                    self.batch.refused.push((waiting, error));
                } else if self.overlay.admits(&new.append, &new.ids) {
                    self.bytes += waiting.bytes();
                    self.commands_max = self.commands_max.min(waiting.together_max);
                    let records = self.records_of(new);
                    self.batch.records.extend(records);
                    self.batch.accepted.push((waiting, Promise::Append(id)));
                } else {
                    return Some(waiting);
                }
            }
            Command::Policy(change) => match changed_head(self.state, change, self.now) {
                Err(error) => self.batch.refused.push((waiting, error)),
                Ok(head) => {
                    let record = self.policy_of(&head);
                    self.batch.records.push(record);
                    self.batch.accepted.push((waiting, Promise::Policy(head)));
                }
            },
        }
        None
    }

    fn records_of(&mut self, new: &NewAppend) -> Vec<Record> {
        let count = u32::try_from(new.ids.len()).unwrap_or(u32::MAX);
        let versions = self.overlay.add(self.state, &new.append, &new.ids);
        let events = new.append.events().zip(&new.ids).zip(versions);
        let mut records = Vec::with_capacity(new.ids.len());
        for (index, (((stream, event), id), version)) in (0..).zip(events) {
            self.head = self.head.next();
            let placement = Placement {
                id: *id,
                stream: stream.clone(),
                version,
                position: self.head,
                recorded_at: event.recorded_at().unwrap_or(self.now),
                appended_at: self.now,
            };
            records.push(Record::Event(Stored {
                sequence: self.next_sequence() + u64::from(index),
                append: new.append.id(),
                index,
                count,
                event: RecordedEvent::new(event.clone(), placement),
            }));
        }
        records
    }

    fn policy_of(&self, head: &StreamHead) -> Record {
        Record::Policy(PolicyRecord {
            sequence: self.next_sequence(),
            id: self.shared.ids.event_id(),
            stream: head.stream.clone(),
            position: self.head,
            appended_at: self.now,
            policy: head.policy.clone(),
        })
    }

    fn next_sequence(&self) -> u64 {
        let within = u64::try_from(self.batch.records.len()).unwrap_or(u64::MAX);
        self.batch.after + within + 1
    }
}

impl Promise {
    /// The answer, once the records of the batch are in the state.
    pub(super) fn kept(self, state: &State) -> Result<Answered, Error> {
        match self {
            Self::Policy(head) => Ok(Answered::Changed(head)),
            Self::Append(id) => match state.receipt(&id, Answer::First) {
                Some(receipt) => Ok(Answered::Recorded(Box::new(receipt))),
                None => Err(crate::error::unknown("the store has lost its index")),
            },
        }
    }
}
