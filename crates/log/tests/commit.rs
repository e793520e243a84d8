//! The group commit from outside, on plain threads and by polls in a known order.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "what helpers outside the test functions unwrap fails the test"
)]

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::{io, panic};

use annals_log::commit::{
    Backlog, Commit, GroupCommit, GroupSettings, Leader, Submit, SubmitError,
};
use futures_executor::block_on;

/// A request of so many bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Bytes(usize);

/// Notes its batches and the threads that lead them; before each it does what a test wants.
#[derive(Default)]
struct Core {
    batches: Vec<Vec<usize>>,
    leaders: Vec<ThreadId>,
    before: Option<Before>,
}

/// Gets the number of batches so far; says how many answers are to be missing.
type Before = Box<dyn FnMut(usize) -> usize + Send>;

impl Core {
    fn before(before: impl FnMut(usize) -> usize + Send + 'static) -> Self {
        Self {
            before: Some(Box::new(before)),
            ..Self::default()
        }
    }
}

impl Commit for Core {
    type Request = Bytes;
    type Answer = usize;

    fn commit(&mut self, batch: Vec<Bytes>) -> Vec<usize> {
        self.leaders.push(thread::current().id());
        let missing = self
            .before
            .as_mut()
            .map_or(0, |before| before(self.batches.len()));
        let mut answers: Vec<_> = batch.iter().map(|bytes| bytes.0).collect();
        self.batches.push(answers.clone());
        answers.truncate(batch.len() - missing);
        answers
    }

    fn weight(request: &Bytes) -> usize {
        request.0
    }
}

fn group(core: Core, set: impl FnOnce(&mut GroupSettings)) -> GroupCommit<Core> {
    let mut settings = GroupSettings::default();
    set(&mut settings);
    GroupCommit::new(core, settings).expect("the settings are valid")
}

/// Counts how often it is called.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Bell {
    fn rung(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A submitted request that is polled by hand.
struct Hand<'a> {
    submit: Submit<'a, Core>,
    bell: Arc<Bell>,
}

impl<'a> Hand<'a> {
    fn new(group: &'a GroupCommit<Core>, bytes: usize) -> Self {
        Self {
            submit: group.submit(Bytes(bytes)),
            bell: Arc::default(),
        }
    }

    fn poll(&mut self) -> Poll<Result<usize, SubmitError>> {
        let waker = Waker::from(Arc::clone(&self.bell));
        Pin::new(&mut self.submit).poll(&mut Context::from_waker(&waker))
    }

    /// Polls until it waits for others: again whenever it woke itself, as one does that lets others in.
    fn go_on(&mut self) -> Poll<Result<usize, SubmitError>> {
        loop {
            let rung = self.bell.rung();
            let polled = self.poll();
            if polled.is_ready() || self.bell.rung() == rung {
                return polled;
            }
        }
    }
}

/// Submits while the core is away, in this order; then the core leads batches until all are answered.
fn check_batches(set: impl FnOnce(&mut GroupSettings), requests: &[usize], expected: &[&[usize]]) {
    let group = group(Core::default(), set);
    let mut hands: Vec<_> = requests
        .iter()
        .map(|bytes| Hand::new(&group, *bytes))
        .collect();
    group
        .with_core(|_| {
            for hand in &mut hands {
                assert!(hand.poll().is_pending());
            }
        })
        .unwrap();
    for (hand, bytes) in hands.iter_mut().zip(requests) {
        assert_eq!(hand.go_on(), Poll::Ready(Ok(*bytes)));
    }
    assert_eq!(group.backlog(), Backlog::default());
    assert_eq!(group.close().unwrap().batches, expected);
}

#[test]
fn a_lone_caller_commits_within_its_poll_on_its_own_thread() {
    let group = group(Core::default(), |_| {});
    assert_eq!(Hand::new(&group, 7).poll(), Poll::Ready(Ok(7)));
    let core = group.close().unwrap();
    assert_eq!(core.leaders, [thread::current().id()]);
}

