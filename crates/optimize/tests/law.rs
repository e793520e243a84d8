//! The law of the optimizer: every read that the policies allow answers the same before, during and after. A
//! store in memory that gets the same appends is the oracle.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use annals_archive_object::ObjectArchives;
use annals_archive_object::object_store::memory::InMemory;
use annals_core::{
    Answer, Append, AppendId, Category, Clock, ContentType, Criteria, Cursor, ErrorKind, EventId,
    EventStore, EventStoreExt, EventType, Expected, FailedCheck, HistoryEntry, Ids, NewEvent,
    Optimizable, PolicyAction, PolicyChange, Position, ReadRequest, RecordedEvent, SegmentState,
    StreamId, Timestamp, UuidIds, Version,
};
use annals_optimize::{
    ApplySettings, ArchiveRule, Control, JOURNAL, JournalMode, LegalHold, OptimizePolicy,
    Optimizer, Plan, ReclaimRule, RetentionRule, Step,
};
use annals_store_log::{Archives, LogStore, Settings};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

/// A clock that is moved by hand, for both stores.
#[derive(Debug, Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(i64::try_from(self.0.load(Ordering::Relaxed)).unwrap())
    }
}

/// The store and its oracle.
struct Both {
    archives: Archives,
    log: Arc<LogStore>,
    oracle: Arc<MemoryStore>,
    clock: Arc<Hand>,
    ids: UuidIds,
    appends: Mutex<u64>,
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.segment_bytes = 64 * 1024;
    settings.index_bytes_max = 16 * 1024;
    // So small that blocks come and go.
    settings.block_cache_bytes_max = 300 * 1024;
    settings
}

impl Both {
    fn new(directory: &Path) -> Self {
        Self::with(directory, Archives::default())
    }

    fn with(directory: &Path, archives: Archives) -> Self {
        let clock = Arc::new(Hand::default());
        let log = LogStore::builder(directory.join("store")).settings(settings());
        let log = log.archives(archives.clone());
        let log = log
            .clock(Arc::clone(&clock) as Arc<dyn Clock>)
            .create()
            .unwrap();
        let oracle = MemoryStore::builder()
            .clock(Arc::clone(&clock) as Arc<dyn Clock>)
            .build();
        Self {
            archives,
            log: Arc::new(log),
            oracle: Arc::new(oracle),
            clock,
            ids: UuidIds::default(),
            appends: Mutex::default(),
        }
    }

    /// Records the next append in both.
    fn append(&self) {
        let mut number = self.appends.lock().unwrap();
        self.clock.0.store(*number, Ordering::Relaxed);
        let stream = ["order-1", "order-2", "meter-1", "meter-2", "meter-3"]
            [usize::try_from(*number % 5).unwrap()];
        let events = (0..=*number % 40).map(|at| self.event(*number, at));
        let id = AppendId::parse(&format!("append-{number}")).unwrap();
        let append = Append::builder(id);
        let append = append.write(StreamId::parse(stream).unwrap(), Expected::Any, events);
        let append = append.build().unwrap();
        block_on(self.oracle.append(append.clone())).unwrap();
        block_on(self.log.append(append)).unwrap();
        *number += 1;
    }

    fn event(&self, number: u64, at: u64) -> NewEvent {
        let id: EventId = self.ids.event_id();
        let kind = EventType::parse(["placed", "read", "paid"][usize::try_from(at % 3).unwrap()]);
        let payload =
            format!("{{\"number\":{number},\"at\":{at},\"text\":\"a text that is like others\"}}");
        let event = NewEvent::new(kind.unwrap(), ContentType::JSON, payload).unwrap();
        event
            .with_id(id)
            .with_recorded_at(Timestamp::from_seconds(5))
    }

    /// Reads of every kind, up to a position.
    fn requests(until: Position) -> Vec<ReadRequest> {
        let paid = Criteria::of_types([EventType::from_static("paid")]).unwrap();
        let all = [
            ReadRequest::all(),
            ReadRequest::stream(StreamId::from_static("order-1")),
            ReadRequest::stream(StreamId::from_static("meter-2")),
            ReadRequest::category(Category::from_static("meter")),
            ReadRequest::matching(paid),
        ];
        let all = all.into_iter().flat_map(|it| [it.clone(), it.backward()]);
        all.map(|it| it.until(until)).collect()
    }

