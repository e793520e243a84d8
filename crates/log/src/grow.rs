//! Growth of the active segment in zero-filled steps ahead of the writer.
//!
//! A commit then overwrites blocks that the file has already, and its sync has no metadata to write.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::files::write_zeros;
use crate::vfs::{Access, Vfs, VfsFile};

/// The first step, in bytes; a quarter of the segment where that is less.
pub(crate) const STEP_BYTES_MIN: u32 = 256 * 1024;
/// The greatest step, in bytes.
pub(crate) const STEP_BYTES_MAX: u32 = 8 * 1024 * 1024;

/// How much of a step that runs ahead is written before it is synced, in bytes: the writer's sync of the same
/// file waits for what is written and not synced, and a writer that needs the room for one piece.
const PIECE_BYTES: u32 = 512 * 1024;

/// A step of growth of the active segment, to be run on any thread.
///
/// The log runs a step itself when it needs the room before anybody ran this one, and a step that comes
/// too late does nothing.
#[derive(Debug)]
pub struct Growth {
    room: Arc<Room>,
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    range: Range<u32>,
}

/// How far a segment's file is filled with zeros, as the writer and a growing thread share it.
#[derive(Debug)]
pub(crate) struct Room {
    state: Mutex<State>,
    /// Notified when a piece of a step is durable, and when a step ends.
    moved: Condvar,
    /// Apart from the rest, so that the writer asks without a lock before each write.
    sync_failed: AtomicBool,
}

#[derive(Debug)]
struct State {
    /// What is before it is filled and durable.
    grown: u32,
    /// The step that was offered and has not ended.
    pending: Option<Range<u32>>,
    /// Whether a thread runs a step: it alone writes beyond `grown` then.
    is_running: bool,
}

/// The run of a step; the end of it is the end of the step, whatever came in between.
struct Running<'g>(&'g Growth);

/// Why the room that was needed could not be had.
#[derive(Debug)]
pub(crate) enum GrowError {
    /// Nothing is lost, and it may be tried again.
    Write(io::Error),
    /// Nothing is known of what the file holds durably.
    Sync(io::Error),
}

impl Growth {
    /// Fills the step with zeros and makes them durable.
    ///
    /// # Errors
    ///
    /// Those of the file system. The log learns of a failed sync by itself and stops.
    pub fn run(self) -> io::Result<Self> {
        let Some(running) = Running::begin(&self) else {
            return Ok(self);
        };
        // A handle of its own: the system reports an error of writing back once to each, and the
        // writer's sync must see it too.
        let file = self.vfs.open(&self.path, Access::Write)?;
        while let Some(piece) = running.next_piece() {
            write_zeros(&*file, widen(&piece))?;
            if let Err(error) = file.sync_data() {
                self.room.sync_failed.store(true, Ordering::Release);
                return Err(error);
            }
            self.room.moved_to(piece.end);
        }
        drop(running);
        Ok(self)
    }

    /// Takes the step back if it was not run.
    pub(crate) fn withdraw(&self) {
        let mut state = self.room.lock();
        if self.is_pending(&state) {
            state.pending = None;
        }
    }

    fn is_pending(&self, state: &State) -> bool {
        state.pending.as_ref() == Some(&self.range)
    }
}

impl<'g> Running<'g> {
    /// Begins the step, unless it was taken back or a thread runs it.
    fn begin(growth: &'g Growth) -> Option<Self> {
        let mut state = growth.room.lock();
        if state.is_running || !growth.is_pending(&state) {
            return None;
        }
        state.is_running = true;
        Some(Self(growth))
    }

    /// What is to be filled next; `None` at the end of the step, and when it was taken back meanwhile.
    fn next_piece(&self) -> Option<Range<u32>> {
        let Self(Growth { room, range, .. }) = self;
        let state = room.lock();
        let is_left = self.0.is_pending(&state) && state.grown < range.end;
        let end = range.end.min(state.grown.saturating_add(PIECE_BYTES));
        is_left.then_some(state.grown..end)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Self(growth) = self;
        let mut state = growth.room.lock();
        state.is_running = false;
        if growth.is_pending(&state) {
            state.pending = None;
        }
        drop(state);
        growth.room.moved.notify_all();
    }
}

