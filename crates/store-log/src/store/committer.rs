//! The one who records: judges what waits, writes it as one frame, syncs, publishes, answers.

use std::collections::HashSet;
use std::sync::Arc;

use annals_core::limits::{APPEND_ID_BYTES_MAX, STREAM_ID_BYTES_MAX};
use annals_core::{
    Append, Error, ErrorKind, EventId, NewEvent, PolicyAction, PolicyChange, Receipt, StreamHead,
    StreamState, Tag, Timestamp, Version,
};
use annals_log::commit::Commit;
use annals_log::{FrameBuilder, Kind, Log, RecordAt, View};

use super::batch::{Batch, Staged, Step};
use super::error::{from_log, unknown};
use super::idle::Activity;
use super::judge::{Judge, refuse};
use super::keeper::{Frozen, Keeper};
use super::looked::Looked;
use super::receipts;
use super::settings::{Maintenance, Settings};
use super::shared::Shared;
use super::snapshot::{Live, Snapshot};
use crate::index::{Entry, Memtable, Part};
use crate::planted::{self, Bug};
use crate::record::{
    AppendHeader, EventKind, EventRecord, KindCode, Kinds, encode_kind, encode_policy,
};

/// The single writer of the store.
#[derive(Debug)]
pub(crate) struct Committer {
    pub(crate) log: Log,
    shared: Arc<Shared>,
    keeper: Arc<Keeper>,
    activity: Arc<Activity>,
    index_bytes_max: usize,
    maintenance: Maintenance,
    /// The segment being written, and the kinds that it states already.
    stated: (u32, HashSet<KindCode>),
}

/// What waits in the queue.
#[derive(Debug)]
pub(crate) enum Request {
    Append { append: Append, looked: Looked },
    Policy(PolicyChange),
}

/// What it is answered, when it is not an error.
#[derive(Debug)]
pub(crate) enum Reply {
    Recorded(Receipt),
    Changed(StreamHead),
}

/// What became of a request before the batch is durable.
enum Verdict {
    /// It was recorded before, or changes nothing: what becomes of the batch does not matter.
    Settled(Reply),
    /// It is part of the batch, or stands on it.
    Staged(Reply),
    /// It is refused by a state that the batch is part of.
    Refused(Error),
}

impl Committer {
    pub(crate) fn new(
        log: Log,
        shared: Arc<Shared>,
        keeper: Arc<Keeper>,
        activity: Arc<Activity>,
        settings: &Settings,
    ) -> Self {
        Self {
            log,
            shared,
            keeper,
            activity,
            index_bytes_max: settings.index_bytes_max,
            maintenance: settings.maintenance,
            stated: (0, HashSet::new()),
        }
    }

    fn judge(
        &self,
        snapshot: &Snapshot,
        batch: &mut Batch,
        now: Timestamp,
        request: &Request,
    ) -> Verdict {
        let judged = match request {
            Request::Append { append, looked } => {
                self.judge_append(snapshot, batch, now, append, looked)
            }
            Request::Policy(change) => judge_policy(snapshot, batch, now, change),
        };
        judged.unwrap_or_else(Verdict::Refused)
    }

    fn judge_append(
        &self,
        snapshot: &Snapshot,
        batch: &mut Batch,
        now: Timestamp,
        append: &Append,
        looked: &Looked,
    ) -> Result<Verdict, Error> {
        if let Some((first, first_event)) = batch.append(&append.id()) {
            let receipt = batch.receipt(first, first_event, now);
            if append.same_content(first.contents().map(Some)) {
                if planted::is_active(Bug::RepeatAcknowledged) {
                    return Ok(Verdict::Settled(Reply::Recorded(receipt.as_duplicate())));
                }
                return Ok(Verdict::Staged(Reply::Recorded(receipt.as_duplicate())));
            }
            return Err(receipts::reused(&append.id(), receipt.first_position));
        }
        if let Some(receipt) = receipts::answer_again(snapshot, append, looked.ids(snapshot))? {
            return Ok(Verdict::Settled(Reply::Recorded(receipt)));
        }
        let judge = Judge {
            snapshot,
            batch,
            now,
        };
        if !planted::is_active(Bug::NotCheckedAgain) {
            refuse(judge.failures(append, looked)?)?;
        }
        let versions = append.writes().iter().enumerate().map(|(index, write)| {
            let facts = judge.stream(&write.stream, looked.stream(snapshot, index))?;
            Ok(facts.version)
        });
        let versions: Vec<Version> = versions.collect::<Result<_, Error>>()?;
        let ids = self.event_ids(&judge, append)?;
        let (first_event, _) = batch.add(append, &versions, &ids);
        let receipt = batch.receipt(append, first_event, now);
        Ok(Verdict::Staged(Reply::Recorded(receipt)))
    }