#[test]
fn a_batch_takes_what_waits_in_order_as_far_as_it_fits() {
    let ten = |settings: &mut GroupSettings| settings.batch_bytes_max = 10;
    check_batches(|_| {}, &[1, 2, 3], &[&[1, 2, 3]]);
    check_batches(ten, &[4, 6, 1], &[&[4, 6], &[1]]);
    check_batches(ten, &[1, 100, 2, 3], &[&[1], &[100], &[2, 3]]);
    check_batches(ten, &[100, 0, 200], &[&[100], &[0], &[200]]);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let check = |set: fn(&mut GroupSettings), waiting: &[usize], bytes, refused: bool| {
        let group = group(Core::default(), set);
        let mut hands: Vec<_> = waiting
            .iter()
            .map(|bytes| Hand::new(&group, *bytes))
            .collect();
        let mut last = Hand::new(&group, bytes);
        let polled = group.with_core(|_| {
            for hand in &mut hands {
                assert!(hand.poll().is_pending());
            }
            last.poll()
        });
        let overloaded = Poll::Ready(Err(SubmitError::Overloaded));
        assert_eq!(
            polled.unwrap() == overloaded,
            refused,
            "{waiting:?} {bytes}"
        );
    };
    let bytes = |settings: &mut GroupSettings| settings.queue_bytes_max = 10;
    let requests = |settings: &mut GroupSettings| settings.queue_requests_max = 2;
    check(bytes, &[4], 6, false);
    check(bytes, &[4], 7, true);
    check(bytes, &[], 1000, false);
    check(bytes, &[1000], 0, true);
    check(requests, &[0], 0, false);
    check(requests, &[0, 0], 0, true);
}

#[test]
fn a_dropped_request_leaves_and_gives_its_bytes_back() {
    let group = group(Core::default(), |_| {});
    let mut hands = [1, 2, 3].map(|bytes| Some(Hand::new(&group, bytes)));
    group
        .with_core(|_| {
            assert!(
                hands
                    .iter_mut()
                    .flatten()
                    .all(|hand| hand.poll().is_pending())
            );
            hands[1] = None;
            let backlog = group.backlog();
            assert_eq!(
                (backlog.requests, backlog.bytes, backlog.unanswered),
                (2, 4, 2)
            );
        })
        .unwrap();
    drop(hands);
    assert_eq!(
        group.backlog(),
        Backlog::default(),
        "an answer that nobody fetched is gone, too"
    );
    assert_eq!(group.close().unwrap().batches, [[1, 3]]);
}

#[test]
fn whoever_was_chosen_to_lead_passes_it_on_when_dropped() {
    let group = group(Core::default(), |settings| settings.batch_bytes_max = 1);
    let mut hands = [1, 1, 1].map(|bytes| Some(Hand::new(&group, bytes)));
    let rung = |hands: &[Option<Hand<'_>>; 3]| {
        hands
            .each_ref()
            .map(|hand| hand.as_ref().map_or(0, |hand| hand.bell.rung()))
    };
    group
        .with_core(|_| {
            assert!(
                hands
                    .iter_mut()
                    .flatten()
                    .all(|hand| hand.poll().is_pending())
            );
        })
        .unwrap();
    assert_eq!(
        rung(&hands),
        [1, 1, 0],
        "one is answered, the next is to lead"
    );
    hands[1] = None;
    assert_eq!(rung(&hands), [1, 0, 1]);
    assert_eq!(hands[2].as_mut().unwrap().go_on(), Poll::Ready(Ok(1)));
}

#[test]
fn anyone_who_polls_leads_when_the_chosen_one_does_not() {
    let group = group(Core::default(), |settings| settings.batch_bytes_max = 1);
    let mut hands = [1, 1, 1].map(|bytes| Hand::new(&group, bytes));
    group
        .with_core(|_| assert!(hands.iter_mut().all(|hand| hand.poll().is_pending())))
        .unwrap();
    assert_eq!(
        hands[2].go_on(),
        Poll::Ready(Ok(1)),
        "commits the one before it, too"
    );
    assert_eq!(block_on(group.submit(Bytes(5))), Ok(5));
}

#[test]
fn a_leader_is_not_kept_for_ever() {
    // Each commit makes another request wait, as busy callers would.
    let slot: Arc<Mutex<Option<&'static GroupCommit<Core>>>> = Arc::default();
    let late = Arc::clone(&slot);
    let core = Core::before(move |_| {
        if let Some(group) = *late.lock().unwrap() {
            let hand = Box::leak(Box::new(Hand::new(group, 1)));
            assert!(hand.poll().is_pending());
        }
        0
    });
    let group: &'static _ = Box::leak(Box::new(group(core, |_| {})));
    *slot.lock().unwrap() = Some(group);
    assert_eq!(Hand::new(group, 9).go_on(), Poll::Ready(Ok(9)));
    *slot.lock().unwrap() = None;
    assert_eq!(group.backlog().requests, 1, "is for somebody else to lead");
    assert_eq!(group.close().unwrap().batches, [[9], [1]]);
}

