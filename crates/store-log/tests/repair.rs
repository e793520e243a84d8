//! A damaged log is refused, verified, repaired; what is lost is an error for ever, never a gap.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use annals_core::{
    Append, AppendId, Clock as _, ContentType, Criteria, Cursor, Direction, Error, ErrorKind,
    EventId, EventStore, EventType, Expected, HistoryEntry, ManualClock, NewEvent, PolicyAction,
    PolicyChange, Position, ReadRequest, Receipt, RecordedEvent, StreamId, SystemClock, Timestamp,
    Version,
};
use annals_store_log::{LogStore, LogStoreBuilder, LostEvents, Settings, is_lost};
use futures_executor::block_on;

const HAPPENED: EventType = EventType::from_static("happened");
const EVENTS: u64 = 9;

/// Each event in a frame of its own, `marker-<n>` in its payload, with an id from before there was a store.
fn append(store: &LogStore, n: u64) -> Result<Receipt, Error> {
    let event = NewEvent::new(HAPPENED, ContentType::JSON, format!("\"marker-{n}\"")).unwrap();
    let event = event.with_id(id(n));
    let append = Append::builder(AppendId::parse(&format!("append-{n}")).unwrap())
        .write(stream(n), Expected::Any, [event])
        .build()
        .unwrap();
    block_on(store.append(append))
}

/// An id of yesterday, the same each time: the store keeps such as a distance to its own time.
fn id(n: u64) -> EventId {
    static MILLIS: OnceLock<i64> = OnceLock::new();
    let yesterday = || SystemClock.now().as_micros() / 1000 - 24 * 3600 * 1000;
    let millis = MILLIS.get_or_init(yesterday);
    let (high, low) = (millis >> 16, millis & 0xffff);
    format!("{high:08x}-{low:04x}-7000-8000-{n:012}")
        .parse()
        .unwrap()
}

/// A store of so many events, closed.
fn fill(path: &Path) {
    let store = LogStore::builder(path).create().unwrap();
    (1..=EVENTS).for_each(|n| drop(append(&store, n).unwrap()));
    store.close().unwrap();
}

fn stream(n: u64) -> StreamId {
    StreamId::parse(&format!("thing-{}", n % 3)).unwrap()
}

/// Flips a bit in the payload of the n-th event.
fn damage(directory: &Path, n: u64) {
    let path = directory.join("log/00000000000000000001.segment");
    let mut bytes = fs::read(&path).unwrap();
    let marker = format!("marker-{n}");
    let found = bytes
        .windows(marker.len())
        .position(|window| window == marker.as_bytes());
    *bytes.get_mut(found.unwrap()).unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
}

fn positions(store: &LogStore, request: ReadRequest) -> Result<Vec<u64>, Error> {
    let page = block_on(store.read(request))?;
    Ok(page
        .events
        .iter()
        .map(|event| event.position().value())
        .collect())
}

#[test]
fn what_a_repair_gave_up_is_an_error_and_the_rest_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    fill(&path);
    damage(&path, 5);

    let builder = || LogStore::builder(&path);
    let verification = builder().verify(&mut |_| {}).unwrap();
    assert_eq!(verification.log.damage.len(), 1, "{verification:?}");
    assert_eq!(verification.log.damage[0].numbers, Some(5..6));
    let repair = builder().repair(&mut |_| {}).unwrap();
    assert_eq!(repair.quarantined.len(), 1);

    for with_index in [true, false] {
        if !with_index {
            fs::remove_dir_all(path.join("index")).unwrap();
        }
        let store = builder().open().unwrap();
        check_reads(&store);
        check_conditions(&store);
        let next = append(&store, 100 + u64::from(with_index)).unwrap();
        assert!(next.first_position > Position::new(EVENTS));
        store.close().unwrap();
    }
}

