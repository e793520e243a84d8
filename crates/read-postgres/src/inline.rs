//! Projections in the transaction of the append.

use std::fmt;
use std::sync::Arc;

use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, ErrorKind, EventStore, Page,
    PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
};
use annals_projection::Projection;
use annals_store_postgres::PostgresStore;
use annals_store_postgres::error::{of_change, of_statement};
use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio_postgres::{Client, Transaction};

use crate::errors;
use crate::inline_model::{InTransaction, InlineModel};
use crate::model::PostgresModel;
use crate::sink::PostgresSink;

/// How often an append of a transaction of its own is tried while others leave the models behind.
const ATTEMPTS_MAX: usize = 16;

/// How often an append of a transaction of its own is tried again after its connection was lost, or the database gave it
/// up for another.
const RETRIES_MAX: usize = 3;

/// A store on PostgreSQL whose appends bring read models up in their own transaction: the events, the rows of the
/// models and how far each model is are committed together, or not at all.
///
/// An append through it, in a transaction of its own ([`append`](EventStore::append)) or of the application
/// ([`append_in`](Self::append_in), and with the feature `sqlx` `append_in_sqlx`), hands each projection everything that the log has after its place, this append's
/// events last, in the order of positions. So a model that is at the head stays there, whoever looks; one that other
/// writers have left behind is brought up on the way; no event is left out, and none taken twice. A projection that
/// can't take an event refuses the append.
///
/// It is *not* for slow projections: from the append to the commit every other append to the log waits, for the
/// statements of all handlers. An append is a transaction of its own, so there is no group commit among appends through
/// it. A model that may lag is better fed by a [`Processor`](annals_projection::Processor), through the same projection
/// and the same [`PostgresSink`].
///
/// # What is promised
/// - Whoever sees an event that was appended through it, in any transaction, sees it in the models too.
/// - A model has no event that is not recorded: what is rolled back is gone from both.
/// - Events that a policy hides by then are passed over, as for any other reader.
/// - Appends of others, as through the store itself or of other programs, are recorded as ever, and are in the models
///   with the next append through it, or after [`catch_up`](Self::catch_up).
///
/// # Locks
/// An append locks the head of the log first, then the progress of each model, then the rows that handlers change. A
/// transaction of yours that changes rows of its own does that *before* it appends; else two of them can each wait
/// for the other, and PostgreSQL ends one of the two (`deadlock_timeout`, 1 s by default), which rolls back whole and can
/// be run again. Write to the tables of a model in handlers alone.
///
/// # Rebuilding
/// Raise the version of the projection: [`open`](PostgresInlineBuilder::open) makes tables of that version and catches up,
/// beside whatever appends meanwhile, and the first append takes over from exactly there. A model that a
/// [`Processor`](annals_projection::Processor) has built is taken over too: stop the processor first.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use annals_codec::{EventCodec, JsonCodec};
/// use annals_core::{Append, AppendId, BoxError, Expected, StreamId};
/// use annals_macros::Event;
/// use annals_projection::Projection;
/// use annals_read_postgres::{PostgresInline, PostgresSink};
/// use annals_store_postgres::{PostgresStore, tokio_postgres::Client};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(category = "account")]
/// struct Deposited { cents: i64 }
///
/// # async fn example(client: &mut Client) -> Result<(), BoxError> {
/// let url = "postgres://app@db.example/bank";
/// let balances = Projection::builder("balances", 1)?
///     .on(JsonCodec, |model: &mut annals_read_postgres::PostgresModel, event: &Deposited, recorded| {
///         model.execute(
///             "INSERT INTO {balances} AS b VALUES ($1, $2) ON CONFLICT (account) DO UPDATE SET cents = b.cents + $2",
///             &[&recorded.stream().as_str(), &event.cents],
///         )?;
///         Ok(())
///     })
///     .build()?;
/// let tables = PostgresSink::builder(url)
///     .schema("CREATE TABLE {balances} (account text PRIMARY KEY, cents bigint NOT NULL)")
///     .build()?;
/// let store = Arc::new(PostgresStore::builder(url).open_or_create().await?);
/// let bank = PostgresInline::builder(store).project(balances, tables).open().await?;
///
/// let deposit = Append::builder(AppendId::parse("deposit-1")?)
///     .write(StreamId::parse("account-42")?, Expected::Any, [JsonCodec.encode(&Deposited { cents: 500 })?])
///     .build()?;
/// let transaction = client.transaction().await?;
/// transaction.execute("UPDATE till SET cents = cents + 500", &[]).await?; // rows of one's own first
/// bank.append_in(&transaction, deposit).await?; // the event, the balance, and the checkpoint
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Runtime
/// As for the store. Handlers run on the threads of the crate `blocking`.
pub struct PostgresInline {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<PostgresStore>,
    models: Vec<InlineModel>,
    /// The connection of appends that are transactions of their own. One is enough: they go one after the other in
    /// the log too.
    client: Mutex<Option<Client>>,
}