    /// Holds every read against the oracle.
    fn check(&self) {
        let head = {
            let _still = self.appends.lock().unwrap();
            self.head()
        };
        self.compare(head);
    }

    /// The same while nobody appends: an append hides events where there are rules.
    fn check_still(&self) {
        let _still = self.appends.lock().unwrap();
        self.compare(self.head());
    }

    fn head(&self) -> Position {
        let newest = ReadRequest::all().backward().events_max(1);
        let last = block_on(self.oracle.collect(newest)).unwrap();
        last.first()
            .map_or(Position::START, RecordedEvent::position)
    }

    fn compare(&self, head: Position) {
        for request in Self::requests(head) {
            let expected = block_on(self.oracle.collect(request.clone())).unwrap();
            let found = block_on(self.log.collect(request.clone())).unwrap();
            assert!(found == expected, "{request:?}");
        }
    }

    /// Has two readers check again and again while the work is done, however it ends.
    fn read_while(&self, check: impl Fn(&Self) + Copy + Send, work: impl FnOnce()) {
        let (is_over, checks) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            let _over = Over(&is_over);
            let (is_over, checks) = (&is_over, &checks);
            for _ in 0..2 {
                scope.spawn(move || {
                    while !is_over.load(Ordering::Acquire) {
                        check(self);
                        checks.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            work();
        });
        assert!(checks.load(Ordering::Relaxed) > 3);
        self.check();
    }

    /// The same, while something is appended all the time.
    fn read_and_written_while(&self, work: impl FnOnce()) {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let _over = Over(&is_over);
            scope.spawn(|| {
                while !is_over.load(Ordering::Acquire) {
                    self.append();
                    thread::yield_now();
                }
            });
            self.read_while(Self::check, work);
        });
        self.check();
    }

    /// That a follower reads the same, and every byte is as it was written.
    fn check_others(&self) {
        let builder = || LogStore::builder(self.log.directory()).archives(self.archives.clone());
        let follower = builder().follow().unwrap();
        let seen = block_on(follower.collect(ReadRequest::all())).unwrap();
        assert!(seen == block_on(self.oracle.collect(ReadRequest::all())).unwrap());
        let verified = builder().verify(&mut |_| {}).unwrap();
        assert!(verified.is_whole(), "{verified:?}");
    }

    fn model(&self) -> Optimizer {
        Optimizer::new(Arc::clone(&self.oracle) as Arc<dyn EventStore>)
            .clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
    }

    fn optimizer(&self) -> Optimizer {
        Optimizer::of(Arc::clone(&self.log)).clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
    }
}

/// Says that it is over, also where a check fails: who waits for it would wait for ever.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn silent() -> ApplySettings {
    let mut settings = ApplySettings::default();
    settings.bytes_per_second_max = None;
    settings.journal = JournalMode::Silent;
    settings
}

fn apply(optimizer: &Optimizer, plan: &Plan) -> annals_optimize::Applied {
    optimizer
        .apply(plan, &silent(), &Control::new(), &mut |_| {})
        .unwrap()
}

#[test]
fn reads_answer_the_same_while_segments_are_compressed_and_undone() {
    let directory = tempfile::tempdir().unwrap();
    let both = Both::new(directory.path());
    (0..200).for_each(|_| both.append());
    let optimizer = both.optimizer();
    both.read_and_written_while(|| {
        for _ in 0..3 {
            let plan = optimizer.plan(&OptimizePolicy::default()).unwrap();
            let applied = apply(&optimizer, &plan);
            assert_eq!(applied.steps_done, plan.steps.len());
            assert!(applied.bytes_after < applied.bytes_before);
            apply(&optimizer, &optimizer.plan_undo().unwrap());
        }
        apply(
            &optimizer,
            &optimizer.plan(&OptimizePolicy::default()).unwrap(),
        );
    });
    both.check_others();
}

#[test]
fn reads_answer_the_same_while_segments_are_archived_and_restored() {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("cold");
    let both = Both::new(directory.path());
    check_archiving(&both, archive.to_str().unwrap());
}

