//! What submitters, closers and the core do at once, and what must hold whatever the schedule.

use std::panic;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use shuttle::rand::{Rng, thread_rng};
use shuttle::{sync, thread};

use super::{Backlog, Commit, GroupCommit, GroupSettings, Leader, Submit, SubmitError};

/// Every scenario by its name, where callers lead.
pub(crate) const CALLER: &[(&str, fn())] = &[
    ("submitters", || submitters(Leader::Caller, 3)),
    ("submitters in batches of one", || {
        submitters(Leader::Caller, 1);
    }),
    ("cancellation", || cancellation(Leader::Caller, 3)),
    ("cancellation in batches of one", || {
        cancellation(Leader::Caller, 1);
    }),
    ("panic", || core_panics(Leader::Caller)),
    ("close", || close_while_submitting(Leader::Caller)),
    ("bounded", || bounded(Leader::Caller)),
    ("turns", || turns(Leader::Caller)),
    ("turn within a lead", turn_within_a_lead),
    ("a wait that nobody polls", || wait_without(false)),
    ("a wait that is dropped", || wait_without(true)),
];

/// Every scenario by its name, where a thread of the group's own leads.
pub(crate) const THREAD: &[(&str, fn())] = &[
    ("submitters", || submitters(Leader::Thread, 2)),
    ("cancellation", || cancellation(Leader::Thread, 2)),
    ("panic", || core_panics(Leader::Thread)),
    ("close", || close_while_submitting(Leader::Thread)),
    ("bounded", || bounded(Leader::Thread)),
    ("turns", || turns(Leader::Thread)),
    ("drop", drop_with_thread),
];

/// Notes what it commits, in batches; the answer to a request is its place.
#[derive(Default)]
struct Core {
    committed: Vec<u32>,
    batches: Arc<Mutex<Vec<Vec<u32>>>>,
    panics_at: Option<u32>,
}

impl Commit for Core {
    type Request = u32;
    type Answer = (u32, usize);

    fn commit(&mut self, batch: Vec<u32>) -> Vec<Self::Answer> {
        self.batches.lock().unwrap().push(batch.clone());
        // Here others come in.
        thread::yield_now();
        if self
            .panics_at
            .is_some_and(|request| batch.contains(&request))
        {
            // Without the panic hook, which would print the schedule.
            panic::resume_unwind(Box::new("the core panics"));
        }
        batch
            .into_iter()
            .map(|request| {
                self.committed.push(request);
                (request, self.committed.len() - 1)
            })
            .collect()
    }

    fn weight(_: &u32) -> usize {
        1
    }
}

type Group = Arc<GroupCommit<Core>>;
type Outcome = Result<(u32, usize), SubmitError>;

fn group(core: Core, settings: GroupSettings) -> Group {
    Arc::new(GroupCommit::new(core, settings).unwrap())
}

fn settings(leader: Leader, batch: usize) -> GroupSettings {
    GroupSettings {
        leader,
        batch_bytes_max: batch,
        ..GroupSettings::default()
    }
}

/// Polls once and then once for every time that it is woken: shuttle's own polls once more than that,
/// which would hide a wake that is lost.
fn block_on<F: Future>(future: F) -> F::Output {
    #[derive(Default)]
    struct Bell {
        rung: sync::Mutex<bool>,
        ring: sync::Condvar,
    }

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            *self.rung.lock().unwrap() = true;
            self.ring.notify_one();
        }
    }

    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let mut rung = bell.rung.lock().unwrap();
        while !*rung {
            rung = bell.ring.wait(rung).unwrap();
        }
        *rung = false;
    }
}

/// Starts a thread for each number, which does `run` with the group.
fn spawn<T: Send + 'static>(
    group: &Group,
    numbers: std::ops::Range<u32>,
    run: impl Fn(&Group, u32) -> T + Clone + Send + 'static,
) -> Vec<thread::JoinHandle<T>> {
    numbers
        .map(|number| {
            let (group, run) = (Arc::clone(group), run.clone());
            thread::spawn(move || run(&group, number))
        })
        .collect()
}

fn join<T>(threads: Vec<thread::JoinHandle<T>>) -> Vec<T> {
    threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect()
}

/// Closes the group and holds what was committed against what was answered.
fn check(group: &Group, outcomes: &[(u32, Option<Outcome>)]) {
    assert_eq!(
        group.backlog(),
        Backlog::default(),
        "nothing waits, no place is held"
    );
    let committed = group.close().unwrap().committed;
    check_committed(&committed, outcomes);
}

fn check_committed(committed: &[u32], outcomes: &[(u32, Option<Outcome>)]) {
    for (request, outcome) in outcomes {
        let times = committed.iter().filter(|other| *other == request).count();
        match outcome {
            Some(Ok((answered, place))) => {
                assert_eq!(
                    (answered, times),
                    (request, 1),
                    "answered, so committed, once"
                );
                assert_eq!(committed.get(*place), Some(request), "its own answer");
            }
            Some(Err(SubmitError::Unknown)) | None => assert!(times <= 1, "once at most"),
            Some(Err(_)) => assert_eq!(times, 0, "refused, so not committed"),
        }
    }
}

