//! Granting, renewing and giving back leases.

use std::sync::Arc;
use std::time::Duration;

use annals_core::{
    Append, AppendBuilder, Clock, Error, ErrorKind, EventStore, EventStoreExt, Expected, Ids,
    RecordedEvent, StreamId, SystemClock, Timestamp, UuidIds, Version,
};

use super::record::{Change, Grant, Renewal, micros, streams};
use super::settings::LeaseSettings;
use crate::{Fence, FencingToken, Retrier, Timer};

/// The leases of a store: the right to be the only one who does something, for a time.
///
/// A lease is kept as events in a stream of its own, `lease-<name>`, and its renewals in
/// `lease_renewals-<name>`. Its *fencing token* is the version of the first: it grows with every change of
/// hands and never falls. Appends that go through the lease's [`fence`](Lease::fence) carry a check on it, so
/// the store refuses those of a process that lost the lease without noticing.
///
/// # What is safe
/// The fence, whatever the clocks do: of two holders only the later one writes. The clock decides no more
/// than when a lease may be taken from a silent holder: where the clocks of two machines differ by more than
/// [`clock_difference_max`](LeaseSettings::clock_difference_max), a lease is taken too early, its old holder is
/// refused at its next append, and nothing else happens. What is done outside the store is safe only where it
/// checks the [token](Lease::token) itself.
///
/// It needs a store with [`stream_checks`](annals_core::Capabilities::stream_checks) and
/// [`backward_reads`](annals_core::Capabilities::backward_reads). Renewals accumulate; a policy that keeps
/// the newest event alone suits their stream.
///
/// ```
/// use std::sync::Arc;
///
/// use annals_concurrency::{Acquired, Leases, ManualTimer};
/// use annals_store_memory::MemoryStore;
///
/// # futures_executor::block_on(async {
/// let leases = Leases::new(Arc::new(MemoryStore::new()), Arc::new(ManualTimer::default()));
/// let Acquired::Granted(mut lease) = leases.acquire("payroll", "worker-1").await? else {
///     panic!("nobody else is here");
/// };
/// assert!(matches!(leases.acquire("payroll", "worker-2").await?, Acquired::Held { .. }));
/// leases.renew(&mut lease).await?;
/// leases.release(lease).await?;
/// assert!(matches!(leases.acquire("payroll", "worker-2").await?, Acquired::Granted(_)));
/// # Ok::<(), annals_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Leases {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    retrier: Retrier,
    settings: LeaseSettings,
}

/// A lease that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    fence: Fence,
    renewals: StreamId,
    owner: String,
    expires_at: Timestamp,
}

/// The answer to who wants a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Acquired {
    /// It is the caller's.
    Granted(Lease),
    /// Somebody holds it.
    Held {
        /// Who.
        owner: String,
        /// The token of the holder.
        token: FencingToken,
        /// From when on it may be taken, by the clock of this machine, unless it is renewed.
        until: Timestamp,
    },
}

/// Where a lease stands in the store.
struct Standing {
    /// The version of the stream of grants.
    version: Version,
    /// The version of the stream of renewals.
    renewals: Version,
    /// Who holds it, if anybody does, and when that ends by the time of the store.
    holder: Option<(String, Timestamp)>,
}

impl Leases {
    /// The leases of this store, with pauses of this timer, the machine's clock, random ids and the default
    /// settings.
    pub fn new(store: Arc<dyn EventStore>, timer: Arc<dyn Timer>) -> Self {
        Self {
            store,
            clock: Arc::new(SystemClock),
            ids: Arc::new(UuidIds::default()),
            retrier: Retrier::default_with(timer),
            settings: LeaseSettings::DEFAULT,
        }
    }

    /// The same with other settings.
    ///
    /// # Errors
    /// As [`LeaseSettings::validate`] has it.
    pub fn with_settings(mut self, settings: LeaseSettings) -> Result<Self, Error> {
        settings.validate()?;
        self.settings = settings;
        Ok(self)
    }

    /// The same with the time of this clock, by which other holders' leases expire.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The same with append ids from here.
    #[must_use]
    pub fn with_ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// The same with other retries, of appends of unknown outcome and of an overloaded store.
    #[must_use]
    pub fn with_retrier(mut self, retrier: Retrier) -> Self {
        self.retrier = retrier;
        self
    }

