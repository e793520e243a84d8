//! One model that is brought up within transactions that append.

use std::fmt;
use std::sync::Arc;

use annals_core::{
    BoxError, Cursor, Error, ErrorKind, EventStore, Page, ReadRequest, Receipt, limits,
};
use annals_projection::{
    Batch, Consumer, FeedPage, Handled, ModelId, Projection, ProjectionConsumer, Step,
};
use annals_store_postgres::PostgresStore;
use annals_store_postgres::ask::Ask;
use futures_util::future::join;
use tokio::sync::{Mutex, OnceCell};

use crate::errors;
use crate::model::{Known, PostgresModel};
use crate::names::Names;
use crate::progress::{self, Kept};
use crate::roles::Right;
use crate::row::PostgresRow;
use crate::schema;
use crate::session::{self, Session};
use crate::sink::{Place, PostgresSink};

/// How many events a model may be behind, the append's own aside, for an append to bring it up on its way.
pub(crate) const BEHIND_EVENTS_MAX: usize = 1024;

/// How many events are taken in one step while a model catches up.
const STEP_EVENTS_MAX: usize = 1024;

/// How often in a row another writer may be faster while a model catches up.
const OVERTAKEN_MAX: usize = 1000;

/// The name of the fact that an error of a model that is behind has.
const BEHIND: &str = "behind";

/// A transaction that models are brought up in, whoever's client it is of.
pub(crate) trait InTransaction: Ask<Answer: Into<PostgresRow>> {}

impl<A: Ask<Answer: Into<PostgresRow>>> InTransaction for A {}

pub(crate) struct InlineModel {
    projection: Projection<PostgresModel>,
    id: ModelId,
    place: Place,
    names: Names,
    known: Known,
    /// The constraints of its tables that are looked at when a transaction commits, as SQL names them.
    deferred: OnceCell<Option<String>>,
    /// What the model catches up by, in transactions of its own. Nobody who has appended waits for it.
    consumer: Mutex<ProjectionConsumer<PostgresSink>>,
}

impl InlineModel {
    pub(crate) fn new(projection: Projection<PostgresModel>, sink: PostgresSink) -> Self {
        let id = projection.model_id();
        let place = sink.place().clone();
        Self {
            names: Names::new(&place.schema, &id),
            consumer: Mutex::new(ProjectionConsumer::new(projection.clone(), sink)),
            known: Known::default(),
            deferred: OnceCell::new(),
            projection,
            id,
            place,
        }
    }

    pub(crate) fn id(&self) -> &ModelId {
        &self.id
    }

    /// Whether it is why an append was refused that a model is too far behind.
    pub(crate) fn is_behind(error: &Error) -> bool {
        error.kind() == ErrorKind::Unavailable && error.context().any(|(name, _)| name == BEHIND)
    }

    /// Takes everything that the log has after the model's place, within a transaction that has the model in hand and has
    /// locked the log by the append of this receipt.
    pub(crate) async fn bring_up(
        &self,
        store: &PostgresStore,
        transaction: &impl InTransaction,
        kept: Kept,
        receipt: &Receipt,
    ) -> Result<(), Error> {
        let Kept {
            progress, revision, ..
        } = kept;
        let mut cursor = progress.cursor.clone();
        let mut left = BEHIND_EVENTS_MAX.saturating_add(own_events(receipt));
        loop {
            let request = self.after(&cursor);
            let request = request.events_max(left.min(limits::PAGE_EVENTS_MAX));
            let page = store.read_within(transaction, request).await?;
            left = left.saturating_sub(page.events.len());
            let (next, more) = (page.cursor.clone(), page.next.is_some());
            self.take(transaction, &cursor, page).await?;
            cursor = next;
            if !more {
                break;
            }
            if left == 0 {
                let message =
                    "a model is too far behind; let it catch up, then run the transaction again";
                let error = Error::new(ErrorKind::Unavailable, message);
                return Err(error.with(BEHIND, &self.id));
            }
        }
        if cursor == progress.cursor {
            return self.put_back(transaction).await;
        }
        self.save(transaction, revision, &cursor).await
    }

    /// What is kept of the model, which is this transaction's until it ends. It can't be committed before the model is
    /// brought up, or rolled back to before.
    pub(crate) async fn take_in_hand(
        &self,
        transaction: &impl InTransaction,
    ) -> Result<Kept, Error> {
        let schema = self.names.schema();
        let at_the_end = progress::look_at_the_end(schema);
        let take = progress::take_in_hand(schema, &self.id);
        let typed = take.typed();
        // Sent together, as neither waits for the other's answer.
        let (looks, found) = join(
            transaction.batch(&at_the_end),
            transaction.ask(&take.text, &typed),
        )
        .await;
        let refused = |error| Right::Rows.named(schema, errors::of(error));
        looks.map_err(refused)?;
        let found = session::own(found.map_err(refused)?);
        let kept = progress::kept(&self.id, &found)?;
        let kept = kept.ok_or_else(|| progress::gone(&self.id))?;
        self.id.check_schema(&kept.made_by, &self.place.tables)?;
        self.refuse_parked(&kept.progress)?;
        Ok(kept)
    }

    fn refuse_parked(&self, progress: &annals_projection::Progress) -> Result<(), Error> {
        if progress.parked.events().is_empty() {
            return Ok(());
        }
        let message = "model has parked events; have a processor try them again or skip them first";
        Err(Error::new(ErrorKind::Invalid, message).with("model", &self.id))
    }

