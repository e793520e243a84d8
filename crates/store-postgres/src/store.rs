//! The store: its parts, how it is opened, and the contract that it keeps.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use annals_core::{
    Append, AppendId, Capabilities, Clock, ConsistencyLevel, Cursor, Error, ErrorKind, EventStore,
    Ids, Page, PolicyChange, Position, ReadRequest, Receipt, StreamHead, StreamId, UuidIds,
};
use async_trait::async_trait;
use deadpool_postgres::{Object, Pool};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_postgres::Transaction;

use crate::ask::{Ask, one};
use crate::bell::{Bell, wait};
use crate::command::Command;
use crate::connection::{Connector, shared};
use crate::error::{of_statement, unfinished, unknown};
use crate::judge;
use crate::migrations::{self, Found};
use crate::quick::Seen;
use crate::replica::{Replica, ReplicaUse};
use crate::settings::Settings;
use crate::sql::Statements;
use crate::writer::{Parameters, Verdict, Writer, judged};

/// How often a command that was refused is judged again because what refused it was gone when it was looked at.
const JUDGEMENTS_MAX: usize = 16;

/// An event store in a schema of a PostgreSQL database. Share it as `Arc<PostgresStore>` or `Arc<dyn EventStore>`.
///
/// # Runtime
/// The store works on the tokio runtime that it was opened on: its connections, and the task that appends, run there.
/// Its futures may be polled by any executor, as long as that runtime runs.
pub struct PostgresStore {
    pub(crate) shared: Arc<Shared>,
    writer: Writer,
    capabilities: Capabilities,
    ids: Arc<dyn Ids>,
}

/// What the store and its tasks share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) connector: Connector,
    pub(crate) pool: Pool,
    pub(crate) statements: Statements,
    pub(crate) settings: Settings,
    pub(crate) bell: Bell,
    /// What reads have seen of the log.
    pub(crate) seen: Seen,
    pub(crate) replica: Option<Arc<Replica>>,
    clock: Option<Arc<dyn Clock>>,
}

/// Chooses which log a [`PostgresStore`] is of, and its parts.
#[derive(Clone)]
#[must_use = "call `open` or `open_or_create` to have a store"]
pub struct PostgresStoreBuilder {
    url: String,
    replica: Option<String>,
    settings: Settings,
    clock: Option<Arc<dyn Clock>>,
    ids: Arc<dyn Ids>,
    runtime: Option<Handle>,
}

/// Whether a schema that is not there is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Refuse,
    Create,
}

impl PostgresStore {
    /// Begins a store at this address, as `postgres://user@host/database` or in the form of libpq.
    pub fn builder(url: &str) -> PostgresStoreBuilder {
        PostgresStoreBuilder {
            url: url.to_owned(),
            replica: None,
            settings: Settings::default(),
            clock: None,
            ids: Arc::new(UuidIds::default()),
            runtime: None,
        }
    }

    /// The schema that holds the log.
    pub fn schema(&self) -> &str {
        &self.shared.settings.schema
    }

    /// How the store connects to its database, for whoever keeps something beside the log.
    pub fn connector(&self) -> &Connector {
        &self.shared.connector
    }

    /// How the replica is used; `None` without one.
    pub fn replica(&self) -> Option<ReplicaUse> {
        let replica = self.shared.replica.as_ref();
        replica.map(|replica| replica.use_of())
    }

    /// Appends within a transaction of the application: the events are recorded if it commits, together with whatever
    /// else it does.
    ///
    /// From here until the transaction ends, every other append to this log waits. So append last, and commit at
    /// once.
    ///
    /// # Durability
    /// The receipt holds once the transaction is committed. Where the answer to the commit is lost,
    /// [`receipt`](EventStore::receipt) tells what became of it.
    ///
    /// # Errors
    /// As for [`append`](EventStore::append). The transaction must be `READ COMMITTED`, else the database refuses. An
    /// append that is refused for a conflict, or as a reused id, leaves the transaction as it was; any other error
    /// leaves it fit for rolling back only.
    pub async fn append_in(
        &self,
        transaction: &Transaction<'_>,
        append: Append,
    ) -> Result<Receipt, Error> {
        self.append_within(transaction, append).await
    }