    /// An id for each event: the application's, or a new one, none of which is taken.
    fn event_ids(&self, judge: &Judge<'_>, append: &Append) -> Result<Vec<EventId>, Error> {
        let mut given: HashSet<EventId> = append
            .events()
            .filter_map(|(_, event)| event.id())
            .collect();
        let ids = append.events().map(|(_, event)| {
            if let Some(id) = event.id() {
                return Ok(id);
            }
            let id = self.shared.ids.event_id();
            judge.refuse_taken(id, &given)?;
            given.insert(id);
            Ok(id)
        });
        ids.collect()
    }

    /// Writes the batch as one frame and makes it durable.
    fn record(
        &mut self,
        snapshot: &Snapshot,
        batch: &Batch,
        now: Timestamp,
    ) -> Result<Recorded, Error> {
        let bytes = frame_bytes(batch, &snapshot.kinds);
        let context = now.as_micros().cast_unsigned();
        let segment = self.log.reserve(bytes, || context).map_err(from_log)?;
        if self.stated.0 != segment.id {
            self.stated = (segment.id, HashSet::new());
        }
        let base = Timestamp::from_micros(segment.context.cast_signed());
        let mut kinds = snapshot.kinds.clone();
        let mut stated = self.stated.1.clone();
        let mut frame = self.log.frame();
        let mut places = Vec::with_capacity(batch.events().len());
        for step in batch.steps() {
            match step {
                Step::Policy { stream, policy } => {
                    frame.push(Kind::Note, |buffer| encode_policy(stream, policy, buffer));
                }
                Step::Append {
                    append,
                    first_event,
                } => {
                    let events = batch.events().iter().skip(*first_event);
                    let mut header = Some(AppendHeader {
                        id: append.id(),
                        events: u32::try_from(append.event_count()).unwrap_or(u32::MAX),
                    });
                    for staged in events.take(append.event_count()) {
                        let code = code_of(&mut kinds, &staged.event);
                        if let Some(code) = code.filter(|code| stated.insert(*code)) {
                            state(&mut frame, &kinds, code);
                        }
                        let record = EventRecord {
                            event: &staged.event,
                            id: staged.id,
                            stream: &staged.stream,
                            version: staged.version,
                            appended_at: now,
                            code,
                            append: header.take(),
                        };
                        let written = places.len() + 1 - first_event;
                        if written > 1 && is_dropped(written, append) {
                            continue;
                        }
                        places
                            .push(frame.push(Kind::Numbered, |buffer| record.encode(base, buffer)));
                    }
                }
            }
        }
        if planted::is_active(Bug::KindStatedTooEarly) {
            self.stated.1.clone_from(&stated);
        }
        frame.write().map_err(from_log)?;
        // What is written may be durable, whatever the reason why that can't be told.
        let view = self.log.sync().map_err(unknown)?;
        self.stated.1 = stated;
        Ok(Recorded {
            view,
            kinds,
            places,
        })
    }

    /// Shows the batch, which is durable, to readers.
    fn publish(&self, snapshot: &Snapshot, batch: &Batch, recorded: Recorded, now: Timestamp) {
        if batch.has_policies() {
            self.shared.policies_change();
        }
        let events = batch.events().iter().zip(recorded.places);
        snapshot
            .live
            .change(|memtable| enter(memtable, batch, events));
        self.shared.publish(|snapshot| {
            snapshot.head = batch.head();
            snapshot.view = recorded.view;
            snapshot.kinds = recorded.kinds;
            if !batch.events().is_empty() {
                snapshot.newest_at = now;
            }
        });
        if batch.has_policies() {
            self.shared.policies_change();
        }
        self.shared.changed.notify(usize::MAX);
    }

