//! Dynamic consistency boundaries: append unless an event of some criteria came after a cursor.

use annals_core::{
    Criteria, Cursor, Expected, FailedCheck, PolicyAction, Position, ReadRequest, Version,
};

use crate::bench::Bench;
use crate::case::cases;
use crate::failure::{Failure, Verdict, check_eq};
use crate::names::{criteria, event, stream, tags, typed};
use crate::pages;

cases! {
    criteria_rule_out_what_they_select needs [Conditions];
    an_event_at_the_cursor_does_not_count needs [Conditions];
    an_event_inside_an_append_can_be_the_cursor needs [Conditions, TotalOrder];
    any_stream_counts needs [Conditions];
    a_failing_condition_writes_nothing needs [Conditions];
    all_of_several_conditions_must_hold needs [Conditions];
    each_condition_has_its_own_cursor needs [Conditions];
    events_of_the_append_itself_do_not_count needs [Conditions];
    a_read_gives_the_cursor_for_the_decision needs [Conditions];
    conditions_and_expectations_must_both_hold needs [Conditions];
    hidden_events_do_not_count needs [Conditions, StreamPolicies];
}

fn guarded(bench: &Bench, unless: &Criteria, after: &Cursor) -> annals_core::AppendBuilder {
    bench
        .fresh()
        .write(
            stream("guarded-1"),
            Expected::Any,
            [typed("guarded", &["g"], "g")],
        )
        .unless(unless.clone(), after.clone())
}

/// Expects the condition to fail because of events at these positions.
async fn fails(
    bench: &Bench,
    unless: &Criteria,
    after: &Cursor,
    positions: &[Position],
) -> Verdict {
    let expected = FailedCheck::Condition {
        index: 0,
        unless: unless.clone(),
        after: after.clone(),
        positions: positions.to_vec(),
    };
    let found = bench.conflict(guarded(bench, unless, after)).await?;
    check_eq("the failing checks", found, [expected])
}

async fn holds(bench: &Bench, unless: &Criteria, after: &Cursor) -> Verdict {
    bench.append(guarded(bench, unless, after)).await.map(drop)
}

