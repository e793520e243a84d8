//! Pages of a log in which no stream has a policy, of events that are small: one scan, and nothing else looked at.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use annals_core::{
    Error, ReadRequest, RecordedEvent, Selection, StreamHead, StreamPolicy, Version,
};
use deadpool_postgres::Object;
use futures_util::TryStreamExt;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::command::{bigint, number};
use crate::error::of_statement;
use crate::query::{Query, order_of};
use crate::read::{Ends, Told, headless, in_order, prepared, version_of};
use crate::row::{COLUMNS, event_of};
use crate::store::position;

/// The columns of the row of the head: those of an event, of which the first tell where the log and the span end,
/// whether there are policies, and the version of the stream; a name or a payload it has none.
const HEAD_NOTHING: &str = "NULL::bigint, NULL::uuid, NULL::text, NULL::text, NULL::text, NULL::text[], NULL::text, NULL::text, \
     NULL::text, NULL::bytea";

/// The column of an event's stream: nothing in the row of the head.
const STREAM: usize = 6;

/// The column of its payload: nothing where the event is large, and then nothing else of any length.
const PAYLOAD: usize = 13;

/// The least room for each event of a page that is worth a look whether they are small.
const BYTES_OF_EACH_MIN: usize = 1024;

/// How many pages are read for events of any size after one that had a large event.
const PAGES_AFTER_LARGE: u32 = 64;

/// What reads have seen of the log, and so how the next one is put.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Whether a stream has a policy: a log never loses the last one.
    has_policies: AtomicBool,
    /// How many pages more are read for events of any size.
    pages_large: AtomicU32,
}

/// The answer to a request.
pub(crate) enum Quick {
    Page(Box<Told>),
    /// It has to be put for every log.
    Refused(Refusal),
}

/// Why a log or a page needs another query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There are policies, which this one does not look at.
    Policies,
    /// An event is large: the page may have no room for all.
    Large,
}

impl Seen {
    /// How large each event of a page may be that is sure to have room for all; `None` where the request has to be
    /// put for every log.
    pub(crate) fn bytes_of_each(&self, request: &ReadRequest) -> Option<usize> {
        let is_timed = request.appended_from.is_some() || request.appended_before.is_some();
        if is_timed || self.has_policies.load(Ordering::Relaxed) || self.is_large() {
            return None;
        }
        let each = request.bytes_max.checked_div(request.events_max)?;
        (each >= BYTES_OF_EACH_MIN).then_some(each)
    }

    /// Whether one of the pages before had a large event, as this one may.
    fn is_large(&self) -> bool {
        let less = |pages: u32| pages.checked_sub(1);
        let counted = self
            .pages_large
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        counted.is_ok()
    }

    /// Notes why a request was not answered.
    pub(crate) fn note(&self, refusal: Refusal) {
        match refusal {
            Refusal::Policies => self.has_policies.store(true, Ordering::Relaxed),
            Refusal::Large => self.pages_large.store(PAGES_AFTER_LARGE, Ordering::Relaxed),
        }
    }
}

/// One page, each of whose events takes at most so many bytes. Events are made of rows as they come.
pub(crate) async fn page(
    client: &Object,
    schema: &str,
    request: &ReadRequest,
    bytes_of_each: usize,
) -> Result<Quick, Error> {
    let query = query_of(schema, request, bytes_of_each)?;
    let statement = prepared(client, &query).await?;
    let rows = client.query_raw(&statement, query.values()).await;
    let mut rows = pin!(rows.map_err(of_statement)?);
    let mut head = None;
    let mut events = Vec::new();
    while let Some(row) = rows.try_next().await.map_err(of_statement)? {
        let stream: Option<&str> = row.try_get(STREAM).map_err(of_statement)?;
        if stream.is_none() {
            head = Some(Head::of(&row)?);
            continue;
        }
        let payload: Option<&[u8]> = row.try_get(PAYLOAD).map_err(of_statement)?;
        if payload.is_none() {
            return Ok(Quick::Refused(Refusal::Large));
        }
        events.push(event_of(&row, 0)?);
    }
    let head = head.ok_or_else(headless)?;
    if head.has_policies {
        return Ok(Quick::Refused(Refusal::Policies));
    }
    head.page(request, events).map(Box::new).map(Quick::Page)
}

