//! What the consumers are doing, looked at together with their store.

use std::time::Duration;

use annals_core::{
    ConsistencyLevel, ConsumerStanding, Cursor, Error, EventStore, ReadRequest, RecordedEvent,
};

use super::cell::Cell;
use super::meter::Sample;
use super::running::Running;
use super::status::{ConsumerState, ConsumerStatus, Lag};

/// How many pages are read to find the first event that a consumer has yet to take.
const PAGES_MAX: usize = 8;

/// What all consumers are doing.
pub(super) async fn look(running: &Running) -> Vec<ConsumerStatus> {
    let head = running.feed.store.head(ConsistencyLevel::Eventual).await;
    let mut statuses = Vec::new();
    for cell in running.cells() {
        let lag = match &head {
            Ok(head) => lag(running, &cell, head).await.ok(),
            Err(_) => None,
        };
        statuses.push(status(running, &cell, lag));
    }
    if let Some(observer) = &running.feed.observer {
        for standing in standings(&statuses) {
            observer.standing(&standing);
        }
    }
    statuses
}

fn status(running: &Running, cell: &Cell, lag: Option<Lag>) -> ConsumerStatus {
    let mut seen = cell.look();
    let sample = Sample {
        at: running.feed.timer.elapsed(),
        handled: seen.handled,
        lag: lag.map(|lag| lag.events),
    };
    let change = seen.meter.look(sample);
    ConsumerStatus {
        name: cell.name.clone(),
        partition: cell.partition,
        state: seen.shown(),
        cursor: seen.cursor.clone(),
        handled: seen.handled,
        parked: seen.parked.events().len(),
        skipped: seen.parked.skipped_count(),
        lag: lag.map(|lag| Lag {
            trend: change.trend,
            ..lag
        }),
        rate: change.rate,
    }
}

/// How far each consumer is, in all its partitions.
fn standings(statuses: &[ConsumerStatus]) -> Vec<ConsumerStanding<'_>> {
    let mut standings: Vec<ConsumerStanding<'_>> = Vec::new();
    for status in statuses {
        let standing = status.standing();
        let mut known = standings.iter_mut();
        match known.find(|known| known.name == standing.name) {
            Some(known) => known.add_partition(&standing),
            None => standings.push(standing),
        }
    }
    standings
}

impl ConsumerStatus {
    /// The same as an observer is told it.
    pub fn standing(&self) -> ConsumerStanding<'_> {
        let mut standing = ConsumerStanding::new(&self.name);
        standing.lag_events = self.lag.map(|lag| lag.events);
        standing.lag = self.lag.map(|lag| lag.time);
        standing.parked = u64::try_from(self.parked).unwrap_or(u64::MAX);
        standing.skipped = self.skipped;
        standing.handled = self.handled;
        standing.has_failed = matches!(self.state, ConsumerState::Failed(_));
        standing
    }
}

async fn lag(running: &Running, cell: &Cell, head: &Cursor) -> Result<Lag, Error> {
    let cursor = cell.look().cursor.clone();
    if cursor.covers(head) {
        return Ok(Lag::default());
    }
    let first = first_after(running, cell, &cursor).await?;
    let time = first.map_or(Duration::ZERO, |event| {
        running.clock.now().since(event.appended_at())
    });
    Ok(Lag {
        events: positions_between(&cursor, head),
        time,
        trend: 0.0,
    })
}

/// The first event that a consumer has yet to take, as far as a few pages tell.
async fn first_after(
    running: &Running,
    cell: &Cell,
    cursor: &Cursor,
) -> Result<Option<RecordedEvent>, Error> {
    let selection = cell.choice.selection();
    let mut request = ReadRequest::new(selection)
        .after(cursor.clone())
        .ordering(running.feed.store.capabilities().ordering())
        .events_max(100);
    for _ in 0..PAGES_MAX {
        let page = running.feed.store.read(request).await?;
        let mut events = page.events.into_iter();
        let found = events.find(|event| cell.choice.contains(event));
        match (found, page.next) {
            (None, Some(next)) => request = next,
            (found, _) => return Ok(found),
        }
    }
    Ok(None)
}

fn positions_between(cursor: &Cursor, head: &Cursor) -> u64 {
    let mut passed = cursor.positions().iter();
    let between = head.positions().iter().map(|head| {
        let passed = passed.next().copied().unwrap_or_default();
        head.since(passed)
    });
    between.fold(0, u64::saturating_add)
}
