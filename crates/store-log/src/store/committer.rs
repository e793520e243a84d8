//! The one who records: judges what waits, writes it as one frame, syncs, publishes, answers.

use std::sync::Arc;

use annals_core::{Error, ErrorKind, Timestamp};
use annals_log::commit::Commit;
use annals_log::{ArchiveKey, Log, RecordAt, Rewritten, View};

use super::batch::{Batch, Placing, Step};
use super::error::{from_log, unknown};
use super::frame::{self, Framed, Framing, Stated};
use super::idle::Activity;
use super::keeper::{Frozen, Keeper};
use super::settings::{Maintenance, Settings};
use super::shared::Shared;
use super::snapshot::{Live, Snapshot};
use super::verdict::{Judging, Reply, Request, Verdict};
use crate::index::{Hashed, Memtable, NewEntry, Part};
use crate::planted::{self, Bug};

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
    stated: (u32, Stated),
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
            stated: (0, Stated::NONE),
        }
    }

    /// Judges all requests; the batch has what is to be recorded of them. Holds no lock meanwhile: the memory
    /// of the index is changed by nobody else, and is not shared any more when the batch is entered into it.
    fn judge<'r>(
        &self,
        snapshot: &Snapshot,
        now: Timestamp,
        requests: &'r [Request],
    ) -> (Batch<'r>, Vec<Verdict>) {
        let live = Arc::clone(&snapshot.live.read());
        let mut batch = Batch::after(snapshot);
        let mut judging = Judging::new(snapshot, &live, now, &*self.shared.ids);
        let verdicts = requests
            .iter()
            .map(|request| judging.judge(&mut batch, request))
            .collect();
        (batch, verdicts)
    }

    /// Writes the batch as one frame and makes it durable.
    fn record(
        &mut self,
        snapshot: &Snapshot,
        batch: &Batch<'_>,
        now: Timestamp,
    ) -> Result<Recorded, Error> {
        let bytes = frame::bytes_max(batch, &snapshot.kinds);
        let context = now.as_micros().cast_unsigned();
        let segment = self.log.reserve(bytes, || context).map_err(from_log)?;
        if self.stated.0 != segment.id {
            self.stated = (segment.id, Stated::NONE);
        }
        let base = Timestamp::from_micros(segment.context.cast_signed());
        let kinds = snapshot.kinds.clone();
        let frame = self.log.frame();
        let framing = Framing::new(batch, frame, (base, now), kinds, &self.stated.1);
        let (frame, framed) = framing.fill();
        if planted::is_active(Bug::KindStatedTooEarly) {
            self.stated.1 = framed.stated;
        }
        let is_whole = framed.places.len() == batch.event_count();
        assert!(
            is_whole || planted::is_active(Bug::LastEventDropped),
            "each event has its record"
        );
        debug_assert!(frame.bytes() <= bytes, "no more is written than reserved");
        let began = self.shared.clock.now();
        frame.write().map_err(from_log)?;
        // What is written may be durable, whatever the reason why that can't be told.
        let view = self.log.sync().map_err(unknown)?;
        let ended = self.shared.clock.now();
        self.shared
            .syncs
            .note(began, ended, self.log.unsynced_bytes());
        self.stated.1 = framed.stated;
        Ok(Recorded { view, framed })
    }

    /// Tells the log that nothing was appended for a while.
    pub(crate) fn rest(&mut self) -> annals_log::Result<()> {
        let began = self.shared.clock.now();
        self.log.idle()?;
        let ended = self.shared.clock.now();
        self.shared.syncs.note(began, ended, 0);
        Ok(())
    }

    /// Shows the batch, which is durable, to readers.
    fn publish(&self, snapshot: &Snapshot, batch: &Batch<'_>, recorded: Recorded, now: Timestamp) {
        if batch.has_policies() {
            self.shared.policies_change();
        }
        let Framed { kinds, places, .. } = recorded.framed;
        snapshot
            .live
            .change(|memtable| enter(memtable, batch, &places));
        self.shared.publish(|snapshot| {
            snapshot.head = batch.head();
            snapshot.view = recorded.view;
            snapshot.kinds = kinds;
            if batch.event_count() > 0 {
                snapshot.newest_at = now;
            }
        });
        if batch.has_policies() {
            self.shared.policies_change();
        }
        self.shared.changed.notify(usize::MAX);
    }

    /// Makes durable all that was acknowledged, whatever the settings say.
    pub(crate) fn make_durable(&mut self) -> Result<(), Error> {
        self.log.idle().map_err(from_log)
    }

    /// Refuses when an earlier failure stopped the writer: what the manifest says can't be told then.
    pub(crate) fn check_usable(&mut self) -> Result<(), Error> {
        self.log.check_usable().map_err(from_log)
    }

    /// Goes on with another form of a segment, and shows it to readers.
    pub(crate) fn adopt(&mut self, rewritten: &Rewritten) -> Result<(), Error> {
        let view = self.log.adopt(rewritten).map_err(from_log)?;
        self.shared.publish(|snapshot| snapshot.view = view);
        Ok(())
    }

    /// The key of the store's folder in archives, durable.
    pub(crate) fn archive_key(&mut self) -> Result<ArchiveKey, Error> {
        self.log.archive_key().map_err(from_log)
    }

    /// Forgets that key when nothing is archived any more.
    pub(crate) fn release_archive(&mut self) -> Result<(), Error> {
        self.log.release_archive().map_err(from_log)
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
    framed: Framed,
}

