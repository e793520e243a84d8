//! Tasks that take turns as a seed has it, on one thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use annals_concurrency::{Chance, SeededChance, Spawn, Timer};
use futures_util::future::BoxFuture;

/// An executor whose every turn is drawn. Dropping its tasks is a crash.
#[derive(Clone)]
pub(crate) struct Tasks {
    tasks: Arc<Mutex<Vec<Task>>>,
    chance: Arc<SeededChance>,
}

struct Task {
    future: BoxFuture<'static, ()>,
    ready: Arc<Ready>,
}

struct Ready(AtomicBool);

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Tasks {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            tasks: Arc::default(),
            chance: Arc::new(SeededChance::new(seed)),
        }
    }

    pub(crate) fn below(&self, bound: usize) -> usize {
        usize::try_from(self.chance.draw() % u64::try_from(bound).unwrap()).unwrap()
    }

    /// Lets one task take its turn; `false` when none can.
    pub(crate) fn turn(&self) -> bool {
        let task = {
            let mut tasks = self.tasks.lock().unwrap();
            let is_ready = |task: &Task| task.ready.0.load(Ordering::SeqCst);
            let ready: Vec<usize> = (0..tasks.len())
                .filter(|at| is_ready(&tasks[*at]))
                .collect();
            if ready.is_empty() {
                return false;
            }
            let at = ready[self.below(ready.len())];
            tasks.swap_remove(at)
        };
        let Task { mut future, ready } = task;
        ready.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&ready));
        if future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
        {
            self.tasks.lock().unwrap().push(Task { future, ready });
        }
        true
    }

    /// Runs a future among the others to its end.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let done = Arc::new(Mutex::new(None));
        let put = Arc::clone(&done);
        self.spawn(Box::pin(async move {
            let answer = future.await;
            *put.lock().unwrap() = Some(answer);
        }));
        loop {
            if let Some(answer) = done.lock().unwrap().take() {
                return answer;
            }
            assert!(self.turn(), "all tasks wait for ever");
        }
    }

    /// Ends all tasks where they stand, as a crash does.
    pub(crate) fn crash(&self) {
        loop {
            let tasks = std::mem::take(&mut *self.tasks.lock().unwrap());
            if tasks.is_empty() {
                return;
            }
            drop(tasks);
        }
    }
}

impl Spawn for Tasks {
    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.tasks.lock().unwrap().push(Task {
            future,
            ready: Arc::new(Ready(AtomicBool::new(true))),
        });
    }
}

/// A timer whose pauses take a few turns.
#[derive(Clone, Debug)]
pub(crate) struct TurnTimer {
    turns: usize,
    elapsed: Arc<Mutex<Duration>>,
}

impl TurnTimer {
    /// Each pause takes so many turns.
    pub(crate) fn new(turns: usize) -> Self {
        Self {
            turns,
            elapsed: Arc::default(),
        }
    }
}

impl Timer for TurnTimer {
    fn elapsed(&self) -> Duration {
        *self.elapsed.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let timer = self.clone();
        Box::pin(async move {
            for _ in 0..timer.turns {
                pass().await;
            }
            *timer.elapsed.lock().unwrap() += duration;
        })
    }
}

/// Lets others take a turn.
pub(crate) fn pass() -> impl Future<Output = ()> + Send {
    Pass(false)
}

struct Pass(bool);

impl Future for Pass {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
