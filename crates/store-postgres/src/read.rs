//! Pages of events: one statement each, so that all of a page is of one state of the log.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicBool, Ordering};

use annals_core::{
    ConsistencyLevel, Direction, Error, Page, Position, ReadRequest, RecordedEvent, Selection,
    Timestamp,
};
use deadpool_postgres::Object;
use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, IsolationLevel, Row, Transaction};

use crate::command::{bigint, number};
use crate::error::of_statement;
use crate::judge::stream_head_of;
use crate::query::{Query, order_of};
use crate::row::{COLUMNS, COLUMNS_COUNT, event_of};
use crate::store::{check_not_ahead, position};

/// The column after those that tell where the log and the request's span end: why a quick query gives no events, in
/// one for every log whether there is an event after this one.
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

/// One page of the answer to a request that was validated, and where the log ends. Whether the log has policies is
/// noted, as a log never loses the last one.
pub(crate) async fn page(
    client: &Object,
    schema: &str,
    request: ReadRequest,
    at_time: Option<i64>,
    has_policies: &AtomicBool,
) -> Result<(Page, Position), Error> {
    if is_usual(&request) && !has_policies.load(Ordering::Relaxed) {
        let query = query_of(schema, &request, at_time, Form::Quick)?;
        let rows = run_usual(client, &query).await?;
        match refusal_of(&rows)? {
            None => return page_of(&request, &rows, Form::Quick),
            Some(Refusal::Policies) => has_policies.store(true, Ordering::Relaxed),
            Some(Refusal::Bytes) => {}
        }
    }
    let query = query_of(schema, &request, at_time, Form::Whole)?;
    let rows = if is_usual(&request) {
        run_usual(client, &query).await?
    } else {
        query.run(&***client).await?
    };
    page_of(&request, &rows, Form::Whole)
}

/// The same within a transaction of the application, whose connection keeps no plan of ours.
pub(crate) async fn page_in(
    transaction: &(impl GenericClient + Sync),
    schema: &str,
    request: ReadRequest,
    at_time: Option<i64>,
) -> Result<Page, Error> {
    let query = query_of(schema, &request, at_time, Form::Whole)?;
    let rows = query.run(transaction).await?;
    page_of(&request, &rows, Form::Whole).map(|(page, _)| page)
}

/// Which of the two queries of a page it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// For a log without policies and events that fit into the page: looks at nothing else, and tells where that is
    /// not so.
    Quick,
    /// For every log.
    Whole,
}

/// Why a quick query gave no events.
enum Refusal {
    /// There are policies, which it does not look at.
    Policies,
    /// The events are too large for one page.
    Bytes,
}

impl Refusal {
    /// As the query tells it.
    fn of_name(name: &str) -> Self {
        if name == "policies" {
            Self::Policies
        } else {
            Self::Bytes
        }
    }
}

/// Whether a plan is good for every request of this form, so that it is made once for each connection.
fn is_usual(request: &ReadRequest) -> bool {
    matches!(request.selection, Selection::All | Selection::Stream(_))
}

/// Runs a query whose plan is kept.
async fn run_usual(client: &Object, query: &Query) -> Result<Vec<Row>, Error> {
    let types = query.types();
    let statement = client.prepare_typed_cached(query.text(), &types).await;
    let statement = statement.map_err(of_statement)?;
    let rows = client.query(&statement, &query.values()).await;
    rows.map_err(of_statement)
}

fn refusal_of(rows: &[Row]) -> Result<Option<Refusal>, Error> {
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let refusal: Option<&str> = first.try_get(TOLD).map_err(of_statement)?;
    Ok(refusal.map(Refusal::of_name))
}

fn query_of(
    schema: &str,
    request: &ReadRequest,
    at_time: Option<i64>,
    form: Form,
) -> Result<Query, Error> {
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
            query.beyond("e.version", bigint(request.after_version.value()));
            let until = query.value(bigint(request.until_version.value()), Type::INT8);
            query.require(format!("e.version <= {until}"));
            let stream = query.value(stream.to_string(), Type::TEXT);
            ("version", stream_of(schema, &stream, form))
        }
        _ => ("position", Stream::default()),
    };
    let text = match form {
        Form::Quick => {
            let (refusal, events) = uncut(&mut query, request, (key, order));
            format!(
                "WITH h AS MATERIALIZED ({head}), c AS MATERIALIZED ({refusal}) \
                 SELECT h.position, h.until, c.refusal, {COLUMNS}{} FROM h CROSS JOIN c{} LEFT JOIN ({events}) q ON true",
                stream.columns, stream.joins
            )
        }
        Form::Whole => {
            query.shown(NOW);
            let events = cut(&mut query, request, (key, order));
            format!(
                "WITH h AS MATERIALIZED ({head}) \
                 SELECT h.position, h.until, q.more, {COLUMNS}{} FROM h{} LEFT JOIN ({events}) q ON true",
                stream.columns, stream.joins
            )
        }
    };
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

