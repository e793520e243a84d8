//! What a stream policy hides is hidden from every read at once and for good, and keeps its place.

use std::time::Duration;

use annals_core::{
    Clock, Error, ErrorKind, Expected, FailedCheck, PolicyAction, PolicyChange, ReadRequest,
    StreamHead, StreamPolicy, StreamState, Version,
};

use crate::bench::Bench;
use crate::case::cases;
use crate::failure::{Failure, Verdict, check_eq};
use crate::names::{category, criteria, event, labels, stream};
use crate::pages;

cases! {
    max_count_shows_the_newest needs [StreamPolicies];
    max_count_moves_with_appends needs [StreamPolicies];
    max_age_hides_older_events needs [StreamPolicies, Clock];
    truncate_before_hides_older_versions needs [StreamPolicies];
    truncate_before_stops_at_the_end needs [StreamPolicies];
    age_is_told_by_the_stores_time needs [StreamPolicies, Clock];
    all_rules_must_show_an_event needs [StreamPolicies, Clock];
    a_rule_takes_the_place_of_the_one_before needs [StreamPolicies];
    what_was_hidden_stays_hidden needs [StreamPolicies];
    what_grew_too_old_stays_hidden needs [StreamPolicies, Clock];
    a_change_gives_the_head needs [StreamPolicies];
    a_change_may_come_before_the_stream needs [StreamPolicies];
    a_change_expects_a_state needs [StreamPolicies];
    other_streams_are_left_alone needs [StreamPolicies];
    a_hidden_event_is_hidden_from_every_read needs [StreamPolicies];
    a_hidden_event_is_hidden_from_every_backward_read needs [StreamPolicies, BackwardReads];
    a_hidden_event_keeps_its_place needs [StreamPolicies];
    a_page_tells_the_policy needs [StreamPolicies];
    a_soft_delete_hides_what_there_is needs [StreamPolicies];
    an_append_reopens_a_deleted_stream needs [StreamPolicies];
    a_soft_delete_keeps_the_rules needs [StreamPolicies];
    a_stream_may_be_deleted_again needs [StreamPolicies];
    a_stream_that_never_was_is_not_deleted needs [StreamPolicies];
    a_tombstone_hides_all_and_takes_nothing needs [StreamPolicies];
    a_tombstone_is_for_good needs [StreamPolicies];
    a_tombstone_may_come_before_the_stream needs [StreamPolicies];
}

const LIFTED: PolicyAction = PolicyAction::Retain {
    max_age: None,
    max_count: None,
};

fn max_count(count: u64) -> PolicyAction {
    PolicyAction::Retain {
        max_age: None,
        max_count: Some(count),
    }
}

fn max_age(age: Duration) -> PolicyAction {
    PolicyAction::Retain {
        max_age: Some(age),
        max_count: None,
    }
}

fn truncate_before(version: u64) -> PolicyAction {
    PolicyAction::TruncateBefore(Version::new(version))
}

fn policy(change: impl FnOnce(&mut StreamPolicy)) -> StreamPolicy {
    let mut policy = StreamPolicy::default();
    change(&mut policy);
    policy
}

/// Changes the policy of a stream that is expected in this state.
async fn change(
    bench: &Bench,
    of: &str,
    expected: Expected,
    action: PolicyAction,
) -> Result<StreamHead, Error> {
    let stream = stream(of);
    let change = PolicyChange {
        stream,
        expected,
        action,
    };
    bench.store().change_stream_policy(change).await
}

/// Expects a change to be refused as a conflict.
async fn is_refused(bench: &Bench, of: &str, expected: Expected, action: PolicyAction) -> Verdict {
    let what = format!("{of}, expecting {expected}: {action:?}: the kind of error");
    let outcome = change(bench, of, expected, action).await;
    let kind = outcome.err().map(|error| error.kind());
    check_eq(what, kind, Some(ErrorKind::Conflict))
}

/// Expects an append to the stream to be refused because it is tombstoned.
async fn is_closed(bench: &Bench, name: &str) -> Verdict {
    let append = bench
        .fresh()
        .write(stream(name), Expected::Any, [event("lost")]);
    let closed = FailedCheck::Closed {
        stream: stream(name),
    };
    check_eq(
        "the failing checks",
        bench.conflict(append).await?,
        [closed],
    )
}