#[test]
fn callers_on_one_thread_share_a_batch() {
    let group = group(Core::default(), |_| {});
    for round in 0..40 {
        // As an executor on one thread does it: all are polled, those that were woken once more.
        let mut hands: Vec<_> = (0..5).map(|_| Hand::new(&group, round)).collect();
        let mut pending: Vec<_> = hands
            .iter_mut()
            .filter_map(|hand| match hand.poll() {
                Poll::Pending => Some(hand),
                Poll::Ready(_) => None,
            })
            .collect();
        for hand in &mut pending {
            assert_eq!(hand.bell.rung(), 1, "woken by itself or with its answer");
            assert!(hand.poll().is_ready());
        }
    }
    let batches = group.close().unwrap().batches;
    let shared = batches.iter().filter(|batch| batch.len() == 5).count();
    assert!(shared >= 35, "{shared} of {}", batches.len());
}

#[test]
fn a_panic_or_a_missing_answer_poisons() {
    let check = |before: fn(usize) -> usize, leader| {
        let group = group(Core::before(before), |settings| settings.leader = leader);
        assert_eq!(block_on(group.submit(Bytes(1))), Ok(1));
        assert_eq!(block_on(group.submit(Bytes(2))), Err(SubmitError::Unknown));
        assert_eq!(block_on(group.submit(Bytes(3))), Err(SubmitError::Poisoned));
        assert_eq!(group.with_core(|_| ()), Err(SubmitError::Poisoned));
        assert_eq!(group.try_with_core(|_| ()), Err(SubmitError::Poisoned));
        assert_eq!(group.close().err(), Some(SubmitError::Poisoned));
        assert_eq!(group.backlog(), Backlog::default());
    };
    for leader in [Leader::Caller, Leader::Thread] {
        check(|batches| batches, leader);
        check(
            |batches| {
                if batches == 1 {
                    panic::resume_unwind(Box::new("planted"))
                } else {
                    0
                }
            },
            leader,
        );
    }
}

#[test]
fn a_panic_beside_a_commit_poisons_and_goes_on() {
    let group = group(Core::default(), |_| {});
    let mut waiting = Hand::new(&group, 1);
    let beside = panic::catch_unwind(AssertUnwindSafe(|| {
        group.with_core(|_| {
            assert!(waiting.poll().is_pending());
            panic::resume_unwind(Box::new("planted"))
        })
    }));
    assert!(beside.is_err());
    assert_eq!(waiting.poll(), Poll::Ready(Err(SubmitError::Poisoned)));
}

#[test]
fn close_commits_what_waits_and_gives_the_core_back() {
    for leader in [Leader::Caller, Leader::Thread] {
        let group = group(Core::default(), |settings| settings.leader = leader);
        let mut first = Hand::new(&group, 1);
        group
            .with_core(|_| assert!(first.poll().is_pending()))
            .unwrap();
        assert_eq!(group.close().unwrap().batches, [[1]]);
        assert_eq!(first.poll(), Poll::Ready(Ok(1)));
        assert_eq!(block_on(group.submit(Bytes(2))), Err(SubmitError::Closed));
        assert_eq!(group.with_core(|_| ()), Err(SubmitError::Closed));
        assert_eq!(group.try_with_core(|_| ()), Err(SubmitError::Closed));
        assert_eq!(group.close().err(), Some(SubmitError::Closed));
    }
}

#[test]
fn a_busy_core_is_not_waited_for_unless_asked() {
    let group = group(Core::default(), |_| {});
    let inner = group.with_core(|_| group.try_with_core(|_| ())).unwrap();
    assert_eq!(inner, Ok(None));
    assert_eq!(group.try_with_core(|core| core.batches.len()), Ok(Some(0)));
}