    /// Reads within a transaction of the application: what the transaction has appended is read too.
    ///
    /// After [`append_in`](Self::append_in) nothing can come in between until the transaction ends, so that what is
    /// read is all that the log has up to there.
    ///
    /// # Errors
    /// As for [`read`](EventStore::read). One of the database leaves the transaction fit for rolling back only.
    pub async fn read_in(
        &self,
        transaction: &Transaction<'_>,
        request: ReadRequest,
    ) -> Result<Page, Error> {
        self.read_within(transaction, request).await
    }

    /// As [`append_in`](Self::append_in), within a transaction of sqlx.
    ///
    /// # Durability
    /// As for `append_in`.
    ///
    /// # Errors
    /// As for `append_in`.
    #[cfg(feature = "sqlx")]
    pub async fn append_in_sqlx(
        &self,
        transaction: &mut sqlx::Transaction<'_, sqlx::Postgres>,
        append: Append,
    ) -> Result<Receipt, Error> {
        let borrowed = crate::sqlx::Borrowed::new(transaction);
        self.append_within(&borrowed, append).await
    }

    /// As [`read_in`](Self::read_in), within a transaction of sqlx.
    ///
    /// # Errors
    /// As for `read_in`.
    #[cfg(feature = "sqlx")]
    pub async fn read_in_sqlx(
        &self,
        transaction: &mut sqlx::Transaction<'_, sqlx::Postgres>,
        request: ReadRequest,
    ) -> Result<Page, Error> {
        let borrowed = crate::sqlx::Borrowed::new(transaction);
        self.read_within(&borrowed, request).await
    }

    /// As [`append_in`](Self::append_in), within a transaction whose statements are sent through this, for whoever
    /// changes something beside the log in it.
    ///
    /// # Durability
    /// As for `append_in`.
    ///
    /// # Errors
    /// As for `append_in`.
    pub async fn append_within(
        &self,
        transaction: &impl Ask,
        append: Append,
    ) -> Result<Receipt, Error> {
        let appended = self.try_append_within(transaction, append).await;
        appended.map_err(|error| error.during("append"))
    }

    /// As [`read_in`](Self::read_in), within a transaction whose statements are sent through this.
    ///
    /// # Errors
    /// As for `read_in`.
    pub async fn read_within(
        &self,
        transaction: &impl Ask,
        request: ReadRequest,
    ) -> Result<Page, Error> {
        request.validate()?;
        let (schema, at_time) = (&self.shared.statements.schema, self.shared.at_time());
        let page = crate::read::page_in(transaction, schema, request, at_time).await;
        page.map_err(|error| error.during("read"))
    }

    async fn try_append_within(
        &self,
        transaction: &impl Ask,
        append: Append,
    ) -> Result<Receipt, Error> {
        let Shared { statements, .. } = &*self.shared;
        let command = Command::new(append, &*self.ids)?;
        let alone = [&command];
        let parameters = Parameters::new(&alone, self.shared.at_time(), Some(&statements.channel));
        let row = one(transaction, &statements.append, &parameters.typed()).await?;
        let (_, verdicts) = judged(&alone, &row)?;
        match verdicts.into_iter().next() {
            Some(Verdict::Recorded(receipt)) => Ok(*receipt),
            Some(Verdict::Duplicate) => {
                let receipt = judge::receipt(transaction, statements, &command.append.id()).await?;
                receipt.ok_or_else(changed)
            }
            Some(Verdict::Reused) => {
                Err(judge::reused(transaction, statements, &command.append.id()).await)
            }
            // The log is locked: what refused it is still there.
            Some(Verdict::Refused) | None => {
                let at_time = self.shared.at_time();
                let why = judge::explain(transaction, statements, &command.append, at_time).await?;
                Err(why.unwrap_or_else(changed))
            }
        }
    }