fn check_reads(store: &LogStore) {
    let criteria = Criteria::of_types([HAPPENED]).unwrap();
    for request in [ReadRequest::all(), ReadRequest::matching(criteria)] {
        let page = block_on(store.read(request.clone())).unwrap();
        assert_eq!(page.events.len(), 4);
        assert_eq!(page.cursor, Cursor::at(Position::new(4)));
        let error = block_on(store.read(page.next.unwrap())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        let after = request.clone().after(Position::new(5));
        assert_eq!(
            positions(store, after).unwrap().get(..4),
            Some(&[6, 7, 8, 9][..])
        );
        let backward = request.backward().until(Position::new(9));
        assert_eq!(positions(store, backward).unwrap(), [9, 8, 7, 6]);
    }
    let whole = ReadRequest::stream(stream(4));
    assert_eq!(
        positions(store, whole).unwrap().get(..3),
        Some(&[1, 4, 7][..])
    );
    let lost = ReadRequest::stream(stream(5)).until_version(Version::new(2));
    assert_eq!(
        positions(store, lost).unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    let receipt = block_on(store.receipt(&AppendId::parse("append-4").unwrap()));
    assert_eq!(receipt.unwrap().unwrap().first_position, Position::new(4));
}

fn check_conditions(store: &LogStore) {
    let other = EventType::from_static("other");
    for (after, refused) in [(4, true), (5, false)] {
        let event = NewEvent::new(HAPPENED, ContentType::JSON, "{}").unwrap();
        let id = AppendId::parse(&format!("unless-{after}")).unwrap();
        let append = Append::builder(id)
            .write(StreamId::from_static("conditions"), Expected::Any, [event])
            .unless(
                Criteria::of_types([other.clone()]).unwrap(),
                Cursor::at(Position::new(after)),
            )
            .build()
            .unwrap();
        let recorded = block_on(store.append(append));
        assert_eq!(recorded.is_err(), refused, "{recorded:?}");
    }
}

/// The store, read past what is lost.
fn past_lost(path: &Path) -> LogStoreBuilder {
    let mut settings = Settings::default();
    settings.lost_events = LostEvents::Skip;
    LogStore::builder(path).settings(settings)
}

fn all_pages(store: &impl EventStore, request: ReadRequest) -> Vec<u64> {
    let mut positions = Vec::new();
    let mut next = Some(request);
    while let Some(request) = next {
        let page = block_on(store.read(request)).unwrap();
        positions.extend(page.events.iter().map(|event| event.position().value()));
        next = page.next;
    }
    positions
}

#[test]
fn what_is_lost_is_passed_over_where_it_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    fill(&path);
    // The first event, which states the kind of all; one between; the last one.
    for n in [1, 5, EVENTS] {
        damage(&path, n);
    }
    let repair = LogStore::builder(&path).repair(&mut |_| {});
    repair.unwrap();
    let lost = LogStore::builder(&path).losses().unwrap().positions;
    let lost: Vec<(u64, u64)> = lost
        .iter()
        .map(|lost| (lost.start().value(), lost.end().value()))
        .collect();
    assert_eq!(lost, [(1, 1), (5, 5), (9, 9)]);

    let follower = past_lost(&path).follow().unwrap();
    check_past_lost(&follower);
    let store = past_lost(&path).open().unwrap();
    check_past_lost(&store);
    // No condition is held where nobody can say whether it is.
    let event = NewEvent::new(HAPPENED, ContentType::JSON, "{}").unwrap();
    let other = Criteria::of_types([EventType::from_static("other")]).unwrap();
    let unless = Append::builder(AppendId::parse("unless").unwrap())
        .write(StreamId::from_static("conditions"), Expected::Any, [event])
        .unless(other, Cursor::at(Position::new(3)))
        .build()
        .unwrap();
    assert!(is_lost(&block_on(store.append(unless)).unwrap_err()));
    append(&store, 10).unwrap();
    assert_eq!(
        all_pages(&store, ReadRequest::all()),
        [2, 3, 4, 6, 7, 8, 10]
    );
    assert_eq!(
        all_pages(&store, ReadRequest::stream(stream(1))),
        [4, 7, 10]
    );
    store.close().unwrap();
    let mut history = past_lost(&path).history().unwrap();
    let mut positions = Vec::new();
    loop {
        let entries = history.next_entries().unwrap();
        if entries.is_empty() {
            break;
        }
        positions.extend(entries.iter().map(|entry| match entry {
            HistoryEntry::Event { event, .. } => event.position().value(),
            other => panic!("{other:?}"),
        }));
    }
    assert_eq!(positions, [2, 3, 4, 6, 7, 8, 10]);
    // Without being asked for it is an error, which says so.
    let store = LogStore::builder(&path).open().unwrap();
    let requests = [ReadRequest::all(), ReadRequest::stream(stream(2))];
    for request in requests {
        let error = block_on(store.read(request)).unwrap_err();
        assert!(is_lost(&error), "{error}");
    }
}

fn check_past_lost(store: &impl EventStore) {
    let criteria = Criteria::of_types([HAPPENED]).unwrap();
    for request in [ReadRequest::all(), ReadRequest::matching(criteria)] {
        for events_max in [1, 2, 100] {
            let request = request.clone().events_max(events_max);
            assert_eq!(all_pages(store, request.clone()), [2, 3, 4, 6, 7, 8]);
            let backward = request.clone().backward();
            assert_eq!(all_pages(store, backward), [8, 7, 6, 4, 3, 2]);
            let within = request.after(Position::new(4)).until(Position::new(5));
            assert_eq!(all_pages(store, within), [0; 0]);
        }
    }
    for (n, expected) in [(0, &[3, 6][..]), (1, &[4, 7]), (2, &[2, 8])] {
        for events_max in [1, 2, 100] {
            let request = ReadRequest::stream(stream(n)).events_max(events_max);
            assert_eq!(all_pages(store, request.clone()), expected);
            let after = request.clone().after(Position::new(4));
            let behind: Vec<u64> = expected.iter().copied().filter(|it| *it > 4).collect();
            assert_eq!(all_pages(store, after), behind);
            let backward = request.until(Position::new(7)).backward();
            let mut before: Vec<u64> = expected.iter().copied().filter(|it| *it <= 7).collect();
            before.reverse();
            assert_eq!(all_pages(store, backward), before);
        }
    }
}

/// A store of which the event 5 was given up, with its index as it was or built since.
fn given_up(path: &Path, with_index: bool) -> LogStoreBuilder {
    fill(path);
    damage(path, 5);
    LogStore::builder(path).repair(&mut |_| {}).unwrap();
    if !with_index {
        fs::remove_dir_all(path.join("index")).unwrap();
    }
    LogStore::builder(path)
}

#[test]
fn bounds_leave_nothing_out_that_is_lost_without_a_word() {
    for with_index in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let store = given_up(&path, with_index).open().unwrap();
        // The stream has its events at 2, 5 and 8.
        let read = |after: u64, until: u64| {
            let request = ReadRequest::stream(stream(2)).after(Position::new(after));
            let read = positions(&store, request.until(Position::new(until)));
            read.map_err(|error| assert!(is_lost(&error), "{error}"))
                .ok()
        };
        for (after, until, expected) in [
            (0, 4, Some(&[2][..])),
            (0, 5, None),
            (0, 7, None),
            (3, 7, None),
            (4, 9, None),
            (4, 4, Some(&[])),
            (5, 7, Some(&[])),
            (5, 9, Some(&[8])),
        ] {
            assert_eq!(read(after, until).as_deref(), expected, "{after} {until}");
        }
    }
}

