//! Building a version beside the live one.

use std::fmt;
use std::sync::{Arc, PoisonError};

use annals_concurrency::{BlockingThreads, Spawn};
use annals_core::{
    BoxError, CheckpointName, ConsistencyLevel, Cursor, Error, ErrorKind, EventStore,
};
use futures_util::FutureExt as _;

use super::capped::Capped;
use super::comparison::{Comparison, compare};
use super::plan::{RebuildPlan, RebuildStep};
use super::rows::{Inspect, ModelRows, ModelVersion};
use super::settings::RebuildSettings;
use super::versions::{Checks, PAUSE, ProjectionVersions, RecordedVersions};
use crate::contract::consumer::Consumer;
use crate::contract::sink::Sink;
use crate::processor::builder::Processor;
use crate::processor::handle::ProcessorHandle;
use crate::processor::settings::ProcessorSettings;
use crate::processor::status::ConsumerStatus;
use crate::projection::consumer::ProjectionConsumer;
use crate::projection::definition::Projection;
use crate::sync::{Mutex, MutexGuard};

/// Builds the next version of a projection beside the live one, compares the two, and cuts over to it, while the live
/// one is read and fed as ever.
///
/// The new version is fed by a processor of its own, as fast as the store reads. It takes a
/// [`Projection`], which changes its model and nothing else: reactions can't be part of a rebuild. It is compared with
/// the live one at exactly the same events: the live model is looked at once, and the new one is fed up to that place.
///
/// After a crash or a restart, make it anew and apply the plan of then: what was recorded is not done again, and a
/// sink that keeps its progress goes on there. Once the version is live, programs that start feed it as any other
/// ([`RecordedVersions::is_fed`]); until then this value does, so keep it, or take
/// [`into_processor`](Self::into_processor). Dropping it stops the feeding and changes nothing that is recorded.
pub struct Rebuild<L: Inspect, N: Inspect> {
    versions: ProjectionVersions,
    live: ModelVersion<L>,
    new: ModelVersion<N>,
    name: CheckpointName,
    capped: Arc<Capped>,
    feeding: Mutex<Feeding>,
    settings: RebuildSettings,
    processor_settings: ProcessorSettings,
    spawn: Arc<dyn Spawn>,
    judges: Vec<Judge<L, N>>,
    seed: u64,
}

/// A predicate of the application over two looks at the same events.
type Judge<L, N> =
    Arc<dyn Fn(&<L as Inspect>::Rows, &<N as Inspect>::Rows) -> Result<(), BoxError> + Send + Sync>;

/// The consumer before it is fed, and what feeds it then.
#[derive(Debug)]
enum Feeding {
    Ready(Box<dyn Consumer>),
    Begun(ProcessorHandle),
    Over,
}

/// How far a rebuild is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RebuildStatus {
    /// What is recorded.
    pub recorded: RecordedVersions,
    /// What the new version is doing: its cursor, rate, and what is parked; `None` before it is fed.
    pub building: Option<ConsumerStatus>,
    /// Where the store ends.
    pub head: Cursor,
}

impl RebuildStatus {
    /// Which part of the store's positions the new version has handled, 0 to 1; `None` before it is fed.
    pub fn progress(&self) -> Option<f64> {
        let building = self.building.as_ref()?;
        let sum = |cursor: &Cursor| {
            let positions = cursor.positions().iter();
            positions.fold(0_u64, |sum, position| sum.saturating_add(position.value()))
        };
        let (done, all) = (sum(&building.cursor), sum(&self.head).max(1));
        Some((ratio(done, all)).min(1.0))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a part of a whole, to be looked at"
)]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

