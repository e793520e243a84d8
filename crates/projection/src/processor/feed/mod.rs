//! The read passes that consumers share.
//!
//! A *lane* is one pass over the store: a reader, a window of the pages that it read, and the consumers that take
//! them. Consumers that stand at the same place share a lane. One that stands elsewhere (it is new, it was paused, it
//! was too slow for the others) has a lane of its own, and moves over to another when it comes to a place that
//! the window there holds. So no consumer waits for another longer than the patience of its lane, each event is read
//! and decoded once for all that keep up, and nothing is read beyond the windows.

mod lane;
mod lanes;
mod reader;

use std::sync::{Arc, PoisonError};

use annals_concurrency::{Chance, Spawn, Timer};
use annals_core::{Cursor, Error, EventStore, Observer};
use event_listener::EventListener;
use futures_util::future::BoxFuture;

pub(super) use lane::Member;
use lanes::Lanes;
use reader::Reader;

use super::settings::ProcessorSettings;
use super::tasks::Tasks;
use crate::contract::page::FeedPage;
use crate::sync::{Mutex, MutexGuard};

/// All lanes of a processor.
pub(super) struct Feed {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) timer: Arc<dyn Timer>,
    pub(super) chance: Arc<dyn Chance>,
    pub(super) settings: ProcessorSettings,
    /// What reads and feeds.
    pub(super) tasks: Arc<Tasks>,
    spawn: Arc<dyn Spawn>,
    /// Who is told what the consumers do.
    pub(super) observer: Option<Arc<dyn Observer>>,
    lanes: Mutex<Lanes>,
}

/// What a consumer gets from its lane.
pub(super) enum Taken {
    /// The next page that it has not seen, or seen in part only.
    Page {
        page: Arc<FeedPage>,
        /// Whether it ends where the store ended when it was read.
        is_newest: bool,
    },
    /// There is none yet.
    Wait {
        bell: EventListener,
        /// Whether the consumer has everything that is recorded.
        is_live: bool,
        /// What hinders the reader, which tries again.
        trouble: Option<String>,
    },
    /// The reader gave up.
    Failed(Error),
}

impl Feed {
    /// A feed that begins to read when so many consumers have come, or have left without coming.
    pub(super) fn new(
        store: Arc<dyn EventStore>,
        timer: Arc<dyn Timer>,
        chance: Arc<dyn Chance>,
        spawn: Arc<dyn Spawn>,
        settings: ProcessorSettings,
        awaited: usize,
    ) -> Self {
        Self {
            store,
            timer,
            chance,
            settings,
            tasks: Arc::default(),
            spawn,
            observer: None,
            lanes: Mutex::new(Lanes::new(awaited)),
        }
    }

    /// The same, whose consumers are told to this observer.
    pub(super) fn observed_by(mut self, observer: Option<Arc<dyn Observer>>) -> Self {
        self.observer = observer;
        self
    }

    /// The next page for a consumer that stands at this cursor.
    pub(super) fn take(self: &Arc<Self>, member: &Member, cursor: &Cursor) -> Taken {
        let (taken, opened) = {
            let mut lanes = self.lanes();
            let opened = lanes.seat(member, cursor);
            (lanes.take(member.id), opened)
        };
        if let Some(lane) = opened {
            let reader = Reader::new(Arc::clone(self), lane);
            self.begin(Box::pin(reader.run()));
        }
        taken
    }

    /// Begins a task of this processor.
    pub(super) fn begin(&self, task: BoxFuture<'static, ()>) {
        self.spawn.spawn(self.tasks.counted(task));
    }

    /// Gives up the place of a consumer, if it has one.
    pub(super) fn leave(&self, id: u64) {
        self.lanes().leave(id);
    }

    /// One consumer less is awaited: it is here, or will not come.
    pub(super) fn arrived(&self) {
        self.lanes().arrived();
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
