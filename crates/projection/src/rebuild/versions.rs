//! Which version of a projection is live, as it is recorded.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use annals_concurrency::{Retrier, SystemTimer, Timer};
use annals_core::{
    Append, Cursor, Error, ErrorKind, EventStore, EventStoreExt, Expected, Ids, ReadRequest,
    StreamId, UuidIds, Version,
};
use futures_util::TryStreamExt as _;

use super::comparison::Comparison;
use super::record::{Begun, CATEGORY, Change, Compared, Dropped, TakenOver};
use super::rows::{Inspect, ModelRows, ModelVersion};
use super::settings::RebuildSettings;
use crate::contract::choice::EventChoice;
use crate::contract::model_id::ModelId;
use crate::contract::sink::Sink;
use crate::errors::may_pass;
use crate::projection::definition::Projection;

/// How long it is until a version that lags is looked at again.
pub(super) const PAUSE: Duration = Duration::from_millis(10);

/// How many pages are read to count the events that a version has yet to handle.
const LAG_PAGES_MAX: usize = 256;

/// The versions of a projection, as they are recorded in the stream `projection-<name>` of the store: which one is
/// live, which one is being built, which ones are kept for a roll-back.
///
/// Every change names the version of that stream which it was decided on: of two operators who change at once, one
/// gets [`ErrorKind::Conflict`]. The record holds across restarts, and for every process on the store.
///
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct ProjectionVersions {
    store: Arc<dyn EventStore>,
    name: String,
    stream: StreamId,
    first: u32,
    ids: Arc<dyn Ids>,
    timer: Arc<dyn Timer>,
}

/// What is recorded of the versions of a projection.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedVersions {
    pub(super) revision: Version,
    live: u32,
    standings: BTreeMap<u32, VersionStanding>,
    comparison: Option<Comparison>,
}

/// Where a version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VersionStanding {
    /// It is built, and may take over.
    Building,
    /// It is the one that is read.
    Live,
    /// It was live, and is fed on so that it can be live again.
    Kept,
    /// It is gone for good.
    Dropped,
}

/// Whether checks may be passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checks {
    /// All checks hold, or nothing happens.
    Hold,
    /// Whatever they say, for this reason, which is recorded.
    Despite(String),
}

impl ProjectionVersions {
    /// The versions of this projection in this store. `first` is the one that is live where nothing is recorded: the
    /// version that was in use before there was another.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the name makes no stream, or the first version is 0.
    pub fn new(store: Arc<dyn EventStore>, name: &str, first: u32) -> Result<Self, Error> {
        if first == 0 {
            let message = "versions count from 1; give the one that was in use first";
            return Err(Error::new(ErrorKind::Invalid, message).with("projection", name));
        }
        Ok(Self {
            store,
            name: name.to_owned(),
            stream: StreamId::new(&CATEGORY, name)?,
            first,
            ids: Arc::new(UuidIds::default()),
            timer: Arc::new(SystemTimer),
        })
    }

    /// The same with append ids from here.
    #[must_use]
    pub fn with_ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// The same with the pauses of this timer.
    #[must_use]
    pub fn with_timer(mut self, timer: Arc<dyn Timer>) -> Self {
        self.timer = timer;
        self
    }

    /// The name of the projection.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is recorded now.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when somebody else writes the stream; or as the store has it.
    pub async fn read(&self) -> Result<RecordedVersions, Error> {
        let mut recorded = RecordedVersions::new(self.first);
        let mut events = self.store.events(ReadRequest::stream(self.stream.clone()));
        while let Some(event) = events.try_next().await? {
            recorded.take(Change::decode(&event)?);
            recorded.revision = event.version();
        }
        Ok(recorded)
    }

