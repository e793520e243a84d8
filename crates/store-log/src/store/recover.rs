//! The state of a store by its log and its index files.

use std::path::PathBuf;
use std::sync::Arc;

use annals_core::{Error, ErrorKind, Position, Timestamp};
use annals_log::{Place, Scan, Scanned, Segment, View};
use tracing::warn;

use super::error::{bad_record, corrupt, from_log};
use super::settings::{LostEvents, Settings};
use super::snapshot::{Live, Snapshot, unusable};
use super::{dictionary, kinds};
use crate::index::{Entry, Memtable, Part, Run, RunDirectory, RunError, RunErrorKind, Runs};
use crate::planted::{self, Bug};
use crate::record::{EventView, Kinds, Note};

/// The state by the log, with help of these runs. Runs that turn out to be damaged are dropped, and runs are
/// added where what they would hold exceeds `index_bytes_max` in memory.
pub(crate) fn recover(
    view: &View,
    directory: &RunDirectory,
    runs: &mut Runs,
    settings: &Settings,
) -> Result<Snapshot, Error> {
    loop {
        let mut entering = Entering::after_runs(view, runs)?;
        while let Some(upto) = entering.fill(settings.index_bytes_max)? {
            let memtable = entering.take();
            let kinds = dictionary::encode(&entering.kinds);
            runs.add(directory.flush(&memtable, &kinds, upto).map_err(unusable)?);
        }
        match entering.finish(runs.all(), settings.lost_events) {
            Err(error) => {
                let is_dropped = damaged_run(&error).is_some_and(|path| runs.drop_from(&path));
                if !is_dropped {
                    return Err(error);
                }
            }
            recovered => return recovered,
        }
    }
}

/// The index file whose damage is the cause of this error.
fn damaged_run(error: &Error) -> Option<PathBuf> {
    let cause = std::error::Error::source(error)?.downcast_ref::<RunError>()?;
    (cause.kind() == RunErrorKind::Damaged).then(|| cause.path().to_path_buf())
}

/// How a record was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entered {
    /// With all that it says.
    Whole,
    /// Without its type: it is of a kind that the log, which lost a part, does not state any more.
    Unstated,
}

/// Reads the log from where the index files end, into memory.
pub(crate) struct Entering {
    scan: Scan,
    view: View,
    pub(crate) memtable: Memtable,
    pub(crate) kinds: Kinds,
    /// The position that the next event has if none before it is lost.
    next: u64,
    /// The position from which on the size of the memory is looked at again.
    look_at: u64,
    /// The memory is full: it is handed out at the next boundary of frames.
    is_full: bool,
    /// The first event of a kind that is not stated was told of.
    has_warned: bool,
}

impl Entering {
    /// Begins after these runs.
    pub(crate) fn after(view: &View, runs: &[Arc<Run>]) -> Result<Self, Error> {
        let (from, known) = match runs.last() {
            Some(run) => (run.upto(), kinds_of(run)?),
            None => (view.start(), Kinds::default()),
        };
        Ok(Self::from(view, from, kinds::beginning(view, known)))
    }

    /// Begins after the newest of these runs that says which kinds there are; the damaged ones after it are
    /// taken out.
    pub(crate) fn after_usable(view: &View, runs: &mut Vec<Arc<Run>>) -> Result<Self, Error> {
        loop {
            match Self::after(view, runs) {
                Err(error) if damaged_run(&error).is_some() => {
                    runs.pop();
                }
                entering => return entering,
            }
        }
    }

    /// As [`after_usable`](Self::after_usable); the files of the damaged runs are removed.
    pub(crate) fn after_runs(view: &View, runs: &mut Runs) -> Result<Self, Error> {
        let mut usable = runs.all().to_vec();
        let entering = Self::after_usable(view, &mut usable)?;
        runs.truncate(usable.len());
        Ok(entering)
    }