/// A [`PostgresInline`] in the making.
#[must_use = "call `open` to have a store with inline projections"]
pub struct PostgresInlineBuilder {
    store: Arc<PostgresStore>,
    models: Vec<(Projection<PostgresModel>, PostgresSink)>,
}

impl PostgresInline {
    /// Begins one over this store.
    pub fn builder(store: Arc<PostgresStore>) -> PostgresInlineBuilder {
        PostgresInlineBuilder {
            store,
            models: Vec::new(),
        }
    }

    /// The store itself, which leaves the models where they are.
    pub fn store(&self) -> &Arc<PostgresStore> {
        &self.inner.store
    }

    /// Appends within a transaction of the application, in the store's database, and brings the models up in it.
    ///
    /// From here until the transaction ends, every other append to this log waits. So change rows of your own first,
    /// append last, and commit at once.
    ///
    /// # Durability
    /// As for [`PostgresStore::append_in`]. The models are at the end of the log when the transaction is committed.
    ///
    /// # Errors
    /// As for [`PostgresStore::append_in`], which leaves the transaction as it was after a conflict and a reused id.
    /// After any other error roll it back, all of it or to a savepoint of before; once a model is in hand the database
    /// refuses to commit it (`annals_model_is_brought_up`). [`ErrorKind::Refused`] where a projection can't take an event,
    /// with the event's position and the handler's error, where its rows break a deferred constraint of its tables, and
    /// where the model was dropped; [`ErrorKind::Unavailable`] where others have appended so much that a
    /// model is too far behind: [`catch_up`](Self::catch_up), and run the transaction again.
    ///
    /// # Cancellation
    /// Not safe: a future that is dropped leaves the transaction halfway. Roll it back, as after an error; the database
    /// refuses to commit a model that is in hand. Events that are appended without any model in hand yet, as by a
    /// future that is dropped at its first statement, are in the models with the next append.
    pub async fn append_in(
        &self,
        transaction: &Transaction<'_>,
        append: Append,
    ) -> Result<Receipt, Error> {
        self.inner.append_in(transaction, append).await
    }

    /// As [`append_in`](Self::append_in), within a transaction of sqlx: the events, rows of the application, the models and
    /// their checkpoints are committed together, or not at all.
    ///
    /// Statements of handlers are not kept prepared on the transaction's connection: each is prepared when it runs.
    ///
    /// # Durability
    /// As for `append_in`.
    ///
    /// # Errors
    /// As for `append_in`.
    ///
    /// # Cancellation
    /// As for `append_in`.
    #[cfg(feature = "sqlx")]
    pub async fn append_in_sqlx(
        &self,
        transaction: &mut sqlx::Transaction<'_, sqlx::Postgres>,
        append: Append,
    ) -> Result<Receipt, Error> {
        let borrowed = annals_store_postgres::ask::Borrowed::new(transaction);
        self.inner.append_in(&borrowed, append).await
    }

    /// Brings every model up to what is recorded by now, in steps of their own, beside whoever appends.
    ///
    /// Call it outside of a transaction that has appended: it would wait for that.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] where a projection can't take an event; those of the sink and of the store.
    ///
    /// # Cancellation
    /// Goes on by itself where its future is dropped.
    pub async fn catch_up(&self) -> Result<(), Error> {
        // On the runtime: the sink of a model is back when the step ends.
        let inner = Arc::clone(&self.inner);
        let catching_up = async move { inner.catch_up().await.map(drop) };
        let runtime = self.inner.store.connector().runtime();
        runtime.spawn(catching_up).await.unwrap_or_else(|source| {
            let message =
                "the runtime that the store was opened on has ended, or a step has panicked";
            Err(Error::new(ErrorKind::Unavailable, message).caused_by(source))
        })
    }
}

