//! Policies of streams: as rows, and how one is changed.

use std::time::Duration;

use annals_core::{
    Conflict, Error, ErrorKind, PolicyAction, PolicyChange, StreamHead, StreamPolicy, StreamState,
    Version,
};
use tokio_postgres::{Client, IsolationLevel, Transaction};

use crate::ask::Cells;
use crate::command::bigint;
use crate::error::{of_change, of_statement};
use crate::judge::{failed_expectation, first_shown, stream_head};
use crate::store::Shared;

/// The policy in a row, from this column on: state, first version shown, age, count; all of it nothing for a stream
/// without a policy.
pub(crate) fn policy_of(row: &impl Cells, first: usize) -> Result<StreamPolicy, Error> {
    let state: Option<i16> = row.cell(first)?;
    let mut policy = StreamPolicy::default();
    let Some(state) = state else {
        return Ok(policy);
    };
    let truncate_before: i64 = row.cell(first + 1)?;
    let max_age: Option<&str> = row.cell(first + 2)?;
    let max_count: Option<&str> = row.cell(first + 3)?;
    policy.state = state_of(state);
    policy.truncate_before = Version::new(u64::try_from(truncate_before).unwrap_or_default());
    policy.max_age = max_age.map(duration_of).transpose()?;
    policy.max_count = max_count.map(parsed).transpose()?;
    Ok(policy)
}

/// The number of a stream that is closed for good.
pub(crate) const TOMBSTONED: i16 = 2;

fn state_of(number: i16) -> StreamState {
    match number {
        0 => StreamState::Open,
        1 => StreamState::SoftDeleted,
        _ => StreamState::Tombstoned,
    }
}

fn number_of(state: StreamState) -> i16 {
    match state {
        StreamState::Open => 0,
        StreamState::SoftDeleted => 1,
        _ => TOMBSTONED,
    }
}

/// Seconds with nine decimals.
fn text_of(duration: Duration) -> String {
    format!("{}.{:09}", duration.as_secs(), duration.subsec_nanos())
}

fn duration_of(text: &str) -> Result<Duration, Error> {
    let (seconds, nanoseconds) = text.split_once('.').unwrap_or((text, "0"));
    Ok(Duration::new(parsed(seconds)?, parsed(nanoseconds)?))
}

fn parsed<T: std::str::FromStr<Err = std::num::ParseIntError>>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|error| {
        let message = "the database holds a policy that breaks a rule";
        Error::new(ErrorKind::Corrupt, message)
            .with("number", text)
            .caused_by(error)
    })
}

/// Changes a policy, judged under the lock that appends take.
pub(crate) async fn change(shared: &Shared, change: &PolicyChange) -> Result<StreamHead, Error> {
    let mut client = shared.client().await?;
    let client: &mut Client = &mut client;
    let builder = client
        .build_transaction()
        .isolation_level(IsolationLevel::ReadCommitted);
    let transaction = builder.start().await.map_err(of_statement)?;
    let head = change_in(shared, &transaction, change).await?;
    transaction.commit().await.map_err(of_change)?;
    Ok(head)
}

async fn change_in(
    shared: &Shared,
    transaction: &Transaction<'_>,
    change: &PolicyChange,
) -> Result<StreamHead, Error> {
    let PolicyChange {
        stream,
        expected,
        action,
    } = change;
    let statements = &shared.statements;
    let at_time = shared.at_time();
    transaction
        .query_one(&statements.lock, &[])
        .await
        .map_err(of_statement)?;
    let mut head = stream_head(transaction, statements, stream).await?;
    if *action != PolicyAction::Tombstone || head.policy.state != StreamState::Tombstoned {
        let failed =
            failed_expectation(transaction, statements, (stream, *expected), at_time).await?;
        if let Some(conflict) = Conflict::of(failed.into_iter().collect()) {
            return Err(conflict.into());
        }
    }
    let first_shown = first_shown(transaction, statements, stream, at_time).await?;
    if let Some(policy) = head.policy.changed(action, head.version, first_shown)
        && policy != head.policy
    {
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] = [
            &stream.as_str(),
            &number_of(policy.state),
            &bigint(policy.truncate_before.value()),
            &policy.max_age.map(text_of),
            &policy.max_count.map(|count| count.to_string()),
        ];
        transaction
            .execute(&statements.save_policy, &values)
            .await
            .map_err(of_statement)?;
        head.policy = policy;
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_survives_its_text() {
        for duration in [Duration::ZERO, Duration::new(1, 5), Duration::MAX] {
            assert_eq!(duration_of(&text_of(duration)).unwrap(), duration);
        }
        assert!(duration_of("x").is_err());
    }

    #[test]
    fn a_state_survives_its_number() {
        for state in [
            StreamState::Open,
            StreamState::SoftDeleted,
            StreamState::Tombstoned,
        ] {
            assert_eq!(state_of(number_of(state)), state);
        }
    }
}
