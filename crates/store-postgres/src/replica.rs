//! A replica that reads go to which may lag, as long as it is known to lag no more than it may.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use annals_core::{Error, ErrorKind, Page, Position, ReadRequest};
use deadpool_postgres::Pool;
use tokio::time::{Instant, sleep, timeout};

use crate::connection::{Connector, shared};
use crate::error::of_statement;
use crate::settings::Settings;
use crate::store::{Shared, position};

/// How a store's replica is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaUse {
    /// Whether it is known to lag no more than [`Settings::replica_lag_max`], so that reads go to it.
    pub is_current: bool,
    /// How many reads it has answered.
    pub reads: u64,
    /// How many reads that might have gone to it were answered by the primary.
    pub fallbacks: u64,
}

/// A replica, and what is known of it.
#[derive(Debug)]
pub(crate) struct Replica {
    pool: Pool,
    lag_max: Duration,
    seen: Mutex<Option<Seen>>,
    reads: AtomicU64,
    fallbacks: AtomicU64,
}

/// What the replica was seen to have.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// When the primary had this as its head, and so the earliest moment that the replica is of.
    at: Instant,
    head: Position,
}

impl Replica {
    pub(crate) fn new(connector: &Connector, settings: &Settings) -> Result<Self, Error> {
        Ok(Self {
            pool: connector.pool(settings.replica_connections_max)?,
            lag_max: settings.replica_lag_max,
            seen: Mutex::default(),
            reads: AtomicU64::new(0),
            fallbacks: AtomicU64::new(0),
        })
    }

    pub(crate) fn use_of(&self) -> ReplicaUse {
        ReplicaUse {
            is_current: self.current().is_some(),
            reads: self.reads.load(Ordering::Relaxed),
            fallbacks: self.fallbacks.load(Ordering::Relaxed),
        }
    }

    /// What it is known to have, if that is new enough.
    fn current(&self) -> Option<Seen> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.filter(|seen| seen.at.elapsed() <= self.lag_max)
    }

    fn note(&self, seen: Option<Seen>) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    /// What the replica answers, or `None` where the primary has to: it is gone, too slow, or lags too much.
    async fn ask<T>(
        &self,
        patience: Duration,
        asking: impl Future<Output = Result<(T, Position), Error>>,
    ) -> Option<T> {
        let seen = self.current();
        let answered = match seen {
            Some(_) => timeout(patience, asking).await,
            None => Ok(Err(lags())),
        };
        match (answered, seen) {
            // One that was set back, or started again, may have less than it was seen to have.
            (Ok(Ok((answer, head))), Some(seen)) if head >= seen.head => {
                self.reads.fetch_add(1, Ordering::Relaxed);
                return Some(answer);
            }
            // A reader that the primary has answered before may be ahead of it.
            (Ok(Err(error)), Some(_)) if error.kind() == ErrorKind::CursorAhead => {}
            (_, Some(_)) => self.note(None),
            (_, None) => {}
        }
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// A page of the replica's; `None` where the primary has to give it.
    pub(crate) async fn page(&self, shared: &Shared, request: ReadRequest) -> Option<Page> {
        let asking = async {
            // What it has come to by now is in the page, and more may be.
            let head = self.newest(shared).await?;
            let client = crate::connection::shared(&self.pool).await?;
            let (schema, at_time) = (&shared.statements.schema, shared.at_time());
            let page = crate::read::page(&client, schema, request, at_time, &shared.seen).await?;
            Ok((page, head))
        };
        self.ask(shared.settings.replica_timeout, asking).await
    }

    /// The replica's head; `None` where the primary has to tell its own.
    pub(crate) async fn head(&self, shared: &Shared) -> Option<Position> {
        let asking = async {
            let head = self.newest(shared).await?;
            Ok((head, head))
        };
        self.ask(shared.settings.replica_timeout, asking).await
    }

    /// How far it has come; refused by a server that replays nothing, as one that was promoted.
    async fn newest(&self, store: &Shared) -> Result<Position, Error> {
        let client = shared(&self.pool).await?;
        let statement = client.prepare_cached(&store.statements.replayed).await;
        let statement = statement.map_err(of_statement)?;
        let row = client.query_one(&statement, &[]).await;
        let row = row.map_err(of_statement)?;
        if row.try_get(1).map_err(of_statement)? {
            return Ok(position(row.try_get(0).map_err(of_statement)?));
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "the server is no replica: it replays nothing",
        ))
    }
}

/// Looks again and again how far the replica is, until the store is gone.
pub(crate) async fn watch(store: Weak<Shared>) {
    while let Some(pause) = look(&store).await {
        sleep(pause).await;
    }
}

/// Finds out what the primary has by now, and waits until the replica has it too; gives the pause before the next
/// look.
async fn look(store: &Weak<Shared>) -> Option<Duration> {
    let shared = store.upgrade()?;
    let replica = Arc::clone(shared.replica.as_ref()?);
    let pause = (replica.lag_max / 8).clamp(Duration::from_millis(5), Duration::from_secs(1));
    let patience = shared.settings.replica_timeout;
    let at = Instant::now();
    let Ok(head) = shared.newest().await else {
        return Some(pause);
    };
    drop(shared);
    loop {
        let shared = store.upgrade()?;
        match timeout(patience, replica.newest(&shared)).await {
            Ok(Ok(found)) if found >= head => {
                replica.note(Some(Seen { at, head }));
                return Some(pause);
            }
            Ok(Ok(_)) if at.elapsed() <= replica.lag_max => {}
            answered => {
                if !matches!(answered, Ok(Ok(_))) {
                    tracing::debug!(?answered, "a replica does not answer");
                    replica.note(None);
                }
                return Some(pause);
            }
        }
        drop(shared);
        sleep(pause / 4).await;
    }
}

fn lags() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the replica lags, or is out of reach",
    )
}
