//! What stands against an append that was refused, and the receipt of one that was recorded before: asked of one
//! state of the log, in words that the contract has.

use annals_concurrency::OptimisticConcurrency;
use annals_core::limits::CONFLICT_POSITIONS_MAX;
use annals_core::{
    Answer, Append, AppendId, Condition, Conflict, Cursor, Error, ErrorKind, EventId, Expected,
    FailedCheck, Position, Receipt, Selection, StreamHead, StreamId, StreamReceipt, Timestamp,
    Version,
};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::ask::{Ask, Cells, Values, one};
use crate::command::{bigint, single};
use crate::policy::policy_of;
use crate::query::Query;
use crate::sql::Statements;
use crate::store::{check_not_ahead, position};

/// Every check of the append that fails, as an error; `None` when it could be recorded now, or its id was recorded
/// meanwhile, so that it has to be sent again. The client has to see one state of the log throughout.
pub(crate) async fn explain(
    client: &impl Ask,
    statements: &Statements,
    append: &Append,
    at_time: Option<i64>,
) -> Result<Option<Error>, Error> {
    let id = append.id();
    let values: Values<'_> = &[(&id.as_str(), Type::TEXT)];
    let row = one(client, &statements.head_without, values).await?;
    let head = position(row.cell(0)?);
    if row.cell(1)? {
        return Ok(None);
    }
    let mut failures = Vec::new();
    for (stream, expected) in append.expectations() {
        failures.extend(failed_expectation(client, statements, (stream, expected), at_time).await?);
    }
    for (index, condition) in append.conditions().iter().enumerate() {
        check_not_ahead(&condition.after, head)?;
        let positions = offending(client, statements, condition, at_time).await?;
        if !positions.is_empty() {
            let Condition { unless, after } = condition.clone();
            failures.push(FailedCheck::Condition {
                index,
                unless,
                after,
                positions,
            });
        }
    }
    failures.extend(taken(client, statements, append).await?);
    Ok(Conflict::of(failures).map(Error::from))
}

/// Judges an expectation of a stream.
pub(crate) async fn failed_expectation(
    client: &impl Ask,
    statements: &Statements,
    (stream, expected): (&StreamId, Expected),
    at_time: Option<i64>,
) -> Result<Option<FailedCheck>, Error> {
    let found = stream_head(client, statements, stream).await?;
    let mut listed_after = None;
    let state = (found.version, found.policy.state);
    let mut failure = OptimisticConcurrency::judge(stream, expected, state, |after| {
        listed_after = Some(after);
        Vec::new()
    });
    if let (Some(FailedCheck::Stream { positions, .. }), Some(after)) = (&mut failure, listed_after)
    {
        *positions = offending_in_stream(client, statements, stream, after, at_time).await?;
    }
    Ok(failure)
}

/// The positions of the shown events of a stream after a version, as many as a conflict lists.
async fn offending_in_stream(
    client: &impl Ask,
    statements: &Statements,
    stream: &StreamId,
    after: Version,
    at_time: Option<i64>,
) -> Result<Vec<Position>, Error> {
    if after == Version::MAX {
        return Ok(Vec::new());
    }
    let query = shown_in_stream(statements, stream, after, at_time)?;
    positions(
        client,
        query.first("position", "version", CONFLICT_POSITIONS_MAX),
    )
    .await
}

/// The version of the first event of a stream that reads show.
pub(crate) async fn first_shown(
    client: &impl Ask,
    statements: &Statements,
    stream: &StreamId,
    at_time: Option<i64>,
) -> Result<Option<Version>, Error> {
    let query = shown_in_stream(statements, stream, Version::ABSENT, at_time)?;
    let found = query.first("version", "version", 1).run(client).await?;
    let version = found.first().map(|row| row.cell::<i64>(0)).transpose()?;
    Ok(version.map(|version| Version::new(u64::try_from(version).unwrap_or_default())))
}

/// The events of a stream after a version that reads show.
fn shown_in_stream(
    statements: &Statements,
    stream: &StreamId,
    after: Version,
    at_time: Option<i64>,
) -> Result<Query, Error> {
    let mut query = Query::new(&statements.schema, at_time);
    query.select(&Selection::Stream(stream.clone()))?;
    query.beyond("e.version", bigint(after.value()));
    query.shown(&query.log_time());
    Ok(query)
}

