//! The store: its parts, how it is opened, and the contract that it keeps.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use annals_core::limits::PAYLOAD_BYTES_MAX;
use annals_core::{
    Answer, Append, AppendId, Capabilities, Clock, ConsistencyLevel, Cursor, Durability, Error,
    ErrorKind, EventStore, Ids, Page, PolicyChange, Position, ReadRequest, Receipt, StreamHead,
    StreamId, SystemClock, UuidIds,
};
use async_nats::ConnectOptions;
use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::error::unknown;
use crate::layout::{Missing, prepare};
use crate::monitoring;
use crate::settings::{BATCH_EVENTS_MAX, Settings, Sync};
use crate::shared::Shared;
use crate::state::State;
use crate::wire::{Wire, check_version};
use crate::writer::{Answered, Limits, NewAppend, Writer};

/// The largest append, in bytes: a batch is one proposal to the other servers.
const APPEND_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the headers of a message may take before an event with the largest payload is refused.
const HEADER_BYTES: usize = 128 * 1024;

/// An event store in a stream of NATS JetStream. Share it as `Arc<NatsStore>` or `Arc<dyn EventStore>`.
///
/// # Runtime
/// The store works on the tokio runtime that it was opened on: its connection, and the tasks that append and that
/// follow what others append, run there. Its futures may be polled by any executor, as long as that runtime runs.
pub struct NatsStore {
    pub(crate) shared: Arc<Shared>,
    writer: Writer,
    follower: JoinHandle<()>,
    capabilities: Capabilities,
    limits: Limits,
}

/// Chooses which log a [`NatsStore`] is of, and its parts.
#[must_use = "call `open` or `open_or_create` to have a store"]
pub struct NatsStoreBuilder {
    url: String,
    options: ConnectOptions,
    settings: Settings,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    runtime: Option<Handle>,
}

impl NatsStore {
    /// Begins a store at this address, as `nats://host:4222`, or several with commas between: those of a cluster.
    pub fn builder(url: &str) -> NatsStoreBuilder {
        NatsStoreBuilder {
            url: url.to_owned(),
            options: ConnectOptions::new(),
            settings: Settings::default(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(UuidIds::default()),
            runtime: None,
        }
    }

    /// The name of the log, and of the stream that holds it.
    pub fn log(&self) -> &str {
        self.shared.log()
    }

    async fn append_alone(&self, append: Append) -> Result<Receipt, Error> {
        let new = NewAppend::new(append.clone(), &self.shared, &self.limits)?;
        match self.writer.append(new, &self.shared.settings).await? {
            Answered::Recorded(receipt) => Ok(*receipt),
            // It is recorded: that this can't be told must not sound as if it were not.
            Answered::Known(receipt) => self.answer_again(&append, *receipt).await,
            Answered::Changed(_) => Err(unknown("the store's writer answered something else")),
        }
    }

    /// The first receipt, to whoever sends the same again.
    async fn answer_again(&self, append: &Append, first: Receipt) -> Result<Receipt, Error> {
        let span = first.first_position.value()..=first.last_position.value();
        let positions: Vec<Position> = span.map(Position::new).collect();
        let find = |shared: Arc<Shared>| async move {
            let subject = shared.subjects.all_events();
            shared.events(&positions, Some(&subject)).await
        };
        let events = self.shared.aside(find).await.map_err(unknown)?;
        let recorded = events
            .iter()
            .map(|event| Some((event.stream(), event.content())));
        if append.same_content(recorded) {
            return Ok(first);
        }
        let message = "append id stands for other content; use a fresh id";
        Err(Error::new(ErrorKind::AppendIdReused, message)
            .with("append_id", append.id())
            .with("first_position", first.first_position))
    }

    async fn change_alone(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        let settings = &self.shared.settings;
        match self.writer.change(change, settings).await? {
            Answered::Changed(head) => Ok(head),
            Answered::Recorded(_) | Answered::Known(_) => {
                Err(unknown("the store's writer answered something else"))
            }
        }
    }

    /// Sees all that was acknowledged before, then looks.
    async fn newest<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Shared) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let find = |shared: Arc<Shared>| async move {
            shared.refresh().await?;
            look(&shared)
        };
        self.shared.aside(find).await
    }
}