    async fn append_alone(&self, append: Append) -> Result<Receipt, Error> {
        let command = Arc::new(Command::new(append, &*self.ids)?);
        for _ in 0..JUDGEMENTS_MAX {
            match self.writer.append(&command, &self.shared.settings).await? {
                Verdict::Recorded(receipt) => return Ok(*receipt),
                Verdict::Duplicate => {
                    // It is recorded: that this can't be told must not sound as if it were not.
                    let receipt = self.receipt(&command.append.id()).await;
                    if let Some(receipt) = receipt.map_err(unknown)? {
                        return Ok(receipt);
                    }
                }
                Verdict::Reused => {
                    let id = command.append.id();
                    let why = |shared: Arc<Shared>| async move { shared.why_reused(&id).await };
                    return Err(self.shared.aside(why).await?);
                }
                Verdict::Refused => {
                    let command = Arc::clone(&command);
                    let why = |shared: Arc<Shared>| async move {
                        shared.why_refused(&command.append).await
                    };
                    if let Some(why) = self.shared.aside(why).await? {
                        return Err(why);
                    }
                }
            }
        }
        Err(changed())
    }

    async fn newest(&self) -> Result<Position, Error> {
        let find = |shared: Arc<Shared>| async move { shared.newest().await };
        self.shared.aside(find).await
    }
}

impl PostgresStoreBuilder {
    /// With these settings, the name of the schema among them.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The log in this schema of the database: a log, or a tenant, each.
    pub fn schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.settings.schema);
        self
    }

    /// With a streaming replica of the server at this address, which reads of
    /// [`ConsistencyLevel::Eventual`] go to: pages and the head. It may be out of reach, now or later.
    ///
    /// It is asked as long as it is known to lag no more than [`Settings::replica_lag_max`]; else, and where it does
    /// not answer, the primary is. Appends and their checks, conflicts, receipts, heads of streams, changes that are
    /// waited for, and every read that is strong or of a session go to the primary alone.
    pub fn replica(mut self, url: &str) -> Self {
        self.replica = Some(url.to_owned());
        self
    }

    /// With this clock, in place of the server's: for `appended_at`, and for the age of events under a policy.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// With identities from here, for events that come without.
    pub fn ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// On this tokio runtime, in place of the one that `open` is called on. It needs its I/O and its timer.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Opens the log that is there.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is none, or it is of an older version that has to be migrated first, or of a
    /// newer one than this build knows; for an address or settings that won't do.
    /// [`ErrorKind::Unavailable`] when the database can't be reached, and for a server before PostgreSQL 14, one that
    /// is a replica, and a database that is not in UTF-8.
    pub async fn open(self) -> Result<PostgresStore, Error> {
        self.open_with(Missing::Refuse)
            .await
            .map_err(|error| error.during("open"))
    }

    /// Opens the log, made or migrated first where that has to be; see [`migrate`](Self::migrate).
    ///
    /// # Errors
    /// As for [`open`](Self::open), and for a role that may not make it.
    pub async fn open_or_create(self) -> Result<PostgresStore, Error> {
        self.open_with(Missing::Create)
            .await
            .map_err(|error| error.during("open"))
    }

    /// Makes the log, or brings it to the version of this build: what the role that owns the schema does before the
    /// application, whose role may less, opens it. Several processes may do it at once; one of them does.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub async fn migrate(self) -> Result<(), Error> {
        let connector = self.connector()?;
        let migrated = migrations::migrate(&connector, &self.settings.schema).await;
        migrated.map(drop).map_err(|error| error.during("migrate"))
    }

    fn connector(&self) -> Result<Connector, Error> {
        self.settings.validate()?;
        let runtime = match &self.runtime {
            Some(runtime) => runtime.clone(),
            None => Handle::try_current().map_err(|error| {
                let message =
                    "no tokio runtime here; open the store on one, or name it in the builder";
                Error::new(ErrorKind::Invalid, message).caused_by(error)
            })?,
        };
        Connector::new(&self.url, runtime)
    }

    fn replica_of(&self, primary: &Connector) -> Result<Option<Arc<Replica>>, Error> {
        let Some(url) = &self.replica else {
            return Ok(None);
        };
        let connector = Connector::new(url, primary.runtime().clone())?;
        Replica::new(&connector, &self.settings).map(|replica| Some(Arc::new(replica)))
    }

    async fn open_with(self, missing: Missing) -> Result<PostgresStore, Error> {
        let connector = self.connector()?;
        let replica = self.replica_of(&connector)?;
        let found = match missing {
            Missing::Create => migrations::migrate(&connector, &self.settings.schema).await?,
            Missing::Refuse => migrations::check(&connector, &self.settings.schema).await?,
        };
        let Found { durability } = found;
        let statements = Statements::new(&self.settings.schema);
        let shared = Arc::new(Shared {
            bell: Bell::start(&connector, &self.settings, &statements.channel),
            pool: connector.pool(self.settings.connections_max)?,
            connector,
            statements,
            settings: self.settings,
            seen: Seen::default(),
            replica,
            clock: self.clock,
        });
        if shared.replica.is_some() {
            let watching = crate::replica::watch(Arc::downgrade(&shared));
            shared.connector.runtime().spawn(watching);
        }
        let mut capabilities = Capabilities::COMPLETE;
        capabilities.durability = durability;
        Ok(PostgresStore {
            writer: Writer::start(&shared),
            shared,
            capabilities,
            ids: self.ids,
        })
    }
}

