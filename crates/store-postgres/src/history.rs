//! All that a log recorded, and recording it as another store did.

use std::sync::Arc;

use annals_core::{
    AppendId, Error, ErrorKind, HistoryEntry, HistoryReader, Position, RecordedAppend, StreamId,
};
use async_trait::async_trait;
use tokio_postgres::Row;

use crate::command::bigint;
use crate::error::of_statement;
use crate::policy::policy_of;
use crate::row::{COLUMNS, COLUMNS_COUNT, event_of};
use crate::store::{PostgresStore, Shared, position};

/// The most events that are given at a time.
const EVENTS_MAX: i64 = 512;

/// How many bytes of events are given at a time, the last event apart.
const BYTES_MAX: i64 = 4 * 1024 * 1024;

/// All that a log recorded, from the beginning; policies when they are asked for.
#[derive(Debug)]
struct PostgresHistory {
    shared: Arc<Shared>,
    at: Position,
    head: Position,
}

impl PostgresStore {
    /// Reads all that the log recorded. It does not keep when a policy was set: policies come when they are asked for
    /// after the newest event, as they are then, all at once.
    pub fn history(&self) -> Box<dyn HistoryReader> {
        Box::new(PostgresHistory {
            shared: Arc::clone(&self.shared),
            at: Position::START,
            head: Position::START,
        })
    }
}

#[async_trait]
impl HistoryReader for PostgresHistory {
    async fn next(&mut self) -> Result<Vec<HistoryEntry>, Error> {
        let at = self.at;
        let read = |shared: Arc<Shared>| async move { shared.history_after(at).await };
        let read = self.shared.aside(read).await;
        let (head, entries) = read.map_err(|error| error.during("read the history"))?;
        self.head = head;
        if let Some(HistoryEntry::Event { event, .. }) = entries.last() {
            self.at = event.position();
        }
        Ok(entries)
    }

    async fn head(&mut self) -> Result<Position, Error> {
        Ok(self.head)
    }

    fn places_policies(&self) -> bool {
        false
    }

    async fn last_policies(&mut self) -> Result<Option<Vec<HistoryEntry>>, Error> {
        let at = self.at;
        let read = |shared: Arc<Shared>| async move { shared.policies_at(at).await };
        let read = self.shared.aside(read).await;
        let (head, policies) = read.map_err(|error| error.during("read the policies"))?;
        self.head = head;
        Ok(policies)
    }
}

impl Shared {
    /// The newest position, and the events after another.
    async fn history_after(&self, at: Position) -> Result<(Position, Vec<HistoryEntry>), Error> {
        let mut client = self.client().await?;
        let client = crate::read::snapshot(&mut client).await?;
        let s = &self.statements.schema;
        let head = client.query_one(&self.statements.head, &[]).await;
        let head = head.and_then(|row| row.try_get(0)).map_err(of_statement)?;
        let events = format!(
            "SELECT {COLUMNS}, q.append_id, q.append_events FROM {s}.events q WHERE q.position > $1 \
             AND q.position <= (SELECT max(f.position) FROM (SELECT e.position, sum(e.bytes) OVER (ORDER BY e.position) \
             - e.bytes AS before FROM (SELECT position, bytes FROM {s}.events WHERE position > $1 ORDER BY position \
             LIMIT {EVENTS_MAX}) e) f WHERE f.before < {BYTES_MAX}) ORDER BY q.position"
        );
        let after = bigint(at.value());
        let rows = client.query(&events, &[&after]).await;
        let rows = rows.map_err(of_statement)?;
        let mut expected = at;
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            let entry = event_entry(row)?;
            expected = expected.next();
            if let HistoryEntry::Event { event, .. } = &entry
                && event.position() != expected
            {
                let message = "an event is missing from the log; restore it";
                return Err(Error::new(ErrorKind::Corrupt, message).with("position", expected));
            }
            entries.push(entry);
        }
        Ok((position(head), entries))
    }

    /// The newest position, and, where it is this one, all policies.
    async fn policies_at(
        &self,
        at: Position,
    ) -> Result<(Position, Option<Vec<HistoryEntry>>), Error> {
        let mut client = self.client().await?;
        // Events and policies of one state of the log: a policy may count on an event before it.
        let client = crate::read::snapshot(&mut client).await?;
        let s = &self.statements.schema;
        let head = client.query_one(&self.statements.head, &[]).await;
        let head = head.and_then(|row| row.try_get(0)).map_err(of_statement)?;
        let head = position(head);
        if head != at {
            return Ok((head, None));
        }
        let policies = format!(
            "SELECT stream, state, truncate_before, max_age::text, max_count::text FROM {s}.stream_policies \
             ORDER BY stream"
        );
        let rows = client.query(&policies, &[]).await.map_err(of_statement)?;
        let policies = rows.iter().map(policy_entry).collect::<Result<_, _>>()?;
        Ok((head, Some(policies)))
    }
}

fn event_entry(row: &Row) -> Result<HistoryEntry, Error> {
    let append: Option<&str> = row.try_get(COLUMNS_COUNT).map_err(of_statement)?;
    let events: Option<i32> = row.try_get(COLUMNS_COUNT + 1).map_err(of_statement)?;
    let append = append.map(AppendId::parse).transpose()?;
    let events = events.and_then(|events| u32::try_from(events).ok());
    Ok(HistoryEntry::Event {
        event: event_of(row, 0)?,
        append: append
            .zip(events)
            .map(|(id, events)| RecordedAppend { id, events }),
        is_reclaimed: false,
    })
}

fn policy_entry(row: &Row) -> Result<HistoryEntry, Error> {
    let stream: &str = row.try_get(0).map_err(of_statement)?;
    Ok(HistoryEntry::Policy {
        stream: StreamId::parse(stream)?,
        policy: policy_of(row, 1)?,
    })
}