    /// Takes the lease of this name if nobody holds it, or its holder let it expire. `owner` is for people who
    /// ask who holds it; the same owner may not hold it twice.
    ///
    /// # Cancellation
    /// When the future is dropped, the lease is taken or not; one that nobody knows of expires.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the name makes no stream id; [`ErrorKind::Undecodable`] when somebody else
    /// writes the streams of the lease; [`ErrorKind::Unknown`] when it can't be told whether it was taken; or
    /// as the store has it.
    pub async fn acquire(&self, name: &str, owner: &str) -> Result<Acquired, Error> {
        let (stream, renewals) = streams(name)?;
        let mut tries = self.retrier.begin();
        loop {
            let standing = self.standing(&stream, &renewals).await?;
            if let Some(held) = self.held(&standing) {
                return Ok(held);
            }
            let grant = Change::Acquired(Grant {
                owner: owner.to_owned(),
                time_to_live_micros: micros(self.settings.time_to_live),
            });
            // The check keeps a renewal that comes first from being passed over.
            let append = self
                .begin()
                .write(
                    stream.clone(),
                    Expected::Exactly(standing.version),
                    [grant.encode()?],
                )
                .check(renewals.clone(), Expected::Exactly(standing.renewals))
                .build()?;
            match tries.append(&self.store, &append).await {
                Ok(receipt) => {
                    let version = receipt
                        .version_of(&stream)
                        .unwrap_or(standing.version.next());
                    return Ok(Acquired::Granted(Lease {
                        fence: Fence::new(stream, version),
                        renewals,
                        owner: owner.to_owned(),
                        expires_at: receipt.appended_at.after(self.settings.time_to_live),
                    }));
                }
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    if !tries.again().await {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Lets the lease live on from now. The token stays.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the lease is lost, and [`ErrorKind::Unknown`] when it can't be told whether
    /// it lives on; or as the store has it. The lease is as before then.
    pub async fn renew(&self, lease: &mut Lease) -> Result<(), Error> {
        let renewal = Change::Renewed(Renewal {
            token: lease.token().value(),
            time_to_live_micros: micros(self.settings.time_to_live),
        });
        let append = lease
            .fence
            .guard(self.begin())
            .write(lease.renewals.clone(), Expected::Any, [renewal.encode()?])
            .build()?;
        let receipt = self.retrier.append(&self.store, &append).await?;
        lease.expires_at = receipt.appended_at.after(self.settings.time_to_live);
        Ok(())
    }

    /// Gives the lease back: others need not wait until it expires, and what is still sent under it is refused.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when it was lost before; or as the store has it: then it expires.
    pub async fn release(&self, lease: Lease) -> Result<(), Error> {
        let token = Version::new(lease.token().value());
        let stream = lease.fence.stream().clone();
        let append = self
            .begin()
            .write(
                stream,
                Expected::Exactly(token),
                [Change::Released.encode()?],
            )
            .build()?;
        self.retrier.append(&self.store, &append).await.map(drop)
    }

    fn begin(&self) -> AppendBuilder {
        Append::builder(self.ids.append_id())
    }

    /// The answer where somebody holds the lease still.
    fn held(&self, standing: &Standing) -> Option<Acquired> {
        let (owner, expires_at) = standing.holder.as_ref()?;
        let until = expires_at.after(self.settings.clock_difference_max);
        (self.clock.now() < until).then(|| Acquired::Held {
            owner: owner.clone(),
            token: FencingToken::new(standing.version.value()),
            until,
        })
    }

    /// Where a lease stands.
    async fn standing(&self, grants: &StreamId, renewals: &StreamId) -> Result<Standing, Error> {
        // The versions first: what happens after them makes the append conflict.
        let mut standing = Standing {
            version: self.store.stream_head(grants).await?.version,
            renewals: self.store.stream_head(renewals).await?.version,
            holder: None,
        };
        let granted = self.last(grants).await?;
        let renewed = self.last(renewals).await?;
        if let Some((event, Change::Acquired(grant))) = granted {
            let event_version = event.version().value();
            let granted_until = ends(&event, grant.time_to_live_micros);
            let renewed_until = renewed.and_then(|(event, change)| match change {
                Change::Renewed(renewal) if renewal.token == event_version => {
                    Some(ends(&event, renewal.time_to_live_micros))
                }
                _ => None,
            });
            standing.holder = Some((grant.owner, renewed_until.unwrap_or(granted_until)));
        }
        Ok(standing)
    }

    async fn last(&self, stream: &StreamId) -> Result<Option<(RecordedEvent, Change)>, Error> {
        let Some(event) = self.store.last_event(stream).await? else {
            return Ok(None);
        };
        let change = Change::decode(&event)?;
        Ok(Some((event, change)))
    }
}

impl Lease {
    /// The check by which the store refuses an append once the lease is lost: for appends by hand
    /// ([`Fence::guard`]), and for commands, in their context.
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// The number of this grant, for what is written outside the store.
    pub fn token(&self) -> FencingToken {
        self.fence.token()
    }

    /// Who holds it.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Until when it lives without a renewal, by the time of the store: a hint to renew well before. That it
    /// lies ahead is no proof of still holding it.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

/// When a grant or a renewal ends, by the time of the store.
fn ends(event: &RecordedEvent, time_to_live_micros: u64) -> Timestamp {
    event
        .appended_at()
        .after(Duration::from_micros(time_to_live_micros))
}