    /// Begins at this place.
    pub(crate) fn from(view: &View, from: Place, kinds: Kinds) -> Self {
        Self {
            scan: view.scan(from),
            view: view.clone(),
            memtable: Memtable::new(view.log_id(), from.next_number),
            kinds,
            next: from.next_number,
            look_at: from.next_number,
            is_full: false,
            has_warned: false,
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
        loop {
            let place = self.scan.place();
            if place.at >= end.at {
                // What is lost before the end has positions too.
                skip_to(&mut self.memtable, &mut self.next, end.next_number)?;
                return Ok(None);
            }
            self.look_at_size(bytes_max);
            // What has no position after the last event goes with that event: a run has at least one.
            if self.is_full && place.next_number == self.next && self.next < end.next_number {
                self.is_full = false;
                return Ok(Some(place));
            }
            if !self.enter_next()? {
                return Ok(None);
            }
        }
    }

    /// Looks now and then whether the memory is full.
    fn look_at_size(&mut self, bytes_max: usize) {
        const LOOK_EVERY: u64 = 256;
        if self.next >= self.look_at {
            self.look_at = self.next + LOOK_EVERY;
            self.is_full = self.memtable.len() > 0 && self.memtable.bytes() > bytes_max;
        }
    }

    /// Enters the next record, or passes over what is lost; `false` at the end of the log.
    fn enter_next(&mut self) -> Result<bool, Error> {
        let Self {
            scan,
            view,
            memtable,
            kinds,
            next,
            ..
        } = self;
        let entered = match scan.next_record() {
            Ok(Some(record)) => enter_what_is_stated(view, record, next, memtable, kinds)?,
            Ok(None) => return Ok(false),
            Err(error) => {
                return if scan.skip_lost() {
                    Ok(true)
                } else {
                    Err(from_log(error))
                };
            }
        };
        if entered == Entered::Unstated && !self.has_warned {
            self.has_warned = true;
            warn!(
                position = self.next - 1,
                "the log has lost what the kind of an event is: it, and others like it, can't be read"
            );
        }
        Ok(true)
    }

    /// The memory so far, and an empty one to go on with.
    pub(crate) fn take(&mut self) -> Memtable {
        let empty = Memtable::new(self.view.log_id(), self.next);
        std::mem::replace(&mut self.memtable, empty)
    }

    /// The state of the store, everything entered.
    pub(crate) fn finish(
        mut self,
        runs: &[Arc<Run>],
        lost_events: LostEvents,
    ) -> Result<Snapshot, Error> {
        // What is lost at the very end has positions too.
        let end = self.view.end().next_number;
        skip_to(&mut self.memtable, &mut self.next, end)?;
        let mut snapshot = Snapshot {
            older: runs
                .iter()
                .map(|run| Arc::clone(run) as Arc<dyn Part>)
                .collect(),
            live: Arc::new(Live::new(self.memtable)),
            head: newest(&self.view),
            view: self.view,
            kinds: self.kinds,
            blocks: Arc::default(),
            newest_at: Timestamp::EPOCH,
            lost_events,
        };
        snapshot.newest_at = newest_at(&snapshot)?;
        Ok(snapshot)
    }
}

/// The kinds that this run knows.
pub(crate) fn kinds_of(run: &Run) -> Result<Kinds, Error> {
    let kinds = run.kinds().map_err(unusable)?;
    dictionary::decode(kinds).map_err(|_| {
        let what = "it holds no dictionary of kinds";
        unusable(RunError::new(RunErrorKind::Damaged, run.path(), what))
    })
}

/// The newest position.
fn newest(view: &View) -> Position {
    let position = Position::new(view.last_number());
    if planted::is_active(Bug::PositionReused) {
        return position.previous();
    }
    position
}

/// When the newest event that is neither lost nor damaged was recorded.
fn newest_at(snapshot: &Snapshot) -> Result<Timestamp, Error> {
    let mut scratch = Vec::new();
    let mut position = snapshot.head;
    while position > Position::START {
        match snapshot.appended_at(position, &mut scratch) {
            Err(error) if error.kind() == ErrorKind::Corrupt => position = position.previous(),
            time => return time,
        }
    }
    Ok(Timestamp::EPOCH)
}

/// Enters one record.
pub(crate) fn enter(
    view: &View,
    record: Scanned<'_>,
    next: &mut u64,
    memtable: &mut Memtable,
    kinds: &mut Kinds,
) -> Result<(), Error> {
    enter_what_is_stated(view, record, next, memtable, kinds).map(drop)
}

fn enter_what_is_stated(
    view: &View,
    record: Scanned<'_>,
    next: &mut u64,
    memtable: &mut Memtable,
    kinds: &mut Kinds,
) -> Result<Entered, Error> {
    let position = Position::new(record.number.unwrap_or(*next));
    let bad = |bad| bad_record(bad, position);
    if record.number.is_none() {
        match Note::parse(record.body).map_err(bad)? {
            Note::Kind(code, kind) => kinds.insert(code, kind).map_err(bad)?,
            Note::Policy(..) if planted::is_active(Bug::PoliciesForgotten) => {}
            Note::Policy(stream, policy) => memtable.set_policy(&stream, policy),
        }
        return Ok(Entered::Whole);
    }
    skip_to(memtable, next, position.value())?;
    let segment = view.segment(record.at.segment());
    let context = segment.map_or(0, Segment::context);
    let base = Timestamp::from_micros(context.cast_signed());
    let event = EventView::parse(record.body, base).map_err(bad)?;
    let known = event.event_type(kinds);
    let append = event.append();
    let entry = Entry {
        stream: event.stream().map_err(bad)?,
        version: event.version().value(),
        // No event has this type: reads of one by its name don't meet it.
        event_type: known.unwrap_or_default(),
        event_id: event.id().number(),
        append_id: append.as_ref().map(|append| append.id.as_str()),
        at: record.at,
    };
    memtable.insert(&entry, event.tags());
    *next += 1;
    Ok(match known {
        Some(_) => Entered::Whole,
        None => Entered::Unstated,
    })
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