impl Commit for Committer {
    type Request = Request;
    type Answer = Result<Reply, Error>;

    fn commit(&mut self, requests: Vec<Request>) -> Vec<Self::Answer> {
        let snapshot = self.shared.snapshot();
        let now = self.shared.now(&snapshot);
        let (batch, verdicts) = self.judge(&snapshot, now, &requests);
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
            Request::Append(prepared) => prepared.weight(),
            Request::Policy(_) => frame::POLICY_RECORD_BYTES,
        }
    }
}

/// Enters what was recorded into the newest part of the index.
fn enter(memtable: &mut Memtable, batch: &Batch<'_>, places: &[RecordAt]) {
    let mut numbers: Vec<Option<u32>> = batch.streams().iter().map(|added| added.number).collect();
    for step in batch.steps() {
        match step {
            Step::Policy { stream, policy } => memtable.set_policy(stream, policy.clone()),
            Step::Append(placing) => {
                let places = places.get(placing.first_event..).unwrap_or_default();
                enter_append(memtable, batch, placing, places, &mut numbers);
            }
        }
    }
}

/// Enters the events of an append, whose records stand at these places, into streams of these numbers.
fn enter_append(
    memtable: &mut Memtable,
    batch: &Batch<'_>,
    placing: &Placing<'_>,
    places: &[RecordAt],
    numbers: &mut [Option<u32>],
) {
    let append = &placing.prepared.append;
    let id = append.id();
    let mut append_id = Some(id.as_str());
    let mut rest = batch.ids_of(placing).iter().zip(places).enumerate();
    for (write, content) in batch.writes_of(placing).iter().zip(append.writes()) {
        let (Some(added), Some(number)) = (
            batch.streams().get(write.stream),
            numbers.get_mut(write.stream),
        ) else {
            continue;
        };
        let name = Hashed {
            text: added.stream.as_str(),
            hash: added.hash,
        };
        let first_version = write.first_version.value();
        let stream = *number.get_or_insert_with(|| memtable.add_stream(name, first_version));
        let events = content.events.iter().zip(write.versions());
        for ((event, version), (index, (event_id, at))) in events.zip(rest.by_ref()) {
            let entry = NewEntry {
                stream,
                version: version.value(),
                event_type: event.event_type().as_str(),
                event_id: event_id.number(),
                append_id: append_id.take(),
                at: *at,
            };
            memtable.insert_new(&entry, placing.prepared.tags(index, event));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use annals_core::{
        Append, AppendId, ContentType, EventId, EventStore, EventType, Expected, Ids, NewEvent,
        StreamId, UuidIds,
    };
    use futures_executor::block_on;

    use super::*;
    use crate::LogStore;

    /// A source of ids that looks at the newest part of the index each time that it is asked.
    #[derive(Debug, Default)]
    struct Watching {
        ids: UuidIds,
        shared: Mutex<Option<Arc<Shared>>>,
        asked: Mutex<Vec<bool>>,
    }

    impl Ids for Watching {
        fn event_id(&self) -> EventId {
            if let Some(shared) = &*self.shared.lock().unwrap() {
                let is_locked = shared.snapshot().live.is_locked();
                self.asked.lock().unwrap().push(is_locked);
            }
            self.ids.event_id()
        }

        fn append_id(&self) -> AppendId {
            self.ids.append_id()
        }
    }

    #[test]
    fn no_lock_of_the_index_is_held_while_appends_are_judged() {
        let directory = tempfile::tempdir().unwrap();
        let ids = Arc::new(Watching::default());
        let store = LogStore::builder(directory.path().join("store"));
        let store = store
            .ids(Arc::clone(&ids) as Arc<dyn Ids>)
            .create()
            .unwrap();
        *ids.shared.lock().unwrap() = Some(Arc::clone(&store.shared));
        for number in 0..3 {
            let event_type = EventType::parse("opened").unwrap();
            let event = NewEvent::new(event_type, ContentType::JSON, "{}").unwrap();
            let append = Append::builder(AppendId::parse(&format!("append-{number}")).unwrap());
            let stream = StreamId::parse("account-1").unwrap();
            let append = append
                .write(stream, Expected::Any, [event])
                .build()
                .unwrap();
            block_on(store.append(append)).unwrap();
        }
        ids.shared.lock().unwrap().take();
        assert_eq!(*ids.asked.lock().unwrap(), [false; 3]);
    }
}
