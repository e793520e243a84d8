//! Watching files of the operating system.

use std::io;
use std::path::Path;

use super::Watch;

/// Begins to watch the file that the path names now.
pub(super) fn begin(path: &Path) -> io::Result<Box<dyn Watch>> {
    Ok(Box::new(system::Watcher::new(path)?))
}

/// The kernel tells: a wait costs no disk access and no wake-up.
#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::path::Path;
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::inotify;
    use rustix::io::Errno;

    use crate::vfs::{Watch, Watched};

    /// An inotify instance with one watch.
    ///
    /// A file that is written by a map tells nobody; the engine writes by offset.
    #[derive(Debug)]
    pub(super) struct Watcher {
        queue: OwnedFd,
    }

    impl Watcher {
        pub(super) fn new(path: &Path) -> io::Result<Self> {
            let queue =
                inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
            let changes = inotify::WatchFlags::MODIFY
                | inotify::WatchFlags::ATTRIB
                | inotify::WatchFlags::MOVE_SELF
                | inotify::WatchFlags::DELETE_SELF;
            inotify::add_watch(&queue, path, changes)?;
            Ok(Self { queue })
        }

        /// Takes what is queued, so that the next wait sees later changes only.
        fn drain(&self) -> io::Result<()> {
            let mut buffer = [MaybeUninit::uninit(); 1024];
            let mut events = inotify::Reader::new(&self.queue, &mut buffer);
            loop {
                match events.next() {
                    Ok(_) => {}
                    Err(Errno::AGAIN) => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    impl Watch for Watcher {
        fn wait(&mut self, timeout: Duration) -> io::Result<Watched> {
            // A timeout that the kernel's type can't hold is longer than any machine runs.
            let limit = Timespec::try_from(timeout).ok();
            let mut queues = [PollFd::new(&self.queue, PollFlags::IN)];
            match poll(&mut queues, limit.as_ref()) {
                Ok(0) => return Ok(Watched::TimedOut),
                // A signal ends the wait early; "may have changed" is true of every moment.
                Err(Errno::INTR) => return Ok(Watched::Changed),
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
            self.drain()?;
            Ok(Watched::Changed)
        }
    }
}

/// Looks at length and modification time, at first after a millisecond, then at doubled intervals of at most 20.
///
/// A change that keeps the length and falls within the clock's grain of the last one is seen with the next one.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs;
    use std::io;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, SystemTime};

    use crate::vfs::{Watch, Watched};

    const INTERVAL_MIN: Duration = Duration::from_millis(1);
    const INTERVAL_MAX: Duration = Duration::from_millis(20);

    /// The path, and what was last seen there.
    #[derive(Debug)]
    pub(super) struct Watcher {
        path: PathBuf,
        seen: Option<(u64, SystemTime)>,
    }

    impl Watcher {
        pub(super) fn new(path: &Path) -> io::Result<Self> {
            let seen = look(path)?;
            seen.ok_or(io::ErrorKind::NotFound)?;
            Ok(Self {
                path: path.to_owned(),
                seen,
            })
        }
    }

    impl Watch for Watcher {
        #[expect(
            clippy::disallowed_methods,
            reason = "the standard library has no event to wait for"
        )]
        fn wait(&mut self, timeout: Duration) -> io::Result<Watched> {
            let mut left = timeout;
            let mut interval = INTERVAL_MIN;
            loop {
                let now = look(&self.path)?;
                if now != self.seen {
                    self.seen = now;
                    return Ok(Watched::Changed);
                }
                if left.is_zero() {
                    return Ok(Watched::TimedOut);
                }
                let pause = interval.min(left);
                std::thread::sleep(pause);
                left -= pause;
                interval = (interval * 2).min(INTERVAL_MAX);
            }
        }
    }

    fn look(path: &Path) -> io::Result<Option<(u64, SystemTime)>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some((metadata.len(), metadata.modified()?))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
