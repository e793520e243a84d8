//! Identities that are taken: of events and of appends.

use annals_core::{AppendId, Error, EventId, Position};

use super::snapshot::{Snapshot, unusable};
use crate::index::{Part, RunError};
use crate::planted::{self, Bug};
use crate::record::{AppendHeader, EventView};

/// In which parts of the index to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ids {
    /// In every part.
    All,
    /// In the newest part alone: the others were looked at.
    Live,
}

/// Where the event of this id stands.
pub(crate) fn event(snapshot: &Snapshot, id: EventId, ids: Ids) -> Result<Option<Position>, Error> {
    let mut scratch = Vec::new();
    for position in candidates(snapshot, ids, |part, out| part.event_id(id.number(), out))? {
        let found = snapshot.look(position, &mut scratch, |event: &EventView<'_>| event.id())?;
        if found == id {
            return Ok(Some(position));
        }
    }
    Ok(None)
}

/// Where the append of this id begins, and how many events it has.
pub(crate) fn append(
    snapshot: &Snapshot,
    id: &AppendId,
    ids: Ids,
) -> Result<Option<(Position, u32)>, Error> {
    let mut scratch = Vec::new();
    for position in candidates(snapshot, ids, |part, out| part.append_id(id.as_str(), out))? {
        let header = snapshot.look(position, &mut scratch, |event: &EventView<'_>| {
            event.append()
        })?;
        match header {
            Some(AppendHeader { id: found, events }) if found == *id => {
                return Ok(Some((position, events)));
            }
            _ => {}
        }
    }
    Ok(None)
}

/// The positions that the index gives, newest part first.
fn candidates(
    snapshot: &Snapshot,
    ids: Ids,
    ask: impl Fn(&dyn Part, &mut Vec<u64>) -> Result<(), RunError>,
) -> Result<Vec<Position>, Error> {
    let mut found = Vec::new();
    ask(&**snapshot.live.read(), &mut found).map_err(unusable)?;
    if ids == Ids::All && !planted::is_active(Bug::AppendIdsForgotten) {
        for part in snapshot.older.iter().rev() {
            ask(&**part, &mut found).map_err(unusable)?;
        }
    }
    found.retain(|position| *position <= snapshot.head.value());
    Ok(found.into_iter().map(Position::new).collect())
}
