//! The state of a store by its log and its index files.

use std::sync::Arc;

use annals_core::{Error, Position, Timestamp};
use annals_log::{Place, Scan, Scanned, Segment, View};

use super::dictionary;
use super::error::{bad_record, corrupt, from_log};
use super::snapshot::{Live, Snapshot, unusable};
use crate::index::{Entry, Memtable, Part, Run};
use crate::record::{EventView, Kinds, Note};

/// Reads the log from where the index files end, into memory.
pub(crate) struct Entering {
    scan: Scan,
    view: View,
    pub(crate) memtable: Memtable,
    pub(crate) kinds: Kinds,
    /// The position that the next event has if none before it is lost.
    next: u64,
}

impl Entering {
    /// Begins after these runs.
    pub(crate) fn after(view: &View, runs: &[Arc<Run>]) -> Result<Self, Error> {
        let (from, kinds) = match runs.last() {
            Some(run) => {
                let bytes = run.kinds().map_err(unusable)?;
                (run.upto(), dictionary::decode(bytes)?)
            }
            None => (view.start(), Kinds::default()),
        };
        Ok(Self::from(view, from, kinds))
    }

    /// Begins at this place.
    pub(crate) fn from(view: &View, from: Place, kinds: Kinds) -> Self {
        Self {
            scan: view.scan(from),
            view: view.clone(),
            memtable: Memtable::new(view.log_id(), from.next_number),
            kinds,
            next: from.next_number,
        }
    }

    /// Enters records until the end of the log, `None`, or until the memory takes `bytes_max`, the place
    /// up to which all is in it.
    pub(crate) fn fill(&mut self, bytes_max: usize) -> Result<Option<Place>, Error> {
        self.fill_until(bytes_max, self.view.end())
    }

    /// As [`fill`](Self::fill), with this place as the end.
    pub(crate) fn fill_until(
        &mut self,
        bytes_max: usize,
        end: Place,
    ) -> Result<Option<Place>, Error> {
        const CHECK_EVERY: u64 = 256;
        loop {
            if self.next >= end.next_number && self.scan.place().at >= end.at {
                return Ok(None);
            }
            let is_check = self.next.is_multiple_of(CHECK_EVERY);
            if is_check && self.memtable.len() > 0 && self.memtable.bytes() > bytes_max {
                let place = self.scan.place();
                if place.next_number == self.next {
                    return Ok(Some(place));
                }
            }
            let Self {
                scan,
                view,
                memtable,
                kinds,
                next,
            } = self;
            match scan.next_record() {
                Ok(Some(record)) => enter(view, record, next, memtable, kinds)?,
                Ok(None) => return Ok(None),
                Err(error) => {
                    if !scan.skip_lost() {
                        return Err(from_log(error));
                    }
                }
            }
        }
    }

    /// The memory so far, and an empty one to go on with.
    pub(crate) fn take(&mut self) -> Memtable {
        let empty = Memtable::new(self.view.log_id(), self.next);
        std::mem::replace(&mut self.memtable, empty)
    }

    /// The state of the store, everything entered.
    pub(crate) fn finish(mut self, runs: &[Arc<Run>]) -> Result<Snapshot, Error> {
        // What is lost at the very end has positions too.
        let end = self.view.end().next_number;
        skip_to(&mut self.memtable, &mut self.next, end)?;
        let mut snapshot = Snapshot {
            older: runs
                .iter()
                .map(|run| Arc::clone(run) as Arc<dyn Part>)
                .collect(),
            live: Arc::new(Live::new(self.memtable)),
            head: Position::new(self.view.last_number()),
            view: self.view,
            kinds: self.kinds,
            buffers: Arc::default(),
            newest_at: Timestamp::EPOCH,
        };
        snapshot.newest_at = newest_at(&snapshot);
        Ok(snapshot)
    }
}

/// When the newest event that is not lost was recorded.
fn newest_at(snapshot: &Snapshot) -> Timestamp {
    let mut scratch = Vec::new();
    let mut position = snapshot.head;
    while position > Position::START {
        if let Ok(time) = snapshot.appended_at(position, &mut scratch) {
            return time;
        }
        position = position.previous();
    }
    Timestamp::EPOCH
}

/// Enters one record.
pub(crate) fn enter(
    view: &View,
    record: Scanned<'_>,
    next: &mut u64,
    memtable: &mut Memtable,
    kinds: &mut Kinds,
) -> Result<(), Error> {
    let position = Position::new(record.number.unwrap_or(*next));
    let bad = |bad| bad_record(bad, position);
    if record.number.is_none() {
        return match Note::parse(record.body).map_err(bad)? {
            Note::Kind(code, kind) => kinds.insert(code, kind).map_err(bad),
            Note::Policy(stream, policy) => {
                memtable.set_policy(&stream, policy);
                Ok(())
            }
        };
    }
    skip_to(memtable, next, position.value())?;
    let segment = view.segment(record.at.segment());
    let context = segment.map_or(0, Segment::context);
    let base = Timestamp::from_micros(context.cast_signed());
    let event = EventView::parse(record.body, base).map_err(bad)?;
    let event_type = event.event_type(kinds).ok_or_else(|| {
        corrupt("event of a kind that the log does not state").with("position", position)
    })?;
    let append = event.append();
    let entry = Entry {
        stream: event.stream(),
        version: event.version().value(),
        event_type,
        event_id: event.id().as_uuid().as_u128(),
        append_id: append.as_ref().map(|append| append.id.as_str()),
        at: record.at,
    };
    memtable.insert(&entry, event.tags());
    *next += 1;
    Ok(())
}

/// Passes over the positions that the log has lost.
fn skip_to(memtable: &mut Memtable, next: &mut u64, position: u64) -> Result<(), Error> {
    let lost = position.checked_sub(*next).ok_or_else(|| {
        corrupt("log has a position twice; verify the store").with("position", position)
    })?;
    memtable.skip_lost(usize::try_from(lost).unwrap_or(usize::MAX));
    *next = position;
    Ok(())
}
