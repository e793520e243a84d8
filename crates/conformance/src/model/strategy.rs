//! How steps are made up, within what a store offers.

use std::time::Duration;

use annals_core::{Capabilities, PolicyAction, Version};
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};

use super::operation::{
    AppendPlan, CriteriaPlan, EventPlan, ExpectedPlan, Mark, Moment, Operation, ReadPlan,
    SelectionPlan, Twist, WritePlan,
};
use super::pools::{CATEGORIES, STREAMS, TAGS, TYPES};
use crate::backend::TimeSource;

/// What of the contract the steps may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub(super) capabilities: Capabilities,
    pub(super) time: TimeSource,
}

/// The most steps of one run.
const OPERATIONS_MAX: usize = 40;

pub(super) fn operations(offer: Offer) -> BoxedStrategy<Vec<Operation>> {
    vec(operation(offer), 1..=OPERATIONS_MAX).boxed()
}

fn operation(offer: Offer) -> BoxedStrategy<Operation> {
    let policy_weight = if offer.capabilities.stream_policies {
        3
    } else {
        0
    };
    let wait_weight = if offer.time == TimeSource::Given {
        2
    } else {
        0
    };
    prop_oneof![
        12 => append(offer).prop_map(Operation::Append),
        3 => (any::<usize>(), twist()).prop_map(|(which, twist)| Operation::Retry { which, twist }),
        policy_weight => (stream(), expected(), action(offer)).prop_map(
            |(stream, expected, action)| Operation::ChangePolicy { stream, expected, action },
        ),
        1 => of(any::<usize>()).prop_map(Operation::Receipt),
        10 => read(offer).prop_map(Operation::Read),
        2 => stream().prop_map(Operation::StreamHead),
        1 => Just(Operation::Head),
        wait_weight => (0..4_u64).prop_map(|seconds| Operation::Wait { seconds }),
    ]
    .boxed()
}

fn append(offer: Offer) -> impl Strategy<Value = AppendPlan> {
    let writes_max = if offer.capabilities.multi_stream_appends {
        3
    } else {
        1
    };
    let checks_max = if offer.capabilities.stream_checks {
        2
    } else {
        0
    };
    let conditions_max = if offer.capabilities.conditions { 2 } else { 0 };
    (
        weighted(0.05, any::<usize>()),
        vec(write(offer), 1..=writes_max),
        vec((stream(), expected()), 0..=checks_max),
        vec((criteria(), mark()), 0..=conditions_max),
    )
        .prop_map(|(id, writes, checks, conditions)| AppendPlan {
            id,
            writes,
            checks,
            conditions,
        })
}

fn write(offer: Offer) -> impl Strategy<Value = WritePlan> {
    (stream(), expected(), vec(event(offer), 1..=3)).prop_map(|(stream, expected, events)| {
        WritePlan {
            stream,
            expected,
            events,
        }
    })
}

fn event(offer: Offer) -> impl Strategy<Value = EventPlan> {
    let id = if offer.capabilities.unique_event_ids {
        weighted(0.15, 0..12_u8).boxed()
    } else {
        Just(None).boxed()
    };
    (
        0..TYPES.len(),
        vec(0..TAGS.len(), 0..=2),
        0..12_u8,
        id,
        weighted(0.1, -5..5_i64),
        weighted(0.1, 0..3_u8),
    )
        .prop_map(
            |(event_type, tags, payload, id, recorded_at, header)| EventPlan {
                event_type,
                tags,
                payload,
                id,
                recorded_at,
                header,
            },
        )
}

/// Mostly expectations that hold, or the log would stay empty.
fn expected() -> impl Strategy<Value = ExpectedPlan> {
    prop_oneof![
        6 => Just(ExpectedPlan::Any),
        4 => Just(ExpectedPlan::Current(0)),
        1 => (-2..=2_i8).prop_map(ExpectedPlan::Current),
        1 => Just(ExpectedPlan::NoStream),
        1 => Just(ExpectedPlan::StreamExists),
    ]
}

fn criteria() -> impl Strategy<Value = CriteriaPlan> {
    vec(
        (vec(0..TYPES.len(), 0..=2), vec(0..TAGS.len(), 0..=2)),
        1..=2,
    )
}

fn mark() -> impl Strategy<Value = Mark> {
    prop_oneof![
        2 => Just(Mark::Start),
        12 => (0..6_usize).prop_map(Mark::Back),
        4 => (0..40_usize).prop_map(Mark::Back),
        1 => Just(Mark::Ahead),
    ]
}

fn twist() -> impl Strategy<Value = Twist> {
    prop_oneof![
        Just(Twist::Same),
        Just(Twist::NoChecks),
        Just(Twist::OtherContext),
        Just(Twist::OtherPayload),
        Just(Twist::OneEventMore),
    ]
}

fn action(offer: Offer) -> impl Strategy<Value = PolicyAction> {
    let seconds = if offer.time == TimeSource::Given {
        of(0..6_u64).boxed()
    } else {
        Just(None).boxed()
    };
    let retain = (seconds, of(0..5_u64)).prop_map(|(seconds, max_count)| PolicyAction::Retain {
        max_age: seconds.map(Duration::from_secs),
        max_count,
    });
    prop_oneof![
        8 => retain,
        4 => (0..8_u64).prop_map(|version| PolicyAction::TruncateBefore(Version::new(version))),
        6 => Just(PolicyAction::SoftDelete),
        1 => Just(PolicyAction::Tombstone),
    ]
}

fn read(offer: Offer) -> impl Strategy<Value = ReadPlan> {
    let selection = prop_oneof![
        Just(SelectionPlan::All),
        stream().prop_map(SelectionPlan::Stream),
        (0..CATEGORIES.len()).prop_map(SelectionPlan::Category),
        criteria().prop_map(SelectionPlan::Criteria),
    ];
    let backward = if offer.capabilities.backward_reads {
        any::<bool>().boxed()
    } else {
        Just(false).boxed()
    };
    let after = prop_oneof![Just(Mark::Start), mark()];
    let versions = weighted(0.3, (0..6_u64, 0..8_u64));
    let times = (weighted(0.2, moment()), weighted(0.2, moment()));
    let events_max = prop_oneof![1..5_usize, Just(1000)];
    let bytes_max = prop_oneof![4 => Just(1 << 20), 1 => 0..200_usize];
    let session = weighted(0.2, mark());
    (
        selection,
        backward,
        after,
        weighted(0.3, mark()),
        versions,
        times,
        (events_max, bytes_max),
        session,
    )
        .prop_map(
            |(
                selection,
                backward,
                after,
                until,
                versions,
                times,
                (events_max, bytes_max),
                session,
            )| {
                ReadPlan {
                    selection,
                    backward,
                    after,
                    until,
                    versions,
                    from: times.0,
                    before: times.1,
                    events_max,
                    bytes_max,
                    session,
                }
            },
        )
}

fn moment() -> impl Strategy<Value = Moment> {
    (0..12_usize, -1..=1_i64).prop_map(|(back, later)| Moment { back, later })
}

fn stream() -> impl Strategy<Value = usize> {
    0..STREAMS.len()
}
