//! Histories that are wrong in one way each: the checker must find every kind of violation.

use annals_core::{
    Answer, Append, AppendId, ConsistencyLevel, Cursor, ErrorKind, EventStore, EventStoreExt,
    Expected, Placement, Position, ReadRequest, Receipt, RecordedEvent, Version,
};
use annals_store_memory::MemoryStore;

use super::recorder::{Call, History, Recorder, Told, ToldReceipt, What};
use crate::names::{append_id, criteria, event, event_id, stream, typed};

/// A history of one client, and the log that it left.
#[derive(Clone)]
struct Run {
    calls: Vec<Call>,
    log: Vec<RecordedEvent>,
}

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const CONFLICT: usize = 3;
const B_AGAIN: usize = 4;
const A_REUSED: usize = 5;
const READ: usize = 6;
const BACKWARD: usize = 7;
const HEAD: usize = 8;
const STREAM_HEAD: usize = 9;
const CHANGED: usize = 10;
const RECEIPT: usize = 11;
const NO_RECEIPT: usize = 12;

fn id(text: &str) -> AppendId {
    append_id(text)
}

fn append_a() -> Append {
    let append = Append::builder(id("a")).write(
        stream("s-1"),
        Expected::NoStream,
        [event("x").with_id(event_id(1))],
    );
    append.build().unwrap()
}

fn append_b(expected: Expected) -> Append {
    let events = ["y", "z"].map(event);
    Append::builder(id("b"))
        .write(stream("s-1"), expected, events)
        .build()
        .unwrap()
}

fn append_c(after: u64) -> Append {
    let append =
        Append::builder(id("c")).write(stream("s-2"), Expected::Any, [typed("hot", &[], "w")]);
    let after = Cursor::at(Position::new(after));
    append
        .unless(criteria(&[(&["noted"], &[])]), after)
        .build()
        .unwrap()
}

fn append_d(expected: u64) -> Append {
    let expected = Expected::Exactly(Version::new(expected));
    Append::builder(id("d"))
        .write(stream("s-1"), expected, [event("lost")])
        .build()
        .unwrap()
}

/// What the constants above name, done one after the other, so that call n lasts from 20 n + 10 to
/// 20 n + 20.
fn good() -> Run {
    futures_executor::block_on(async {
        let store = Recorder::new(MemoryStore::new());
        let exactly = |version| Expected::Exactly(Version::new(version));
        store.append(append_a()).await.unwrap();
        store.append(append_b(exactly(1))).await.unwrap();
        store.append(append_c(3)).await.unwrap();
        store.append(append_d(1)).await.unwrap_err();
        store.append(append_b(exactly(1))).await.unwrap();
        let other = Append::builder(id("a")).write(stream("s-1"), Expected::Any, [event("other")]);
        store.append(other.build().unwrap()).await.unwrap_err();
        store.read(ReadRequest::all()).await.unwrap();
        store
            .read(ReadRequest::stream(stream("s-1")).backward().events_max(2))
            .await
            .unwrap();
        store.head(ConsistencyLevel::Strong).await.unwrap();
        store.stream_head(&stream("s-1")).await.unwrap();
        store.changed_since(&Cursor::START).await.unwrap();
        store.receipt(&id("b")).await.unwrap();
        store.receipt(&id("d")).await.unwrap();
        let mut calls = store.history().calls;
        for call in &mut calls {
            call.began *= 10;
            call.ended *= 10;
        }
        let log = store.collect(ReadRequest::all()).await.unwrap();
        Run { calls, log }
    })
}

/// Changes a good history, and expects a violation of this kind.
fn check(kind: &str, change: impl FnOnce(&mut Run)) {
    let mut run = good();
    change(&mut run);
    let history = History { calls: run.calls };
    let violations = history.check(&run.log);
    let found = violations
        .iter()
        .any(|violation| format!("{violation:?}").starts_with(kind));
    let told: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(found, "{kind} is not among {told:#?}");
    assert!(told.iter().all(|text| !text.is_empty()));
}

impl Run {
    fn receipt(&mut self, call: usize) -> &mut Receipt {
        match &mut self.calls[call].what {
            What::Append(_, Told::Recorded(receipt)) => receipt,
            other => panic!("no receipt: {other:?}"),
        }
    }

    fn page(&mut self, call: usize) -> &mut annals_core::Page {
        match &mut self.calls[call].what {
            What::Read(_, Some(page)) => page,
            other => panic!("no page: {other:?}"),
        }
    }

