//! How far a replay is, and how fast.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use annals_concurrency::Timer;
use annals_core::{Position, RecordedEvent};

/// Is told how far a replay is, after each page of events.
///
/// Implemented by every function that takes the progress. It is called on the task of the replay: what takes long
/// holds the replay up.
pub trait ReplayObserver: Send + Sync {
    /// The replay has come so far.
    fn progressed(&self, progress: &ReplayProgress);
}

/// How far a replay is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReplayProgress {
    /// How many events were read.
    pub events: u64,
    /// The position of the last of them.
    pub position: Position,
    /// The position at which the replay ends, where it is known beforehand.
    pub until: Option<Position>,
    /// How long it has been going on.
    pub elapsed: Duration,
}

impl ReplayProgress {
    /// Events a second so far; `None` before any time has passed.
    pub fn rate(&self) -> Option<f64> {
        let seconds = self.elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate is for people")]
        let events = self.events as f64;
        (seconds > 0.0).then(|| events / seconds)
    }

    /// Which part of the positions lies behind, from 0 to 1; `None` where the end is not known.
    pub fn fraction(&self) -> Option<f64> {
        let until = self.until.filter(|until| *until > Position::START)?;
        #[expect(clippy::cast_precision_loss, reason = "a fraction is for people")]
        let (position, until) = (self.position.value() as f64, until.value() as f64);
        Some((position / until).min(1.0))
    }
}

impl<F: Fn(&ReplayProgress) + Send + Sync> ReplayObserver for F {
    fn progressed(&self, progress: &ReplayProgress) {
        self(progress);
    }
}

/// Who is told, and by which time.
#[derive(Clone)]
pub(crate) struct Watcher {
    observer: Arc<dyn ReplayObserver>,
    timer: Arc<dyn Timer>,
}

/// The progress of one call.
pub(crate) struct Watched {
    watcher: Option<Watcher>,
    began: Duration,
    until: Option<Position>,
    events: u64,
}

impl Watcher {
    pub(crate) fn new(observer: impl ReplayObserver + 'static, timer: Arc<dyn Timer>) -> Self {
        let observer = Arc::new(observer);
        Self { observer, timer }
    }
}

impl Watched {
    pub(crate) fn begin(watcher: Option<&Watcher>, until: Option<Position>) -> Self {
        let began = watcher.map_or(Duration::ZERO, |watcher| watcher.timer.elapsed());
        Self {
            watcher: watcher.cloned(),
            began,
            until,
            events: 0,
        }
    }

    /// Notes a page of events.
    pub(crate) fn advance(&mut self, events: &[RecordedEvent]) {
        let (Some(watcher), Some(last)) = (&self.watcher, events.last()) else {
            return;
        };
        let count = u64::try_from(events.len()).unwrap_or(u64::MAX);
        self.events = self.events.saturating_add(count);
        watcher.observer.progressed(&ReplayProgress {
            events: self.events,
            position: last.position(),
            until: self.until,
            elapsed: watcher.timer.elapsed().saturating_sub(self.began),
        });
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher")
            .field("timer", &self.timer)
            .finish_non_exhaustive()
    }
}