fn stream_of(schema: &str, stream: &str, form: Form) -> Stream {
    let version = format!(
        "coalesce((SELECT v.version FROM {schema}.events v WHERE v.stream = {stream} ORDER BY v.version DESC LIMIT 1), 0)"
    );
    match form {
        Form::Quick => Stream {
            columns: format!(", {version}, NULL::smallint"),
            joins: String::new(),
        },
        Form::Whole => Stream {
            columns: format!(
                ", {version}, p.state, p.truncate_before, p.max_age::text, p.max_count::text"
            ),
            joins: format!(" LEFT JOIN {schema}.stream_policies p ON p.stream = {stream}"),
        },
    }
}

/// Limits of a page as parameters: one event more than it has, and its bytes.
fn limits_of(query: &mut Query, request: &ReadRequest) -> [String; 2] {
    let count = i64::from(number(request.events_max));
    let bytes = i64::try_from(request.bytes_max).unwrap_or(i64::MAX);
    [count + 1, bytes].map(|limit| query.value(limit, Type::INT8))
}

/// Whether the events of a page and one more may be taken as they are: no stream has a policy, and the sum of their
/// sizes fits. And these events, where they may.
fn uncut(query: &mut Query, request: &ReadRequest, by: (&str, &str)) -> (String, String) {
    let [limit, bytes] = limits_of(query, request);
    let schema = query.schema();
    let sizes = query.events("e.bytes", by, &limit);
    let refusal = format!(
        "SELECT CASE WHEN EXISTS (SELECT FROM {schema}.stream_policies) THEN 'policies' \
         WHEN (SELECT sum(n.bytes) FROM ({sizes}) n) > {bytes} THEN 'bytes' END AS refusal"
    );
    let count = format!("CASE WHEN (SELECT c.refusal FROM c) IS NULL THEN {limit} ELSE 0 END");
    (refusal, query.events("e.*", by, &count))
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

fn page_of(request: &ReadRequest, rows: &[Row], form: Form) -> Result<(Page, Position), Error> {
    let Some(first) = rows.first() else {
        return Err(Error::new(
            annals_core::ErrorKind::Corrupt,
            "the log has lost the row of its head; restore it",
        ));
    };
    let head = position(first.try_get(0).map_err(of_statement)?);
    let until = position(first.try_get(1).map_err(of_statement)?);
    check_not_ahead(&request.after, head)?;
    if let ConsistencyLevel::Session(cursor) = &request.consistency {
        check_not_ahead(cursor, head)?;
    }
    let stream = match &request.selection {
        Selection::Stream(stream) => Some(stream_head_of(first, STREAM, stream)?),
        _ => None,
    };
    let (events, rest) = events_of(request, rows, form)?;
    Ok((request.page(events, rest, until, stream), head))
}

/// The events in the rows, in order, and whether there is one after the last.
fn events_of(
    request: &ReadRequest,
    rows: &[Row],
    form: Form,
) -> Result<(Vec<RecordedEvent>, bool), Error> {
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        // Nothing, where there is no event at all.
        let found: Option<i64> = row.try_get(EVENT).map_err(of_statement)?;
        if found.is_some() {
            events.push((event_of(row, EVENT)?, more_of(row, form)?));
        }
    }
    // They come in order, but no rule of SQL says so, and to sort what is sorted costs next to nothing.
    match request.direction {
        Direction::Forward => events.sort_by_key(|(event, _)| event.position()),
        Direction::Backward => events.sort_by_key(|(event, _)| Reverse(event.position())),
    }
    let is_whole = events.len() <= request.events_max;
    events.truncate(request.events_max);
    // Where the server does not tell, it was asked for one more than the page has.
    let rest = match events.last() {
        Some((_, Some(more))) => *more,
        _ => !is_whole,
    };
    Ok((events.into_iter().map(|(event, _)| event).collect(), rest))
}

/// Whether there is an event after the one in this row, where the query tells.
fn more_of(row: &Row, form: Form) -> Result<Option<bool>, Error> {
    match form {
        Form::Quick => Ok(None),
        Form::Whole => row.try_get(TOLD).map_err(of_statement),
    }
}