    fn set(&mut self, call: usize, append: Append, told: Told) {
        self.calls[call].what = What::Append(append, told);
    }

    fn place(&mut self, index: usize, change: impl FnOnce(&mut Placement)) {
        self.log[index] = changed(&self.log[index], change);
    }

    fn time(&mut self, call: usize, began: u64, ended: u64) {
        self.calls[call].began = began;
        self.calls[call].ended = ended;
    }
}

fn changed(event: &RecordedEvent, change: impl FnOnce(&mut Placement)) -> RecordedEvent {
    let (content, mut placement) = event.clone().into_parts();
    change(&mut placement);
    RecordedEvent::new(content, placement)
}

#[test]
fn a_good_history_has_no_violation() {
    let run = good();
    let history = History { calls: run.calls };
    assert_eq!(history.check(&run.log), []);
    assert_eq!(history.len(), 13);
}

#[test]
fn a_bad_log_is_found() {
    check("OutOfOrder", |run| run.log.swap(0, 3));
    check("VersionGap", |run| {
        run.place(2, |event| event.version = Version::new(4));
    });
    check("VersionGap", |run| {
        run.place(2, |event| event.version = Version::new(2));
    });
    check("TimeWentBack", |run| {
        run.place(3, |event| event.appended_at = annals_core::Timestamp::EPOCH);
    });
    check("EventIdTwice", |run| {
        let first = run.log[0].id();
        run.place(3, |event| event.id = first);
    });
}

#[test]
fn a_misplaced_append_is_found() {
    check("Misplaced", |run| {
        let receipt = run.receipt(C);
        receipt.first_position = Position::new(3);
        receipt.last_position = Position::new(3);
    });
    check("Misplaced", |run| {
        run.receipt(C).last_position = Position::new(5);
    });
    check("Misplaced", |run| {
        run.receipt(C).appended_at = annals_core::Timestamp::EPOCH;
    });
    check("Misplaced", |run| {
        run.receipt(C).streams[0].last_version = Version::new(2);
    });
    check("Misplaced", |run| {
        let told = Told::Recorded(run.receipt(C).clone());
        let other = Append::builder(id("c")).write(stream("s-2"), Expected::Any, [event("other")]);
        run.set(C, other.build().unwrap(), told);
    });
    check("Misplaced", |run| {
        run.place(0, |event| event.id = event_id(7));
    });
    check("FromNowhere", |run| drop(run.calls.remove(C)));
}

#[test]
fn a_lie_about_a_retry_is_found() {
    check("RecordedTwice", |run| {
        run.receipt(B_AGAIN).answer = Answer::First;
    });
    check("RecordedTwice", |run| {
        let told = Told::Recorded(run.receipt(A).clone());
        let twin =
            Append::builder(id("twin")).write(stream("s-1"), Expected::NoStream, [event("x")]);
        run.set(CONFLICT, twin.build().unwrap(), told);
    });
    check("ReceiptsDiffer", |run| {
        run.receipt(B_AGAIN).cursor = Cursor::at(Position::new(9));
    });
    check("DuplicateOfNothing", |run| run.time(B_AGAIN, 1, 2));
    check("DuplicateOfNothing", |run| {
        run.receipt(C).answer = Answer::Duplicate;
    });
    check("UnjustifiedReuse", |run| {
        let told = Told::Rejected(ErrorKind::AppendIdReused, None);
        run.set(A_REUSED, append_a(), told);
    });
}

#[test]
fn a_wrong_receipt_is_found() {
    let receipt_of_b = |run: &mut Run| run.receipt(B_AGAIN).clone();
    check("WrongReceipt", |run| {
        run.calls[RECEIPT].what = What::Receipt(id("b"), ToldReceipt::NoReceipt);
    });
    check("WrongReceipt", |run| {
        let other = receipt_of_b(run);
        run.calls[NO_RECEIPT].what = What::Receipt(id("d"), ToldReceipt::Receipt(other));
    });
    check("WrongReceipt", |run| {
        let mut receipt = receipt_of_b(run);
        receipt.answer = Answer::First;
        run.calls[RECEIPT].what = What::Receipt(id("b"), ToldReceipt::Receipt(receipt));
    });
    check("WrongReceipt", |run| run.time(RECEIPT, 1, 2));
}