#[test]
fn a_thread_of_its_own_leads_and_ends_with_the_group() {
    let (ended, end) = mpsc::channel::<()>();
    let core = Core::before(move |_| {
        let _ = &ended;
        0
    });
    let group = group(core, |settings| settings.leader = Leader::Thread);
    for bytes in 0..10 {
        assert_eq!(block_on(group.submit(Bytes(bytes))), Ok(bytes));
    }
    let leaders = group.with_core(|core| core.leaders.clone()).unwrap();
    assert_eq!(leaders.len(), 10);
    assert!(!leaders.contains(&thread::current().id()));
    drop(group);
    assert_eq!(end.recv(), Err(mpsc::RecvError), "the core is dropped");
}

#[test]
fn a_waker_may_drop_another_request_of_the_group() {
    struct Owner(
        #[expect(dead_code, reason = "only its drop matters")] Mutex<Submit<'static, Core>>,
    );
    impl Wake for Owner {
        fn wake(self: Arc<Self>) {}
    }
    let group: &'static _ = Box::leak(Box::new(group(Core::default(), |_| {})));
    let mut first = group.submit(Bytes(1));
    let mut second = group.submit(Bytes(2));
    group
        .with_core(|_| {
            assert!(
                Pin::new(&mut second)
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_pending()
            );
            let owner = Waker::from(Arc::new(Owner(Mutex::new(second))));
            assert!(
                Pin::new(&mut first)
                    .poll(&mut Context::from_waker(&owner))
                    .is_pending()
            );
            drop(owner);
            // The new waker replaces the owner of the second request.
            assert!(
                Pin::new(&mut first)
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_pending()
            );
            assert_eq!(group.backlog().requests, 1);
        })
        .unwrap();
    assert_eq!(block_on(first), Ok(1));
}

#[test]
fn a_waker_that_panics_mixes_no_answers_up() {
    struct Broken;

    impl Wake for Broken {
        fn wake(self: Arc<Self>) {
            panic::resume_unwind(Box::new("the waker panics"));
        }
    }

    let group = group(Core::default(), |settings| settings.batch_bytes_max = 3);
    let [mut first, mut leads, mut other] = [3, 1, 2].map(|bytes| Hand::new(&group, bytes));
    let broken = Waker::from(Arc::new(Broken));
    group
        .with_core(|_| {
            assert!(first.poll().is_pending() && leads.poll().is_pending());
            let mut context = Context::from_waker(&broken);
            assert!(Pin::new(&mut other.submit).poll(&mut context).is_pending());
        })
        .unwrap();
    // It leads itself and the other, whose waker ends it when it has its answer.
    panic::catch_unwind(AssertUnwindSafe(|| leads.go_on())).expect_err("the waker panics");
    drop(leads);
    assert_eq!(first.go_on(), Poll::Ready(Ok(3)));
    let mut hands = [5, 6, 7].map(|bytes| Hand::new(&group, bytes));
    group
        .with_core(|_| assert!(hands.iter_mut().all(|hand| hand.poll().is_pending())))
        .unwrap();
    let answers = hands.each_mut().map(Hand::go_on);
    assert_eq!(answers, [5, 6, 7].map(|bytes| Poll::Ready(Ok(bytes))));
    assert_eq!(other.go_on(), Poll::Ready(Ok(2)));
    assert_eq!(group.backlog(), Backlog::default());
}

#[test]
fn bounds_of_zero_are_refused() {
    let sets: [fn(&mut GroupSettings); 3] = [
        |settings| settings.queue_bytes_max = 0,
        |settings| settings.queue_requests_max = 0,
        |settings| settings.batch_bytes_max = 0,
    ];
    for set in sets {
        let mut settings = GroupSettings::default();
        set(&mut settings);
        let refused = GroupCommit::new(Core::default(), settings).map(drop);
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn many_threads_are_all_answered() {
    for leader in [Leader::Caller, Leader::Thread] {
        let group = group(Core::default(), |settings| {
            settings.leader = leader;
            settings.batch_bytes_max = 4_000;
        });
        thread::scope(|scope| {
            for submitter in 0..8 {
                let group = &group;
                scope.spawn(move || {
                    for number in 0..500 {
                        let bytes = submitter * 500 + number;
                        assert_eq!(block_on(group.submit(Bytes(bytes))), Ok(bytes));
                        if number % 100 == 0 {
                            group.with_core(|_| ()).unwrap();
                        }
                    }
                });
            }
        });
        let mut committed = group.close().unwrap().batches.concat();
        committed.sort_unstable();
        assert!(committed.into_iter().eq(0..4_000));
    }
}
