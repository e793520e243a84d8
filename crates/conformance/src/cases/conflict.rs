//! A conflict says everything that failed, and where the events are that made it fail.

use annals_core::limits::CONFLICT_POSITIONS_MAX;
use annals_core::{Cursor, Expected, FailedCheck, PolicyAction, Position, StreamState, Version};

use crate::bench::{Bench, Step};
use crate::case::cases;
use crate::failure::{Verdict, check_eq};
use crate::names::{criteria, event, event_id, stream, typed};

cases! {
    tells_the_actual_version_and_the_events_since;
    tells_every_event_where_no_stream_was_expected;
    tells_no_event_where_too_few_were_recorded;
    lists_every_failing_write needs [MultiStreamAppends];
    lists_every_failing_check needs [MultiStreamAppends, StreamChecks];
    lists_everything_in_order needs [MultiStreamAppends, StreamChecks, Conditions, UniqueEventIds];
    lists_the_oldest_positions_of_a_stream;
    lists_the_oldest_positions_of_a_condition needs [Conditions];
    lists_visible_events_only needs [StreamPolicies];
    tells_a_soft_deleted_stream needs [StreamPolicies];
}

fn failed(of: &str, expected: Expected, actual: u64, positions: Vec<Position>) -> FailedCheck {
    FailedCheck::Stream {
        stream: stream(of),
        expected,
        actual: Version::new(actual),
        state: StreamState::Open,
        positions,
    }
}

fn positions(steps: &[Step]) -> Vec<Position> {
    steps.iter().map(|step| step.position).collect()
}

const fn exactly(version: u64) -> Expected {
    Expected::Exactly(Version::new(version))
}

async fn tells_the_actual_version_and_the_events_since(bench: &Bench) -> Verdict {
    let steps = bench.write_each("a-1", 3).await?;
    bench.write("b-1", &["between"]).await?;
    let last = bench.write("a-1", &["4"]).await?;
    let mut all = positions(&steps);
    all.push(last.first_position);
    for version in 0..4 {
        let append = bench
            .fresh()
            .write(stream("a-1"), exactly(version), [event("lost")]);
        let since: Vec<Position> = all
            .iter()
            .copied()
            .skip(usize::try_from(version).unwrap_or(0))
            .collect();
        let expected = failed("a-1", exactly(version), 4, since);
        check_eq(
            "the failing checks",
            bench.conflict(append).await?,
            [expected],
        )?;
    }
    Ok(())
}

async fn tells_every_event_where_no_stream_was_expected(bench: &Bench) -> Verdict {
    let mut all = positions(&bench.write_each("a-1", 3).await?);
    bench.write("b-1", &["other"]).await?;
    all.push(bench.write("a-1", &["4"]).await?.first_position);
    let append = bench
        .fresh()
        .write(stream("a-1"), Expected::NoStream, [event("lost")]);
    let expected = failed("a-1", Expected::NoStream, 4, all);
    check_eq(
        "the failing checks",
        bench.conflict(append).await?,
        [expected],
    )
}

async fn tells_no_event_where_too_few_were_recorded(bench: &Bench) -> Verdict {
    bench.write_each("a-1", 2).await?;
    for expected in [exactly(3), Expected::Exactly(Version::MAX)] {
        let append = bench
            .fresh()
            .write(stream("a-1"), expected, [event("lost")]);
        let found = bench.conflict(append).await?;
        check_eq(
            "the failing checks",
            found,
            [failed("a-1", expected, 2, vec![])],
        )?;
    }
    let append = bench
        .fresh()
        .write(stream("b-1"), Expected::StreamExists, [event("lost")]);
    let expected = failed("b-1", Expected::StreamExists, 0, vec![]);
    check_eq(
        "the failing checks",
        bench.conflict(append).await?,
        [expected],
    )
}

async fn lists_every_failing_write(bench: &Bench) -> Verdict {
    let a = bench.write("a-1", &["x"]).await?;
    let c = bench.write("c-1", &["y"]).await?;
    let append = bench
        .fresh()
        .write(stream("c-1"), Expected::NoStream, [event("lost")])
        .write(stream("b-1"), Expected::NoStream, [event("lost")])
        .write(stream("a-1"), exactly(0), [event("lost")])
        .write(stream("d-1"), exactly(1), [event("lost")]);
    let expected = [
        failed("c-1", Expected::NoStream, 1, vec![c.first_position]),
        failed("a-1", exactly(0), 1, vec![a.first_position]),
        failed("d-1", exactly(1), 0, vec![]),
    ];
    check_eq(
        "the failing checks",
        bench.conflict(append).await?,
        expected,
    )
}

async fn lists_every_failing_check(bench: &Bench) -> Verdict {
    let a = bench.write("a-1", &["x"]).await?;
    let b = bench.write("b-1", &["y"]).await?;
    let append = bench
        .fresh()
        .write(stream("b-1"), Expected::NoStream, [event("lost")])
        .check(stream("z-1"), Expected::StreamExists)
        .check(stream("c-1"), Expected::NoStream)
        .check(stream("a-1"), Expected::NoStream);
    let expected = [
        failed("b-1", Expected::NoStream, 1, vec![b.first_position]),
        failed("z-1", Expected::StreamExists, 0, vec![]),
        failed("a-1", Expected::NoStream, 1, vec![a.first_position]),
    ];
    check_eq(
        "the failing checks",
        bench.conflict(append).await?,
        expected,
    )
}

