//! A member of a group.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use annals_concurrency::{Leases, Retrier, SystemTimer, Timer};
use annals_core::{CheckpointName, Clock, Error, EventStore, Ids, SystemClock, UuidIds};
use event_listener::{Event as Bell, EventListener};

use super::held::HeldPartition;
use super::roster::{Roster, stream};
use super::rounds::Rounds;
use super::settings::GroupSettings;
use crate::contract::consumer::Consumer;
use crate::contract::partition::Partition;
use crate::processor::handle::ProcessorHandle;
use crate::sync::{Mutex, MutexGuard};

/// A member of a consumer group: one of several processes that share the events of a subscription by partition.
///
/// The keys of the events fall into a fixed number of [`Partition`]s. Each partition is held by one member at a time,
/// by a lease in the store; a member takes its fair share, gives some back when others come, after the batch that it
/// is at, and takes over what a dead one had, once its leases have expired. For each partition that it holds it makes
/// a consumer and has its processor feed it. So each event is handled, those of a key in their order, and by
/// another member only after the first one gave up or is taken for dead.
///
/// # What is safe
/// A process may be taken for dead that only slept, and go on in the middle of a batch. Its checkpoint does not move
/// any more, and whatever it appends through the [`fence`](HeldPartition::fence) is refused: of two holders only the
/// later one writes, whatever the clocks do. What it does outside the store is done at least once, and safe where it
/// is known by an id, or checks the [`token`](HeldPartition::token).
///
/// A consumer keeps its progress in [`checkpoints`](HeldPartition::checkpoints). A sink that keeps its own does not
/// know the fence: a projection belongs in a group only where each member keeps the whole model of a partition, or
/// the sink checks the token.
///
/// It needs a store with [`stream_checks`](annals_core::Capabilities::stream_checks) and
/// [`backward_reads`](annals_core::Capabilities::backward_reads). A consumer that takes every event of the store
/// would take those of the group too, and each checkpoint would be the reason for the next: it is refused.
/// Choose categories or criteria.
#[must_use = "call `run` to take part"]
pub struct GroupMember {
    pub(super) group: CheckpointName,
    pub(super) member: String,
    pub(super) store: Arc<dyn EventStore>,
    pub(super) processor: ProcessorHandle,
    pub(super) make: Make,
    pub(super) settings: GroupSettings,
    pub(super) timer: Arc<dyn Timer>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    shared: Arc<Shared>,
}

/// Makes the consumer of a partition.
pub(super) type Make = Arc<dyn Fn(HeldPartition) -> Result<Box<dyn Consumer>, Error> + Send + Sync>;

/// What a member is watched by, and told to leave. Cheap to clone.
#[derive(Clone, Debug)]
pub struct GroupHandle {
    shared: Arc<Shared>,
}

/// What a member is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupStatus {
    /// The partitions that it holds, ascending.
    pub held: Vec<Partition>,
    /// The partitions that it is giving back, as soon as their batches end, ascending.
    pub leaving: Vec<Partition>,
    /// Who was there when it looked last, itself included, in order.
    pub members: Vec<String>,
    /// What went wrong in the last round, in words. The next one tries again.
    pub trouble: Option<String>,
    /// Whether it has left, or was dropped.
    pub is_over: bool,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    status: Mutex<GroupStatus>,
    changed: Bell,
    leaves: AtomicBool,
    asked: Bell,
}

impl GroupMember {
    /// A member of this name in this group, on this store. Each process has a name of its own. For each partition that
    /// it holds, `make` gives the consumer, which takes the events of that partition and is fed by this processor.
    ///
    /// # Errors
    /// [`annals_core::ErrorKind::Invalid`] for what is no name of a group.
    pub fn new(
        store: Arc<dyn EventStore>,
        group: &str,
        member: &str,
        processor: ProcessorHandle,
        make: impl Fn(HeldPartition) -> Result<Box<dyn Consumer>, Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        stream(group)?;
        Ok(Self {
            group: CheckpointName::parse(group)?,
            member: member.to_owned(),
            store,
            processor,
            make: Arc::new(make),
            settings: GroupSettings::DEFAULT,
            timer: Arc::new(SystemTimer),
            clock: Arc::new(SystemClock),
            ids: Arc::new(UuidIds::default()),
            shared: Arc::default(),
        })
    }

    /// The same with these settings.
    ///
    /// # Errors
    /// As [`GroupSettings::validate`] has it.
    pub fn with_settings(mut self, settings: GroupSettings) -> Result<Self, Error> {
        settings.validate()?;
        self.settings = settings;
        Ok(self)
    }

    /// The same with the pauses of this timer.
    pub fn with_timer(mut self, timer: Arc<dyn Timer>) -> Self {
        self.timer = timer;
        self
    }

    /// The same with the time of this clock, by which leases expire.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The same with append ids from here.
    pub fn with_ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// What it is watched by, and told to leave.
    pub fn handle(&self) -> GroupHandle {
        GroupHandle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Takes part until it is told to leave. Errors of the store do not end it: it tries again in the next round, and
    /// what it can't renew it loses.
    ///
    /// # Cancellation
    /// When the future is dropped, its consumers are told to stop, and its partitions are free once their leases
    /// expire.
    ///
    /// # Errors
    /// When it leaves and can't say so: then the others find out when its leases expire.
    pub async fn run(self) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        Rounds::new(self, shared)?.run().await
    }

    pub(super) fn retrier(&self) -> Retrier {
        Retrier::default_with(Arc::clone(&self.timer))
    }

    pub(super) fn leases(&self) -> Result<Leases, Error> {
        Leases::new(Arc::clone(&self.store), Arc::clone(&self.timer))
            .with_clock(Arc::clone(&self.clock))
            .with_ids(Arc::clone(&self.ids))
            .with_settings(self.settings.leases())
    }

    pub(super) fn roster(&self) -> Result<Roster, Error> {
        Ok(Roster {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            ids: Arc::clone(&self.ids),
            retrier: self.retrier(),
            stream: stream(self.group.as_str())?,
            settings: self.settings.clone(),
        })
    }
}

impl GroupHandle {
    /// What the member is doing.
    pub fn status(&self) -> GroupStatus {
        self.shared.status().clone()
    }

    /// Has the member give back its partitions, after the batches that it is at, and waits for that.
    pub async fn leave(&self) {
        self.shared.leaves.store(true, Ordering::SeqCst);
        self.shared.asked.notify(usize::MAX);
        self.wait(|status| status.is_over).await;
    }

    /// Waits until the member is in a certain state.
    pub async fn wait(&self, is_so: impl Fn(&GroupStatus) -> bool) {
        loop {
            let bell = self.shared.changed.listen();
            if is_so(&self.shared.status()) {
                return;
            }
            bell.await;
        }
    }
}

impl Shared {
    fn status(&self) -> MutexGuard<'_, GroupStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut GroupStatus)) {
        change(&mut self.status());
        self.changed.notify(usize::MAX);
    }

    pub(super) fn leaves(&self) -> bool {
        self.leaves.load(Ordering::SeqCst)
    }

    /// What rings when the member is told to leave.
    pub(super) fn asked(&self) -> EventListener {
        self.asked.listen()
    }
}

impl fmt::Debug for GroupMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupMember")
            .field("group", &self.group)
            .field("member", &self.member)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