/// What the row of the head tells.
struct Head {
    ends: Ends,
    version: Version,
    has_policies: bool,
}

impl Head {
    fn of(row: &Row) -> Result<Self, Error> {
        let number = |column: usize| row.try_get::<_, i64>(column).map_err(of_statement);
        Ok(Self {
            ends: Ends {
                head: position(number(0)?),
                until: position(number(1)?),
            },
            version: Version::new(u64::try_from(number(2)?).unwrap_or_default()),
            has_policies: number(3)? > 0,
        })
    }

    /// The page of these events, of which one may be more than it has.
    fn page(self, request: &ReadRequest, mut events: Vec<RecordedEvent>) -> Result<Told, Error> {
        in_order(request.direction, &mut events, RecordedEvent::position);
        let rest = events.len() > request.events_max;
        events.truncate(request.events_max);
        let stream = match &request.selection {
            Selection::Stream(stream) => Some(StreamHead {
                stream: stream.clone(),
                version: self.version,
                policy: StreamPolicy::default(),
            }),
            _ => None,
        };
        self.ends.page(request, events, rest, stream)
    }
}

/// The row of the head, and the events, without what takes most of those that are large.
fn query_of(schema: &str, request: &ReadRequest, bytes_of_each: usize) -> Result<Query, Error> {
    let mut query = Query::new(schema, None);
    let (after, until) = request.positions()?;
    let since = query.value(bigint(after.value()), Type::INT8);
    let until = query.value(bigint(until.value()), Type::INT8);
    let (key, version) = if let Selection::Stream(stream) = &request.selection {
        query.between_of_few(&since, Some(&until));
        query.versions(request);
        let stream = query.value(stream.to_string(), Type::TEXT);
        ("version", version_of(schema, &stream))
    } else {
        query.between(&since, Some(&until));
        ("position", "0::bigint".to_owned())
    };
    query.select(&request.selection)?;
    let each = query.value(i64::from(number(bytes_of_each)), Type::INT8);
    let count = query.value(i64::from(number(request.events_max)) + 1, Type::INT8);
    let columns = ["q.tags", "q.headers::text", "q.payload"]
        .iter()
        .fold(COLUMNS.to_owned(), |columns, column| {
            let small = format!("CASE WHEN q.bytes <= {each} THEN {column} END");
            columns.replace(column, &small)
        })
        .replace("q.", "e.");
    let events = query.events(&columns, (key, order_of(request.direction)), &count);
    let text = format!(
        "SELECT l.position, least({until}, l.position), {version}, \
         (EXISTS (SELECT FROM {schema}.stream_policies))::int::bigint, {HEAD_NOTHING} \
         FROM {schema}.log l WHERE l.id = 1 UNION ALL ({events})"
    );
    Ok(query.with_text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_quick_where_it_is_sure_to_have_room() {
        let check = |events: usize, bytes: usize, expected| {
            let request = ReadRequest::all().events_max(events).bytes_max(bytes);
            assert_eq!(Seen::default().bytes_of_each(&request), expected);
        };
        check(1000, 8_000_000, Some(8000));
        check(1, 8_000_000, Some(8_000_000));
        check(1000, 1000, None);
        check(0, 1000, None);
    }

    #[test]
    fn what_was_seen_has_the_next_requests_put_for_every_log() {
        let request = ReadRequest::all();
        let seen = Seen::default();
        seen.note(Refusal::Large);
        for _ in 0..PAGES_AFTER_LARGE {
            assert_eq!(seen.bytes_of_each(&request), None);
        }
        assert!(seen.bytes_of_each(&request).is_some());
        seen.note(Refusal::Policies);
        assert_eq!(seen.bytes_of_each(&request), None);
    }

    #[test]
    fn the_row_of_the_head_has_the_columns_of_an_event() {
        let columns: Vec<&str> = COLUMNS.split(", ").collect();
        let told = 4;
        assert_eq!(columns.len(), told + HEAD_NOTHING.split(", ").count());
        assert_eq!(columns.get(STREAM), Some(&"q.stream"));
        assert_eq!(columns.get(PAYLOAD), Some(&"q.payload"));
    }
}