impl Shared {
    /// What the store's clock shows; `None` where the server's is asked.
    pub(crate) fn at_time(&self) -> Option<i64> {
        self.clock.as_ref().map(|clock| clock.now().as_micros())
    }

    /// A connection of those that are shared.
    pub(crate) async fn client(&self) -> Result<Object, Error> {
        shared(&self.pool).await
    }

    /// Does work that takes a connection on the store's runtime: it ends, and gives the connection back, though its
    /// caller stops to poll for the answer, as one does that waits for something else meanwhile.
    pub(crate) async fn aside<T, F>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.on_the_runtime(work).await.unwrap_or_else(|error| {
            let message = "the runtime that the store was opened on has ended";
            Err(Error::new(ErrorKind::Unavailable, message).caused_by(error))
        })
    }

    /// The same for work that changes something: where it does not come to its end, it may have been done.
    pub(crate) async fn change_aside<T, F>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let done = self.on_the_runtime(work).await;
        done.unwrap_or_else(|error| Err(unfinished(error)))
    }

    fn on_the_runtime<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> JoinHandle<T> {
        self.connector.runtime().spawn(work(Arc::clone(self)))
    }

    /// What stands against an append, as of one moment; `None` where nothing does any more.
    async fn why_refused(&self, append: &Append) -> Result<Option<Error>, Error> {
        let mut client = self.client().await?;
        let transaction = crate::read::snapshot(&mut client).await?;
        judge::explain(&transaction, &self.statements, append, self.at_time()).await
    }

    async fn why_reused(&self, id: &AppendId) -> Result<Error, Error> {
        let client = self.client().await?;
        Ok(judge::reused(&**client, &self.statements, id).await)
    }

    async fn receipt_of(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        let client = self.client().await?;
        judge::receipt(&**client, &self.statements, id).await
    }

    async fn page(&self, request: ReadRequest) -> Result<Page, Error> {
        if request.consistency == ConsistencyLevel::Eventual
            && let Some(replica) = &self.replica
            && let Some(page) = replica.page(self, request.clone()).await
        {
            return Ok(page);
        }
        let client = self.client().await?;
        let schema = &self.statements.schema;
        let told = crate::read::page(&client, schema, request, self.at_time(), &self.seen).await?;
        Ok(told.page)
    }

    /// The head as fresh as a reader asks for.
    async fn head(&self, consistency: &ConsistencyLevel) -> Result<Position, Error> {
        if *consistency == ConsistencyLevel::Eventual
            && let Some(replica) = &self.replica
            && let Some(head) = replica.head(self).await
        {
            return Ok(head);
        }
        self.newest().await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        let client = self.client().await?;
        judge::stream_head(&**client, &self.statements, stream).await
    }

    /// The position of the newest event.
    pub(crate) async fn newest(&self) -> Result<Position, Error> {
        let client = self.client().await?;
        let statement = client.prepare_cached(&self.statements.head).await;
        let statement = statement.map_err(of_statement)?;
        let row = client
            .query_one(&statement, &[])
            .await
            .map_err(of_statement)?;
        let head = position(row.try_get(0).map_err(of_statement)?);
        self.bell.learn(head);
        Ok(head)
    }
}