impl PostgresInlineBuilder {
    /// With this projection into the tables of this sink, which is of the store's database.
    pub fn project(mut self, projection: Projection<PostgresModel>, tables: PostgresSink) -> Self {
        self.models.push((projection, tables));
        self
    }

    /// Makes the tables that are missing, brings the models up to what is recorded by now, and gives the store.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] without a projection, for two of one name and version, for a part of one, and for a model
    /// with parked events; as for [`PostgresInline::catch_up`]. A projection's policy for failures does not count here: an
    /// event that can't be taken is told.
    pub async fn open(self) -> Result<PostgresInline, Error> {
        let Self { store, models } = self;
        let refused = |message: &'static str| {
            Err(Error::new(ErrorKind::Invalid, message).during("open inline projections"))
        };
        if models.is_empty() {
            return refused("no projection to bring up; give one with `project`");
        }
        for (index, (projection, _)) in models.iter().enumerate() {
            let id = projection.model_id();
            if models
                .iter()
                .skip(index + 1)
                .any(|(other, _)| other.model_id() == id)
            {
                return refused("two projections of one name and version; leave one out");
            }
            if !projection.partition().is_whole() {
                return refused("a part of a projection can't be inline; give all of it");
            }
        }
        let models = models
            .into_iter()
            .map(|(projection, sink)| InlineModel::new(projection, sink));
        let inner = Inner {
            store,
            models: models.collect(),
            client: Mutex::new(None),
        };
        inner.catch_up().await?;
        let usable = inner.look_at_tables().await;
        usable.map_err(|error| error.during("open inline projections"))?;
        Ok(PostgresInline {
            inner: Arc::new(inner),
        })
    }
}

impl Inner {
    async fn append_in(
        &self,
        transaction: &impl InTransaction,
        append: Append,
    ) -> Result<Receipt, Error> {
        let receipt = self.store.append_within(transaction, append).await?;
        let brought_up = self.bring_up(transaction, &receipt).await;
        brought_up.map_err(|error| error.during("append"))?;
        Ok(receipt)
    }

    async fn bring_up(
        &self,
        transaction: &impl InTransaction,
        receipt: &Receipt,
    ) -> Result<(), Error> {
        let mut in_hand = Vec::with_capacity(self.models.len());
        // All of them first: a transaction that ends between two is not committed either.
        for model in &self.models {
            in_hand.push((model, model.take_in_hand(transaction).await?));
        }
        for (model, kept) in in_hand {
            let brought_up = model.bring_up(&self.store, transaction, kept, receipt);
            brought_up.await?;
        }
        Ok(())
    }

    /// Looks whether the store's role can take each model in hand, in the store's database.
    async fn look_at_tables(&self) -> Result<(), Error> {
        let mut client = self.store.connector().client().await?;
        let begun = client.transaction().await;
        let transaction = begun.map_err(of_statement)?;
        for model in &self.models {
            model.take_in_hand(&transaction).await.map_err(|error| {
                let is_of_the_database = std::error::Error::source(&error).is_some();
                let is_missing = match error.kind() {
                    ErrorKind::Invalid => is_of_the_database,
                    kind => kind == ErrorKind::Refused,
                };
                if !is_missing {
                    return error;
                }
                let message = "the store can't write to this model's tables: give the sink the address of the store's \
                               database, and the store's role what the model's schema takes";
                let told = Error::new(ErrorKind::Invalid, message).with("model", model.id());
                told.caused_by(error)
            })?;
        }
        transaction.rollback().await.map_err(of_statement)
    }

    /// The places of the models when they have caught up.
    async fn catch_up(&self) -> Result<Vec<Cursor>, Error> {
        let mut reached = Vec::with_capacity(self.models.len());
        for model in &self.models {
            reached.push(model.catch_up(&self.store).await?);
        }
        Ok(reached)
    }