#[test]
fn reads_answer_the_same_while_segments_go_to_an_object_store_and_back() {
    let directory = tempfile::tempdir().unwrap();
    let objects = ObjectArchives::default().store("test://cold", Arc::new(InMemory::new()));
    let archives = Archives::default().opened_by(Arc::new(objects));
    check_archiving(&Both::with(directory.path(), archives), "test://cold/shop");
}

fn check_archiving(both: &Both, to: &str) {
    (0..150).for_each(|_| both.append());
    let optimizer = both.optimizer();
    let mut policy = OptimizePolicy::default();
    policy.archive = Some(ArchiveRule::new(to).newest_kept_local(1));
    let mut uncompressed = policy.clone();
    uncompressed.compression = None;
    both.read_and_written_while(|| {
        for policy in [&uncompressed, &policy, &uncompressed] {
            let plan = optimizer.plan(policy).unwrap();
            let archives = |step: &&Step| matches!(step, Step::Archive { .. });
            assert!(plan.steps.iter().filter(archives).count() > 3, "{plan}");
            let applied = apply(&optimizer, &plan);
            assert_eq!(applied.steps_done, plan.steps.len());
            assert!(applied.bytes_after < applied.bytes_before);
            let again = apply(&optimizer, &plan);
            assert_eq!(
                (again.steps_done, again.steps_passed_over),
                (0, plan.steps.len())
            );
            let undone = apply(&optimizer, &optimizer.plan_undo().unwrap());
            assert!(undone.steps_passed_over == 0 && undone.bytes_after > undone.bytes_before);
            let files = both.log.segments().unwrap();
            assert!(files.iter().all(|it| it.archived_bytes.is_none()));
        }
        apply(&optimizer, &optimizer.plan(&policy).unwrap());
    });
    let files = both.log.segments().unwrap();
    let archived = files.iter().filter(|it| it.archived_bytes.is_some());
    assert!(archived.count() > 3);
    both.check_others();
}

