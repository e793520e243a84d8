//! Reads of what any partition may hold.

use annals_core::{Direction, Error, EventStore, Page, ReadRequest, RecordedEvent};
use futures_util::future::try_join_all;

use super::lane::Lane;
use super::part;
use crate::places::{Bounds, Places};
use crate::store::Partitioned;

impl<S: EventStore> Partitioned<S> {
    /// A page of all partitions, merged by time.
    ///
    /// Each is asked for its share of a page; one that has given its share is asked for more, so that pages are full
    /// wherever the events are. What was read and is not on the page is read again for a later one.
    pub(crate) async fn read_merged(
        &self,
        request: &ReadRequest,
        bounds: &Bounds,
    ) -> Result<Page, Error> {
        self.check_not_ahead(&bounds.after, None).await?;
        if let Some(session) = &bounds.session {
            self.check_not_ahead(session, None).await?;
        }
        let mut lanes = self.lanes(request, bounds)?;
        let events = merge(&mut lanes, request).await?;
        let places: Places = lanes.iter().map(Lane::place).collect();
        let is_over = lanes.iter().all(Lane::is_over);
        let mut next = request.clone();
        let cursor = match request.direction {
            Direction::Forward => {
                self.heads.heard_all(&places);
                next.after = places.into_cursor();
                next.after.clone()
            }
            Direction::Backward => {
                next.until = Some(places.into_cursor());
                request.after.clone()
            }
        };
        Ok(Page {
            events,
            next: (!is_over).then_some(next),
            cursor,
            stream: None,
        })
    }

    fn lanes(&self, request: &ReadRequest, bounds: &Bounds) -> Result<Vec<Lane<'_, S>>, Error> {
        let lanes = self.stores.iter().enumerate().map(|(number, store)| {
            let mut part = part(request, bounds, number);
            part.events_max = request.events_max.div_ceil(self.count());
            part.bytes_max = request.bytes_max.div_ceil(self.count());
            Lane::new(store, number, part)
        });
        lanes.collect()
    }
}

/// Takes the events of a page, in turn.
async fn merge<S: EventStore>(
    lanes: &mut [Lane<'_, S>],
    request: &ReadRequest,
) -> Result<Vec<RecordedEvent>, Error> {
    let (mut events, mut bytes) = (Vec::new(), 0);
    while events.len() < request.events_max {
        if lanes.iter().any(Lane::is_dry) {
            let dry = lanes.iter_mut().filter(|lane| lane.is_dry());
            try_join_all(dry.map(Lane::fill)).await?;
            if lanes.iter().any(Lane::is_stalled) {
                break;
            }
        }
        let Some(lane) = first(lanes, request.direction) else {
            break;
        };
        bytes += lane.next().map_or(0, RecordedEvent::bytes);
        if bytes > request.bytes_max && !events.is_empty() {
            break;
        }
        events.extend(lane.take()?);
    }
    Ok(events)
}

/// The lane whose turn it is.
fn first<'l, 's, S: EventStore>(
    lanes: &'l mut [Lane<'s, S>],
    direction: Direction,
) -> Option<&'l mut Lane<'s, S>> {
    let lanes = lanes.iter_mut().filter(|lane| lane.next().is_some());
    match direction {
        Direction::Forward => lanes.min_by_key(|lane| lane.turn()),
        Direction::Backward => lanes.max_by_key(|lane| lane.turn()),
    }
}