#[test]
fn where_a_lost_event_stood_is_not_guessed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    fill(&path);
    damage(&path, 5);
    damage(&path, 7);
    LogStore::builder(&path).repair(&mut |_| {}).unwrap();
    fs::remove_dir_all(path.join("index")).unwrap();
    // Of the stream the log still knows 2 and 8: what it lost between them stood at 5 or at 7.
    let store = LogStore::builder(&path).open().unwrap();
    let request = ReadRequest::stream(stream(2));
    let until = request.clone().until(Position::new(6));
    assert!(is_lost(&positions(&store, until).unwrap_err()));
    let after = request.clone().after(Position::new(6));
    assert!(is_lost(&positions(&store, after).unwrap_err()));
    let before = request.clone().until(Position::new(4));
    assert_eq!(positions(&store, before).unwrap(), [2]);
    let behind = request.after(Position::new(7));
    assert_eq!(positions(&store, behind).unwrap(), [8]);
}

#[test]
fn a_bound_in_time_leaves_nothing_out_that_is_lost_without_a_word() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let clock = ManualClock::at(Timestamp::from_micros(0));
    let store = LogStore::builder(&path).clock(Arc::new(clock.clone()));
    let store = store.create().unwrap();
    for n in 1..=EVENTS {
        clock.advance(Duration::from_secs(1));
        append(&store, n).unwrap();
    }
    store.close().unwrap();
    damage(&path, 5);
    LogStore::builder(&path).repair(&mut |_| {}).unwrap();
    let store = LogStore::builder(&path).open().unwrap();
    let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
    for bounds in [
        ReadRequest::all().appended_from(at(4)),
        ReadRequest::all().appended_from(at(5)),
        // It may have been as late as what follows it.
        ReadRequest::all().appended_from(at(6)),
        // Or as early as what stands before it.
        ReadRequest::all().appended_before(at(5)),
    ] {
        let first = block_on(store.read(bounds.clone()));
        let pages: Result<Vec<_>, _> = std::iter::successors(Some(first), |page| {
            Some(block_on(store.read(page.as_ref().ok()?.next.clone()?)))
        })
        .collect();
        assert!(is_lost(&pages.unwrap_err()), "{bounds:?}");
    }
    let request = ReadRequest::all().appended_from(at(7));
    assert_eq!(positions(&store, request).unwrap(), [7, 8, 9]);
    let request = ReadRequest::all().appended_before(at(4));
    assert_eq!(positions(&store, request).unwrap(), [1, 2, 3]);
}