#[test]
fn what_is_archived_is_left_alone_until_it_is_restored() {
    let directory = tempfile::tempdir().unwrap();
    let both = Both::new(directory.path());
    (0..100).for_each(|_| both.append());
    let (optimizer, model) = (both.optimizer(), both.model());
    let archive = directory.path().join("cold");
    let mut policy = reclaiming();
    policy.archive = Some(ArchiveRule::new(archive.to_str().unwrap()));
    policy.reclaim = None;
    let plan = optimizer.plan(&policy).unwrap();
    let saved = plan.totals().bytes_saved;
    apply(&optimizer, &plan);
    apply(&model, &plan);
    both.check();
    let stored = |both: &Both| {
        let segments = both.log.segments().unwrap();
        segments.iter().map(|it| it.stored_bytes).sum::<u64>()
    };
    assert!(saved > 0 && stored(&both) <= 64 * 1024, "{}", stored(&both));
    // What could be compressed or reclaimed there is not, and the plan says so.
    let mut reclaim = reclaiming();
    reclaim.compression = Some(annals_optimize::CompressionRule::default());
    let plan = optimizer.plan(&reclaim).unwrap();
    assert_eq!(plan.steps, [], "{plan}");
    assert!(
        plan.notes
            .iter()
            .any(|it| it.contains("restore what is archived")),
        "{plan}"
    );
    let steps = vec![Step::Compress {
        segment: 1,
        level: 3,
        bytes_before: 0,
        bytes_after: 0,
    }];
    let mut old = Plan::default();
    old.steps = steps;
    assert_eq!(apply(&optimizer, &old).steps_passed_over, 1);

    apply(&optimizer, &optimizer.plan_undo().unwrap());
    let plan = optimizer.plan(&reclaim).unwrap();
    assert!(plan.totals().events_reclaimed > 0, "{plan}");
    apply(&optimizer, &plan);
    both.check();
    // Nothing of what is gone is left in the archive.
    let folder = std::fs::read_dir(&archive)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A policy that hides events of both categories, with one stream on hold.
fn hiding() -> OptimizePolicy {
    let mut policy = OptimizePolicy::default();
    let of = |name| RetentionRule::new(Category::from_static(name));
    policy.retention = vec![
        of("meter").max_count(1000),
        of("meter").max_count(50),
        of("order").max_age(Duration::from_secs(40)),
    ];
    let held = StreamId::from_static("meter-2");
    policy.legal_hold.streams.insert(held);
    policy
}

/// How many events reads show.
fn shown(store: &dyn EventStore, request: ReadRequest) -> u64 {
    block_on(store.collect(request)).unwrap().len() as u64
}

#[test]
fn what_a_plan_hides_is_what_the_oracle_hides_and_a_hold_wins() {
    let directory = tempfile::tempdir().unwrap();
    let both = Both::new(directory.path());
    (0..100).for_each(|_| both.append());
    let optimizer = both.optimizer();
    let model = both.model();
    let plan = optimizer.plan(&hiding()).unwrap();
    let hidden = plan.totals().events_hidden;
    let before = shown(&*both.oracle, ReadRequest::all());
    apply(&optimizer, &plan);
    apply(&model, &plan);
    both.check();
    assert!(hidden > 0);
    assert_eq!(shown(&*both.log, ReadRequest::all()), before - hidden);
    let held = ReadRequest::stream(StreamId::from_static("meter-2"));
    assert!(shown(&*both.log, held) > 50);
    let is_said = |note: &String| note.contains("1 stream of meter is on legal hold");
    assert!(plan.notes.iter().any(is_said), "{plan}");

    // The same plan is done already, and a new one finds nothing.
    let again = apply(&optimizer, &plan);
    assert_eq!(again.steps_done, 0);
    assert_eq!(again.steps_passed_over, plan.steps.len());
    assert_eq!(optimizer.plan(&hiding()).unwrap().steps, []);
}

#[test]
fn a_hold_that_comes_later_lifts_the_rules_and_shows_nothing_again() {
    let directory = tempfile::tempdir().unwrap();
    let both = Both::new(directory.path());
    (0..100).for_each(|_| both.append());
    let optimizer = both.optimizer();
    let model = both.model();
    let plan = optimizer.plan(&hiding()).unwrap();
    apply(&optimizer, &plan);
    apply(&model, &plan);
    let mut policy = hiding();
    let meters = Category::from_static("meter");
    policy.legal_hold.categories.insert(meters);
    let lifted = optimizer.plan(&policy).unwrap();
    let lifts = |step: &Step| match step {
        Step::Retain {
            max_age, max_count, ..
        } => (*max_age, *max_count) == (None, None),
        _ => false,
    };
    assert_eq!(lifted.steps.len(), 2, "{lifted}");
    assert!(lifted.steps.iter().all(lifts), "{lifted}");
    assert_eq!(lifted.totals().events_hidden, 0);
    let before = shown(&*both.log, ReadRequest::all());
    apply(&optimizer, &lifted);
    apply(&model, &lifted);
    assert_eq!(shown(&*both.log, ReadRequest::all()), before);
    both.append();
    both.check();
}

/// The same, and what is hidden is reclaimed wherever there is something.
fn reclaiming() -> OptimizePolicy {
    let mut policy = hiding();
    policy.compression = None;
    let mut rule = ReclaimRule::default();
    rule.share_min = 0.0;
    policy.reclaim = Some(rule);
    policy
}

/// Of all events that the store's files hold: how many were reclaimed, and those that were not.
fn held(log: &LogStore) -> (usize, Vec<RecordedEvent>) {
    let mut history = LogStore::builder(log.directory()).history().unwrap();
    let (mut reclaimed, mut left) = (0, Vec::new());
    loop {
        let entries = history.next_entries().unwrap();
        if entries.is_empty() {
            return (reclaimed, left);
        }
        for entry in entries {
            match entry {
                HistoryEntry::Event {
                    event,
                    is_reclaimed: true,
                    ..
                } => {
                    assert!(event.payload().is_empty());
                    reclaimed += 1;
                }
                HistoryEntry::Event { event, .. } => left.push(event),
                _ => {}
            }
        }
    }
}

/// A retry of what is gone gets its receipt, unless it is another append; an expectation is judged by the versions that
/// there were.
fn check_retries(both: &Both) {
    let meter = StreamId::from_static("meter-1");
    let append = |id: &str, stream: &StreamId, expected, events: Vec<NewEvent>| {
        let append = Append::builder(AppendId::parse(id).unwrap());
        let append = append.write(stream.clone(), expected, events);
        block_on(both.log.append(append.build().unwrap()))
    };
    let events = || (0..=2).map(|at| both.event(2, at)).collect();
    let receipt = append("append-2", &meter, Expected::Any, events()).unwrap();
    assert_eq!(receipt.answer, Answer::Duplicate);
    assert_eq!(receipt.streams[0].last_version, Version::new(3));
    let other = StreamId::from_static("meter-9");
    for (stream, events) in [
        (&other, events()),
        (&meter, (0..3).map(|_| both.event(2, 1)).collect()),
    ] {
        let refused = append("append-2", stream, Expected::Any, events).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AppendIdReused);
    }
    let again = append("fresh", &meter, Expected::NoStream, events()).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
}

