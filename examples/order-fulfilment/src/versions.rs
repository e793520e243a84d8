//! The read model in its versions: which one is shown, which ones are fed, and how the next one takes over.

use std::sync::Arc;

use annals::projection::{
    Comparison, Consumer, MemoryInspect, ModelRow, RebuildPlan, RebuildStatus,
};
use annals::{
    BoxError, CheckpointName, Checks, Cursor, Error, EventStore, Live, MemorySink, MemoryView,
    ModelVersion, ProcessorHandle, ProjectionConsumer, ProjectionVersions, ReadModel, Rebuild,
    RebuildSettings,
};

use crate::read_model::{Orders, orders};

/// The version that was there first.
pub const FIRST: u32 = 1;

/// The version that is to replace it.
pub const NEXT: u32 = 2;

/// The versions of the read model that this program knows.
#[derive(Debug)]
pub struct Versions {
    record: ProjectionVersions,
    live: Live<MemoryView<Orders>>,
    views: [MemoryView<Orders>; 2],
    /// Builds the next version, unless it took over before the shop was opened.
    rebuild: Option<Rebuild<MemoryInspect<Orders>, MemoryInspect<Orders>>>,
}

impl Versions {
    // ANCHOR: open
    /// Opens the versions as they are recorded, with the consumers of those that are to be fed.
    ///
    /// # Errors
    /// As the store has it.
    pub async fn open(store: Arc<dyn EventStore>) -> Result<(Self, Vec<Box<dyn Consumer>>), Error> {
        let record = ProjectionVersions::new(store, "orders", FIRST)?;
        let recorded = record.read().await?;
        let [first, next] = [FIRST, NEXT].map(|_| MemorySink::new(Orders::default()));
        let views = [first.view(), next.view()];
        let [first_view, next_view] = views.clone();
        let readers = [(FIRST, first_view.clone()), (NEXT, next_view.clone())];
        let live = Live::open(record.clone(), readers).await?;
        let mut fed = Vec::new();
        if recorded.is_fed(FIRST) {
            fed.push(consumer(FIRST, first)?);
        }
        let mut rebuild = None;
        if recorded.is_fed(NEXT) {
            fed.push(consumer(NEXT, next)?);
        } else {
            let current = ModelVersion::new(&orders(FIRST)?, rows(&first_view));
            let new = Rebuild::new(
                record.clone(),
                current,
                orders(NEXT)?,
                next,
                rows(&next_view),
            )?;
            rebuild = Some(new.on_condition(|old, new| spent_is_paid(old, new)));
        }
        let versions = Self {
            record,
            live,
            views,
            rebuild,
        };
        Ok((versions, fed))
    }
    // ANCHOR_END: open

    /// The orders as the version has them that is shown.
    ///
    /// # Errors
    /// For a version that is newer than this program.
    pub fn read(&self) -> Result<ReadModel<Orders>, Error> {
        Ok(self.live.read()?.read())
    }

    /// Waits until the version that is shown has everything up to here.
    ///
    /// # Errors
    /// When it stops before.
    pub async fn wait_for(&self, shop: &ProcessorHandle, head: &Cursor) -> Result<(), Error> {
        let version = self.live.version();
        let building = self.rebuild.as_ref().and_then(Rebuild::processor);
        let feeds = match building {
            Some(building) if version == NEXT => building,
            _ => shop.clone(),
        };
        let name = orders(version)?.model_id().to_string();
        feeds.wait_for_cursor(&name, head).await
    }

    // ANCHOR: rebuild
    /// What is yet to be done until the next version can be shown; `None` where that one is there.
    ///
    /// # Errors
    /// As the store has it.
    pub async fn plan(&self) -> Result<Option<RebuildPlan>, Error> {
        match &self.rebuild {
            Some(rebuild) => rebuild.plan().await.map(Some),
            None => Ok(None),
        }
    }

    /// Does what a plan says, while orders go on, and shows the next version if it has all that the present one has.
    ///
    /// # Errors
    /// [`Refused`](annals::ErrorKind::Refused) when the two versions differ; or as the store has it.
    pub async fn apply(&self, plan: &RebuildPlan) -> Result<Option<Comparison>, Error> {
        let Some(rebuild) = &self.rebuild else {
            return Ok(None);
        };
        let comparison = rebuild.apply(plan).await?;
        rebuild.cut_over(&Checks::Hold).await?;
        self.live.refresh().await?;
        Ok(comparison)
    }

    /// Shows a version again that was shown before, and is fed on for that.
    ///
    /// # Errors
    /// [`Invalid`](annals::ErrorKind::Invalid) for a version that was not; or as the store has it.
    pub async fn roll_back(&self, version: u32) -> Result<(), Error> {
        let [first, next] = &self.views;
        let view = if version == NEXT { next } else { first };
        let version = ModelVersion::new(&orders(version)?, rows(view));
        let settings = RebuildSettings::DEFAULT;
        self.record
            .roll_back(&version, &settings, &Checks::Hold)
            .await?;
        self.live.refresh().await.map(drop)
    }
    // ANCHOR_END: rebuild

    /// How far a rebuild is; `None` where there is nothing to rebuild.
    ///
    /// # Errors
    /// As the store has it.
    pub async fn status(&self) -> Result<Option<RebuildStatus>, Error> {
        match &self.rebuild {
            Some(rebuild) => rebuild.status().await.map(Some),
            None => Ok(None),
        }
    }

    /// What is recorded of the versions, as `v1 kept, v2 live`.
    ///
    /// # Errors
    /// As the store has it.
    pub async fn recorded(&self) -> Result<String, Error> {
        Ok(self.record.read().await?.to_string())
    }

    /// Stops what feeds the version that was built.
    pub async fn close(self) {
        if let Some(building) = self.rebuild.and_then(Rebuild::into_processor) {
            building.stop().await;
        }
    }
}

/// A version with its sink, under a name that tells versions apart.
fn consumer(version: u32, sink: MemorySink<Orders>) -> Result<Box<dyn Consumer>, Error> {
    let projection = orders(version)?;
    let name = CheckpointName::parse(&projection.model_id().to_string())?;
    Ok(Box::new(
        ProjectionConsumer::new(projection, sink).named(name),
    ))
}

// ANCHOR: compare
/// The orders as rows, in the form that both versions have.
fn rows(view: &MemoryView<Orders>) -> MemoryInspect<Orders> {
    view.inspect(|orders| {
        let lines = orders.by_number.iter();
        let rows = lines.map(|(number, line)| ModelRow::new(number, line.to_string()));
        rows.collect()
    })
}

/// What is new in the next version follows from what both have: each cent of a completed order was spent by somebody.
fn spent_is_paid(old: &Orders, new: &Orders) -> Result<(), BoxError> {
    let completed = old
        .by_number
        .values()
        .filter(|line| line.state == "completed");
    let paid: u64 = completed.map(|line| line.cents).sum();
    let spent: u64 = new.spent.values().sum();
    if spent == paid {
        return Ok(());
    }
    Err(format!("{spent} cents were spent, and {paid} paid").into())
}
// ANCHOR_END: compare
