//! The four expectations, on a stream in each of its states, written or only checked.

use annals_core::{Expected, FailedCheck, PolicyAction, ReadRequest, RecordedEvent, Version};

use crate::bench::Bench;
use crate::case::cases;
use crate::failure::{Verdict, check_eq};
use crate::names::{event, stream};

cases! {
    on_an_absent_stream;
    on_an_existing_stream;
    on_a_soft_deleted_stream needs [StreamPolicies];
    on_a_reopened_stream needs [StreamPolicies];
    on_an_emptied_stream needs [StreamPolicies];
    on_a_deleted_stream_that_never_was needs [StreamPolicies];
    on_a_tombstoned_stream needs [StreamPolicies];
    checked_on_an_absent_stream needs [StreamChecks];
    checked_on_an_existing_stream needs [StreamChecks];
    checked_on_a_soft_deleted_stream needs [StreamChecks, StreamPolicies];
    checked_on_a_reopened_stream needs [StreamChecks, StreamPolicies];
    checked_on_a_tombstoned_stream needs [StreamChecks, StreamPolicies];
}

/// Each expectation, and whether it is met.
type Table = [(Expected, bool); 6];

const NO: bool = false;
const YES: bool = true;

const fn exactly(version: u64) -> Expected {
    Expected::Exactly(Version::new(version))
}

const ABSENT: Table = [
    (Expected::Any, YES),
    (Expected::NoStream, YES),
    (Expected::StreamExists, NO),
    (exactly(0), YES),
    (exactly(1), NO),
    (exactly(2), NO),
];

/// A stream of two events, both visible or not, and not deleted since the last one.
const EXISTING: Table = [
    (Expected::Any, YES),
    (Expected::NoStream, NO),
    (Expected::StreamExists, YES),
    (exactly(0), NO),
    (exactly(1), NO),
    (exactly(2), YES),
];

/// A stream of two events, deleted since.
const SOFT_DELETED: Table = [
    (Expected::Any, YES),
    (Expected::NoStream, YES),
    (Expected::StreamExists, NO),
    (exactly(0), NO),
    (exactly(1), NO),
    (exactly(2), NO),
];

/// The states that a stream is brought into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent,
    Existing,
    SoftDeleted,
    /// Deleted after its first event, and written again.
    Reopened,
    /// All events hidden by a rule, none deleted.
    Emptied,
    DeletedBeforeItWas,
    Tombstoned,
}

/// Whether the append writes the stream or only checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Written,
    Checked,
}

async fn on_an_absent_stream(bench: &Bench) -> Verdict {
    hold(bench, State::Absent, Role::Written, ABSENT).await
}

async fn on_an_existing_stream(bench: &Bench) -> Verdict {
    hold(bench, State::Existing, Role::Written, EXISTING).await
}

async fn on_a_soft_deleted_stream(bench: &Bench) -> Verdict {
    hold(bench, State::SoftDeleted, Role::Written, SOFT_DELETED).await
}

async fn on_a_reopened_stream(bench: &Bench) -> Verdict {
    hold(bench, State::Reopened, Role::Written, EXISTING).await
}

async fn on_an_emptied_stream(bench: &Bench) -> Verdict {
    hold(bench, State::Emptied, Role::Written, EXISTING).await
}

async fn on_a_deleted_stream_that_never_was(bench: &Bench) -> Verdict {
    hold(bench, State::DeletedBeforeItWas, Role::Written, ABSENT).await
}

async fn on_a_tombstoned_stream(bench: &Bench) -> Verdict {
    hold_closed(bench, Role::Written).await
}

async fn checked_on_an_absent_stream(bench: &Bench) -> Verdict {
    hold(bench, State::Absent, Role::Checked, ABSENT).await
}

async fn checked_on_an_existing_stream(bench: &Bench) -> Verdict {
    hold(bench, State::Existing, Role::Checked, EXISTING).await
}

async fn checked_on_a_soft_deleted_stream(bench: &Bench) -> Verdict {
    hold(bench, State::SoftDeleted, Role::Checked, SOFT_DELETED).await
}