impl NatsStoreBuilder {
    /// With these settings, the name of the log among them.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The log of this name: a log, or a tenant, each.
    pub fn log(mut self, log: &str) -> Self {
        log.clone_into(&mut self.settings.log);
        self
    }

    /// With so many servers that keep the log, where it is made.
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.settings.replicas = replicas;
        self
    }

    /// Asks these monitoring ports, one for each server, whether the servers sync what they acknowledge.
    pub fn monitoring<A: AsRef<str>>(mut self, addresses: impl IntoIterator<Item = A>) -> Self {
        let monitoring = addresses
            .into_iter()
            .map(|address| address.as_ref().to_owned())
            .collect();
        self.settings.sync = Sync::Checked { monitoring };
        self
    }

    /// Takes it on trust that every server has `sync_interval: always`.
    pub fn assume_synced(mut self) -> Self {
        self.settings.sync = Sync::AssumeAlways;
        self
    }

    /// Opens the log whether or not the servers sync what they acknowledge: a loss of power of a majority of them at once
    /// may take the appends of the last two minutes, acknowledged as they are, or of `sync_interval`.
    pub fn allow_lazy_sync(mut self) -> Self {
        self.settings.sync = Sync::AllowLazy;
        self
    }

    /// Connects with these options: who one is, certificates and the like.
    pub fn options(mut self, options: ConnectOptions) -> Self {
        self.options = options;
        self
    }

    /// With this clock: for `appended_at`, and for the age of events under a policy.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
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

    /// Opens the log that is there, and reads all of it: some 50,000 events a second.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is none, or its streams have other settings than annals gave them; for settings
    /// that won't do, and for servers that do not sync always or are not known to.
    /// [`ErrorKind::Unavailable`] when no server can be reached, and for one before NATS 2.12 or without JetStream.
    /// [`ErrorKind::Corrupt`] for a log that is damaged.
    pub async fn open(self) -> Result<NatsStore, Error> {
        self.open_with(Missing::Refuse)
            .await
            .map_err(|error| error.during("open"))
    }

    /// Opens the log, made first where it is not there.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and for a cluster that has fewer servers than the log is to have.
    pub async fn open_or_create(self) -> Result<NatsStore, Error> {
        self.open_with(Missing::Create)
            .await
            .map_err(|error| error.during("open"))
    }

    async fn open_with(self, missing: Missing) -> Result<NatsStore, Error> {
        self.settings.validate()?;
        let runtime = match &self.runtime {
            Some(runtime) => runtime.clone(),
            None => Handle::try_current().map_err(|error| {
                let message =
                    "no tokio runtime here; open the store on one, or name it in the builder";
                Error::new(ErrorKind::Invalid, message).caused_by(error)
            })?,
        };
        let opened = runtime.spawn(self.open_on(runtime.clone(), missing)).await;
        opened.unwrap_or_else(|error| {
            let message = "the runtime has ended";
            Err(Error::new(ErrorKind::Unavailable, message).caused_by(error))
        })
    }

    async fn open_on(self, runtime: Handle, missing: Missing) -> Result<NatsStore, Error> {
        let wire = connect(&self.url, self.options, self.settings.request_timeout).await?;
        check_version(&wire.client.server_info().version)?;
        let replicas = prepare(&wire, &self.settings, missing).await?;
        let durability = durability(&self.settings, replicas).await?;
        let limits = limits(&wire);
        let (clock, ids) = (self.clock, self.ids);
        let shared = Arc::new(Shared::new(wire, self.settings, (clock, ids), runtime));
        // Noted before it is looked how far the log goes: who writes meanwhile notes more.
        let noted = shared.noted_sequence().await?;
        shared.refresh_up_to(noted).await?;
        shared.check_mark(noted)?;
        let follower = shared
            .runtime
            .spawn(Shared::keep_up(Arc::downgrade(&shared)));
        let mut capabilities = Capabilities::COMPLETE;
        capabilities.durability = durability;
        capabilities.payload_bytes_max = limits.payload_bytes_max;
        capabilities.append_bytes_max = limits.append_bytes_max;
        capabilities.append_events_max = limits.append_events_max;
        Ok(NatsStore {
            writer: Writer::start(&shared),
            follower,
            capabilities,
            limits,
            shared,
        })
    }
}

