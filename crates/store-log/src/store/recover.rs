//! The state of a store by its log.

use std::sync::Arc;

use annals_core::{Error, Position, Timestamp};
use annals_log::{Place, Scanned, View};

use super::error::{bad_record, corrupt, from_log};
use super::snapshot::{Live, Snapshot};
use crate::index::{Entry, Memtable};
use crate::record::{EventView, Kinds, Note};

/// The state of the store whose log is this.
pub(crate) fn recover(view: &View) -> Result<Snapshot, Error> {
    let start = view.start();
    let mut memtable = Memtable::new(view.log_id().to_bytes(), start.next_number);
    let mut kinds = Kinds::default();
    enter(view, start, &mut memtable, &mut kinds)?;
    let mut snapshot = Snapshot {
        older: Arc::new([]),
        live: Arc::new(Live::new(memtable)),
        view: view.clone(),
        kinds,
        head: Position::new(view.last_number()),
        newest_at: Timestamp::EPOCH,
    };
    if snapshot.head > Position::START {
        snapshot.newest_at = snapshot.appended_at(snapshot.head, &mut Vec::new())?;
    }
    Ok(snapshot)
}

/// Enters every record from this place on.
pub(crate) fn enter(
    view: &View,
    from: Place,
    memtable: &mut Memtable,
    kinds: &mut Kinds,
) -> Result<(), Error> {
    let mut scan = view.scan(from);
    let mut expected = from.next_number;
    loop {
        match scan.next_record() {
            Ok(Some(record)) => enter_record(view, record, &mut expected, memtable, kinds)?,
            Ok(None) => return Ok(()),
            Err(error) => {
                if !scan.skip_lost() {
                    return Err(from_log(error));
                }
            }
        }
    }
}

/// Enters one record; `expected` is the position that an event has if none before it is lost.
fn enter_record(
    view: &View,
    record: Scanned<'_>,
    expected: &mut u64,
    memtable: &mut Memtable,
    kinds: &mut Kinds,
) -> Result<(), Error> {
    let position = Position::new(record.number.unwrap_or(*expected));
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
    let lost = position.value().checked_sub(*expected).ok_or_else(|| {
        corrupt("log has a position twice; verify the store").with("position", position)
    })?;
    memtable.skip_lost(usize::try_from(lost).unwrap_or(usize::MAX));
    *expected = position.next().value();
    let segment = view.segment(record.at.segment());
    let context = segment.map_or(0, |segment| segment.context());
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
    Ok(())
}