#[test]
fn a_wrong_fate_is_found() {
    check("RejectedButRecorded", |run| {
        run.set(C, append_c(3), Told::Rejected(ErrorKind::Overloaded, None));
    });
    check("PartlyRecorded", |run| {
        run.calls.remove(B_AGAIN);
        run.set(B, append_b(Expected::Any), Told::Unknown);
        run.log.remove(2);
    });
    check("RecordedTwice", |run| {
        let again = changed(&run.log[3], |event| {
            event.version = event.version.next();
            event.position = event.position.next();
            event.id = event_id(9);
        });
        run.log.push(again);
    });
}

#[test]
fn a_broken_check_is_found() {
    let told = |run: &mut Run, call| Told::Recorded(run.receipt(call).clone());
    check("ExpectationBroken", |run| {
        let told = told(run, B);
        run.set(B, append_b(Expected::NoStream), told);
    });
    check("ConditionBroken", |run| {
        let told = told(run, C);
        run.set(C, append_c(2), told);
    });
    check("UnjustifiedConflict", |run| {
        let told = match &run.calls[CONFLICT].what {
            What::Append(_, told) => told.clone(),
            _ => Told::Unknown,
        };
        run.set(CONFLICT, append_d(3), told);
    });
    check("UnjustifiedConflict", |run| {
        run.set(
            CONFLICT,
            append_d(1),
            Told::Rejected(ErrorKind::Conflict, None),
        );
    });
    // The conflict names version 3, which the stream did not have by then.
    check("UnjustifiedConflict", |run| {
        run.time(CONFLICT, 22, 24);
    });
}

#[test]
fn a_broken_order_is_found() {
    check("OutOfRealTime", |run| run.time(C, 1, 2));
}

#[test]
fn a_bad_read_is_found() {
    check("StaleRead", |run| drop(run.page(READ).events.pop()));
    check("StaleRead", |run| drop(run.page(READ).events.remove(0)));
    check("StaleRead", |run| drop(run.page(READ).events.remove(1)));
    check("StaleRead", |run| run.page(READ).events.clear());
    check("StaleRead", |run| drop(run.page(BACKWARD).events.remove(0)));
    check("StaleRead", |run| run.page(BACKWARD).next = None);
    check("WrongRead", |run| {
        let page = run.page(READ);
        page.events[0] = changed(&page.events[0], |event| event.version = Version::new(7));
    });
    check("WrongRead", |run| run.time(READ, 1, 2));
    check("WrongRead", |run| {
        let other = run.log[3].clone();
        run.page(BACKWARD).events.insert(0, other);
    });
    check("TornRead", |run| {
        run.time(READ, 32, 38);
        run.page(READ).events.truncate(2);
        run.page(READ).cursor = Cursor::at(Position::new(2));
    });
}

#[test]
fn a_bad_cursor_or_head_is_found() {
    let at = |position| Cursor::at(Position::new(position));
    check("WrongCursor", |run| run.page(READ).cursor = at(2));
    check("WrongCursor", |run| {
        let page = run.page(READ);
        page.events.truncate(2);
        page.next = Some(ReadRequest::all().after(at(2)));
    });
    check("WrongHead", |run| {
        run.calls[HEAD].what = What::Head(ConsistencyLevel::Strong, Some(at(3)));
    });
    check("WrongHead", |run| run.time(HEAD, 1, 2));
    check("WrongHead", |run| {
        let What::StreamHead(_, Some(head)) = &mut run.calls[STREAM_HEAD].what else {
            panic!("no head of a stream");
        };
        head.version = Version::new(2);
    });
    check("WrongHead", |run| {
        run.page(BACKWARD).stream.as_mut().unwrap().version = Version::FIRST;
    });
    check("WrongHead", |run| {
        run.calls[CHANGED].what = What::ChangedSince(at(4), Some(at(4)));
    });
}

#[test]
fn a_history_with_policies_is_not_judged() {
    check("PolicyChanged", |run| {
        run.calls.push(Call {
            began: 900,
            ended: 910,
            what: What::ChangePolicy,
        });
    });
}

/// An append of unknown fate may stand in the log or not; its retry tells.
#[test]
fn unknown_fates_are_open() {
    let clean = |change: fn(&mut Run)| {
        let mut run = good();
        change(&mut run);
        let history = History { calls: run.calls };
        assert_eq!(history.check(&run.log), []);
    };
    clean(|run| run.set(C, append_c(3), Told::Unknown));
    clean(|run| {
        run.set(
            B,
            append_b(Expected::Exactly(Version::FIRST)),
            Told::Unknown,
        );
    });
    clean(|run| {
        let call = run.calls[CONFLICT].clone();
        run.calls.push(Call {
            what: What::Append(append_d(1), Told::Unknown),
            ..call
        });
    });
}