async fn lists_everything_in_order(bench: &Bench) -> Verdict {
    let (first, second) = (event_id(1), event_id(2));
    let held = [event("x").with_id(first), event("y").with_id(second)];
    let a = bench
        .append(bench.fresh().write(stream("a-1"), Expected::Any, held))
        .await?;
    let after_a = bench.mark().await?;
    let b = bench
        .append(
            bench
                .fresh()
                .write(stream("b-1"), Expected::Any, [typed("hot", &["t:1"], "z")]),
        )
        .await?;
    let (hot, cold) = (criteria(&[(&["hot"], &[])]), criteria(&[(&["cold"], &[])]));
    let tagged = criteria(&[(&[], &["t:1"])]);
    let events = [
        event("lost").with_id(second),
        event("lost"),
        event("lost").with_id(first),
    ];
    let append = bench
        .fresh()
        .unless(hot.clone(), Cursor::START)
        .check(stream("b-1"), Expected::NoStream)
        .unless(cold, Cursor::START)
        .unless(tagged.clone(), after_a.clone())
        .write(stream("a-1"), exactly(1), events);
    let condition = |index, unless, after| FailedCheck::Condition {
        index,
        unless,
        after,
        positions: vec![b.first_position],
    };
    let expected = [
        failed("a-1", exactly(1), 2, vec![a.last_position]),
        failed("b-1", Expected::NoStream, 1, vec![b.first_position]),
        condition(0, hot, Cursor::START),
        condition(2, tagged, after_a.clone()),
        FailedCheck::EventId {
            id: second,
            position: a.last_position,
        },
        FailedCheck::EventId {
            id: first,
            position: a.first_position,
        },
    ];
    check_eq(
        "the failing checks",
        bench.conflict(append).await?,
        expected,
    )
}

async fn lists_the_oldest_positions_of_a_stream(bench: &Bench) -> Verdict {
    let all = positions(&bench.write_each("a-1", 20).await?);
    for (version, count) in [(0, 16), (3, 16), (4, 16), (5, 15)] {
        let append = bench
            .fresh()
            .write(stream("a-1"), exactly(version), [event("lost")]);
        let skipped = usize::try_from(version).unwrap_or(0);
        let listed: Vec<Position> = all
            .iter()
            .copied()
            .skip(skipped)
            .take(CONFLICT_POSITIONS_MAX)
            .collect();
        check_eq("how many positions are to be listed", listed.len(), count)?;
        let expected = failed("a-1", exactly(version), 20, listed);
        check_eq(
            "the failing checks",
            bench.conflict(append).await?,
            [expected],
        )?;
    }
    Ok(())
}

async fn lists_the_oldest_positions_of_a_condition(bench: &Bench) -> Verdict {
    let steps = bench.write_each("a-1", 20).await?;
    let unless = criteria(&[(&["noted"], &[])]);
    let Some(second) = steps.get(1) else {
        return Ok(());
    };
    let append = bench
        .fresh()
        .write(stream("b-1"), Expected::Any, [event("lost")])
        .unless(unless.clone(), second.mark.clone());
    let expected = FailedCheck::Condition {
        index: 0,
        unless,
        after: second.mark.clone(),
        positions: positions(&steps)
            .into_iter()
            .skip(2)
            .take(CONFLICT_POSITIONS_MAX)
            .collect(),
    };
    check_eq(
        "the failing checks",
        bench.conflict(append).await?,
        [expected],
    )
}

async fn lists_visible_events_only(bench: &Bench) -> Verdict {
    let all = positions(&bench.write_each("a-1", 4).await?);
    let retain = |count| PolicyAction::Retain {
        max_age: None,
        max_count: Some(count),
    };
    bench.change_policy("a-1", retain(2)).await?;
    let append = |expected| {
        bench
            .fresh()
            .write(stream("a-1"), expected, [event("lost")])
    };
    let since = all.iter().copied().skip(2).collect();
    let expected = failed("a-1", exactly(0), 4, since);
    let found = bench.conflict(append(exactly(0))).await?;
    check_eq("the failing checks", found, [expected])?;
    bench.change_policy("a-1", retain(0)).await?;
    for expectation in [exactly(0), Expected::NoStream] {
        let expected = failed("a-1", expectation, 4, vec![]);
        let found = bench.conflict(append(expectation)).await?;
        check_eq("the failing checks", found, [expected])?;
    }
    Ok(())
}

async fn tells_a_soft_deleted_stream(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1", "2"]).await?;
    bench.change_policy("a-1", PolicyAction::SoftDelete).await?;
    for expectation in [Expected::StreamExists, exactly(1)] {
        let append = bench
            .fresh()
            .write(stream("a-1"), expectation, [event("lost")]);
        let expected = FailedCheck::Stream {
            stream: stream("a-1"),
            expected: expectation,
            actual: Version::new(2),
            state: StreamState::SoftDeleted,
            positions: vec![],
        };
        let found = bench.conflict(append).await?;
        check_eq("the failing checks", found, [expected])?;
    }
    Ok(())
}