#[async_trait]
impl EventStore for PostgresStore {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        self.append_alone(append)
            .await
            .map_err(|error| error.during("append"))
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        let id = *id;
        let find = |shared: Arc<Shared>| async move { shared.receipt_of(&id).await };
        let found = self.shared.aside(find).await;
        found.map_err(|error| error.during("receipt"))
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        request.validate()?;
        let read = |shared: Arc<Shared>| async move { shared.page(request).await };
        let page = self.shared.aside(read).await;
        page.map_err(|error| error.during("read"))
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        let asked = consistency.clone();
        let find = |shared: Arc<Shared>| async move { shared.head(&asked).await };
        let head = self.shared.aside(find).await;
        let head = head.map_err(|error| error.during("head"))?;
        if let ConsistencyLevel::Session(cursor) = &consistency {
            check_not_ahead(cursor, head).map_err(|error| error.during("head"))?;
        }
        Ok(Cursor::at(head))
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        let stream = stream.clone();
        let find = |shared: Arc<Shared>| async move { shared.stream_head(&stream).await };
        let head = self.shared.aside(find).await;
        head.map_err(|error| error.during("stream head"))
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        let change =
            |shared: Arc<Shared>| async move { crate::policy::change(&shared, &change).await };
        let changed = self.shared.change_aside(change).await;
        changed.map_err(|error| error.during("change stream policy"))
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        let longest = self.shared.settings.poll_interval_max;
        let mut pause = longest / 50;
        let mut told = self.shared.bell.listen();
        loop {
            // Marked as seen before the look: what is told in between ends the wait.
            told.borrow_and_update();
            let head = self
                .newest()
                .await
                .map_err(|error| error.during("changed since"))?;
            check_not_ahead(cursor, head)?;
            let head = Cursor::at(head);
            if head > *cursor {
                return Ok(head);
            }
            wait(&mut told, pause, &self.shared.connector).await;
            pause = longest.min(pause * 2).max(Duration::from_millis(1));
        }
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("at", &self.shared.connector.to_string())
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PostgresStoreBuilder {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStoreBuilder")
            .field("settings", &self.settings)
            .field("clock", &self.clock)
            .field("ids", &self.ids)
            .finish_non_exhaustive()
    }
}

/// A position as the server has it.
pub(crate) fn position(number: i64) -> Position {
    Position::new(u64::try_from(number).unwrap_or_default())
}

/// Refuses a cursor that no reader of this log can have.
pub(crate) fn check_not_ahead(cursor: &Cursor, head: Position) -> Result<(), Error> {
    if Cursor::at(head).covers(cursor) {
        return Ok(());
    }
    let message = "cursor is ahead of the store: it is another store's, or events were lost";
    Err(Error::new(ErrorKind::CursorAhead, message)
        .with("cursor", cursor)
        .with("head", head))
}

fn changed() -> Error {
    let message = "what stood against the append changed again and again; retry later";
    Error::new(ErrorKind::Overloaded, message)
}