async fn connect(url: &str, options: ConnectOptions, at_most: Duration) -> Result<Wire, Error> {
    let addresses: Vec<&str> = url.split(',').map(str::trim).collect();
    let options = options.connection_timeout(at_most).max_reconnects(None);
    let client = options.connect(addresses).await.map_err(|error| {
        let message = "NATS can't be reached; see the cause";
        Error::new(ErrorKind::Unavailable, message)
            .with("cause", &error)
            .caused_by(error)
    })?;
    Ok(Wire {
        client,
        timeout: at_most,
    })
}

/// What an acknowledged append survives.
async fn durability(settings: &Settings, replicas: usize) -> Result<Durability, Error> {
    match &settings.sync {
        Sync::AllowLazy => return Ok(Durability::Process),
        Sync::AssumeAlways => {}
        Sync::Checked { monitoring } => {
            monitoring::check(monitoring, replicas, settings.request_timeout).await?;
        }
    }
    Ok(if replicas > 1 {
        Durability::Replicated
    } else {
        Durability::Synced
    })
}

fn limits(wire: &Wire) -> Limits {
    let max_payload = wire.client.max_payload();
    let for_headers = HEADER_BYTES.min(max_payload / 4);
    Limits {
        payload_bytes_max: PAYLOAD_BYTES_MAX.min(max_payload - for_headers),
        append_bytes_max: APPEND_BYTES_MAX,
        append_events_max: BATCH_EVENTS_MAX,
        max_payload,
    }
}

#[async_trait]
impl EventStore for NatsStore {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        let appended = self.append_alone(append).await;
        appended.map_err(|error| error.during("append"))
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        let id = *id;
        let found = self
            .newest(move |shared| shared.look(|state| state.receipt(&id, Answer::Duplicate)))
            .await;
        found.map_err(|error| error.during("receipt"))
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        request.validate()?;
        let page = self.shared.aside(|shared| shared.page(request)).await;
        page.map_err(|error| error.during("read"))
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        let find = |shared: Arc<Shared>| async move {
            shared.freshen(&consistency, &Cursor::START).await?;
            shared.look(|state| {
                state.check_consistency(&consistency)?;
                Ok(Cursor::at(state.head()))
            })?
        };
        let head = self.shared.aside(find).await;
        head.map_err(|error| error.during("head"))
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        let stream = stream.clone();
        let head = self
            .newest(move |shared| shared.look(|state| state.stream_head(&stream)))
            .await;
        head.map_err(|error| error.during("stream head"))
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        let changed = self.change_alone(change).await;
        changed.map_err(|error| error.during("change stream policy"))
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        let mut heads = self.shared.heads();
        let known = Cursor::at(self.shared.look(State::head)?);
        if known > *cursor {
            return Ok(known);
        }
        // What is there that nobody has told of; later, the task that follows sees to it.
        let since = cursor.clone();
        let looked = self.newest(move |shared| {
            shared.look(|state| {
                state.check_not_ahead(&since)?;
                Ok(Cursor::at(state.head()))
            })?
        });
        let mut head = looked
            .await
            .map_err(|error| error.during("changed since"))?;
        while cursor.covers(&head) {
            heads.changed().await.map_err(|_| {
                let message = "the store was closed; open it again";
                Error::new(ErrorKind::Unavailable, message).during("changed since")
            })?;
            head = Cursor::at(*heads.borrow_and_update());
            // The task that follows can't go on; whoever waits is told why.
            if let Some(damage) = self.shared.damage() {
                return Err(damage.during("changed since"));
            }
        }
        Ok(head)
    }
}

impl Drop for NatsStore {
    fn drop(&mut self) {
        self.follower.abort();
        self.shared.mark_at_last();
    }
}

impl fmt::Debug for NatsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsStore")
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NatsStoreBuilder {
    /// Without the address and the options, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsStoreBuilder")
            .field("settings", &self.settings)
            .field("clock", &self.clock)
            .field("ids", &self.ids)
            .finish_non_exhaustive()
    }
}