/// The positions of the shown events that a condition rules out, as many as a conflict lists.
async fn offending(
    client: &impl Ask,
    statements: &Statements,
    condition: &Condition,
    at_time: Option<i64>,
) -> Result<Vec<Position>, Error> {
    let mut query = Query::new(&statements.schema, at_time);
    query.select(&Selection::Criteria(condition.unless.clone()))?;
    let since = query.value(bigint(single(condition)?.value()), Type::INT8);
    query.between(&since, None);
    query.shown(&query.log_time());
    positions(
        client,
        query.first("position", "position", CONFLICT_POSITIONS_MAX),
    )
    .await
}

async fn positions(client: &impl Ask, query: Query) -> Result<Vec<Position>, Error> {
    let rows = query.run(client).await?;
    rows.iter().map(|row| row.cell(0).map(position)).collect()
}

/// The event ids that the application chose and the log has already.
async fn taken(
    client: &impl Ask,
    statements: &Statements,
    append: &Append,
) -> Result<Vec<FailedCheck>, Error> {
    let given = append.events().filter_map(|(_, event)| event.id());
    let given: Vec<Uuid> = given.map(EventId::as_uuid).collect();
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let values: Values<'_> = &[(&given, Type::UUID_ARRAY)];
    let rows = client.ask(&statements.given, values).await?;
    let mut failures = Vec::new();
    for uuid in given {
        for row in &rows {
            if row.cell::<Uuid>(0)? == uuid {
                failures.push(FailedCheck::EventId {
                    id: EventId::new(uuid)?,
                    position: position(row.cell(1)?),
                });
            }
        }
    }
    Ok(failures)
}

/// The version and the policy of a stream.
pub(crate) async fn stream_head(
    client: &impl Ask,
    statements: &Statements,
    stream: &StreamId,
) -> Result<StreamHead, Error> {
    let values: Values<'_> = &[(&stream.as_str(), Type::TEXT)];
    let row = one(client, &statements.stream, values).await?;
    stream_head_of(&row, 0, stream)
}

/// The head of a stream in a row: its version, and the four columns of its policy, from this column on.
pub(crate) fn stream_head_of(
    row: &impl Cells,
    first: usize,
    stream: &StreamId,
) -> Result<StreamHead, Error> {
    let version: i64 = row.cell(first)?;
    Ok(StreamHead {
        stream: stream.clone(),
        version: Version::new(u64::try_from(version).unwrap_or_default()),
        policy: policy_of(row, first + 1)?,
    })
}

/// The receipt of an append that was recorded, as the answer to a retry.
pub(crate) async fn receipt(
    client: &impl Ask,
    statements: &Statements,
    id: &AppendId,
) -> Result<Option<Receipt>, Error> {
    let values: Values<'_> = &[(&id.as_str(), Type::TEXT)];
    let rows = client.ask(&statements.receipt, values).await?;
    receipt_of(&rows, *id)
}

fn receipt_of<R: Cells>(rows: &[R], append_id: AppendId) -> Result<Option<Receipt>, Error> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Ok(None);
    };
    let version = |row: &R, column: usize| {
        row.cell::<i64>(column)
            .map(|number| Version::new(u64::try_from(number).unwrap_or_default()))
    };
    let streams = rows.iter().map(|row| {
        Ok(StreamReceipt {
            stream: StreamId::parse(row.cell(0)?)?,
            first_version: version(row, 1)?,
            last_version: version(row, 2)?,
        })
    });
    let last_position = position(last.cell(4)?);
    Ok(Some(Receipt {
        append_id,
        first_position: position(first.cell(3)?),
        last_position,
        streams: streams.collect::<Result<_, Error>>()?,
        cursor: Cursor::at(last_position),
        appended_at: Timestamp::from_micros(first.cell(5)?),
        answer: Answer::Duplicate,
    }))
}

/// Why an append is refused whose id stands for another content.
pub(crate) async fn reused(client: &impl Ask, statements: &Statements, id: &AppendId) -> Error {
    let message = "append id stands for other content; use a fresh id";
    let error = Error::new(ErrorKind::AppendIdReused, message).with("append_id", id);
    let values: Values<'_> = &[(&id.as_str(), Type::TEXT)];
    let found = client.ask(&statements.content, values).await;
    let found = found.map_err(Error::from);
    let first = found.and_then(|rows| rows.first().map(|row| row.cell::<i64>(0)).transpose());
    match first {
        Ok(Some(first)) => error.with("first_position", first),
        _ => error,
    }
}
