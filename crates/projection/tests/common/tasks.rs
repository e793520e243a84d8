//! Tasks that take turns as a seed has it, on one thread, and can be ended where they stand.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use annals_concurrency::{Chance, SeededChance, Spawn};
use futures_util::future::BoxFuture;

/// How many turns a future has to come to its end.
const TURNS_MAX: usize = 10_000_000;

/// The tasks of one process, whose every turn is drawn. Dropping them is a crash.
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

    /// Lets one task take its turn, of those that were woken; `false` when none was, as while all wait for a thread.
    pub(crate) fn turn(&self) -> bool {
        let Some(task) = self.draw() else {
            std::thread::yield_now();
            return false;
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

    fn draw(&self) -> Option<Task> {
        let mut tasks = self.tasks.lock().unwrap();
        let is_ready = |task: &Task| task.ready.0.load(Ordering::SeqCst);
        let places = 0..tasks.len();
        let ready: Vec<usize> = places.filter(|at| is_ready(&tasks[*at])).collect();
        if ready.is_empty() {
            return None;
        }
        let at = ready[self.below(ready.len())];
        Some(tasks.swap_remove(at))
    }

    /// Begins a future among the others; its answer is there when it is done.
    pub(crate) fn begin<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Arc<Mutex<Option<T>>> {
        let done = Arc::new(Mutex::new(None));
        let put = Arc::clone(&done);
        self.spawn(Box::pin(async move {
            let answer = future.await;
            *put.lock().unwrap() = Some(answer);
        }));
        done
    }

    /// Runs a future among the others to its end.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let done = self.begin(future);
        for _ in 0..TURNS_MAX {
            if let Some(answer) = done.lock().unwrap().take() {
                return answer;
            }
            self.turn();
        }
        panic!("does not end");
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