async fn max_count_shows_the_newest(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1", "2", "3"]).await?;
    for (count, expected) in [
        (4, &["1", "2", "3"][..]),
        (3, &["1", "2", "3"]),
        (2, &["2", "3"]),
        (1, &["3"]),
        (0, &[]),
    ] {
        bench.change_policy("a-1", max_count(count)).await?;
        let shown = bench.stream_shows("a-1", expected).await;
        shown.map_err(|failure: Failure| failure.during(format!("max_count {count}")))?;
    }
    Ok(())
}

async fn max_count_moves_with_appends(bench: &Bench) -> Verdict {
    bench.change_policy("a-1", max_count(2)).await?;
    bench.write("a-1", &["1"]).await?;
    bench.stream_shows("a-1", &["1"]).await?;
    bench.write("a-1", &["2", "3", "4"]).await?;
    bench.stream_shows("a-1", &["3", "4"]).await?;
    bench.write("a-1", &["5"]).await?;
    bench.stream_shows("a-1", &["4", "5"]).await
}

async fn max_age_hides_older_events(bench: &Bench) -> Verdict {
    let second = Duration::from_secs(1);
    bench.change_policy("a-1", max_age(second * 10)).await?;
    bench.write("a-1", &["1"]).await?;
    bench.clock().advance(second * 5);
    bench.write("a-1", &["2"]).await?;
    bench.clock().advance(second * 5);
    bench.stream_shows("a-1", &["1", "2"]).await?;
    bench.clock().advance(Duration::from_micros(1));
    bench.stream_shows("a-1", &["2"]).await?;
    bench.clock().advance(second * 5);
    bench.stream_shows("a-1", &[]).await?;
    bench.is_at("a-1", 2).await?;
    bench.write("a-1", &["3"]).await?;
    bench.stream_shows("a-1", &["3"]).await?;
    bench.change_policy("a-2", max_age(Duration::ZERO)).await?;
    bench.write("a-2", &["now"]).await?;
    bench.stream_shows("a-2", &["now"]).await?;
    bench.clock().advance(Duration::from_micros(1));
    bench.stream_shows("a-2", &[]).await
}

/// The store's time is that of its newest event at least, though its clock goes back: what that hides
/// stays hidden.
async fn age_is_told_by_the_stores_time(bench: &Bench) -> Verdict {
    let second = Duration::from_secs(1);
    let start = bench.clock().now();
    bench.change_policy("a-1", max_age(second * 10)).await?;
    bench.write("a-1", &["1"]).await?;
    bench.clock().advance(second * 11);
    bench.write("a-1", &["2"]).await?;
    bench.clock().set(start);
    bench.stream_shows("a-1", &["2"]).await?;
    bench.shows(ReadRequest::all(), &["2"]).await
}

async fn truncate_before_hides_older_versions(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1", "2", "3"]).await?;
    for (version, expected) in [
        (0, &["1", "2", "3"][..]),
        (1, &["1", "2", "3"]),
        (2, &["2", "3"]),
        (1, &["2", "3"]),
        (3, &["3"]),
        (4, &[]),
    ] {
        bench.change_policy("a-1", truncate_before(version)).await?;
        let shown = bench.stream_shows("a-1", expected).await;
        shown.map_err(|failure: Failure| failure.during(format!("truncate_before {version}")))?;
    }
    bench.write("a-1", &["4"]).await?;
    bench.stream_shows("a-1", &["4"]).await
}

async fn truncate_before_stops_at_the_end(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1", "2"]).await?;
    let head = bench.change_policy("a-1", truncate_before(100)).await?;
    check_eq(
        "the truncation",
        head.policy.truncate_before,
        Version::new(3),
    )?;
    bench.write("a-1", &["3"]).await?;
    bench.stream_shows("a-1", &["3"]).await
}

async fn all_rules_must_show_an_event(bench: &Bench) -> Verdict {
    let minute = Duration::from_mins(1);
    for (number, (count, version, age, expected)) in [
        (2, 1, 9, &["4", "5"][..]),
        (9, 3, 9, &["3", "4", "5"]),
        (9, 1, 1, &["5"]),
        (4, 4, 4, &["4", "5"]),
        (0, 1, 9, &[]),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("a-{number}");
        for label in ["1", "2", "3", "4", "5"] {
            bench.write(&name, &[label]).await?;
            bench.clock().advance(minute);
        }
        let rules = PolicyAction::Retain {
            max_age: Some(minute * age),
            max_count: Some(count),
        };
        bench.change_policy(&name, truncate_before(version)).await?;
        bench.change_policy(&name, rules).await?;
        bench.stream_shows(&name, expected).await?;
    }
    Ok(())
}