    /// Hands the events of a page to the handlers, on a thread that may block; their statements run here.
    async fn take(
        &self,
        transaction: &impl InTransaction,
        after: &Cursor,
        page: Page,
    ) -> Result<(), Error> {
        if page.events.is_empty() {
            return Ok(());
        }
        let batch = self.batch(after, page);
        let (session, requests) = Session::new();
        let mut model = PostgresModel::within(session, self.names.clone(), self.known.clone());
        let (projection, taken) = (self.projection.clone(), batch.clone());
        let taking = blocking::unblock(move || {
            let applied = apply_each(&projection, &mut model, &taken);
            (applied, model.broken())
        });
        let ((applied, broken), ()) = join(taking, requests.serve_in(transaction)).await;
        if let Some(broken) = broken {
            return Err(broken);
        }
        applied.map_err(|(index, error)| self.refused(&batch, index, error))
    }

    /// Has the deferred constraints of the model's tables looked at now, while it can be told whose they are.
    async fn look_at_constraints(&self, transaction: &impl InTransaction) -> Result<(), Error> {
        let deferred = self
            .deferred
            .get_or_try_init(|| schema::deferred(transaction, &self.names, &self.place));
        let Some(names) = deferred.await? else {
            return Ok(());
        };
        let look = format!("SET CONSTRAINTS {names} IMMEDIATE; SET CONSTRAINTS {names} DEFERRED");
        let looked = transaction.batch(&look).await.map_err(errors::of);
        looked.map_err(|error| match error.kind() {
            ErrorKind::Invalid => {
                let message = "rows of a projection break a deferred constraint of its tables";
                let refused = Error::new(ErrorKind::Refused, message).with("model", &self.id);
                refused.caused_by(error)
            }
            _ => error,
        })
    }

    async fn put_back(&self, transaction: &impl InTransaction) -> Result<(), Error> {
        let back = progress::put_back(self.names.schema(), &self.id);
        let done = transaction.change(&back.text, &back.typed()).await;
        done.map(drop).map_err(errors::of)
    }

    async fn save(
        &self,
        transaction: &impl InTransaction,
        revision: i64,
        cursor: &Cursor,
    ) -> Result<(), Error> {
        self.look_at_constraints(transaction).await?;
        let step = Step {
            cursor,
            parked: None,
        };
        let save = progress::save(self.names.schema(), &self.id, revision, &step)?;
        let saved = transaction.change(&save.text, &save.typed()).await;
        match saved.map_err(errors::of)? {
            1 => Ok(()),
            _ => Err(progress::gone(&self.id)),
        }
    }

    /// Brings the model up to what is recorded by now, in steps of its own; gives its place then.
    pub(crate) async fn catch_up(&self, store: &PostgresStore) -> Result<Cursor, Error> {
        let mut consumer = self.consumer.lock().await;
        let mut overtaken = 0;
        loop {
            match self.feed(&mut consumer, store).await {
                // An append took the events, or another process did: what is left begins where that ended.
                Err(error) if error.kind() == ErrorKind::Conflict && overtaken < OVERTAKEN_MAX => {
                    overtaken += 1;
                }
                done => return done,
            }
        }
    }

    async fn feed(
        &self,
        consumer: &mut ProjectionConsumer<PostgresSink>,
        store: &PostgresStore,
    ) -> Result<Cursor, Error> {
        let progress = consumer.open().await?;
        self.refuse_parked(&progress)?;
        let mut cursor = progress.cursor;
        loop {
            let request = self.after(&cursor).events_max(STEP_EVENTS_MAX);
            let page = store.read(request).await?;
            let (next, more) = (page.cursor.clone(), page.next.is_some());
            if next != cursor {
                let batch = self.batch(&cursor, page);
                match consumer.handle(&batch).await? {
                    Handled::Failed { index, error } => {
                        return Err(self.refused(&batch, index, error));
                    }
                    _ => cursor = next,
                }
            }
            if !more {
                return Ok(cursor);
            }
        }
    }

    fn after(&self, cursor: &Cursor) -> ReadRequest {
        ReadRequest::new(self.projection.choice().selection()).after(cursor.clone())
    }

    fn batch(&self, after: &Cursor, page: Page) -> Batch {
        let choice = self.projection.choice().clone();
        Batch::whole(Arc::new(FeedPage::new(after.clone(), page, choice)))
    }

    fn refused(&self, batch: &Batch, index: usize, error: BoxError) -> Error {
        let message = "a projection can't take an event; nothing of it is recorded in the model";
        let refused = Error::new(ErrorKind::Refused, message).with("model", &self.id);
        let refused = match batch.page().events().get(index) {
            Some(event) => refused.with("position", event.position()),
            None => refused,
        };
        refused.caused_by(error)
    }
}

/// Takes the events of a batch one at a time, so that a statement's failure that a handler keeps to itself is its own
/// event's.
fn apply_each(
    projection: &Projection<PostgresModel>,
    model: &mut PostgresModel,
    batch: &Batch,
) -> Result<(), (usize, BoxError)> {
    for index in batch.indexes() {
        let one = Batch::of(Arc::clone(batch.page()), [index]);
        projection.apply(model, &one)?;
        model
            .refuse_outside()
            .map_err(|error| (index, error.into()))?;
    }
    Ok(())
}

/// How many events an append has recorded just now, which no model has yet.
fn own_events(receipt: &Receipt) -> usize {
    if receipt.is_duplicate() {
        return 0;
    }
    let (first, last) = (receipt.first_position, receipt.last_position);
    let own = last.value().saturating_sub(first.value());
    usize::try_from(own).unwrap_or(usize::MAX).saturating_add(1)
}

impl fmt::Debug for InlineModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InlineModel")
            .field("id", &self.id)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