    /// Makes a version that is kept the live one again.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is not kept; [`ErrorKind::Unavailable`] when it lags more than
    /// `lag_events_max` for longer than `patience`; [`ErrorKind::Conflict`] when somebody else changed the
    /// versions meanwhile; or as the store has it. Only with [`ErrorKind::Unknown`] may it have happened.
    pub async fn roll_back<I: Inspect>(
        &self,
        to: &ModelVersion<I>,
        settings: &RebuildSettings,
        checks: &Checks,
    ) -> Result<(), Error> {
        let recorded = self.read().await?;
        let version = to.version();
        if recorded.live() == version {
            return Ok(());
        }
        if recorded.standing(version) != Some(VersionStanding::Kept) {
            return Err(self.refusal(
                "version is not kept; only one that was live, and was not dropped, can be again",
                version,
            ));
        }
        if *checks == Checks::Hold {
            self.wait_for_lag(to, settings).await?;
        }
        let replaced = replaced(version, &recorded, checks);
        self.record(&recorded, Change::RolledBack(replaced)).await
    }

    /// Gives up a version that is kept, or that is being built, and empties its model in this sink, which nothing
    /// feeds any more. It is recorded first, so nobody rolls back to a model that is half gone; after a crash in
    /// between, drop it again.
    ///
    /// A version that was dropped does not come back: build the next one.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is live, or unknown; [`ErrorKind::Conflict`] when somebody else changed the
    /// versions meanwhile; or as the store and the sink have it.
    pub async fn drop_version<S: Sink<Model: 'static>>(
        &self,
        projection: &Projection<S::Model>,
        sink: S,
    ) -> Result<(), Error> {
        let recorded = self.read().await?;
        let version = projection.version();
        match recorded.standing(version) {
            Some(VersionStanding::Kept | VersionStanding::Building) => {
                let change = Change::Dropped(Dropped { version });
                self.record(&recorded, change).await?;
            }
            Some(VersionStanding::Dropped) => {}
            _ => return Err(self.refusal(
                "version is live or unknown; only one that is kept or being built can be dropped",
                version,
            )),
        }
        empty(sink, projection.model_id()).await
    }

    /// Records that a version is being built.
    pub(super) async fn begin(
        &self,
        recorded: &RecordedVersions,
        version: u32,
    ) -> Result<(), Error> {
        let live = recorded.live();
        self.record(recorded, Change::Begun(Begun { version, live }))
            .await
    }

    /// Records a comparison.
    pub(super) async fn compared(
        &self,
        recorded: &RecordedVersions,
        version: u32,
        comparison: Comparison,
    ) -> Result<(), Error> {
        let compared = Compared {
            version,
            comparison,
        };
        self.record(recorded, Change::Compared(compared)).await
    }

    /// Makes the version that is being built the live one.
    pub(super) async fn cut_over<I: Inspect>(
        &self,
        to: &ModelVersion<I>,
        settings: &RebuildSettings,
        checks: &Checks,
    ) -> Result<(), Error> {
        let recorded = self.read().await?;
        let version = to.version();
        if recorded.live() == version {
            return Ok(());
        }
        if recorded.standing(version) != Some(VersionStanding::Building) {
            return Err(self.refusal("version is not being built; apply a plan first", version));
        }
        if *checks == Checks::Hold {
            self.check_comparison(&recorded, version)?;
            self.wait_for_lag(to, settings).await?;
        }
        let replaced = replaced(version, &recorded, checks);
        self.record(&recorded, Change::CutOver(replaced)).await
    }

    fn check_comparison(&self, recorded: &RecordedVersions, version: u32) -> Result<(), Error> {
        match recorded.comparison() {
            Some(comparison) if comparison.is_passed() => Ok(()),
            Some(comparison) => {
                let message = "new version was compared and differs; mend it as the next version, or say why it may";
                let error = Error::new(ErrorKind::Refused, message).during("cut over");
                Err(error
                    .with("version", version)
                    .with("comparison", comparison))
            }
            None => Err(self.refusal(
                "new version was not compared yet; apply a plan first",
                version,
            )),
        }
    }

    /// Waits until a version lags no more than it may.
    async fn wait_for_lag<I: Inspect>(
        &self,
        version: &ModelVersion<I>,
        settings: &RebuildSettings,
    ) -> Result<(), Error> {
        let began = self.timer.elapsed();
        loop {
            let look = self.look(&version.inspect, settings.patience).await?;
            let cursor = look.cursor().clone();
            let rest = self.rest_of(version, cursor);
            let lag = self
                .lag(&version.choice, rest, settings.lag_events_max)
                .await?;
            if lag <= settings.lag_events_max {
                return Ok(());
            }
            if self.timer.elapsed().saturating_sub(began) >= settings.patience {
                let message = "version lags behind the store; wait until it has caught up";
                let error = Error::new(ErrorKind::Unavailable, message).during("cut over");
                let error = error.with("version", version.version());
                return Err(error.with("lag is at least", lag));
            }
            self.timer.sleep(PAUSE).await;
        }
    }

    /// Looks at a model, again and again where it is not there yet, as before its sink was opened.
    pub(super) async fn look<I: Inspect>(
        &self,
        inspect: &I,
        patience: Duration,
    ) -> Result<I::Rows, Error> {
        let began = self.timer.elapsed();
        loop {
            match inspect.look().await {
                Err(error) if may_pass(error.kind()) => {
                    if self.timer.elapsed().saturating_sub(began) >= patience {
                        return Err(error);
                    }
                    self.timer.sleep(PAUSE).await;
                }
                looked => return looked,
            }
        }
    }

    /// Waits until a version has all of its events that are recorded up to here.
    pub(super) async fn wait_until_it_has<I: Inspect>(
        &self,
        version: &ModelVersion<I>,
        head: &Cursor,
        patience: Duration,
    ) -> Result<(), Error> {
        let began = self.timer.elapsed();
        loop {
            let cursor = self
                .look(&version.inspect, patience)
                .await?
                .cursor()
                .clone();
            if cursor.covers(head) {
                return Ok(());
            }
            let rest = self.rest_of(version, cursor);
            if self
                .lag(&version.choice, rest.until(head.clone()), 0)
                .await?
                == 0
            {
                return Ok(());
            }
            if self.timer.elapsed().saturating_sub(began) >= patience {
                let message =
                    "live version lags behind the store; feed it, or wait until it has caught up";
                let error = Error::new(ErrorKind::Unavailable, message).during("compare");
                return Err(error.with("version", version.version()));
            }
            self.timer.sleep(PAUSE).await;
        }
    }

    /// What a version has yet to take who stands here.
    fn rest_of<I>(&self, version: &ModelVersion<I>, cursor: Cursor) -> ReadRequest {
        let request = ReadRequest::new(version.choice.selection()).after(cursor);
        request.ordering(self.store.capabilities().ordering())
    }

    /// How many events of this choice a request asks for; more than `max` are not counted.
    async fn lag(
        &self,
        choice: &EventChoice,
        request: ReadRequest,
        max: u64,
    ) -> Result<u64, Error> {
        let mut lag = 0;
        let mut pages = 0;
        let mut next = Some(request);
        while let Some(request) = next {
            let page = self.store.read(request).await?;
            let own = page.events.iter().filter(|event| choice.contains(event));
            lag += u64::try_from(own.count()).unwrap_or(u64::MAX);
            pages += 1;
            if lag > max || pages > LAG_PAGES_MAX {
                return Ok(lag.max(max.saturating_add(1)));
            }
            next = page.next;
        }
        Ok(lag)
    }

    async fn record(&self, recorded: &RecordedVersions, change: Change) -> Result<(), Error> {
        let append = Append::builder(self.ids.append_id())
            .write(
                self.stream.clone(),
                Expected::Exactly(recorded.revision),
                [change.encode()?],
            )
            .build()?;
        let retrier = Retrier::default_with(Arc::clone(&self.timer));
        retrier.append(&self.store, &append).await.map(drop)
    }

    pub(super) fn refusal(&self, message: &'static str, version: u32) -> Error {
        Error::new(ErrorKind::Invalid, message)
            .with("projection", &self.name)
            .with("version", version)
    }

    pub(super) fn store(&self) -> &Arc<dyn EventStore> {
        &self.store
    }

    pub(super) fn timer(&self) -> &Arc<dyn Timer> {
        &self.timer
    }
}

