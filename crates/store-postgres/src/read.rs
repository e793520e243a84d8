//! Pages of events: one statement each, so that all of a page is of one state of the log.

use std::cmp::Reverse;

use annals_core::{
    ConsistencyLevel, Direction, Error, ErrorKind, Page, Position, ReadRequest, RecordedEvent,
    Selection, StreamHead, Timestamp,
};
use deadpool_postgres::Object;
use tokio_postgres::types::Type;
use tokio_postgres::{IsolationLevel, Row, Statement, Transaction};

use crate::ask::{Ask, Cells};
use crate::command::{bigint, number};
use crate::error::of_statement;
use crate::judge::stream_head_of;
use crate::query::{Query, order_of};
use crate::quick::{self, Quick, Seen};
use crate::row::{COLUMNS, COLUMNS_COUNT, event_of};
use crate::store::{check_not_ahead, position};

/// The column after those that tell where the log and the request's span end: whether there is an event after this one.
const TOLD: usize = 2;

/// The column where the event begins.
const EVENT: usize = 3;

/// The column where the head of a stream begins: after the event.
const STREAM: usize = EVENT + COLUMNS_COUNT;

/// The log's time, as `h` has it. Asked for by itself rather than joined, as all of `h`: it is computed
/// once, and a plan of a join costs more than the ten events of a stream.
const NOW: &str = "(SELECT h.now FROM h)";

/// A transaction that sees one state of the log, and changes nothing.
pub(crate) async fn snapshot(client: &mut Object) -> Result<Transaction<'_>, Error> {
    let client: &mut tokio_postgres::Client = client;
    let builder = client.build_transaction();
    let builder = builder
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true);
    builder.start().await.map_err(of_statement)
}

/// A page, and the head of the log that it is of.
pub(crate) struct Told {
    pub(crate) page: Page,
    pub(crate) head: Position,
}

/// One page of the answer to a request that was validated, by what was seen of the log before.
pub(crate) async fn page(
    client: &Object,
    schema: &str,
    request: ReadRequest,
    at_time: Option<i64>,
    seen: &Seen,
) -> Result<Told, Error> {
    if is_usual(&request)
        && let Some(each) = seen.bytes_of_each(&request)
    {
        match quick::page(client, schema, &request, each).await? {
            Quick::Page(told) => return Ok(*told),
            Quick::Refused(refusal) => seen.note(refusal),
        }
    }
    let query = query_of(schema, &request, at_time)?;
    let rows = if is_usual(&request) {
        run_usual(client, &query).await?
    } else {
        query.run(&***client).await?
    };
    page_of(&request, &rows)
}

/// The same within a transaction of the application, whose connection keeps no plan of ours.
pub(crate) async fn page_in(
    transaction: &impl Ask,
    schema: &str,
    request: ReadRequest,
    at_time: Option<i64>,
) -> Result<Page, Error> {
    let query = query_of(schema, &request, at_time)?;
    let rows = query.run(transaction).await?;
    page_of(&request, &rows).map(|told| told.page)
}

/// Whether a plan is good for every request of this form, so that it is made once for each connection.
fn is_usual(request: &ReadRequest) -> bool {
    matches!(request.selection, Selection::All | Selection::Stream(_))
}

/// Runs a query whose plan is kept.
async fn run_usual(client: &Object, query: &Query) -> Result<Vec<Row>, Error> {
    let statement = prepared(client, query).await?;
    let rows = client.query(&statement, &query.values()).await;
    rows.map_err(of_statement)
}

/// The statement of a query, prepared once for each connection.
pub(crate) async fn prepared(client: &Object, query: &Query) -> Result<Statement, Error> {
    let types = query.types();
    let statement = client.prepare_typed_cached(query.text(), &types).await;
    statement.map_err(of_statement)
}

fn query_of(schema: &str, request: &ReadRequest, at_time: Option<i64>) -> Result<Query, Error> {
    let mut query = Query::new(schema, at_time);
    let Span { head, since, until } = span_of(&mut query, request)?;
    match &request.selection {
        Selection::Stream(_) => query.between_of_few(&since, Some(&until)),
        _ => query.between(&since, Some(&until)),
    }
    query.select(&request.selection)?;
    let order = order_of(request.direction);
    let (key, stream) = match &request.selection {
        Selection::Stream(stream) => {
            query.versions(request);
            let stream = query.value(stream.to_string(), Type::TEXT);
            ("version", stream_of(schema, &stream))
        }
        _ => ("position", Stream::default()),
    };
    query.shown(NOW);
    let events = cut(&mut query, request, (key, order));
    let text = format!(
        "WITH h AS MATERIALIZED ({head}) \
         SELECT h.position, h.until, q.more, {COLUMNS}{} FROM h{} LEFT JOIN ({events}) q ON true",
        stream.columns, stream.joins
    );
    Ok(query.with_text(text))
}

/// The head of a stream, beside the events of a page.
#[derive(Default)]
struct Stream {
    /// Its columns, after others.
    columns: String,
    /// What has them.
    joins: String,
}

fn stream_of(schema: &str, stream: &str) -> Stream {
    let version = version_of(schema, stream);
    Stream {
        columns: format!(
            ", {version}, p.state, p.truncate_before, p.max_age::text, p.max_count::text"
        ),
        joins: format!(" LEFT JOIN {schema}.stream_policies p ON p.stream = {stream}"),
    }
}