async fn a_rule_takes_the_place_of_the_one_before(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1", "2", "3"]).await?;
    let hour = Duration::from_hours(1);
    bench.change_policy("a-1", max_count(3)).await?;
    let aged = bench.change_policy("a-1", max_age(hour)).await?;
    check_eq(
        "the policy",
        aged.policy,
        policy(|policy| policy.max_age = Some(hour)),
    )?;
    bench.write("a-1", &["4", "5"]).await?;
    bench
        .stream_shows("a-1", &["1", "2", "3", "4", "5"])
        .await?;
    let lifted = bench.change_policy("a-1", LIFTED).await?;
    check_eq("the policy", lifted.policy, StreamPolicy::default())
}

async fn what_was_hidden_stays_hidden(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1", "2", "3", "4"]).await?;
    bench.change_policy("a-1", max_count(2)).await?;
    for action in [max_count(9), LIFTED, truncate_before(1)] {
        bench.change_policy("a-1", action).await?;
        bench.stream_shows("a-1", &["3", "4"]).await?;
    }
    bench.change_policy("a-1", PolicyAction::SoftDelete).await?;
    for action in [LIFTED, truncate_before(0), max_count(9)] {
        bench.change_policy("a-1", action).await?;
        bench.stream_shows("a-1", &[]).await?;
    }
    bench.write("a-1", &["5"]).await?;
    bench.stream_shows("a-1", &["5"]).await?;
    bench.shows(ReadRequest::all(), &["5"]).await
}

async fn what_grew_too_old_stays_hidden(bench: &Bench) -> Verdict {
    let minute = Duration::from_mins(1);
    bench.write("a-1", &["1"]).await?;
    bench.clock().advance(minute);
    bench.write("a-1", &["2"]).await?;
    bench.change_policy("a-1", max_age(minute)).await?;
    bench.clock().advance(Duration::from_micros(1));
    bench.stream_shows("a-1", &["2"]).await?;
    bench.change_policy("a-1", LIFTED).await?;
    bench.stream_shows("a-1", &["2"]).await
}

async fn a_change_gives_the_head(bench: &Bench) -> Verdict {
    let (age, count) = (Duration::from_micros(1_500_001), u64::MAX);
    let both = PolicyAction::Retain {
        max_age: Some(age),
        max_count: Some(count),
    };
    let kept = |policy: &mut StreamPolicy| {
        policy.max_age = Some(age);
        policy.max_count = Some(count);
    };
    let truncated = |policy: &mut StreamPolicy| {
        kept(policy);
        policy.truncate_before = Version::new(2);
    };
    bench.write("a-1", &["1", "2"]).await?;
    for (action, expected) in [
        (both, policy(kept)),
        (truncate_before(2), policy(truncated)),
        (
            LIFTED,
            policy(|policy| policy.truncate_before = Version::new(2)),
        ),
    ] {
        let head = bench.change_policy("a-1", action).await?;
        check_eq("the policy", &head.policy, &expected)?;
        check_eq("the version", head.version, Version::new(2))?;
        check_eq("the head as read back", bench.head_of("a-1").await?, head)?;
    }
    Ok(())
}

async fn a_change_may_come_before_the_stream(bench: &Bench) -> Verdict {
    let head = change(bench, "a-1", Expected::NoStream, max_count(1)).await?;
    check_eq("the version", head.version, Version::ABSENT)?;
    check_eq(
        "the policy",
        head.policy,
        policy(|policy| policy.max_count = Some(1)),
    )?;
    let append = bench.fresh();
    let append = append.write(stream("a-1"), Expected::NoStream, ["1", "2"].map(event));
    bench.append(append).await?;
    bench.stream_shows("a-1", &["2"]).await
}

