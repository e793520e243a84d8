//! Growth of the active segment in zero-filled steps ahead of the writer.
//!
//! A commit then overwrites blocks that the file has already, and its sync has no metadata to write.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::files::write_zeros;
use crate::vfs::{Access, Vfs, VfsFile};

/// The first step, in bytes; a quarter of the segment where that is less.
pub(crate) const STEP_BYTES_MIN: u32 = 256 * 1024;
/// The greatest step, in bytes.
pub(crate) const STEP_BYTES_MAX: u32 = 8 * 1024 * 1024;

/// How much of a step that runs ahead is written before it is synced, in bytes: the writer's sync of the same
/// file waits for what is written and not synced.
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
    /// Apart from the rest, which is locked for as long as a step runs.
    sync_failed: AtomicBool,
}

#[derive(Debug)]
struct State {
    grown: u32,
    pending: Option<Range<u32>>,
}

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
        let mut state = self.room.lock();
        if state.pending.as_ref() != Some(&self.range) {
            drop(state);
            return Ok(self);
        }
        state.pending = None;
        // A handle of its own: the system reports an error of writing back once to each, and the
        // writer's sync must see it too.
        let file = self.vfs.open(&self.path, Access::Write)?;
        for start in self.range.clone().step_by(PIECE_BYTES as usize) {
            let end = self.range.end.min(start.saturating_add(PIECE_BYTES));
            write_zeros(&*file, widen(&(start..end)))?;
            if let Err(error) = file.sync_data() {
                self.room.sync_failed.store(true, Ordering::Release);
                return Err(error);
            }
        }
        state.grown = self.range.end;
        drop(state);
        Ok(self)
    }

    /// Takes the step back if it was not run.
    pub(crate) fn withdraw(&self) {
        let mut state = self.room.lock();
        if state.pending.as_ref() == Some(&self.range) {
            state.pending = None;
        }
    }
}

impl Room {
    pub(crate) fn new(grown: u32) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                grown,
                pending: None,
            }),
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
        path: PathBuf,
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
            path,
            range,
        })
    }

    /// Has the file filled up to `needed` at least; tells how far it is. Waits for a step that runs,
    /// and takes over one that doesn't yet.
    pub(crate) fn ensure(
        &self,
        file: &dyn VfsFile,
        needed: u32,
        capacity: u32,
    ) -> Result<u32, GrowError> {
        let mut state = self.lock();
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

    /// Takes back a step that was offered, waiting for it if it runs.
    pub(crate) fn close(&self) {
        self.lock().pending = None;
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
