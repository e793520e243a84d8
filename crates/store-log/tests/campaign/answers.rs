//! What callers are told while others append, the disk stalls, or the writer dies (F16, F20, F21, F23, F24).

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use annals_core::{
    Append, Error, ErrorKind, EventStore, Expected, FailedCheck, ManualClock, Outcome, ReadRequest,
    Receipt, Version,
};
use annals_log::vfs::sim::SimFs;
use annals_store_log::{Durability, LogStore};
use futures_executor::block_on;
use futures_util::future::join_all;

use crate::draw::Draw;
use crate::hooked::{Asked, Gate, Hooked};
use crate::reference::{events, pages};
use crate::world::{began, builder, open, settings};

type Answer = Result<Receipt, Error>;

/// A store whose syncs wait at a gate, and whose writer panics at the next write when told.
struct Stalling {
    disk: SimFs,
    clock: ManualClock,
    gate: Arc<Gate>,
    panics: Arc<AtomicBool>,
    store: LogStore,
    draw: Draw,
}

impl Stalling {
    fn new(queue_appends_max: usize) -> Self {
        let (disk, clock) = (SimFs::new(), ManualClock::at(began()));
        let gate = Arc::new(Gate::default());
        let panics = Arc::new(AtomicBool::new(false));
        let (at_gate, told) = (Arc::clone(&gate), Arc::clone(&panics));
        let hook = move |asked, path: &Path| -> io::Result<()> {
            if path
                .extension()
                .is_some_and(|extension| extension == "segment")
            {
                match asked {
                    Asked::Sync => at_gate.pass(),
                    Asked::Write => assert!(!told.load(Ordering::Relaxed), "told to panic"),
                    Asked::Create => {}
                }
            }
            Ok(())
        };
        let mut settings = settings(Durability::Sync);
        settings.queue_appends_max = queue_appends_max;
        let store = builder(Arc::new(Hooked::new(disk.clone(), hook)), 3, &clock);
        Self {
            store: store.settings(settings).create().unwrap(),
            disk,
            clock,
            gate,
            panics,
            draw: Draw::new(3),
        }
    }

    fn append(&mut self) -> Append {
        self.draw.one_event("a-1", Expected::Any)
    }

    /// How many events a reader sees.
    fn seen(&self) -> usize {
        events(pages(&self.store, ReadRequest::all()).unwrap()).len()
    }
}

fn poll(future: &mut Pin<Box<dyn Future<Output = Answer> + Send + '_>>) -> Poll<Answer> {
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_stalled_disk_fills_a_bounded_queue_and_reads_go_on() {
    let mut stalling = Stalling::new(3);
    let (first, second) = (stalling.append(), stalling.append());
    let waiting: Vec<Append> = (0..5).map(|_| stalling.append()).collect();
    block_on(stalling.store.append(first)).unwrap();
    stalling.gate.close();
    thread::scope(|scope| {
        let leader = scope.spawn(|| block_on(stalling.store.append(second)));
        stalling.gate.await_one();
        let mut queued: Vec<_> = waiting
            .iter()
            .map(|append| stalling.store.append(append.clone()))
            .collect();
        for future in &mut queued[..3] {
            assert!(poll(future).is_pending(), "there is room for three");
        }
        let Poll::Ready(Err(error)) = poll(&mut queued[3]) else {
            panic!("a fourth is refused at once");
        };
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Overloaded, Outcome::Rejected)
        );
        assert_eq!(stalling.seen(), 1, "what is not durable is not shown");

        // A future that is dropped gives its slot back, and its append does not happen.
        drop(queued.remove(1));
        assert!(
            poll(&mut queued[3]).is_pending(),
            "there is room for one more"
        );
        stalling.gate.open();
        assert!(leader.join().unwrap().is_ok());
        drop(queued.remove(2));
        for answer in block_on(join_all(queued)) {
            assert!(answer.is_ok(), "{answer:?}");
        }
    });
    let receipt = |index: usize| block_on(stalling.store.receipt(&waiting[index].id())).unwrap();
    let recorded: Vec<bool> = (0..5).map(|index| receipt(index).is_some()).collect();
    assert_eq!(recorded, [true, false, true, false, true]);
    assert_eq!(stalling.seen(), 5);
}

