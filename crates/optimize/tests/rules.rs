//! When a plan by rules is refused, what it leaves alone, and what a hold lifts.

#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use annals_core::{
    Append, Category, Clock, ContentType, Error, ErrorKind, EventStore, EventStoreExt, EventType,
    Expected, Ids, NewEvent, PolicyAction, PolicyChange, ReadRequest, StreamId, Timestamp, UuidIds,
};
use annals_optimize::{
    Applied, ApplySettings, Control, OptimizePolicy, Optimizer, Plan, RetentionRule, Step,
};
use annals_store_log::{LogStore, Settings};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

const DAY: i64 = 86_400;

/// A clock that is moved by hand, in seconds.
#[derive(Debug, Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::Relaxed))
    }
}

/// A store of ten events in `session-1` and in `session-2`, one a day: the newest on day 10.
struct Place {
    store: Arc<MemoryStore>,
    clock: Arc<Hand>,
}

impl Place {
    fn new() -> Self {
        let clock = Arc::new(Hand::default());
        let store = MemoryStore::builder().clock(Arc::clone(&clock) as Arc<dyn Clock>);
        let place = Self {
            store: Arc::new(store.build()),
            clock,
        };
        for day in 1..=10 {
            place.is_at(day * DAY);
            place.append("session-1");
            place.append("session-2");
        }
        place
    }

    fn is_at(&self, seconds: i64) {
        self.clock.0.store(seconds, Ordering::Relaxed);
    }

    fn append(&self, stream: &str) {
        append(&*self.store, stream, 1);
    }

    fn optimizer(&self) -> Optimizer {
        let optimizer = Optimizer::new(Arc::clone(&self.store) as Arc<dyn EventStore>);
        optimizer.clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
    }

    fn plan(&self, policy: &OptimizePolicy) -> Result<Plan, Error> {
        self.optimizer().plan(policy)
    }

    fn apply(&self, plan: &Plan) -> Result<Applied, Error> {
        let settings = ApplySettings::default();
        self.optimizer()
            .apply(plan, &settings, &Control::new(), &mut |_| {})
    }

    /// How many events of the sessions are shown.
    fn shown(&self) -> u64 {
        let sessions = ReadRequest::category(Category::from_static("session"));
        block_on(self.store.collect(sessions)).unwrap().len() as u64
    }

    fn retain(&self, stream: &'static str, max_age: Option<Duration>, max_count: Option<u64>) {
        let change = PolicyChange {
            stream: StreamId::from_static(stream),
            expected: Expected::Any,
            action: PolicyAction::Retain { max_age, max_count },
        };
        block_on(self.store.change_stream_policy(change)).unwrap();
    }

    /// The rules of each stream.
    fn rules(&self) -> BTreeMap<&'static str, (Option<Duration>, Option<u64>)> {
        let of = |stream| {
            let head = block_on(self.store.stream_head(&StreamId::from_static(stream)));
            let policy = head.unwrap().policy;
            (stream, (policy.max_age, policy.max_count))
        };
        ["session-1", "session-2", "session-3"].map(of).into()
    }
}

fn append(store: &dyn EventStore, stream: &str, events: usize) {
    let event = |at: usize| {
        let kind = EventType::from_static("clicked");
        NewEvent::new(kind, ContentType::JSON, format!("{{\"click\":{at}}}")).unwrap()
    };
    let append = Append::builder(UuidIds::default().append_id());
    let stream = StreamId::parse(stream).unwrap();
    let append = append.write(stream, Expected::Any, (0..events).map(event));
    block_on(store.append(append.build().unwrap())).unwrap();
}

fn days(days: u64) -> Duration {
    Duration::from_hours(24 * days)
}

fn sessions() -> RetentionRule {
    RetentionRule::new(Category::from_static("session"))
}

fn policy(rules: impl IntoIterator<Item = RetentionRule>) -> OptimizePolicy {
    let mut policy = OptimizePolicy::default();
    policy.compression = None;
    policy.retention = rules.into_iter().collect();
    policy
}

#[test]
fn a_plan_counts_by_the_time_that_the_store_hides_by() {
    let place = Place::new();
    // Behind the newest event, as the clocks of two machines are.
    place.is_at(10 * DAY - 200);
    let rule = sessions().max_age(Duration::from_secs(5 * 86_400 - 100));
    let plan = place.plan(&policy([rule])).unwrap();
    let before = place.shown();
    place.apply(&plan).unwrap();
    assert_eq!(before - place.shown(), 10);
    assert_eq!(plan.totals().events_hidden, 10, "{plan}");
}

#[test]
fn a_clock_that_cannot_be_believed_hides_nothing() {
    let place = Place::new();
    for (at, max_age, is_believed) in [
        (10 * DAY - 300, 5, true),
        (10 * DAY - 301, 5, false),
        (0, 5, false),
        (15 * DAY, 5, true),
        (15 * DAY + 1, 5, false),
        (3000 * DAY, 90, false),
    ] {
        place.is_at(at);
        let mut policy = policy([sessions().max_age(days(max_age))]);
        let planned = place.plan(&policy);
        assert_eq!(planned.is_ok(), is_believed, "at {at}");
        if let Err(error) = planned {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains("--trust-clock"), "{error}");
        }
        policy.trusts_clock = true;
        assert!(place.plan(&policy).is_ok());
        // A rule that does not look at the time is not refused.
        policy.trusts_clock = false;
        policy.retention = vec![sessions().max_count(3)];
        assert!(place.plan(&policy).is_ok());
    }
}

