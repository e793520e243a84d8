//! A replica that reads go to which may lag, as long as it is known to lag no more than it may.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use annals_core::{Cursor, Error, ErrorKind, Page, Position, ReadRequest, Version};
use deadpool_postgres::{Object, Pool};
use tokio::time::{Instant, sleep, timeout};

use crate::connection::{Connector, shared};
use crate::error::of_statement;
use crate::read::Told;
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

    /// What the replica answers, or `None` where the primary has to: it is gone, too slow, lags too much, or has not
    /// what the reader goes by.
    async fn ask<T>(
        &self,
        shared: &Shared,
        asking: impl Future<Output = Result<(T, Position), Error>>,
    ) -> Option<T> {
        let answer = self.answer(shared, asking).await;
        let counter = match &answer {
            Some(_) => &self.reads,
            None => &self.fallbacks,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        answer
    }

    async fn answer<T>(
        &self,
        shared: &Shared,
        asking: impl Future<Output = Result<(T, Position), Error>>,
    ) -> Option<T> {
        let seen = self.current()?;
        // An answer that comes later might be of a state that is too old by then.
        let left = || self.lag_max.saturating_sub(seen.at.elapsed());
        let patience = shared.settings.replica_timeout;
        match timeout(patience.min(left()), asking).await {
            // One that was set back, or started again, may have less than it was seen to have.
            Ok(Ok((_, head))) if head < seen.head => self.note(None),
            Ok(Ok((answer, head))) => {
                let has = timeout(left(), primary_has(shared, head)).await;
                return has.is_ok_and(|has| has).then_some(answer);
            }
            Ok(Err(error)) if !is_of_the_server(error.kind()) => {}
            Ok(Err(_)) | Err(_) => self.note(None),
        }
        None
    }

    /// A page of the replica's; `None` where the primary has to give it.
    pub(crate) async fn page(&self, shared: &Shared, request: ReadRequest) -> Option<Page> {
        let asking = async {
            let client = crate::connection::shared(&self.pool).await?;
            let (schema, at_time) = (&shared.statements.schema, shared.at_time());
            let reading = request.clone();
            let Told { page, head } =
                crate::read::page(&client, schema, reading, at_time, &shared.seen).await?;
            // Asked afterwards, of the same session: one that still replays has done so all the time.
            replayed(&client, shared).await?;
            if covers(&request, &page, head) {
                return Ok((page, head));
            }
            let message = "the replica has not come to where the reader is";
            Err(Error::new(ErrorKind::CursorAhead, message))
        };
        self.ask(shared, asking).await
    }

    /// The replica's head; `None` where the primary has to tell its own.
    pub(crate) async fn head(&self, shared: &Shared) -> Option<Position> {
        let asking = async {
            let head = self.newest(shared).await?;
            Ok((head, head))
        };
        self.ask(shared, asking).await
    }

    /// How far it has come; refused by a server that replays nothing, as one that was promoted.
    async fn newest(&self, store: &Shared) -> Result<Position, Error> {
        let client = shared(&self.pool).await?;
        replayed(&client, store).await
    }
}

/// How far a server has come; refused by one that replays nothing.
async fn replayed(client: &Object, store: &Shared) -> Result<Position, Error> {
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

/// Whether the primary has what a replica's head tells of: a commit may be replayed before the primary shows it, and a
/// reader must not be ahead of the next answer.
async fn primary_has(shared: &Shared, head: Position) -> bool {
    shared.bell.knows(head) || shared.newest().await.is_ok_and(|newest| newest >= head)
}

/// Whether a page has all that its request goes by: what the primary has told of may be missing from a replica, in the
/// middle of a walk.
fn covers(request: &ReadRequest, page: &Page, head: Position) -> bool {
    let head = Cursor::at(head);
    let until = request.until.as_ref();
    let stream = page.stream.as_ref();
    until.is_none_or(|until| head.covers(until))
        && stream.is_none_or(|stream| {
            let until = request.until_version;
            stream.version >= request.after_version
                && (until == Version::MAX || stream.version >= until)
        })
}

/// Whether an error is the server's, and not of what it was asked.
fn is_of_the_server(kind: ErrorKind) -> bool {
    let of_the_server = [
        ErrorKind::Unavailable,
        ErrorKind::Overloaded,
        ErrorKind::Corrupt,
    ];
    of_the_server.contains(&kind)
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
