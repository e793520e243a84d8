//! A store at which every call can be cut short: before it does anything, and before its answer arrives.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use annals_concurrency::Timer;
use annals_core::{
    Append, AppendId, Capabilities, Clock, ConsistencyLevel, Cursor, Error, EventStore,
    ManualClock, Page, PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use async_trait::async_trait;
use futures_util::future::BoxFuture;

/// A store whose calls each give way before and after.
#[derive(Debug)]
pub(crate) struct Stepping<S>(pub(crate) S);

impl<S: EventStore> Stepping<S> {
    async fn step<T>(&self, call: impl Future<Output = T>) -> T {
        give_way().await;
        let answer = call.await;
        give_way().await;
        answer
    }
}

#[async_trait]
impl<S: EventStore> EventStore for Stepping<S> {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        self.step(self.0.append(append)).await
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.step(self.0.receipt(id)).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        self.step(self.0.read(request)).await
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        self.step(self.0.head(consistency)).await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.step(self.0.stream_head(stream)).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        self.step(self.0.change_stream_policy(change)).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        self.step(self.0.changed_since(cursor)).await
    }
}

/// A timer whose short pauses, as those before another try, are over after one step, and whose long ones when the
/// clock says so and somebody looks.
#[derive(Debug)]
pub(crate) struct SteppingTimer(pub(crate) ManualClock);

impl Timer for SteppingTimer {
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        if pause < Duration::from_secs(1) {
            return Box::pin(give_way());
        }
        let clock = self.0.clone();
        let end = clock.now().after(pause);
        Box::pin(poll_fn(move |_| {
            if clock.now() >= end {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }))
    }
}

/// Gives way once.
pub(crate) async fn give_way() {
    let mut gave = false;
    poll_fn(|context: &mut Context<'_>| {
        if gave {
            return Poll::Ready(());
        }
        gave = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs a future for at most so many steps and drops it then; `None` where it was not done.
pub(crate) fn run_for<T>(future: impl Future<Output = T>, steps: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..steps {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
            return Some(answer);
        }
    }
    None
}

/// Runs a future until it is done, or rests with nothing to wake it; gives way after each step.
pub(crate) async fn until_idle<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future: Pin<Box<_>> = Box::pin(future);
    loop {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        if let Poll::Ready(answer) = polled {
            return Some(answer);
        }
        if !woken.0.load(Ordering::SeqCst) {
            return None;
        }
        give_way().await;
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}