#[test]
fn a_page_does_not_end_at_a_gap() {
    for with_index in [true, false] {
        // The stream has its events at 2, 5 and 8 and then more: its second or its third one is lost.
        for (lost, expected) in [(5, [1, 3, 4, 5, 6, 7, 8]), (8, [1, 2, 4, 5, 6, 7, 8])] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("store");
            let store = LogStore::builder(&path).create().unwrap();
            (1..=EVENTS).for_each(|n| drop(append(&store, n).unwrap()));
            (10..=14).for_each(|n| drop(append(&store, 3 * n + 2).unwrap()));
            store.close().unwrap();
            damage(&path, lost);
            LogStore::builder(&path).repair(&mut |_| {}).unwrap();
            if !with_index {
                fs::remove_dir_all(path.join("index")).unwrap();
            }
            let store = past_lost(&path).open().unwrap();
            let whole = ReadRequest::stream(stream(2));
            let by_count = (2..9).map(|max| whole.clone().events_max(max));
            let by_bytes = (200..2000)
                .step_by(150)
                .map(|max| whole.clone().bytes_max(max));
            for request in by_count.chain(by_bytes) {
                check_pages(&store, &request, &expected);
                check_pages(&store, &request.backward(), &expected);
            }
        }
    }
}

/// Holds all versions against these, and those on both sides of an end of a page against each other; a page of one
/// event ends where it must.
fn check_pages(store: &LogStore, request: &ReadRequest, expected: &[u64]) {
    let is_backward = request.direction == Direction::Backward;
    let (mut next, mut all, mut last) = (Some(request.clone()), Vec::new(), None::<Version>);
    while let Some(request) = next {
        let page = block_on(store.read(request.clone())).unwrap();
        let versions: Vec<Version> = page.events.iter().map(RecordedEvent::version).collect();
        if let (Some(last), Some(first)) = (last, versions.first()) {
            let follows = if is_backward {
                last.previous()
            } else {
                last.next()
            };
            assert_eq!(*first, follows, "{request:?}");
        }
        last = versions.last().copied().filter(|_| versions.len() > 1);
        all.extend(versions);
        next = page.next;
    }
    if is_backward {
        all.reverse();
    }
    let all: Vec<u64> = all.into_iter().map(Version::value).collect();
    assert_eq!(all, expected, "{request:?}");
}

#[test]
fn kinds_that_the_lost_part_stated_stay_known_without_the_index() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    fill(&path);
    damage(&path, 1);
    LogStore::builder(&path).repair(&mut |_| {}).unwrap();
    fs::remove_dir_all(path.join("index")).unwrap();
    let store = past_lost(&path).open().unwrap();
    let all: Vec<u64> = (2..=EVENTS).collect();
    assert_eq!(all_pages(&store, ReadRequest::all()), all);
    let criteria = Criteria::of_types([HAPPENED]).unwrap();
    assert_eq!(all_pages(&store, ReadRequest::matching(criteria)), all);
}

