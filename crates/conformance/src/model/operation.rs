//! What is done to a store and its model: plans that always fit, whatever the store holds by then.

use annals_core::PolicyAction;

/// One step. Numbers stand for names out of small pools, so that steps meet each other often.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Append(AppendPlan),
    /// Sends the n-th append again (counted around).
    Retry {
        which: usize,
        twist: Twist,
    },
    ChangePolicy {
        stream: usize,
        expected: ExpectedPlan,
        action: PolicyAction,
    },
    /// Asks for the receipt of the n-th append (counted around), or of none.
    Receipt(Option<usize>),
    Read(ReadPlan),
    StreamHead(usize),
    Head,
    /// Moves the clock on.
    Wait {
        seconds: u64,
    },
}

#[derive(Clone, Debug)]
pub(super) struct AppendPlan {
    /// The id of the n-th append (counted around), or a fresh one.
    pub(super) id: Option<usize>,
    /// Streams that come again are left out.
    pub(super) writes: Vec<WritePlan>,
    pub(super) checks: Vec<(usize, ExpectedPlan)>,
    pub(super) conditions: Vec<(CriteriaPlan, Mark)>,
}

#[derive(Clone, Debug)]
pub(super) struct WritePlan {
    pub(super) stream: usize,
    pub(super) expected: ExpectedPlan,
    pub(super) events: Vec<EventPlan>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum ExpectedPlan {
    Any,
    NoStream,
    StreamExists,
    /// The version that the stream has, and so many more or less.
    Current(i8),
}

#[derive(Clone, Debug)]
pub(super) struct EventPlan {
    pub(super) event_type: usize,
    pub(super) tags: Vec<usize>,
    pub(super) payload: u8,
    pub(super) id: Option<u8>,
    pub(super) recorded_at: Option<i64>,
    pub(super) header: Option<u8>,
}

/// Items of criteria: types and tags.
pub(super) type CriteriaPlan = Vec<(Vec<usize>, Vec<usize>)>;

/// A place of the log.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mark {
    Start,
    /// So many events before the end.
    Back(usize),
    /// Past the end.
    Ahead,
}

/// A moment near those that events were recorded at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// That of the event so many before the end, or of the first.
    pub(super) back: usize,
    /// So many microseconds later.
    pub(super) later: i64,
}

/// How a retry differs from the append that it repeats.
#[derive(Clone, Copy, Debug)]
pub(super) enum Twist {
    Same,
    /// Expects and checks nothing.
    NoChecks,
    /// Other event ids, times and context.
    OtherContext,
    OtherPayload,
    OneEventMore,
}

#[derive(Clone, Debug)]
pub(super) struct ReadPlan {
    pub(super) selection: SelectionPlan,
    pub(super) backward: bool,
    pub(super) after: Mark,
    pub(super) until: Option<Mark>,
    pub(super) versions: Option<(u64, u64)>,
    pub(super) from: Option<Moment>,
    pub(super) before: Option<Moment>,
    pub(super) events_max: usize,
    pub(super) bytes_max: usize,
    pub(super) session: Option<Mark>,
}

#[derive(Clone, Debug)]
pub(super) enum SelectionPlan {
    All,
    Stream(usize),
    Category(usize),
    Criteria(CriteriaPlan),
}