impl Room {
    pub(crate) fn new(grown: u32) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                grown,
                pending: None,
                is_running: false,
            }),
            moved: Condvar::new(),
            sync_failed: AtomicBool::new(false),
        })
    }

    /// Whether a thread's sync failed.
    pub(crate) fn sync_failed(&self) -> bool {
        self.sync_failed.load(Ordering::Acquire)
    }

    /// Offers a step, when less than half a step is free beyond `end` and none is under way. Never waits.
    pub(crate) fn offer(
        self: &Arc<Self>,
        vfs: &Arc<dyn Vfs>,
        path: impl FnOnce() -> PathBuf,
        end: u32,
        capacity: u32,
    ) -> Option<Growth> {
        let mut state = self.state.try_lock().ok()?;
        let step = step_bytes(state.grown, capacity);
        let free = state.grown.saturating_sub(end);
        if state.pending.is_some() || state.grown >= capacity || free >= step / 2 {
            return None;
        }
        let range = state.grown..next_end(state.grown, capacity, 0);
        state.pending = Some(range.clone());
        drop(state);
        Some(Growth {
            room: Arc::clone(self),
            vfs: Arc::clone(vfs),
            path: path(),
            range,
        })
    }

    /// Has the file filled up to `needed` at least; tells how far it is. Waits for the pieces that it needs
    /// of a step that runs, and takes over one that doesn't yet.
    pub(crate) fn ensure(
        &self,
        file: &dyn VfsFile,
        needed: u32,
        capacity: u32,
    ) -> Result<u32, GrowError> {
        let mut state = self.lock();
        while state.is_running && state.grown < needed {
            state = self.wait(state);
        }
        if state.grown >= needed {
            return Ok(state.grown);
        }
        state.pending = None;
        let end = next_end(state.grown, capacity, needed);
        write_zeros(file, widen(&(state.grown..end))).map_err(GrowError::Write)?;
        file.sync_data().map_err(GrowError::Sync)?;
        state.grown = end;
        Ok(end)
    }

    /// Takes back a step that was offered. One that runs ends with its present piece, which this waits for.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.pending = None;
        while state.is_running {
            state = self.wait(state);
        }
    }

    /// Notes that a piece up to here is durable.
    fn moved_to(&self, grown: u32) {
        self.lock().grown = grown;
        self.moved.notify_all();
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.moved
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a new segment's file is filled.
pub(crate) fn first_end(capacity: u32, needed: u32) -> u32 {
    next_end(0, capacity, needed)
}

fn next_end(grown: u32, capacity: u32, needed: u32) -> u32 {
    let step = grown.saturating_add(step_bytes(grown, capacity));
    step.max(needed).min(capacity)
}

fn step_bytes(grown: u32, capacity: u32) -> u32 {
    let first = (capacity / 4).next_multiple_of(4096);
    grown.clamp(first.clamp(8192, STEP_BYTES_MIN), STEP_BYTES_MAX)
}

fn widen(range: &Range<u32>) -> Range<u64> {
    u64::from(range.start)..u64::from(range.end)
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests {
    use std::num::NonZeroUsize;
    use std::path::Path;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread::spawn;

    use super::*;
    use crate::vfs::sim::SimFs;
    use crate::vfs::{MappedFile, VfsLock, Watch};

    const CAPACITY: u32 = 64 * 1024 * 1024;
    const GROWN: u32 = 2 * 1024 * 1024;

    /// A disk whose syncs are told, and wait until they are let through or refused.
    #[derive(Debug)]
    struct Slow {
        disk: SimFs,
        begun: Sender<()>,
        let_through: Arc<Mutex<Receiver<io::Result<()>>>>,
    }

    #[derive(Debug)]
    struct SlowFile {
        file: Arc<dyn VfsFile>,
        begun: Sender<()>,
        let_through: Arc<Mutex<Receiver<io::Result<()>>>>,
    }

    impl Vfs for Slow {
        fn create_dir_all(&self, directory: &Path) -> io::Result<()> {
            self.disk.create_dir_all(directory)
        }

        fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
            self.disk.names(directory)
        }

        fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn VfsFile>> {
            Ok(Arc::new(SlowFile {
                file: self.disk.open(path, access)?,
                begun: self.begun.clone(),
                let_through: Arc::clone(&self.let_through),
            }))
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.disk.rename(from, to)
        }

        fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.disk.hard_link(from, to)
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            self.disk.remove(path)
        }

        fn sync_directory(&self, directory: &Path) -> io::Result<()> {
            self.disk.sync_directory(directory)
        }

        fn lock(&self, path: &Path, holder: &str) -> io::Result<Box<dyn VfsLock>> {
            self.disk.lock(path, holder)
        }

        fn readers_max(&self) -> NonZeroUsize {
            self.disk.readers_max()
        }

        fn watch(&self, path: &Path) -> io::Result<Box<dyn Watch>> {
            self.disk.watch(path)
        }
    }

    impl VfsFile for SlowFile {
        fn length(&self) -> io::Result<u64> {
            self.file.length()
        }

        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            self.file.read_at(buffer, offset)
        }

        fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
            self.file.write_at(bytes, offset)
        }

        fn set_length(&self, length: u64) -> io::Result<()> {
            self.file.set_length(length)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.begun.send(()).unwrap();
            self.let_through.lock().unwrap().recv().unwrap()?;
            self.file.sync_data()
        }

        fn sync_all(&self) -> io::Result<()> {
            self.file.sync_all()
        }

        fn forget_cached(&self, range: Range<u64>) -> io::Result<()> {
            self.file.forget_cached(range)
        }

        fn map(&self, length: u64) -> io::Result<Option<Arc<dyn MappedFile>>> {
            self.file.map(length)
        }
    }

    /// A step that another thread runs on a slow disk.
    struct Scene {
        room: Arc<Room>,
        file: Arc<dyn VfsFile>,
        begun: Receiver<()>,
        let_through: Sender<io::Result<()>>,
        runs: std::thread::JoinHandle<io::Result<Growth>>,
    }

    impl Scene {
        fn begin() -> Self {
            let (begun_sender, begun) = channel();
            let (let_through, waits) = channel();
            let disk = SimFs::new();
            disk.create_dir_all(Path::new("/log")).unwrap();
            let path = Path::new("/log/a");
            let file = disk.open(path, Access::Create).unwrap();
            let vfs: Arc<dyn Vfs> = Arc::new(Slow {
                disk,
                begun: begun_sender,
                let_through: Arc::new(Mutex::new(waits)),
            });
            let room = Room::new(GROWN);
            let growth = room.offer(&vfs, || path.into(), GROWN, CAPACITY).unwrap();
            let runs = spawn(move || growth.run());
            begun.recv().unwrap();
            Self {
                room,
                file,
                begun,
                let_through,
                runs,
            }
        }

        fn pass(&self, synced: io::Result<()>) {
            self.let_through.send(synced).unwrap();
        }

        /// What the room is, without waiting for anybody.
        fn grown(&self) -> u32 {
            self.room.state.try_lock().unwrap().grown
        }

        fn ensure(&self, needed: u32) -> u32 {
            self.room.ensure(&*self.file, needed, CAPACITY).unwrap()
        }
    }

    #[test]
    fn a_writer_waits_for_the_piece_that_it_needs_and_not_for_the_step() {
        let scene = Scene::begin();
        assert_eq!(scene.grown(), GROWN);
        scene.pass(Ok(()));
        scene.begun.recv().unwrap();
        // The second piece is in its sync.
        assert_eq!(scene.grown(), GROWN + PIECE_BYTES);
        assert_eq!(scene.ensure(GROWN + PIECE_BYTES), GROWN + PIECE_BYTES);
        let (room, file) = (Arc::clone(&scene.room), Arc::clone(&scene.file));
        let needed = GROWN + 2 * PIECE_BYTES;
        let writer = spawn(move || room.ensure(&*file, needed, CAPACITY).unwrap());
        scene.pass(Ok(()));
        scene.begun.recv().unwrap();
        assert_eq!(writer.join().unwrap(), needed);
        for _ in 2..4 {
            scene.pass(Ok(()));
        }
        scene.runs.join().unwrap().unwrap();
        assert_eq!(scene.room.lock().grown, 2 * GROWN);
    }

    #[test]
    fn what_a_failed_sync_leaves_is_not_claimed() {
        let scene = Scene::begin();
        scene.pass(Ok(()));
        scene.begun.recv().unwrap();
        scene.pass(Err(io::Error::other("a failed sync")));
        let runs = scene.runs.join().unwrap();
        assert!(runs.is_err() && scene.room.sync_failed());
        assert_eq!(scene.room.lock().grown, GROWN + PIECE_BYTES);
        assert!(scene.room.lock().pending.is_none());
    }

    #[test]
    fn a_log_that_closes_waits_for_one_piece() {
        let scene = Scene::begin();
        let room = Arc::clone(&scene.room);
        let closes = spawn(move || room.close());
        while scene.room.lock().pending.is_some() {
            std::thread::yield_now();
        }
        assert!(!closes.is_finished());
        scene.pass(Ok(()));
        closes.join().unwrap();
        scene.runs.join().unwrap().unwrap();
        assert_eq!(scene.room.lock().grown, GROWN + PIECE_BYTES);
    }
}