#[test]
fn a_fork_that_ends_before_a_repair_states_kinds_knows_them_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut settings = Settings::default();
    settings.segment_bytes = 64 * 1024;
    settings.lost_events = LostEvents::Skip;
    let builder = |path: &Path| LogStore::builder(path).settings(settings.clone());
    let store = builder(&path).create().unwrap();
    (1..=EVENTS).for_each(|n| drop(append(&store, n).unwrap()));
    // Segments that use another kind alone.
    for n in 10..40 {
        let other = EventType::from_static("other");
        let event = NewEvent::new(other, ContentType::OCTETS, vec![7; 10_000]).unwrap();
        let append = Append::builder(AppendId::parse(&format!("append-{n}")).unwrap())
            .write(StreamId::from_static("other"), Expected::Any, [event])
            .build()
            .unwrap();
        block_on(store.append(append)).unwrap();
    }
    store.close().unwrap();
    damage(&path, 1);
    builder(&path).repair(&mut |_| {}).unwrap();
    let fork = directory.path().join("fork");
    let until = Position::new(25);
    let forked = builder(&path).fork(&fork, until, &mut |_| {}).unwrap();
    assert_eq!(forked.position, until);
    let fork = builder(&fork).open().unwrap();
    let all: Vec<u64> = (2..=25).collect();
    assert_eq!(all_pages(&fork, ReadRequest::all()), all);
}

#[test]
fn no_new_kind_takes_the_name_of_one_that_nothing_states_any_more() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    fill(&path);
    damage(&path, 1);
    // The index is gone before the repair could ask it.
    fs::remove_dir_all(path.join("index")).unwrap();
    LogStore::builder(&path).repair(&mut |_| {}).unwrap();
    let store = past_lost(&path).open().unwrap();
    let other = EventType::from_static("other");
    let event = NewEvent::new(other, ContentType::JSON, "{}").unwrap();
    let new = Append::builder(AppendId::parse("other").unwrap())
        .write(StreamId::from_static("other"), Expected::Any, [event])
        .build()
        .unwrap();
    block_on(store.append(new)).unwrap();
    store.close().unwrap();
    // What is of the old kind can't be read, and is never taken for the new one.
    let mut history = past_lost(&path).history().unwrap();
    assert_eq!(
        history.next_entries().unwrap_err().kind(),
        ErrorKind::Corrupt
    );
}

#[test]
fn what_is_lost_is_not_taken_for_hidden_by_its_age() {
    for with_index in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let clock = ManualClock::at(Timestamp::from_micros(0));
        let builder = || LogStore::builder(&path).clock(Arc::new(clock.clone()));
        let store = builder().create().unwrap();
        // The one that is lost is young, and what stands before it old.
        for n in 1..=EVENTS {
            clock.advance(Duration::from_secs(if n == 5 { 100 } else { 1 }));
            append(&store, n).unwrap();
        }
        let rule = PolicyAction::Retain {
            max_age: Some(Duration::from_secs(50)),
            max_count: None,
        };
        block_on(store.change_stream_policy(PolicyChange {
            stream: stream(2),
            expected: Expected::Any,
            action: rule,
        }))
        .unwrap();
        store.close().unwrap();
        damage(&path, 5);
        builder().repair(&mut |_| {}).unwrap();
        if !with_index {
            fs::remove_dir_all(path.join("index")).unwrap();
        }
        let store = builder().open().unwrap();
        let read = || positions(&store, ReadRequest::stream(stream(2)));
        assert!(is_lost(&read().unwrap_err()));
        // Now it is hidden for certain, as what came after it is.
        clock.advance(Duration::from_secs(50));
        assert_eq!(read().unwrap(), [0; 0]);
    }
}

#[test]
fn a_position_index_is_built_again_when_it_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = LogStore::builder(&path).create().unwrap();
    (1..=EVENTS).for_each(|n| drop(append(&store, n).unwrap()));
    drop(store);
    fs::remove_dir_all(path.join("index")).unwrap();
    let store = LogStore::builder(&path).open().unwrap();
    let all = positions(&store, ReadRequest::all()).unwrap();
    assert_eq!(all, (1..=EVENTS).collect::<Vec<_>>());
    assert!(append(&store, 3).unwrap().is_duplicate());
}