fn check_reopened(both: Both, reclaimed: usize) {
    // Nothing of it depends on what the process knows.
    let undo = both.optimizer().plan_undo().unwrap();
    assert!(
        undo.steps.is_empty() && undo.notes[0].contains("stays compressed"),
        "{undo}"
    );
    both.log.close().unwrap();
    let reopened = LogStore::builder(both.log.directory()).settings(settings());
    let verified = reopened.verify(&mut |_| {}).unwrap();
    assert!(verified.is_whole(), "{verified:?}");
    let clock = Arc::clone(&both.clock) as Arc<dyn Clock>;
    let log = reopened.clock(clock).open().unwrap();
    let both = Both {
        log: Arc::new(log),
        ..both
    };
    both.check();
    assert_eq!(held(&both.log).0, reclaimed);
}

#[test]
fn what_is_hidden_is_reclaimed_while_reads_answer_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let both = Both::new(directory.path());
    (0..200).for_each(|_| both.append());
    let (optimizer, model) = (both.optimizer(), both.model());
    let hide = || {
        let plan = optimizer.plan(&hiding()).unwrap();
        apply(&optimizer, &plan);
        apply(&model, &plan);
    };
    hide();
    both.read_while(Both::check_still, || {
        for _ in 0..4 {
            (0..40).for_each(|_| both.append());
            let plan = optimizer.plan(&reclaiming()).unwrap();
            assert!(plan.totals().events_reclaimed > 0, "{plan}");
            let applied = apply(&optimizer, &plan);
            assert!(applied.bytes_after < applied.bytes_before, "{applied:?}");
        }
    });
    // What is done is passed over, and a new plan finds nothing.
    let plan = optimizer.plan(&reclaiming()).unwrap();
    assert_eq!(plan.steps, []);

    let (reclaimed, left) = held(&both.log);
    assert!(reclaimed > 1000, "{reclaimed}");
    let whole = |stream: &str| {
        let events = left.iter().filter(|it| it.stream().as_str() == stream);
        events
            .map(|event| event.version().value())
            .collect::<Vec<_>>()
    };
    // All of the stream that is held is there, whatever was hidden of it.
    let kept = whole("meter-2");
    assert!(kept.iter().copied().eq(1..=kept.len() as u64));
    assert!(!whole("meter-1").contains(&1));

    check_retries(&both);

    drop((optimizer, model));
    check_reopened(both, reclaimed);
}

#[test]
fn a_fork_of_a_time_before_the_rules_does_not_show_what_was_reclaimed() {
    let directory = tempfile::tempdir().unwrap();
    let both = Both::new(directory.path());
    (0..200).for_each(|_| both.append());
    let events = held(&both.log).1.len() as u64;
    let optimizer = both.optimizer();
    apply(&optimizer, &optimizer.plan(&hiding()).unwrap());
    // Some segments are left as they are, so that what is gone is no beginning of its stream.
    let mut plan = optimizer.plan(&reclaiming()).unwrap();
    let mut index = 0;
    plan.steps.retain(|_| {
        index += 1;
        index % 2 == 1
    });
    apply(&optimizer, &plan);
    let segments = both.log.segments().unwrap();
    let inside = segments[1].first_position.value() / 2;
    for until in [events - 60, inside] {
        check_fork(&both, directory.path(), Position::new(until));
    }
}

