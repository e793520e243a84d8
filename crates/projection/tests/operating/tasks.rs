//! Tasks that take turns as a seed has it, on one thread, and can be ended where they stand.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use annals_concurrency::{Chance, SeededChance, Spawn, Timer};
use annals_core::{Clock, ManualClock, Timestamp};
use futures_util::future::BoxFuture;

/// The tasks of one process. Dropping them is a crash.
#[derive(Clone)]
pub(crate) struct Tasks {
    tasks: Arc<Mutex<Vec<BoxFuture<'static, ()>>>>,
    chance: SeededChance,
}

impl Tasks {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            tasks: Arc::default(),
            chance: SeededChance::new(seed),
        }
    }

    pub(crate) fn below(&self, bound: usize) -> usize {
        usize::try_from(self.chance.draw() % u64::try_from(bound).unwrap()).unwrap()
    }

    /// Polls one task, whether it was woken or not: an extra poll does no harm to a future that is right.
    pub(crate) fn turn(&self) {
        let mut task = {
            let mut tasks = self.tasks.lock().unwrap();
            if tasks.is_empty() {
                return;
            }
            let at = self.below(tasks.len());
            tasks.swap_remove(at)
        };
        let mut context = Context::from_waker(Waker::noop());
        if task.as_mut().poll(&mut context).is_pending() {
            self.tasks.lock().unwrap().push(task);
        }
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
        for _ in 0..1_000_000 {
            if let Some(answer) = done.lock().unwrap().take() {
                return answer;
            }
            self.turn();
        }
        panic!("does not end");
    }

    /// Ends all tasks where they stand.
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
        self.tasks.lock().unwrap().push(future);
    }
}

/// A timer and a clock that go on as the test has it; pauses last as long as they say.
#[derive(Clone, Debug)]
pub(crate) struct World {
    clock: ManualClock,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            clock: ManualClock::at(Timestamp::from_seconds(1_000_000)),
        }
    }

    pub(crate) fn goes_on(&self, duration: Duration) {
        self.clock.advance(duration);
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Timer for World {
    fn elapsed(&self) -> Duration {
        self.clock.now().since(Timestamp::EPOCH)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let world = self.clone();
        let until = world.now().after(duration);
        Box::pin(async move {
            while world.now() < until {
                pass().await;
            }
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