impl RecordedVersions {
    fn new(first: u32) -> Self {
        Self {
            revision: Version::ABSENT,
            live: first,
            standings: BTreeMap::from([(first, VersionStanding::Live)]),
            comparison: None,
        }
    }

    /// The version that is read.
    pub fn live(&self) -> u32 {
        self.live
    }

    /// The version that is being built.
    pub fn building(&self) -> Option<u32> {
        let mut standings = self.standings.iter();
        let building = standings.find(|(_, standing)| **standing == VersionStanding::Building);
        building.map(|(version, _)| *version)
    }

    /// The versions that are kept for a roll-back, ascending.
    pub fn kept(&self) -> impl Iterator<Item = u32> + '_ {
        let standings = self.standings.iter();
        let kept = standings.filter(|(_, standing)| **standing == VersionStanding::Kept);
        kept.map(|(version, _)| *version)
    }

    /// Where a version stands; `None` for one that is not recorded.
    pub fn standing(&self, version: u32) -> Option<VersionStanding> {
        self.standings.get(&version).copied()
    }

    /// Whether a program that starts feeds this version in its processor: the live one, and those that are kept. One
    /// that is being built is fed by its [`Rebuild`](crate::Rebuild).
    pub fn is_fed(&self, version: u32) -> bool {
        matches!(
            self.standing(version),
            Some(VersionStanding::Live | VersionStanding::Kept)
        )
    }

    /// The newest version that was ever recorded.
    pub fn newest(&self) -> u32 {
        let newest = self.standings.last_key_value();
        newest.map_or(self.live, |(version, _)| *version)
    }

    /// How the version that is being built compares with the live one, where that was looked at.
    pub fn comparison(&self) -> Option<&Comparison> {
        self.comparison.as_ref()
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::Begun(begun) => {
                if self.revision == Version::ABSENT {
                    // From now on all programs agree on it.
                    *self = Self::new(begun.live);
                }
                self.comparison = None;
                self.standings
                    .insert(begun.version, VersionStanding::Building);
            }
            Change::Compared(compared) => self.comparison = Some(compared.comparison),
            Change::CutOver(replaced) | Change::RolledBack(replaced) => {
                self.standings
                    .insert(replaced.replaced, VersionStanding::Kept);
                self.standings
                    .insert(replaced.version, VersionStanding::Live);
                self.live = replaced.version;
            }
            Change::Dropped(dropped) => {
                self.standings
                    .insert(dropped.version, VersionStanding::Dropped);
            }
        }
    }
}

fn replaced(version: u32, recorded: &RecordedVersions, checks: &Checks) -> TakenOver {
    TakenOver {
        version,
        replaced: recorded.live(),
        despite: match checks {
            Checks::Hold => None,
            Checks::Despite(reason) => Some(reason.clone()),
        },
    }
}

/// Empties a model.
async fn empty<S: Sink>(mut sink: S, model: ModelId) -> Result<(), Error> {
    let empty = move || {
        sink.open(&model)?;
        sink.reset()
    };
    blocking::unblock(empty).await
}

impl fmt::Display for VersionStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Building => "being built",
            Self::Live => "live",
            Self::Kept => "kept",
            Self::Dropped => "dropped",
        })
    }
}

impl fmt::Display for RecordedVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (version, standing)) in self.standings.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}v{version} {standing}")?;
        }
        Ok(())
    }
}