async fn checked_on_a_reopened_stream(bench: &Bench) -> Verdict {
    hold(bench, State::Reopened, Role::Checked, EXISTING).await
}

async fn checked_on_a_tombstoned_stream(bench: &Bench) -> Verdict {
    hold_closed(bench, Role::Checked).await
}

/// Tries each expectation on a stream of its own in this state.
async fn hold(bench: &Bench, state: State, role: Role, table: Table) -> Verdict {
    for (number, (expected, met)) in table.into_iter().enumerate() {
        let name = format!("target-{number}");
        bring_into(bench, &name, state).await?;
        let before = bench.head_of(&name).await?;
        let append = match role {
            Role::Written => bench.fresh().write(stream(&name), expected, [event("new")]),
            Role::Checked => bench
                .fresh()
                .write(stream("beside"), Expected::Any, [event("new")])
                .check(stream(&name), expected),
        };
        let what = format!(
            "{state:?} stream at version {}, expected {expected}",
            before.version
        );
        let attempt = if met {
            bench.append(append).await.map(drop)
        } else {
            refused(bench, append, &name, expected).await
        };
        attempt.map_err(|failure| failure.during(&what))?;
        let written = met && role == Role::Written;
        let version = before.version.forward(written.into());
        check_eq(
            format!("{what}: the version then"),
            bench.head_of(&name).await?.version,
            version,
        )?;
    }
    Ok(())
}

/// Expects the one failing check to name the stream with its version and its visible events.
async fn refused(
    bench: &Bench,
    append: annals_core::AppendBuilder,
    name: &str,
    expected: Expected,
) -> Verdict {
    let visible = bench.read(ReadRequest::stream(stream(name))).await?;
    let offending = visible.iter().filter(|event| match expected {
        Expected::Exactly(version) => event.version() > version,
        other => other == Expected::NoStream,
    });
    let head = bench.head_of(name).await?;
    let failure = FailedCheck::Stream {
        stream: stream(name),
        expected,
        actual: head.version,
        state: head.policy.state,
        positions: offending.map(RecordedEvent::position).collect(),
    };
    check_eq(
        "the failing checks",
        bench.conflict(append).await?,
        [failure],
    )
}

/// A tombstoned stream meets no expectation.
async fn hold_closed(bench: &Bench, role: Role) -> Verdict {
    for (number, (expected, _)) in ABSENT.into_iter().enumerate() {
        let name = format!("target-{number}");
        bring_into(bench, &name, State::Tombstoned).await?;
        let append = match role {
            Role::Written => bench
                .fresh()
                .write(stream(&name), expected, [event("lost")]),
            Role::Checked => bench
                .fresh()
                .write(stream("beside"), Expected::Any, [event("lost")])
                .check(stream(&name), expected),
        };
        let closed = FailedCheck::Closed {
            stream: stream(&name),
        };
        let what = format!("a tombstoned stream, expected {expected}: the failing checks");
        check_eq(what, bench.conflict(append).await?, [closed])?;
        bench.is_at(&name, 2).await?;
        bench.is_at("beside", 0).await?;
    }
    Ok(())
}

async fn bring_into(bench: &Bench, name: &str, state: State) -> Verdict {
    let change = |action| async move { bench.change_policy(name, action).await.map(drop) };
    match state {
        State::Absent => Ok(()),
        State::Existing => bench.write(name, &["1", "2"]).await.map(drop),
        State::SoftDeleted => {
            bench.write(name, &["1", "2"]).await?;
            change(PolicyAction::SoftDelete).await
        }
        State::Reopened => {
            bench.write(name, &["1"]).await?;
            change(PolicyAction::SoftDelete).await?;
            bench.write(name, &["2"]).await.map(drop)
        }
        State::Emptied => {
            bench.write(name, &["1", "2"]).await?;
            let (max_age, max_count) = (None, Some(0));
            change(PolicyAction::Retain { max_age, max_count }).await
        }
        State::DeletedBeforeItWas => change(PolicyAction::SoftDelete).await,
        State::Tombstoned => {
            bench.write(name, &["1", "2"]).await?;
            change(PolicyAction::Tombstone).await
        }
    }
}
