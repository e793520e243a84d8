//! Pages of events.

mod lane;
mod merged;
mod routed;

use annals_core::{ConsistencyLevel, Cursor, EventOrdering, ReadRequest};

use crate::places::Bounds;

/// The part of a request that a partition answers. Its log is read in its order, by which places in it are told.
fn part(request: &ReadRequest, bounds: &Bounds, partition: usize) -> ReadRequest {
    let mut part = request.clone();
    part.after = Cursor::at(bounds.after.at(partition));
    part.until = bounds
        .until
        .as_ref()
        .map(|until| Cursor::at(until.at(partition)));
    part.ordering = EventOrdering::Total;
    if let Some(session) = &bounds.session {
        part.consistency = ConsistencyLevel::Session(Cursor::at(session.at(partition)));
    }
    part
}
