//! Where work off a caller's path runs.

use futures_util::future::BoxFuture;

/// Runs a future beside its caller: where snapshots are saved, and where projections run.
///
/// No runtime is named. Implemented by `BlockingThreads` (feature `threads`), and by every function that takes
/// the future. What it is given may be dropped instead of run, as when a runtime shuts down: whoever gave it says
/// what that means.
///
/// ```
/// use annals_concurrency::Spawn;
///
/// // On a runtime of one's own: `|task| { handle.spawn(task); }`. Here, a thread.
/// let threads = |task| {
///     std::thread::spawn(|| futures_executor::block_on(task));
/// };
/// threads.spawn(Box::pin(async { println!("beside the caller") }));
/// ```
pub trait Spawn: Send + Sync {
    /// Runs it, and returns at once.
    fn spawn(&self, task: BoxFuture<'static, ()>);
}

impl<F: Fn(BoxFuture<'static, ()>) + Send + Sync> Spawn for F {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self(task);
    }
}

/// Threads of the crate `blocking`, which come when there is work and go when there is none: the default. It
/// needs no runtime, so it fits stores that need none; a store that works on a runtime's timers or sockets wants
/// that runtime.
///
/// A process has up to 500 of them, which the embedded store's reads of cold data use too; work that goes on, as that of each
/// consumer of a processor, holds one for as long. For hundreds of such, take a runtime.
#[cfg(feature = "threads")]
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockingThreads;

#[cfg(feature = "threads")]
impl Spawn for BlockingThreads {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        blocking::unblock(move || futures_executor::block_on(task)).detach();
    }
}