fn submitters(leader: Leader, batch: usize) {
    let group = group(Core::default(), settings(leader, batch));
    let threads = spawn(&group, 0..3, |group, number| {
        [number * 10, number * 10 + 1]
            .map(|request| (request, Some(block_on(group.submit(request)))))
    });
    let outcomes: Vec<_> = join(threads).into_iter().flatten().collect();
    assert!(
        outcomes
            .iter()
            .all(|(_, outcome)| matches!(outcome, Some(Ok(_)))),
        "{outcomes:?}"
    );
    check(&group, &outcomes);
}

/// Polls the request so many times and then drops it, unless its answer came.
fn submit_and_drop(group: &Group, request: u32, polls: u32) -> Option<Outcome> {
    let mut submit = Some(group.submit(request));
    let mut left = polls;
    block_on(std::future::poll_fn(move |context| {
        let Some(pending) = submit.as_mut() else {
            return Poll::Ready(None);
        };
        if left == 0 {
            submit = None;
            return Poll::Ready(None);
        }
        left -= 1;
        if let Poll::Ready(outcome) = Pin::new(pending).poll(context) {
            return Poll::Ready(Some(outcome));
        }
        if left == 0 {
            // Dropped at the next poll, which may find itself chosen to lead by then.
            thread::yield_now();
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }))
}

fn cancellation(leader: Leader, batch: usize) {
    let group = group(Core::default(), settings(leader, batch));
    let patient = spawn(&group, 0..2, |group, number| {
        [number * 10, number * 10 + 1]
            .map(|request| (request, Some(block_on(group.submit(request)))))
    });
    let impatient = spawn(&group, 2..4, |group, number| {
        let polls = thread_rng().gen_range(0..3);
        (number * 10, submit_and_drop(group, number * 10, polls))
    });
    let mut outcomes: Vec<_> = join(patient).into_iter().flatten().collect();
    assert!(
        outcomes
            .iter()
            .all(|(_, outcome)| matches!(outcome, Some(Ok(_)))),
        "{outcomes:?}"
    );
    outcomes.extend(join(impatient));
    if leader == Leader::Thread {
        // A dropped request may still be with the thread.
        group.with_core(|_| ()).unwrap();
    }
    check(&group, &outcomes);
}

fn core_panics(leader: Leader) {
    let batches = Arc::default();
    let core = Core {
        batches: Arc::clone(&batches),
        panics_at: Some(10),
        ..Core::default()
    };
    let group = group(core, settings(leader, 2));
    let threads = spawn(&group, 0..3, |group, number| {
        [number * 10, number * 10 + 1]
            .map(|request| (request, Some(block_on(group.submit(request)))))
    });
    let turn = spawn(&group, 0..1, |group, _| {
        group.with_core(|core| core.committed.len())
    });
    let outcomes: Vec<_> = join(threads).into_iter().flatten().collect();
    assert!(matches!(*join(turn), [Ok(_) | Err(SubmitError::Poisoned)]));
    assert_eq!(block_on(group.submit(99)), Err(SubmitError::Poisoned));
    assert_eq!(group.with_core(|_| ()), Err(SubmitError::Poisoned));
    assert_eq!(group.close().err(), Some(SubmitError::Poisoned));
    assert_eq!(group.backlog(), Backlog::default());
    let batches = batches.lock().unwrap();
    let (last, before) = batches.split_last().expect("the batch of the panic");
    let unknown = |outcome: &Option<Outcome>| *outcome == Some(Err(SubmitError::Unknown));
    for (request, outcome) in &outcomes {
        assert_eq!(
            last.contains(request),
            unknown(outcome),
            "{request} {outcome:?} {batches:?}"
        );
    }
    check_committed(&before.concat(), &outcomes);
}

fn close_while_submitting(leader: Leader) {
    let group = group(Core::default(), settings(leader, 2));
    let threads = spawn(&group, 0..3, |group, number| {
        [number * 10, number * 10 + 1]
            .map(|request| (request, Some(block_on(group.submit(request)))))
    });
    let closers = spawn(&group, 0..2, |group, _| {
        group.close().map(|core| core.committed)
    });
    let outcomes: Vec<_> = join(threads).into_iter().flatten().collect();
    let (closed, refused): (Vec<_>, Vec<_>) = join(closers).into_iter().partition(Result::is_ok);
    let [Ok(committed)] = &*closed else {
        panic!("one closer gets the core: {closed:?}")
    };
    assert_eq!(refused, [Err(SubmitError::Closed)]);
    assert_eq!(group.backlog(), Backlog::default());
    check_committed(committed, &outcomes);
    let answered = outcomes
        .iter()
        .filter(|(_, outcome)| matches!(outcome, Some(Ok(_))))
        .count();
    assert_eq!(answered, committed.len(), "{outcomes:?}");
}

fn bounded(leader: Leader) {
    let mut settings = settings(leader, 2);
    settings.queue_requests_max = 2;
    if thread_rng().gen_bool(0.5) {
        (settings.queue_requests_max, settings.queue_bytes_max) = (100, 2);
    }
    let group = group(Core::default(), settings);
    let threads = spawn(&group, 0..4, |group, request| {
        if request == 0 {
            return (request, submit_and_drop(group, request, 1));
        }
        let outcome = block_on(group.submit(request));
        let Backlog {
            requests, bytes, ..
        } = group.backlog();
        assert!(requests <= 2 && bytes == requests, "{requests} {bytes}");
        (request, Some(outcome))
    });
    let mut outcomes = join(threads);
    group.with_core(|_| ()).unwrap();
    assert_eq!(group.backlog(), Backlog::default());
    for request in 10..13 {
        let outcome = block_on(group.submit(request));
        assert!(outcome.is_ok(), "there is room again: {outcome:?}");
        outcomes.push((request, Some(outcome)));
    }
    check(&group, &outcomes);
}

fn turns(leader: Leader) {
    let group = group(Core::default(), settings(leader, 2));
    let threads = spawn(&group, 0..2, |group, number| {
        [number * 10, number * 10 + 1]
            .map(|request| (request, Some(block_on(group.submit(request)))))
    });
    let turns = spawn(&group, 0..2, |group, number| {
        let run = |core: &mut Core| {
            let before = core.committed.len();
            thread::yield_now();
            assert_eq!(core.committed.len(), before, "alone with the core");
        };
        if number == 0 {
            group.with_core(run)
        } else {
            group.try_with_core(run).map(Option::unwrap_or_default)
        }
    });
    let outcomes: Vec<_> = join(threads).into_iter().flatten().collect();
    assert!(
        outcomes
            .iter()
            .all(|(_, outcome)| matches!(outcome, Some(Ok(_)))),
        "{outcomes:?}"
    );
    assert_eq!(join(turns), [Ok(()), Ok(())]);
    check(&group, &outcomes);
}

/// A turn comes while a caller commits the requests before its own.
fn turn_within_a_lead() {
    let group = group(Core::default(), settings(Leader::Caller, 1));
    let mut waiting = [0, 1, 2].map(|request| group.submit(request));
    let mut context = Context::from_waker(Waker::noop());
    group
        .with_core(|_| {
            let mut polled = waiting
                .iter_mut()
                .map(|submit| Pin::new(submit).poll(&mut context));
            assert!(polled.all(|polled| polled.is_pending()));
        })
        .unwrap();
    let turn = spawn(&group, 0..1, |group, _| group.with_core(|_| ()));
    let [first, second, third] = waiting;
    assert_eq!(block_on(third), Ok((2, 2)));
    assert_eq!(block_on(second), Ok((1, 1)));
    assert_eq!(block_on(first), Ok((0, 0)));
    assert_eq!(join(turn), [Ok(())]);
    check(&group, &[]);
}

/// The one that looks whether others are back is not polled again, or dropped: the others go on without it.
fn wait_without(dropped: bool) {
    let group = group(Core::default(), settings(Leader::Caller, 3));
    let mut context = Context::from_waker(Waker::noop());
    let mut poll = |submit: &mut Submit<'_, Core>| Pin::new(submit).poll(&mut context);
    // Three share a batch, so that three are expected.
    let mut together = [0, 1, 2].map(|request| group.submit(request));
    group
        .with_core(|_| assert!(together.iter_mut().all(|submit| poll(submit).is_pending())))
        .unwrap();
    let together = together.map(block_on);
    let mut looks = group.submit(3);
    // Where the time for a wait is over, it leads.
    let led = poll(&mut looks).is_ready();
    let looks = Some(looks).filter(|_| !dropped && !led);
    let outcomes = join(spawn(&group, 4..6, |group, request| {
        (request, Some(block_on(group.submit(request))))
    }));
    assert!(
        outcomes
            .iter()
            .all(|(_, outcome)| matches!(outcome, Some(Ok(_)))),
        "{together:?} {outcomes:?}"
    );
    if let Some(looks) = looks {
        assert!(block_on(looks).is_ok());
    }
    check(&group, &outcomes);
}

/// A group dropped while its thread has work left by futures that are gone.
fn drop_with_thread() {
    let batches = Arc::default();
    let core = Core {
        batches: Arc::clone(&batches),
        ..Core::default()
    };
    let group = group(core, settings(Leader::Thread, 1));
    let outcomes = join(spawn(&group, 0..3, |group, request| {
        (
            request,
            submit_and_drop(group, request, thread_rng().gen_range(0..3)),
        )
    }));
    drop(Arc::into_inner(group).expect("the last handle"));
    let batches = batches.lock().unwrap();
    check_committed(&batches.concat(), &outcomes);
}