fn check_fork(both: &Both, directory: &Path, until: Position) {
    let path = directory.join(format!("fork-{until}"));
    let builder = LogStore::builder(both.log.directory());
    let made = builder.fork(&path, until, &mut |_| {}).unwrap();
    let fork = LogStore::builder(&path).settings(settings());
    let fork = fork.open().unwrap();
    let (reclaimed, left) = held(&fork);
    assert!(reclaimed > 0 && made.streams_truncated > 0);
    let seen = block_on(fork.collect(ReadRequest::all())).unwrap();
    assert!(seen.iter().all(|event| left.contains(event)));
    // No stream has a hole, up to the version that it had then.
    for stream in ["order-1", "order-2", "meter-1", "meter-2", "meter-3"] {
        let of = |events: &[RecordedEvent]| {
            let events = events.iter().filter(|it| it.stream().as_str() == stream);
            events.map(|it| it.version().value()).collect::<Vec<_>>()
        };
        let seen = of(&seen);
        let head = StreamId::parse(stream).unwrap();
        let head = block_on(fork.stream_head(&head)).unwrap();
        let end = head.version.next().value();
        let first = seen.first().copied().unwrap_or(end);
        assert!(seen.iter().copied().eq(first..end), "{stream}: {seen:?}");
        assert!(
            head.policy.truncate_before.value() <= first.max(1),
            "{head:?}"
        );
    }
    // A condition sees what reads see.
    let placed = Criteria::of_types([EventType::from_static("placed")]).unwrap();
    let first = seen.iter().find(|it| it.event_type().as_str() == "placed");
    let first = first.unwrap().position();
    let append = |id: &str, after: Position| {
        let append = Append::builder(AppendId::parse(id).unwrap());
        let stream = StreamId::from_static("order-9");
        let append = append.write(stream, Expected::Any, [both.event(0, 0)]);
        let append = append.unless(placed.clone(), Cursor::at(after));
        block_on(fork.append(append.build().unwrap()))
    };
    let conflict = append("one", Position::START).unwrap_err();
    let failures = conflict.conflict().unwrap().failures().iter();
    let positions = failures.filter_map(|failure| match failure {
        FailedCheck::Condition { positions, .. } => positions.first().copied(),
        _ => None,
    });
    assert_eq!(positions.collect::<Vec<_>>(), [first], "{conflict:?}");
    append("two", seen.last().unwrap().position()).unwrap();
}

#[test]
fn what_nobody_is_shown_at_all_is_reclaimed() {
    let directory = tempfile::tempdir().unwrap();
    let both = Both::new(directory.path());
    (0..100).for_each(|_| both.append());
    for stream in ["order-1", "order-2", "meter-1", "meter-2", "meter-3"] {
        let action = match stream {
            "order-1" => PolicyAction::SoftDelete,
            _ => PolicyAction::Tombstone,
        };
        let change = PolicyChange {
            stream: StreamId::parse(stream).unwrap(),
            expected: Expected::Any,
            action,
        };
        block_on(both.log.change_stream_policy(change)).unwrap();
    }
    let mut policy = reclaiming();
    policy.retention.clear();
    policy.legal_hold = LegalHold::default();
    let optimizer = both.optimizer();
    let plan = optimizer.plan(&policy).unwrap();
    let applied = apply(&optimizer, &plan);
    assert!(applied.events_reclaimed > 1000, "{applied:?}");
    assert_eq!(applied.events_reclaimed, plan.totals().events_reclaimed);
}

#[test]
fn a_clock_that_runs_ahead_reclaims_nothing_more() {
    let directory = tempfile::tempdir().unwrap();
    let both = Both::new(directory.path());
    (0..200).for_each(|_| both.append());
    let optimizer = both.optimizer();
    apply(&optimizer, &optimizer.plan(&hiding()).unwrap());
    let mut only_reclaim = reclaiming();
    only_reclaim.retention.clear();
    let reclaimed = |policy: &OptimizePolicy| {
        let plan = optimizer.plan(policy).unwrap();
        plan.totals().events_reclaimed
    };
    let by_the_events = reclaimed(&only_reclaim);
    both.clock.0.store(1_000_000, Ordering::Relaxed);
    assert_eq!(reclaimed(&only_reclaim), by_the_events);
    only_reclaim.trusts_clock = true;
    assert!(reclaimed(&only_reclaim) > by_the_events);
}