#[test]
fn an_append_whose_future_is_dropped_while_it_is_written_is_whole_or_not_there() {
    let mut stalling = Stalling::new(8);
    let (leading, following) = (stalling.append(), stalling.append());
    stalling.gate.close();
    thread::scope(|scope| {
        let leader = scope.spawn(|| block_on(stalling.store.append(leading)));
        stalling.gate.await_one();
        let mut future = stalling.store.append(following.clone());
        assert!(poll(&mut future).is_pending());
        stalling.gate.open();
        assert!(leader.join().unwrap().is_ok());
        drop(future);
    });
    let receipt = block_on(stalling.store.receipt(&following.id())).unwrap();
    assert_eq!(stalling.seen(), 1 + usize::from(receipt.is_some()));
    let again = block_on(stalling.store.append(following)).unwrap();
    assert_eq!(again.is_duplicate(), receipt.is_some());
    assert_eq!(stalling.seen(), 2);
}

#[test]
fn a_panic_of_the_writer_leaves_nobody_waiting() {
    let mut stalling = Stalling::new(8);
    let (leading, late) = (stalling.append(), stalling.append());
    let waiting: Vec<Append> = (0..3).map(|_| stalling.append()).collect();
    stalling.gate.close();
    let answers: Vec<Answer> = thread::scope(|scope| {
        let leader = scope.spawn(|| block_on(stalling.store.append(leading)));
        stalling.gate.await_one();
        let mut queued: Vec<_> = waiting
            .iter()
            .map(|append| stalling.store.append(append.clone()))
            .collect();
        for future in &mut queued {
            assert!(poll(future).is_pending());
        }
        stalling.panics.store(true, Ordering::Relaxed);
        stalling.gate.open();
        drop(leader.join().unwrap());
        block_on(join_all(queued))
    });
    for answer in answers {
        let error = answer.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
    }
    let error = block_on(stalling.store.append(late)).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Unavailable, Outcome::Rejected)
    );
    let seen = stalling.seen();

    stalling.panics.store(false, Ordering::Relaxed);
    let Stalling {
        disk, clock, store, ..
    } = stalling;
    let image = disk.restart();
    drop(store.close());
    let store = open(&image, &clock, Durability::Sync).unwrap();
    let after = events(pages(&store, ReadRequest::all()).unwrap()).len();
    assert!(after >= seen, "{after} events of {seen} that were seen");
    for append in waiting {
        block_on(store.append(append)).unwrap();
    }
    assert_eq!(events(pages(&store, ReadRequest::all()).unwrap()).len(), 4);
}

#[test]
fn of_appends_at_once_with_one_expected_version_one_wins() {
    let (disk, clock) = (SimFs::new(), ManualClock::at(began()));
    let store = builder(Arc::new(disk), 4, &clock).create().unwrap();
    let mut draw = Draw::new(4);
    for round in 0..50 {
        let expected = match round {
            0 => Expected::NoStream,
            _ => Expected::Exactly(Version::new(round)),
        };
        let appends: Vec<Append> = (0..8).map(|_| draw.one_event("a-1", expected)).collect();
        let answers = block_on(join_all(
            appends.into_iter().map(|append| store.append(append)),
        ));
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        for error in lost.into_iter().filter_map(Result::err) {
            let failures = error.conflict().unwrap().failures();
            let [FailedCheck::Stream { actual, .. }] = failures else {
                panic!("{error:?}");
            };
            assert_eq!(*actual, Version::new(round + 1));
        }
    }
}

#[test]
fn a_second_writer_is_refused_and_told_who_writes() {
    let (disk, clock) = (SimFs::new(), ManualClock::at(began()));
    let first = builder(Arc::new(disk.clone()), 5, &clock).create().unwrap();
    for _ in 0..2 {
        let error = open(&disk, &clock, Durability::Sync).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let holder = format!("process {}", std::process::id());
        assert!(format!("{error:?}").contains(&holder), "{error:?}");
    }
    first.close().unwrap();
    assert!(open(&disk, &clock, Durability::Sync).is_ok());
}