    /// Appends in a transaction of its own.
    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        let mut reached = Vec::new();
        let (mut retries, mut is_open) = (0, false);
        for _ in 0..ATTEMPTS_MAX {
            let Failed { error, is_passing } = match self.try_append(append.clone()).await {
                Ok(receipt) => return Ok(receipt),
                Err(failed) => failed,
            };
            is_open |= error.kind() == ErrorKind::Unknown;
            if InlineModel::is_behind(&error) {
                let caught_up = self.catch_up().await;
                let now = caught_up.map_err(|error| as_open(error, is_open))?;
                // Where nobody moves, one more try finds what this one has found.
                if now == reached {
                    return Err(as_open(error, is_open));
                }
                reached = now;
            } else if is_passing && retries < RETRIES_MAX {
                retries += 1;
            } else {
                return Err(as_open(error, is_open));
            }
        }
        let message = "others append so much that the models stay behind; retry later";
        Err(as_open(Error::new(ErrorKind::Overloaded, message), is_open))
    }

    /// Once. A transaction of before whose connection is lost keeps the log locked until it has ended, one way or the
    /// other: this one then finds what became of it, by the append's id.
    async fn try_append(&self, append: Append) -> Result<Receipt, Failed> {
        let mut kept = self.client.lock().await;
        let mut client = match kept.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => self.store.connector().client().await.map_err(Failed::of)?,
        };
        let begun = client.transaction().await;
        let transaction = begun.map_err(|error| Failed::by_the_connection(of_statement(error)))?;
        let appended = match self.append_in(&transaction, append).await {
            Ok(receipt) => {
                let committed = transaction.commit().await;
                committed.map(|()| receipt).map_err(of_change)
            }
            // What is left of it ends with the connection where this fails.
            Err(error) => match transaction.rollback().await {
                Ok(()) => Err(error),
                Err(_) => return Err(Failed::by_the_connection(error)),
            },
        };
        match appended {
            Err(error) if error.kind() == ErrorKind::Unknown => {
                Err(Failed::by_the_connection(error))
            }
            done => {
                *kept = Some(client);
                done.map_err(Failed::of)
            }
        }
    }
}

/// An attempt at an append that failed.
struct Failed {
    error: Error,
    /// Whether it may go another way the next time.
    is_passing: bool,
}

impl Failed {
    fn of(error: Error) -> Self {
        Self {
            is_passing: errors::is_passing(&error),
            error,
        }
    }

    fn by_the_connection(error: Error) -> Self {
        Self {
            error,
            is_passing: true,
        }
    }
}

/// The answer to an append that failed now. Where the answer to an earlier commit was lost, it may be recorded for all
/// that; but not where the log, which was locked, had something against it.
fn as_open(error: Error, is_open: bool) -> Error {
    let tells = [
        ErrorKind::Unknown,
        ErrorKind::Conflict,
        ErrorKind::AppendIdReused,
    ];
    if !is_open || tells.contains(&error.kind()) {
        return error;
    }
    let message = "the connection was lost while the append was committed, and what became of it could not be found \
                   out; send it again with the same id";
    Error::new(ErrorKind::Unknown, message).caused_by(error)
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventStore for PostgresInline {
    fn capabilities(&self) -> Capabilities {
        self.inner.store.capabilities()
    }

    /// Appends in a transaction of its own, and brings the models up in it; where they are too far behind, they catch
    /// up first. Tried again up to three times where the connection is lost, or the database gives the transaction up
    /// for another: the id keeps it from being recorded twice.
    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        // On the runtime: a caller that stops to poll keeps no lock.
        let inner = Arc::clone(&self.inner);
        let appending = async move { inner.append(append).await };
        let appended = self
            .inner
            .store
            .connector()
            .runtime()
            .spawn(appending)
            .await;
        let appended = appended.unwrap_or_else(|source| {
            let message = "the append was given up on its way; send it again with the same id";
            Err(Error::new(ErrorKind::Unknown, message).caused_by(source))
        });
        appended.map_err(|error| error.during("append"))
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.inner.store.receipt(id).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        self.inner.store.read(request).await
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        self.inner.store.head(consistency).await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.inner.store.stream_head(stream).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        self.inner.store.change_stream_policy(change).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        self.inner.store.changed_since(cursor).await
    }
}

impl fmt::Debug for PostgresInline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresInline")
            .field("store", &self.inner.store)
            .field("models", &self.inner.models)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PostgresInlineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresInlineBuilder")
            .field("store", &self.store)
            .field("models", &self.models)
            .finish()
    }
}