    /// Hands the memory of the index over to be written, once it has `bytes_min` bytes.
    pub(crate) fn freeze(&self, bytes_min: usize) {
        let snapshot = self.shared.snapshot();
        let memtable = {
            let memtable = snapshot.live.read();
            if memtable.len() == 0 || memtable.bytes() < bytes_min {
                return;
            }
            Arc::clone(&memtable)
        };
        let next = snapshot.head.next().value();
        let empty = Arc::new(Live::new(Memtable::new(snapshot.view.log_id(), next)));
        let frozen = Frozen {
            memtable: Arc::clone(&memtable),
            upto: snapshot.view.end(),
            kinds: snapshot.kinds.clone(),
        };
        self.shared.publish(|snapshot| {
            let older = snapshot.older.iter().cloned();
            snapshot.older = older.chain([memtable as Arc<dyn Part>]).collect();
            snapshot.live = empty;
        });
        self.keeper.take(frozen);
    }

    /// Runs the next step of the segment's growth on a thread that may block, if there is one.
    fn grow_ahead(&mut self) {
        if self.maintenance == Maintenance::Inline {
            return;
        }
        if let Some(growth) = self.log.growth() {
            // What fails here is tried again, and told, when the room is needed.
            blocking::unblock(move || growth.run()).detach();
        }
    }
}

/// What a durable batch leaves to publish.
struct Recorded {
    view: View,
    kinds: Kinds,
    /// Where the record of each event stands.
    places: Vec<RecordAt>,
}

impl Commit for Committer {
    type Request = Request;
    type Answer = Result<Reply, Error>;

    fn commit(&mut self, requests: Vec<Request>) -> Vec<Self::Answer> {
        let snapshot = self.shared.snapshot();
        let now = self.shared.now(&snapshot);
        let mut batch = Batch::after(snapshot.head);
        let verdicts: Vec<Verdict> = requests
            .iter()
            .map(|request| self.judge(&snapshot, &mut batch, now, request))
            .collect();
        if batch.is_empty() {
            return verdicts.into_iter().map(Verdict::answer).collect();
        }
        let shared = Arc::clone(&self.shared);
        let in_hand = shared.doubt.take(batch.append_ids());
        let recorded = self.keeper.check_room();
        let recorded = recorded.and_then(|()| self.record(&snapshot, &batch, now));
        let is_unknown = |error: &Error| error.kind() == ErrorKind::Unknown;
        if recorded.as_ref().is_err_and(is_unknown) {
            drop(in_hand);
            shared.changed.notify(usize::MAX);
        } else {
            in_hand.settle();
        }
        match recorded {
            Ok(recorded) => {
                self.publish(&snapshot, &batch, recorded, now);
                self.freeze(self.index_bytes_max);
                self.grow_ahead();
                self.activity.note();
                verdicts.into_iter().map(Verdict::answer).collect()
            }
            Err(_) if planted::is_active(Bug::FailureAcknowledged) => {
                verdicts.into_iter().map(Verdict::answer).collect()
            }
            Err(error) => verdicts
                .into_iter()
                .map(|verdict| verdict.after_failure(&error))
                .collect(),
        }
    }

    fn weight(request: &Request) -> usize {
        match request {
            Request::Append { append, .. } => append_bytes(append),
            Request::Policy(_) => 256,
        }
    }
}

impl Verdict {
    /// The answer, now that the batch is durable.
    fn answer(self) -> Result<Reply, Error> {
        match self {
            Self::Settled(reply) | Self::Staged(reply) => Ok(reply),
            Self::Refused(error) => Err(error),
        }
    }

    /// The answer when the batch could not be recorded. What was refused may have been refused on account of
    /// the batch, so it is not told.
    fn after_failure(self, failure: &Error) -> Result<Reply, Error> {
        let kind = match (self, failure.kind()) {
            (Self::Settled(reply), _) => return Ok(reply),
            (Self::Refused(_), ErrorKind::Unknown) => ErrorKind::Unavailable,
            (_, kind) => kind,
        };
        Err(Error::new(kind, failure.to_string()))
    }
}

/// Enters what was recorded into the newest part of the index.
fn enter<'b>(
    memtable: &mut Memtable,
    batch: &'b Batch,
    mut events: impl Iterator<Item = (&'b Staged, RecordAt)>,
) {
    for step in batch.steps() {
        match step {
            Step::Policy { stream, policy } => memtable.set_policy(stream, policy.clone()),
            Step::Append { append, .. } => {
                let id = append.id();
                let mut append_id = Some(id.as_str());
                for (staged, at) in events.by_ref().take(append.event_count()) {
                    let entry = Entry {
                        stream: staged.stream.as_str(),
                        version: staged.version.value(),
                        event_type: staged.event.event_type().as_str(),
                        event_id: staged.id.as_uuid().as_u128(),
                        append_id: append_id.take(),
                        at,
                    };
                    memtable.insert(&entry, staged.event.tags().iter().map(Tag::as_str));
                }
            }
        }
    }
}

