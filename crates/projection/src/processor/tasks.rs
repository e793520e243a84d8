//! The tasks of a processor, counted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use event_listener::Event as Bell;
use futures_util::future::BoxFuture;

use crate::sync::Mutex;

/// Counts the tasks that a processor began, so that whoever stops it hears when the last of them has let go of all
/// that it held.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    running: Mutex<usize>,
    ended: Bell,
}

/// A task that is counted until it is gone, however that comes: it has ended, or was dropped, also before its first
/// turn.
struct Counted {
    /// Gone before the count goes down.
    task: Option<BoxFuture<'static, ()>>,
    count: Option<Count>,
}

/// One in the count.
struct Count(Arc<Tasks>);

impl Tasks {
    /// Has a task counted.
    pub(super) fn counted(
        self: &Arc<Self>,
        task: BoxFuture<'static, ()>,
    ) -> BoxFuture<'static, ()> {
        self.change(|running| running.saturating_add(1));
        Box::pin(Counted {
            task: Some(task),
            count: Some(Count(Arc::clone(self))),
        })
    }

    /// Waits until all tasks are gone.
    pub(super) async fn ended(&self) {
        loop {
            // Listen before looking, so that no end is missed.
            let bell = self.ended.listen();
            if self.change(|running| running) == 0 {
                return;
            }
            bell.await;
        }
    }

    fn change(&self, change: impl FnOnce(usize) -> usize) -> usize {
        let mut running = self
            .running
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *running = change(*running);
        *running
    }
}

impl Future for Counted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(task) = &mut self.task {
            std::task::ready!(task.as_mut().poll(context));
        }
        self.task = None;
        self.count = None;
        Poll::Ready(())
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.change(|running| running.saturating_sub(1));
        self.0.ended.notify(usize::MAX);
    }
}