impl<L: Inspect + 'static, N: Inspect + 'static> Rebuild<L, N> {
    /// A rebuild of this projection into this sink, beside the live version. `inspect` looks into the model that the
    /// sink keeps.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the projection is not the one of `versions`, or of the same version as the
    /// live one, or when its name with the version is too long.
    pub fn new<S: Sink<Model: 'static>>(
        versions: ProjectionVersions,
        live: ModelVersion<L>,
        projection: Projection<S::Model>,
        sink: S,
        inspect: N,
    ) -> Result<Self, Error> {
        let version = projection.version();
        if projection.name().as_str() != versions.name() || version == live.version() {
            let message = "projection has another name, or the live version; rebuild a newer one of the same name";
            return Err(versions.refusal(message, version));
        }
        let new = ModelVersion::new(&projection, inspect);
        let name = CheckpointName::parse(&projection.model_id().to_string())?;
        let consumer = ProjectionConsumer::new(projection, sink).named(name.clone());
        Ok(Self {
            capped: Arc::new(Capped::new(Arc::clone(versions.store()))),
            versions,
            live,
            new,
            name,
            feeding: Mutex::new(Feeding::Ready(Box::new(consumer))),
            settings: RebuildSettings::DEFAULT,
            processor_settings: ProcessorSettings::DEFAULT,
            spawn: Arc::new(BlockingThreads),
            judges: Vec::new(),
            seed: 0,
        })
    }

    /// The same with these settings.
    ///
    /// # Errors
    /// As [`RebuildSettings::validate`] has it.
    pub fn with_settings(mut self, settings: RebuildSettings) -> Result<Self, Error> {
        settings.validate()?;
        self.settings = settings;
        Ok(self)
    }

    /// The same, reading by these settings.
    #[must_use]
    pub fn with_processor_settings(mut self, settings: ProcessorSettings) -> Self {
        self.processor_settings = settings;
        self
    }

    /// The same, working there: on the threads of the crate `blocking` unless said otherwise.
    #[must_use]
    pub fn with_spawn(mut self, spawn: impl Spawn + 'static) -> Self {
        self.spawn = Arc::new(spawn);
        self
    }

    /// The same, comparing other rows, as far as the sinks can.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same with a further condition: of two models of the same events, the live one first. An error is an
    /// objection to the new version.
    #[must_use]
    pub fn on_condition(
        mut self,
        holds: impl Fn(&L::Rows, &N::Rows) -> Result<(), BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.judges.push(Arc::new(holds));
        self
    }

    /// What is yet to be done. Changes nothing.
    ///
    /// # Errors
    /// As for [`RebuildPlan::new`], or as the store has it.
    pub async fn plan(&self) -> Result<RebuildPlan, Error> {
        let recorded = self.versions.read().await?;
        if recorded.live() != self.live.version() && recorded.live() != self.new.version() {
            let message = "another version is live than the one to compare with; make the rebuild with that one";
            return Err(self.versions.refusal(message, recorded.live()));
        }
        RebuildPlan::new(self.versions.name(), &recorded, self.new.version())
    }

    /// Does what a plan says: builds the version until it has all that the live one has, and compares the two.
    /// Afterwards it is fed on. Tells whether it may take over; cutting over is a call of its own.
    ///
    /// # Cancellation
    /// The future may be dropped at any time; a new plan goes on.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the record has changed since the plan was made, [`ErrorKind::Unavailable`] when
    /// the new version fails, or the live one lags behind it, or behind what was recorded before the comparison, for longer
    /// than `patience`; or as the store and the sinks have it.
    pub async fn apply(&self, plan: &RebuildPlan) -> Result<Option<Comparison>, Error> {
        let mut recorded = self.versions.read().await?;
        if recorded.revision != plan.revision || plan.version() != self.new.version() {
            let message = "versions have changed since the plan was made; plan again";
            return Err(Error::new(ErrorKind::Conflict, message).during("apply a plan"));
        }
        if plan.has(RebuildStep::Begin) {
            self.versions.begin(&recorded, plan.version()).await?;
            recorded = self.versions.read().await?;
        }
        let handle = self.feed()?;
        if plan.has(RebuildStep::Compare) {
            self.chase(&handle).await?;
            let comparison = self.compare(&handle).await?;
            self.versions
                .compared(&recorded, plan.version(), comparison)
                .await?;
            recorded = self.versions.read().await?;
        }
        self.capped.show(None);
        Ok(recorded.comparison().cloned())
    }

    /// How far it is.
    ///
    /// # Errors
    /// As the store has it.
    pub async fn status(&self) -> Result<RebuildStatus, Error> {
        let building = match self.processor() {
            Some(handle) => handle.status().await.into_iter().next(),
            None => None,
        };
        Ok(RebuildStatus {
            recorded: self.versions.read().await?,
            building,
            head: self
                .versions
                .store()
                .head(ConsistencyLevel::Eventual)
                .await?,
        })
    }

    /// Makes the new version the live one, for all who read through a [`Live`](crate::Live) handle. The old one is
    /// kept, and is to be fed on, until it is dropped. Where it is live already, nothing happens.
    ///
    /// # Errors
    /// Unless the checks are passed over: [`ErrorKind::Refused`] when the comparison failed, and
    /// [`ErrorKind::Unavailable`] when the new version lags more than `lag_events_max` for longer than `patience`.
    /// [`ErrorKind::Invalid`] when it was not built and compared; [`ErrorKind::Conflict`] when somebody else changed
    /// the versions meanwhile; or as the store has it. Only with [`ErrorKind::Unknown`] may it have happened.
    pub async fn cut_over(&self, checks: &Checks) -> Result<(), Error> {
        self.versions
            .cut_over(&self.new, &self.settings, checks)
            .await
    }

    /// Makes the version that was live before the live one again.
    ///
    /// # Errors
    /// As for [`ProjectionVersions::roll_back`].
    pub async fn roll_back(&self, checks: &Checks) -> Result<(), Error> {
        self.versions
            .roll_back(&self.live, &self.settings, checks)
            .await
    }

    /// What feeds the new version, to wait for and to steer; `None` when nothing was applied.
    pub fn processor(&self) -> Option<ProcessorHandle> {
        match &*self.feeding() {
            Feeding::Begun(handle) => Some(handle.clone()),
            Feeding::Ready(_) | Feeding::Over => None,
        }
    }

    /// The processor that feeds the new version, which goes on without this value; `None` when nothing was applied.
    pub fn into_processor(self) -> Option<ProcessorHandle> {
        match std::mem::replace(&mut *self.feeding(), Feeding::Over) {
            Feeding::Begun(handle) => Some(handle),
            Feeding::Ready(_) | Feeding::Over => None,
        }
    }

    /// Begins to feed the new version, if that has not begun.
    fn feed(&self) -> Result<ProcessorHandle, Error> {
        let mut feeding = self.feeding();
        let consumer = match std::mem::replace(&mut *feeding, Feeding::Over) {
            Feeding::Begun(handle) => {
                *feeding = Feeding::Begun(handle.clone());
                return Ok(handle);
            }
            Feeding::Ready(consumer) => consumer,
            Feeding::Over => {
                let message = "rebuild is over; make it anew";
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
        };
        let store: Arc<dyn EventStore> = Arc::<Capped>::clone(&self.capped);
        let spawn = Arc::clone(&self.spawn);
        let handle = Processor::builder(store)
            .settings(self.processor_settings.clone())
            .timer(Arc::clone(self.versions.timer()))
            .spawn(move |task| spawn.spawn(task))
            .consume(consumer)
            .build()?
            .start();
        *feeding = Feeding::Begun(handle.clone());
        Ok(handle)
    }

    /// Comes close to the live version, which goes on meanwhile, once that has what is recorded by now: one that was
    /// begun just now would say nothing.
    async fn chase(&self, handle: &ProcessorHandle) -> Result<(), Error> {
        const ROUNDS_MAX: usize = 3;
        let store = self.versions.store();
        let head = store.head(ConsistencyLevel::Strong).await?;
        let patience = self.settings.patience;
        let live = &self.live;
        self.versions
            .wait_until_it_has(live, &head, patience)
            .await?;
        for _ in 0..ROUNDS_MAX {
            let target = self.look(&self.live).await?.cursor().clone();
            self.capped.show(Some(target.clone()));
            handle.wait_for_cursor(self.name.as_str(), &target).await?;
        }
        Ok(())
    }

    /// Compares the versions at one place, which the new one has not passed.
    async fn compare(&self, handle: &ProcessorHandle) -> Result<Comparison, Error> {
        let timer = self.versions.timer();
        let began = timer.elapsed();
        loop {
            let reached = self.look(&self.new).await?.cursor().clone();
            let live = self.look(&self.live).await?;
            let target = live.cursor().clone();
            if target.covers(&reached) {
                self.capped.show(Some(target.clone()));
                handle.wait_for_cursor(self.name.as_str(), &target).await?;
                let new = self.look(&self.new).await?;
                // Without events of its own on the way, the new model may name an earlier place.
                if target.covers(new.cursor()) {
                    return self.judge(handle, &live, &new).await;
                }
            }
            if timer.elapsed().saturating_sub(began) >= self.settings.patience {
                let message =
                    "live version lags behind the new one; feed it, or see why it is slow";
                return Err(Error::new(ErrorKind::Unavailable, message).during("compare"));
            }
            timer.sleep(PAUSE).await;
        }
    }

    async fn look<I: Inspect>(&self, version: &ModelVersion<I>) -> Result<I::Rows, Error> {
        let patience = self.settings.patience;
        self.versions.look(&version.inspect, patience).await
    }

    async fn judge(
        &self,
        handle: &ProcessorHandle,
        live: &L::Rows,
        new: &N::Rows,
    ) -> Result<Comparison, Error> {
        let mut comparison = compare(live, new, &self.settings, self.seed).await?;
        for status in handle.status().await {
            let parked = u64::try_from(status.parked).unwrap_or(u64::MAX);
            let passed_over = parked.saturating_add(status.skipped);
            if passed_over > self.settings.passed_over_max {
                let objection = format!("{passed_over} events are parked or skipped");
                comparison.objections.push(objection);
            }
        }
        for judge in &self.judges {
            if let Err(error) = judge(live, new) {
                comparison.objections.push(error.to_string());
            }
        }
        Ok(comparison)
    }
}

impl<L: Inspect, N: Inspect> Rebuild<L, N> {
    fn feeding(&self) -> MutexGuard<'_, Feeding> {
        self.feeding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L: Inspect, N: Inspect> Drop for Rebuild<L, N> {
    fn drop(&mut self) {
        if let Feeding::Begun(handle) = &*self.feeding() {
            // The first poll tells all to stop; nobody waits for it.
            let _ = handle.stop().now_or_never();
        }
    }
}

impl<L: Inspect, N: Inspect> fmt::Debug for Rebuild<L, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rebuild")
            .field("live", &self.live)
            .field("new", &self.new)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
