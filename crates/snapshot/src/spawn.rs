//! Where work off a caller's path runs.

use futures_util::future::BoxFuture;

/// Runs a future beside its caller: where snapshots are encoded and saved.
///
/// Implemented by [`BlockingThreads`], and by every function that takes the future. What it is given may be
/// dropped instead of run, as when a runtime shuts down: the snapshots stay untaken, and nothing else happens.
///
/// ```
/// # let snapshots = annals_snapshot::Snapshots::<u64>::new(
/// #     std::sync::Arc::new(annals_store_memory::MemoryStore::new()),
/// #     annals_codec::JsonCodec,
/// #     annals_snapshot::Fold::version(1),
/// # );
/// // On a runtime of one's own: `|task| { handle.spawn(task); }`. Here, a thread.
/// let snapshots = snapshots.with_spawn(|task| {
///     std::thread::spawn(|| futures_executor::block_on(task));
/// });
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
/// needs no runtime, so it fits stores that need none; a snapshot store that works on a runtime's timers or
/// sockets wants that runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockingThreads;

impl Spawn for BlockingThreads {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        blocking::unblock(move || futures_executor::block_on(task)).detach();
    }
}