#[test]
fn a_run_is_paused_resumed_and_cancelled() {
    let directory = tempfile::tempdir().unwrap();
    let both = Both::new(directory.path());
    (0..200).for_each(|_| both.append());
    let optimizer = Arc::new(both.optimizer().clock(Arc::new(annals_core::SystemClock)));
    let plan = optimizer.plan(&OptimizePolicy::default()).unwrap();
    assert!(plan.steps.len() > 2);

    let mut slow = silent();
    slow.bytes_per_second_max = Some(1);
    let run = optimizer.begin(plan.clone(), slow).unwrap();
    run.control().pause();
    both.append();
    both.check();
    assert!(!run.is_finished());
    run.control().resume();
    run.control().cancel();
    let applied = run.join().unwrap();
    assert!(applied.is_cancelled && applied.steps_done < plan.steps.len());

    let run = optimizer.begin(plan.clone(), silent()).unwrap();
    let applied = run.join().unwrap();
    assert!(!applied.is_cancelled);
    assert_eq!(
        applied.steps_done + applied.steps_passed_over,
        plan.steps.len()
    );
    both.check();
}

#[test]
fn a_store_that_is_closed_ends_the_run_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let both = Both::new(directory.path());
    (0..200).for_each(|_| both.append());
    let optimizer = Arc::new(both.optimizer().clock(Arc::new(annals_core::SystemClock)));
    let plan = optimizer.plan(&OptimizePolicy::default()).unwrap();
    let mut slow = silent();
    slow.bytes_per_second_max = Some(300_000);
    let run = optimizer.begin(plan, slow).unwrap();
    while run.progress().bytes_moved == 0 {
        thread::yield_now();
    }
    both.log.close().unwrap();
    assert!(run.join().is_err());
    let verified = LogStore::builder(both.log.directory())
        .verify(&mut |_| {})
        .unwrap();
    assert!(
        verified.is_whole() && verified.log.unfinished.is_empty(),
        "{verified:?}"
    );
}

#[test]
fn the_journal_tells_of_runs_that_did_something() {
    let directory = tempfile::tempdir().unwrap();
    let both = Both::new(directory.path());
    (0..100).for_each(|_| both.append());
    let optimizer = both.optimizer();
    let mut settings = silent();
    settings.journal = JournalMode::Recorded;
    let plan = optimizer.plan(&OptimizePolicy::default()).unwrap();
    for plan in [&plan, &Plan::default()] {
        optimizer
            .apply(plan, &settings, &Control::new(), &mut |_| {})
            .unwrap();
    }
    let told = block_on(both.log.collect(ReadRequest::stream(JOURNAL))).unwrap();
    let types: Vec<&str> = told
        .iter()
        .map(|event| event.event_type().as_str())
        .collect();
    assert_eq!(types, ["optimization-begun", "optimization-ended"]);
    let ended = String::from_utf8(told[1].payload().to_vec()).unwrap();
    let steps = format!("\"steps_done\":{}", plan.steps.len());
    assert!(
        ended.contains("\"ended\":\"finished\"") && ended.contains(&steps),
        "{ended}"
    );
}

#[test]
fn the_newest_segments_stay_plain_where_that_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let both = Both::new(directory.path());
    (0..200).for_each(|_| both.append());
    let mut policy = OptimizePolicy::default();
    policy.compression.as_mut().unwrap().newest_kept_plain = 2;
    let optimizer = both.optimizer();
    apply(&optimizer, &optimizer.plan(&policy).unwrap());
    let states: Vec<_> = both
        .log
        .segments()
        .unwrap()
        .iter()
        .map(|it| it.state)
        .collect();
    let (compressed, rest) = states.split_at(states.len() - 3);
    assert!(!compressed.is_empty());
    assert!(
        compressed
            .iter()
            .all(|state| *state == SegmentState::Compressed)
    );
    assert_eq!(
        rest,
        [
            SegmentState::Plain,
            SegmentState::Plain,
            SegmentState::Active
        ]
    );
    policy.compression.as_mut().unwrap().newest_kept_plain = 0;
    policy.compression.as_mut().unwrap().saved_share_min = 0.999;
    assert_eq!(optimizer.plan(&policy).unwrap().steps, []);
}