async fn a_change_expects_a_state(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1", "2"]).await?;
    let exactly = |version| Expected::Exactly(Version::new(version));
    for action in [
        max_count(1),
        truncate_before(2),
        PolicyAction::SoftDelete,
        PolicyAction::Tombstone,
    ] {
        for expected in [Expected::NoStream, exactly(1), exactly(3)] {
            is_refused(bench, "a-1", expected, action.clone()).await?;
        }
        is_refused(bench, "a-2", Expected::StreamExists, action.clone()).await?;
        is_refused(bench, "a-2", exactly(1), action).await?;
    }
    let untouched = bench.head_of("a-1").await?.policy;
    check_eq(
        "the policy after refusals",
        untouched,
        StreamPolicy::default(),
    )?;
    change(bench, "a-1", exactly(2), truncate_before(2)).await?;
    change(
        bench,
        "a-1",
        Expected::StreamExists,
        PolicyAction::SoftDelete,
    )
    .await?;
    for expected in [Expected::StreamExists, exactly(2)] {
        is_refused(bench, "a-1", expected, max_count(1)).await?;
    }
    change(bench, "a-1", Expected::NoStream, max_count(1)).await?;
    change(bench, "a-1", Expected::NoStream, PolicyAction::Tombstone).await?;
    bench.stream_shows("a-1", &[]).await
}

async fn other_streams_are_left_alone(bench: &Bench) -> Verdict {
    let names = ["a-1", "a-11", "a", "a-1-1", "b-1"];
    for name in names {
        bench.write(name, &["1", "2"]).await?;
    }
    bench.change_policy("a-1", max_count(1)).await?;
    bench.change_policy("a", PolicyAction::SoftDelete).await?;
    bench.change_policy("b-1", PolicyAction::Tombstone).await?;
    for (name, expected) in [
        ("a-1", &["2"][..]),
        ("a-11", &["1", "2"]),
        ("a", &[]),
        ("a-1-1", &["1", "2"]),
        ("b-1", &[]),
    ] {
        bench.stream_shows(name, expected).await?;
    }
    Ok(())
}

/// Two streams, of which one shows its last event only.
async fn hide_some(bench: &Bench) -> Verdict {
    bench.write("a-1", &["hidden", "hidden"]).await?;
    bench.write("a-2", &["x"]).await?;
    bench.write("a-1", &["y"]).await?;
    bench
        .change_policy("a-1", truncate_before(3))
        .await
        .map(drop)
}

fn every_read() -> [ReadRequest; 4] {
    [
        ReadRequest::all(),
        ReadRequest::category(category("a")),
        ReadRequest::matching(criteria(&[(&["noted"], &[])])),
        ReadRequest::all().events_max(1),
    ]
}

async fn a_hidden_event_is_hidden_from_every_read(bench: &Bench) -> Verdict {
    hide_some(bench).await?;
    for request in every_read() {
        let mut found = labels(&bench.read(request.clone()).await?);
        if !bench.capabilities().total_order {
            found.sort_unstable();
        }
        check_eq(pages::text_of(&request), found, ["x", "y"])?;
    }
    bench.stream_shows("a-1", &["y"]).await?;
    let versions = ReadRequest::stream(stream("a-1")).until_version(Version::new(2));
    bench.shows(versions, &[]).await
}

async fn a_hidden_event_is_hidden_from_every_backward_read(bench: &Bench) -> Verdict {
    hide_some(bench).await?;
    for request in every_read() {
        let mut found = labels(&bench.read(request.clone().backward()).await?);
        if !bench.capabilities().total_order {
            found.sort_unstable_by(|one, other| other.cmp(one));
        }
        check_eq(pages::text_of(&request), found, ["y", "x"])?;
    }
    bench
        .shows(ReadRequest::stream(stream("a-1")).backward(), &["y"])
        .await
}

async fn a_hidden_event_keeps_its_place(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1", "2", "3"]).await?;
    let before = bench.read(ReadRequest::stream(stream("a-1"))).await?;
    bench.change_policy("a-1", max_count(1)).await?;
    let after = bench.read(ReadRequest::stream(stream("a-1"))).await?;
    let last = before.get(2..).unwrap_or_default();
    check_eq("the event that is left", after.as_slice(), last)?;
    bench.is_at("a-1", 3).await?;
    let append = |version| {
        let expected = Expected::Exactly(Version::new(version));
        bench.fresh().write(stream("a-1"), expected, [event("4")])
    };
    bench.conflict(append(1)).await?;
    let receipt = bench.append(append(3)).await?;
    let version = receipt.version_of(&stream("a-1"));
    check_eq("the next version", version, Some(Version::new(4)))
}

async fn a_page_tells_the_policy(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1", "2", "3"]).await?;
    let head = bench.change_policy("a-1", truncate_before(3)).await?;
    let page = bench
        .store()
        .read(ReadRequest::stream(stream("a-1")))
        .await?;
    check_eq("the stream's head on the page", page.stream, Some(head))
}