#[test]
fn a_clock_that_went_wrong_after_the_plan_hides_nothing_either() {
    let place = Place::new();
    let mut policy = policy([sessions().max_age(days(5))]);
    let plan = place.plan(&policy).unwrap();
    let events = block_on(place.store.collect(ReadRequest::all())).unwrap();
    for wrong in [3000 * DAY, 0] {
        place.is_at(wrong);
        let error = place.apply(&plan).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        // Nor does the journal take a wrong time.
        assert!(block_on(place.store.collect(ReadRequest::all())).unwrap() == events);
    }
    place.is_at(3000 * DAY);
    policy.trusts_clock = true;
    let trusting = place.plan(&policy).unwrap();
    let kept = serde_json::to_string(&trusting).unwrap();
    let trusting: Plan = serde_json::from_str(&kept).unwrap();
    place.apply(&trusting).unwrap();
    assert_eq!(place.shown(), 0);
}

#[test]
fn what_the_optimizer_wrote_is_no_witness_of_the_clock() {
    let place = Place::new();
    place.is_at(3000 * DAY);
    let count = place.plan(&policy([sessions().max_count(9)])).unwrap();
    place.apply(&count).unwrap();
    assert!(place.plan(&policy([sessions().max_age(days(90))])).is_err());
}

#[test]
fn a_rule_leaves_alone_what_it_does_not_say() {
    let place = Place::new();
    place.retain("session-1", Some(days(90)), None);
    place.retain("session-2", None, Some(7));
    let plan = place.plan(&policy([sessions().max_count(5)])).unwrap();
    let told = plan.to_string();
    assert!(
        told.contains("keeps 90d, 5 events; hides 5 events"),
        "{told}"
    );
    place.apply(&plan).unwrap();
    let rules = place.rules();
    assert_eq!(rules.get("session-1"), Some(&(Some(days(90)), Some(5))));
    assert_eq!(rules.get("session-2"), Some(&(None, Some(5))));
    let again = place.plan(&policy([sessions().max_count(5)])).unwrap();
    assert_eq!(again.steps, []);
}

#[test]
fn a_hold_lifts_the_rules_of_streams_that_no_rule_is_for() {
    let place = Place::new();
    place.append("session-3");
    place.retain("session-1", Some(days(90)), Some(5));
    place.retain("session-2", None, Some(0));
    place.retain("session-3", None, Some(0));
    let mut policy = policy([]);
    let hold = &mut policy.legal_hold;
    hold.categories.insert(Category::from_static("session"));
    // It shows nothing, so that only its name finds it.
    hold.streams.insert(StreamId::from_static("session-2"));
    let plan = place.plan(&policy).unwrap();
    let lifted: Vec<&str> = plan
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Retain {
                stream,
                max_age: None,
                max_count: None,
                ..
            } => Some(stream.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(lifted, ["session-1", "session-2"], "{plan}");
    place.apply(&plan).unwrap();
    let rules = place.rules();
    assert_eq!(rules.get("session-1"), Some(&(None, None)));
    assert_eq!(rules.get("session-2"), Some(&(None, None)));
    assert_eq!(rules.get("session-3"), Some(&(None, Some(0))));
    assert_eq!(place.plan(&policy).unwrap().steps, []);
}

#[test]
fn an_undo_says_which_segment_stays_compressed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut settings = Settings::default();
    settings.segment_bytes = 64 * 1024;
    let store = LogStore::builder(&path).settings(settings);
    let store = Arc::new(store.create().unwrap());
    (0..60).for_each(|_| append(&*store, "session-1", 50));
    let optimizer = Optimizer::of(Arc::clone(&store));
    let plan = optimizer.plan(&OptimizePolicy::default()).unwrap();
    let settings = ApplySettings::default();
    let control = Control::new();
    optimizer
        .apply(&plan, &settings, &control, &mut |_| {})
        .unwrap();
    assert_eq!(optimizer.plan_undo().unwrap().notes, [""; 0]);
    store.close().unwrap();
    drop((optimizer, store));

    let log = fs::read_dir(path.join("log")).unwrap();
    let names = log.map(|entry| entry.unwrap().path());
    let mut compressed: Vec<_> = names
        .filter(|name| name.to_string_lossy().contains("00000000000000000001"))
        .collect();
    let file = compressed.pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    LogStore::builder(&path).repair(&mut |_| {}).unwrap();

    let store = LogStore::builder(&path).follow().unwrap();
    let plan = Optimizer::of(Arc::new(store)).plan_undo().unwrap();
    assert_eq!(
        plan.notes,
        ["segment 1 lost something and stays compressed"]
    );
    assert!(!plan.to_string().contains("decompress        segment 1 "));
}