fn judge_policy(
    snapshot: &Snapshot,
    batch: &mut Batch,
    now: Timestamp,
    change: &PolicyChange,
) -> Result<Verdict, Error> {
    let PolicyChange {
        stream,
        expected,
        action,
    } = change;
    let judge = Judge {
        snapshot,
        batch,
        now,
    };
    let facts = judge.stream(stream, None)?;
    let again = *action == PolicyAction::Tombstone && facts.policy.state == StreamState::Tombstoned;
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
        batch.set_policy(stream, head.policy.clone());
    }
    let reply = Reply::Changed(head);
    Ok(if is_new || batch.stream(stream).is_some() {
        Verdict::Staged(reply)
    } else {
        Verdict::Settled(reply)
    })
}

/// Whether a planted bug leaves the n-th event of an append out.
fn is_dropped(written: usize, append: &Append) -> bool {
    planted::is_active(Bug::LastEventDropped) && written == append.event_count()
}

/// Adds the note that says what a code stands for.
fn state(frame: &mut FrameBuilder<'_>, kinds: &Kinds, code: KindCode) {
    if let Some(kind) = kinds.kind(code) {
        frame.push(Kind::Note, |buffer| encode_kind(code, kind, buffer));
    }
}

/// The code of the event's kind, a new one where there is none yet; `None` when all codes are taken.
fn code_of(kinds: &mut Kinds, event: &NewEvent) -> Option<KindCode> {
    if let Some(code) = kinds.code_of(event) {
        return Some(code);
    }
    let code = kinds.next_code()?;
    kinds.insert(code, EventKind::of(event)).ok()?;
    Some(code)
}

/// The most bytes that the batch takes in a frame.
fn frame_bytes(batch: &Batch, kinds: &Kinds) -> usize {
    let events = batch.events().iter().map(|staged| {
        let code = kinds.code_of(&staged.event);
        let record = EventRecord {
            event: &staged.event,
            id: staged.id,
            stream: &staged.stream,
            version: staged.version,
            appended_at: Timestamp::EPOCH,
            code,
            append: None,
        };
        // A kind without a code gets one, with a note that states it.
        let note = if code.is_none() {
            kind_bytes(&staged.event)
        } else {
            0
        };
        RECORD_BYTES + record.bytes_max() + note
    });
    let appends = batch.append_ids().count() * APPEND_BYTES;
    let policies = batch.policies() * (RECORD_BYTES + POLICY_BYTES);
    // A new segment states again every kind that it uses.
    let stated: usize = batch.kinds(kinds).map(kind_note_bytes).sum();
    events.sum::<usize>() + appends + policies + stated
}

/// What the log adds to a record.
const RECORD_BYTES: usize = 8;

/// The most that a record says of its append.
const APPEND_BYTES: usize = APPEND_ID_BYTES_MAX + 16;

/// The most that a note says of a policy.
const POLICY_BYTES: usize = STREAM_ID_BYTES_MAX + 64;

/// The most that a record with the note of an event's kind takes.
fn kind_bytes(event: &NewEvent) -> usize {
    RECORD_BYTES + event.event_type().as_str().len() + event.content_type().as_str().len() + 32
}

/// The most that a record with the note of this kind takes.
fn kind_note_bytes(kind: &EventKind) -> usize {
    RECORD_BYTES + kind.event_type.as_str().len() + kind.content_type.as_str().len() + 32
}

/// What a request counts against the bounds of the queue: about what it takes in memory, and no less than
/// its size in a frame.
fn append_bytes(append: &Append) -> usize {
    const APPEND_OVERHEAD: usize = 512;
    const EVENT_OVERHEAD: usize = 256;
    let events = append
        .events()
        .map(|(stream, event)| event.bytes() + stream.as_str().len() + EVENT_OVERHEAD);
    let checks = append
        .checks()
        .iter()
        .map(|check| check.stream.as_str().len() + EVENT_OVERHEAD);
    let conditions = append
        .conditions()
        .iter()
        .map(|condition| condition.unless.bytes());
    APPEND_OVERHEAD + events.sum::<usize>() + checks.sum::<usize>() + conditions.sum::<usize>()
}