async fn a_soft_delete_hides_what_there_is(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1", "2"]).await?;
    let head = bench.change_policy("a-1", PolicyAction::SoftDelete).await?;
    check_eq("the version", head.version, Version::new(2))?;
    check_eq("the state", head.policy.state, StreamState::SoftDeleted)?;
    check_eq(
        "the truncation",
        head.policy.truncate_before,
        Version::new(3),
    )?;
    bench.stream_shows("a-1", &[]).await?;
    bench.shows(ReadRequest::all(), &[]).await?;
    check_eq("the head as read back", bench.head_of("a-1").await?, head)
}

async fn an_append_reopens_a_deleted_stream(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1", "2"]).await?;
    bench.change_policy("a-1", PolicyAction::SoftDelete).await?;
    let append = bench
        .fresh()
        .write(stream("a-1"), Expected::NoStream, [event("3")]);
    let receipt = bench.append(append).await?;
    check_eq(
        "the version",
        receipt.version_of(&stream("a-1")),
        Some(Version::new(3)),
    )?;
    bench.stream_shows("a-1", &["3"]).await?;
    let expected = policy(|policy| policy.truncate_before = Version::new(3));
    check_eq("the policy", bench.head_of("a-1").await?.policy, expected)?;
    bench.write("a-1", &["4"]).await?;
    bench.stream_shows("a-1", &["3", "4"]).await
}

async fn a_soft_delete_keeps_the_rules(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1", "2"]).await?;
    bench.change_policy("a-1", max_count(2)).await?;
    let head = bench.change_policy("a-1", PolicyAction::SoftDelete).await?;
    check_eq("the rule", head.policy.max_count, Some(2))?;
    bench.write("a-1", &["3", "4", "5"]).await?;
    bench.stream_shows("a-1", &["4", "5"]).await
}

async fn a_stream_may_be_deleted_again(bench: &Bench) -> Verdict {
    for round in 1..=3 {
        bench.write("a-1", &["x", "y"]).await?;
        bench.stream_shows("a-1", &["x", "y"]).await?;
        bench.change_policy("a-1", PolicyAction::SoftDelete).await?;
        bench.change_policy("a-1", PolicyAction::SoftDelete).await?;
        bench.stream_shows("a-1", &[]).await?;
        bench.is_at("a-1", 2 * round).await?;
    }
    Ok(())
}

async fn a_stream_that_never_was_is_not_deleted(bench: &Bench) -> Verdict {
    let head = bench.change_policy("a-1", PolicyAction::SoftDelete).await?;
    check_eq("the version", head.version, Version::ABSENT)?;
    check_eq("the state", head.policy.state, StreamState::Open)?;
    bench.write("a-1", &["1"]).await?;
    bench.stream_shows("a-1", &["1"]).await
}

async fn a_tombstone_hides_all_and_takes_nothing(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1", "2"]).await?;
    bench.write("b-1", &["x"]).await?;
    let head = bench.change_policy("a-1", PolicyAction::Tombstone).await?;
    check_eq("the state", head.policy.state, StreamState::Tombstoned)?;
    bench.stream_shows("a-1", &[]).await?;
    bench.shows(ReadRequest::all(), &["x"]).await?;
    is_closed(bench, "a-1").await?;
    bench.is_at("a-1", 2).await?;
    check_eq("the head as read back", bench.head_of("a-1").await?, head)
}

async fn a_tombstone_is_for_good(bench: &Bench) -> Verdict {
    bench.write("a-1", &["1"]).await?;
    let head = bench.change_policy("a-1", PolicyAction::Tombstone).await?;
    for action in [
        LIFTED,
        max_count(1),
        truncate_before(1),
        PolicyAction::SoftDelete,
    ] {
        is_refused(bench, "a-1", Expected::Any, action).await?;
    }
    let again = bench.change_policy("a-1", PolicyAction::Tombstone).await?;
    check_eq("the state", again.policy.state, StreamState::Tombstoned)?;
    check_eq("the head", bench.head_of("a-1").await?, head)?;
    is_closed(bench, "a-1").await?;
    bench.stream_shows("a-1", &[]).await
}

async fn a_tombstone_may_come_before_the_stream(bench: &Bench) -> Verdict {
    bench.change_policy("a-1", PolicyAction::Tombstone).await?;
    is_closed(bench, "a-1").await?;
    bench.is_at("a-1", 0).await
}