/// An item of criteria as text: types and tags.
pub(super) type Item = (&'static [&'static str], &'static [&'static str]);
/// An event as text, a type and tags; and whether the criteria above it select it.
pub(super) type Row = (&'static str, &'static [&'static str], bool);

/// Criteria, and events that they select or not.
pub(super) const SELECTIONS: &[(&[Item], &[Row])] = &[
    (&[(&[], &[])], &[("e", &[], true), ("f", &["t:1"], true)]),
    (
        &[(&["e"], &[])],
        &[
            ("e", &[], true),
            ("e", &["t:1", "t:2"], true),
            ("f", &[], false),
            ("ee", &[], false),
            ("E", &[], false),
        ],
    ),
    (
        &[(&["e", "f"], &[])],
        &[("e", &[], true), ("f", &[], true), ("g", &["t:1"], false)],
    ),
    (
        &[(&[], &["t:1"])],
        &[
            ("e", &["t:1"], true),
            ("f", &["s:1", "t:1", "u:1"], true),
            ("e", &[], false),
            ("e", &["t:12"], false),
            ("e", &["t:"], false),
            ("e", &["T:1"], false),
            ("t:1", &["e"], false),
        ],
    ),
    (
        &[(&[], &["t:1", "t:2"])],
        &[
            ("e", &["t:1", "t:2"], true),
            ("e", &["t:1", "t:2", "t:3"], true),
            ("e", &["t:1"], false),
            ("e", &["t:2", "t:3"], false),
        ],
    ),
    (
        &[(&["e", "f"], &["t:1", "t:2"])],
        &[
            ("f", &["t:1", "t:2"], true),
            ("f", &["t:1"], false),
            ("g", &["t:1", "t:2"], false),
            ("e", &[], false),
        ],
    ),
    (
        &[(&["e"], &["t:1"]), (&["f"], &["t:2"]), (&[], &["all"])],
        &[
            ("e", &["t:1"], true),
            ("f", &["t:2"], true),
            ("g", &["all"], true),
            ("e", &["t:2"], false),
            ("f", &["t:1"], false),
            ("g", &["t:1", "t:2"], false),
        ],
    ),
];

async fn criteria_rule_out_what_they_select(bench: &Bench) -> Verdict {
    for (items, rows) in SELECTIONS {
        let unless = criteria(items);
        for (of, tagged, selected) in *rows {
            let before = bench.mark().await?;
            let new = typed(of, tagged, "new");
            let append = bench.fresh().write(stream("a-1"), Expected::Any, [new]);
            let receipt = bench.append(append).await?;
            let attempt = if *selected {
                fails(bench, &unless, &before, &[receipt.first_position]).await
            } else {
                holds(bench, &unless, &before).await
            };
            let what = format!("unless {unless}, after ({of}) with {:?}", tags(tagged));
            attempt.map_err(|failure| failure.during(what))?;
        }
    }
    Ok(())
}

async fn an_event_at_the_cursor_does_not_count(bench: &Bench) -> Verdict {
    let unless = criteria(&[(&["noted"], &[])]);
    holds(bench, &unless, &Cursor::START).await?;
    let steps = bench.write_each("a-1", 3).await?;
    let positions: Vec<Position> = steps.iter().map(|step| step.position).collect();
    fails(bench, &unless, &Cursor::START, &positions).await?;
    for (index, step) in steps.iter().enumerate() {
        let later: Vec<Position> = positions.iter().copied().skip(index + 1).collect();
        if later.is_empty() {
            holds(bench, &unless, &step.mark).await?;
        } else {
            fails(bench, &unless, &step.mark, &later).await?;
        }
    }
    Ok(())
}

async fn an_event_inside_an_append_can_be_the_cursor(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1", "2", "3", "4"]).await?;
    let unless = criteria(&[(&["noted"], &[])]);
    let events = bench.read(ReadRequest::all()).await?;
    for (index, event) in events.iter().enumerate() {
        let later: Vec<Position> = events
            .iter()
            .skip(index + 1)
            .map(annals_core::RecordedEvent::position)
            .collect();
        let cursor = Cursor::at(event.position());
        if later.is_empty() {
            holds(bench, &unless, &cursor).await?;
        } else {
            fails(bench, &unless, &cursor, &later).await?;
        }
    }
    Ok(())
}

async fn any_stream_counts(bench: &Bench) -> Verdict {
    let unless = criteria(&[(&["noted"], &[])]);
    for name in ["guarded-1", "guarded-2", "guarded", "other-1"] {
        let before = bench.mark().await?;
        let receipt = bench.write(name, &["x"]).await?;
        let failing = fails(bench, &unless, &before, &[receipt.first_position]).await;
        failing.map_err(|failure| failure.during(format!("an event of {name}")))?;
    }
    Ok(())
}

async fn a_failing_condition_writes_nothing(bench: &Bench) -> Verdict {
    let receipt = bench.write("a-1", &["x"]).await?;
    let unless = criteria(&[(&["noted"], &[])]);
    fails(bench, &unless, &Cursor::START, &[receipt.first_position]).await?;
    bench.is_at("guarded-1", 0).await?;
    bench.shows(ReadRequest::all(), &["x"]).await
}

async fn all_of_several_conditions_must_hold(bench: &Bench) -> Verdict {
    let hot = bench
        .append(
            bench
                .fresh()
                .write(stream("a-1"), Expected::Any, [typed("hot", &["t:1"], "x")]),
        )
        .await?;
    let broken = [criteria(&[(&["hot"], &[])]), criteria(&[(&[], &["t:1"])])];
    let whole = [
        criteria(&[(&["cold"], &[])]),
        criteria(&[(&["hot"], &["t:2"])]),
    ];
    let append = |order: &[&Criteria]| {
        let start = bench
            .fresh()
            .write(stream("guarded-1"), Expected::Any, [event("g")]);
        order.iter().fold(start, |append, unless| {
            append.unless((*unless).clone(), Cursor::START)
        })
    };
    let [hot_type, hot_tag] = &broken;
    let [cold_type, cold_tag] = &whole;
    for (order, failing) in [
        (vec![hot_type, cold_type], vec![0]),
        (vec![cold_type, hot_tag], vec![1]),
        (vec![hot_tag, cold_tag, hot_type], vec![0, 2]),
        (vec![cold_tag, cold_type, hot_type, hot_tag], vec![2, 3]),
    ] {
        let expected: Vec<FailedCheck> = failing
            .into_iter()
            .filter_map(|index| {
                Some(FailedCheck::Condition {
                    index,
                    unless: (*order.get(index)?).clone(),
                    after: Cursor::START,
                    positions: vec![hot.first_position],
                })
            })
            .collect();
        check_eq(
            "the failing checks",
            bench.conflict(append(&order)).await?,
            expected,
        )?;
    }
    bench.append(append(&[cold_type, cold_tag])).await.map(drop)
}

async fn each_condition_has_its_own_cursor(bench: &Bench) -> Verdict {
    let steps = bench.write_each("a-1", 2).await?;
    let [first, second] = steps.as_slice() else {
        return Err(Failure::new("two events were expected"));
    };
    let unless = criteria(&[(&["noted"], &[])]);
    let append = |one: &Cursor, other: &Cursor| {
        guarded(bench, &unless, one).unless(unless.clone(), other.clone())
    };
    for (one, other, failing) in [
        (&first.mark, &second.mark, Some(0)),
        (&second.mark, &first.mark, Some(1)),
        (&second.mark, &second.mark, None),
    ] {
        let Some(index) = failing else {
            bench.append(append(one, other)).await?;
            continue;
        };
        let expected = FailedCheck::Condition {
            index,
            unless: unless.clone(),
            after: first.mark.clone(),
            positions: vec![second.position],
        };
        check_eq(
            "the failing checks",
            bench.conflict(append(one, other)).await?,
            [expected],
        )?;
    }
    Ok(())
}

async fn events_of_the_append_itself_do_not_count(bench: &Bench) -> Verdict {
    let unless = criteria(&[(&["guarded"], &["g"])]);
    holds(bench, &unless, &Cursor::START).await?;
    let events = bench.read(ReadRequest::stream(stream("guarded-1"))).await?;
    let positions: Vec<Position> = events
        .iter()
        .map(annals_core::RecordedEvent::position)
        .collect();
    check_eq("how many events were recorded", positions.len(), 1)?;
    fails(bench, &unless, &Cursor::START, &positions).await
}

async fn a_read_gives_the_cursor_for_the_decision(bench: &Bench) -> Verdict {
    let choice = criteria(&[(&["hot"], &[])]);
    let hot = |label| {
        bench
            .fresh()
            .write(stream("a-1"), Expected::Any, [typed("hot", &[], label)])
    };
    bench.append(hot("x")).await?;
    bench.write("b-1", &["cold"]).await?;
    let request = bench.ordered(ReadRequest::matching(choice.clone()));
    let (events, cursor) = pages::read_to_end(&**bench.store(), request.clone()).await?;
    check_eq("how many events are read", events.len(), 1)?;
    bench.write("b-1", &["cold"]).await?;
    holds(bench, &choice, &cursor).await?;
    let broken = bench.append(hot("y")).await?;
    fails(bench, &choice, &cursor, &[broken.first_position]).await?;
    let (events, cursor) = pages::read_to_end(&**bench.store(), request).await?;
    check_eq("how many events are read then", events.len(), 2)?;
    holds(bench, &choice, &cursor).await
}

async fn conditions_and_expectations_must_both_hold(bench: &Bench) -> Verdict {
    bench.write("a-1", &["x"]).await?;
    let mark = bench.mark().await?;
    let unless = criteria(&[(&["noted"], &[])]);
    let append = |expected, after: &Cursor| {
        bench
            .fresh()
            .write(stream("a-1"), expected, [typed("hot", &[], "y")])
            .unless(unless.clone(), after.clone())
    };
    let current = Expected::Exactly(Version::FIRST);
    let count = |failures: Vec<FailedCheck>| failures.len();
    let both = bench
        .conflict(append(Expected::NoStream, &Cursor::START))
        .await?;
    check_eq("how many checks fail", count(both), 2)?;
    let version = bench.conflict(append(Expected::NoStream, &mark)).await?;
    check_eq("how many checks fail", count(version), 1)?;
    let condition = bench.conflict(append(current, &Cursor::START)).await?;
    check_eq("how many checks fail", count(condition), 1)?;
    bench.append(append(current, &mark)).await.map(drop)
}

async fn hidden_events_do_not_count(bench: &Bench) -> Verdict {
    let (max_age, max_count) = (None, Some(1));
    for (what, action) in [
        ("max_count", PolicyAction::Retain { max_age, max_count }),
        ("truncation", PolicyAction::TruncateBefore(Version::new(2))),
        ("soft_delete", PolicyAction::SoftDelete),
        ("tombstone", PolicyAction::Tombstone),
    ] {
        let before = bench.mark().await?;
        let name = format!("a-{what}");
        let hot = |of, label| {
            bench
                .fresh()
                .write(stream(&name), Expected::Any, [typed(of, &[], label)])
        };
        let first = bench.append(hot("hot", "x")).await?;
        bench.append(hot("warm", "y")).await?;
        let unless = criteria(&[(&["hot"], &[])]);
        fails(bench, &unless, &before, &[first.first_position]).await?;
        bench.change_policy(&name, action).await?;
        let hidden = holds(bench, &unless, &before).await;
        hidden.map_err(|failure: Failure| failure.during(format!("hidden by {what}")))?;
    }
    Ok(())
}