/// The version of a stream, in SQL.
pub(crate) fn version_of(schema: &str, stream: &str) -> String {
    format!(
        "coalesce((SELECT v.version FROM {schema}.events v WHERE v.stream = {stream} ORDER BY v.version DESC LIMIT 1), 0)"
    )
}

/// Limits of a page as parameters: one event more than it has, and its bytes.
fn limits_of(query: &mut Query, request: &ReadRequest) -> [String; 2] {
    let count = i64::from(number(request.events_max));
    let bytes = i64::try_from(request.bytes_max).unwrap_or(i64::MAX);
    [count + 1, bytes].map(|limit| query.value(limit, Type::INT8))
}

/// The events of a page as far as it has room for them, and whether there is one after each.
fn cut(query: &mut Query, request: &ReadRequest, (key, order): (&str, &str)) -> String {
    let [limit, bytes] = limits_of(query, request);
    let events = query.events("e.*", (key, order), &limit);
    format!(
        "SELECT * FROM (SELECT e.*, row_number() OVER w AS place, sum(e.bytes) OVER w AS total, \
         lead(e.position) OVER w IS NOT NULL AS more FROM ({events}) e \
         WINDOW w AS (ORDER BY e.{key} {order} ROWS UNBOUNDED PRECEDING)) e \
         WHERE e.place < {limit} AND (e.total <= {bytes} OR e.place = 1)"
    )
}

/// The row of the log, and where the span of a request begins and ends.
struct Span {
    /// The query of `h`: where the log and the span end, and the log's time.
    head: String,
    /// The last place before the span.
    since: String,
    /// The last place in it, or one that no event has yet.
    until: String,
}

/// Places are parameters, whose values a plan can be made for; those in time are looked up, once.
fn span_of(query: &mut Query, request: &ReadRequest) -> Result<Span, Error> {
    let (after, until) = request.positions()?;
    let after = query.value(bigint(after.value()), Type::INT8);
    let until = query.value(bigint(until.value()), Type::INT8);
    let schema = query.schema().to_owned();
    let last = format!("least({until}, l.position)");
    let mut last_before = |time: Option<Timestamp>| {
        let time = query.value(time?.as_micros(), Type::INT8);
        Some(format!("{schema}.last_before({time}, {after}, {last})"))
    };
    let from = last_before(request.appended_from);
    let before = last_before(request.appended_before);
    let named = |name: &str| format!("(SELECT h.{name} FROM h)");
    let since = from
        .as_ref()
        .map_or_else(|| after.clone(), |_| named("since"));
    let until = before.as_ref().map_or(until, |_| named("until"));
    let (from, before) = (from.unwrap_or(after), before.unwrap_or(last));
    let now = query.now();
    let head = format!(
        "SELECT l.position, {from} AS since, {before} AS until, greatest(l.appended_at, {now}) AS now \
         FROM {schema}.log l WHERE l.id = 1"
    );
    Ok(Span { head, since, until })
}

fn page_of<R: Cells>(request: &ReadRequest, rows: &[R]) -> Result<Told, Error> {
    let first = rows.first().ok_or_else(headless)?;
    let ends = Ends {
        head: position(first.cell(0)?),
        until: position(first.cell(1)?),
    };
    let stream = match &request.selection {
        Selection::Stream(stream) => Some(stream_head_of(first, STREAM, stream)?),
        _ => None,
    };
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        // Nothing, where there is no event at all.
        let found: Option<i64> = row.cell(EVENT)?;
        if found.is_some() {
            let more: bool = row.cell(TOLD)?;
            events.push((event_of(row, EVENT)?, more));
        }
    }
    in_order(request.direction, &mut events, |(event, _)| {
        event.position()
    });
    let rest = events.last().is_some_and(|(_, more)| *more);
    let events = events.into_iter().map(|(event, _)| event).collect();
    ends.page(request, events, rest, stream)
}

/// Where the log and the span of a request end.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) head: Position,
    pub(crate) until: Position,
}

impl Ends {
    /// The page of these events; `rest` where there is one after the last.
    pub(crate) fn page(
        self,
        request: &ReadRequest,
        events: Vec<RecordedEvent>,
        rest: bool,
        stream: Option<StreamHead>,
    ) -> Result<Told, Error> {
        check_not_ahead(&request.after, self.head)?;
        if let ConsistencyLevel::Session(cursor) = &request.consistency {
            check_not_ahead(cursor, self.head)?;
        }
        Ok(Told {
            page: request.page(events, rest, self.until, stream),
            head: self.head,
        })
    }
}

/// The log without the row of its head.
pub(crate) fn headless() -> Error {
    let message = "the log has lost the row of its head; restore it";
    Error::new(ErrorKind::Corrupt, message)
}

/// Sorts what comes in order already: no rule of SQL says so, and to sort what is sorted costs next to nothing.
pub(crate) fn in_order<T>(
    direction: Direction,
    events: &mut [T],
    position: impl Fn(&T) -> Position,
) {
    match direction {
        Direction::Forward => events.sort_by_key(position),
        Direction::Backward => events.sort_by_key(|event| Reverse(position(event))),
    }
}
