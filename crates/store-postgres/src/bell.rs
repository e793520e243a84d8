//! How those who wait for new events learn of them.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use annals_core::Position;
use futures_util::future::{Either, select};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_postgres::{AsyncMessage, Client, Statement};

use crate::connection::{Connector, Heard};
use crate::settings::{Settings, WakeUp};
use crate::sql::quoted;

/// The pause before a lost connection is replaced.
const PAUSE: Duration = Duration::from_millis(200);

/// How long nothing more is told after something was: what came meanwhile is told at once then. Each telling is work
/// for the server and for whoever listens, and one writer alone would tell more than a thousand heads a second.
const BETWEEN: Duration = Duration::from_millis(5);

/// How long a store that is closed goes on to tell its last head, at most.
const LAST_WORD: Duration = Duration::from_secs(1);

/// The newest head that this process has seen, and the way to tell others.
///
/// A notification is a hint to look, whoever sent it: its number is believed only as far as it says nothing new.
///
/// Who appends tells the readers of its own process at once, and those of others by a notification of its own, after
/// the commit: within it, it would cost every append. Many appends may share one, and all of the [next few
/// milliseconds](BETWEEN) do. One that is lost is made up for by looking.
#[derive(Debug)]
pub(crate) struct Bell {
    known: Arc<watch::Sender<u64>>,
    rung: Arc<Notify>,
    channel: Option<String>,
    /// Gone with the bell, which ends the line.
    _open: watch::Sender<()>,
}

impl Bell {
    pub(crate) fn start(connector: &Connector, settings: &Settings, channel: &str) -> Self {
        let known = Arc::new(watch::Sender::new(0));
        let rung = Arc::new(Notify::new());
        let (open, closed) = watch::channel(());
        let has_line = settings.wake_up == WakeUp::Listen;
        if has_line {
            let line = Line {
                connector: connector.clone(),
                channel: channel.to_owned(),
                known: Arc::clone(&known),
                rung: Arc::clone(&rung),
            };
            connector.runtime().spawn(line.keep(closed));
        }
        Self {
            known,
            rung,
            channel: (!has_line).then(|| channel.to_owned()),
            _open: open,
        }
    }

    /// Tells everybody that the log's head is this.
    pub(crate) fn ring(&self, head: Position) {
        self.learn(head);
        self.rung.notify_one();
    }

    /// Notes that the log's head is at least this.
    pub(crate) fn learn(&self, head: Position) {
        advance(&self.known, head.value());
    }

    /// Whether this process has seen the log's head at this, or beyond.
    pub(crate) fn knows(&self, head: Position) -> bool {
        *self.known.borrow() >= head.value()
    }

    /// The channel that a call has to ring within its transaction, where nobody rings it afterwards.
    pub(crate) fn within_the_call(&self) -> Option<&str> {
        self.channel.as_deref()
    }

    /// To be told of every new head, and of what may be one.
    pub(crate) fn listen(&self) -> watch::Receiver<u64> {
        self.known.subscribe()
    }
}

/// The connection that listens, and rings.
struct Line {
    connector: Connector,
    channel: String,
    known: Arc<watch::Sender<u64>>,
    rung: Arc<Notify>,
}

impl Line {
    /// Listens and rings as long as the store is open, whatever becomes of the connection.
    async fn keep(self, closed: watch::Receiver<()>) {
        loop {
            let held = pin!(self.hold(closed.clone()));
            match select(held, pin!(close_of(closed.clone()))).await {
                Either::Left((Ok(()), _)) => {}
                Either::Left((Err(error), _)) => {
                    tracing::debug!(%error, "the connection that listens was lost");
                }
                Either::Right(((), held)) => {
                    drop(timeout(LAST_WORD, held).await);
                    return;
                }
            }
            // It may have been lost with a head that was to be told.
            self.rung.notify_one();
            let pause = pin!(sleep(PAUSE));
            if let Either::Right(_) = select(pause, pin!(close_of(closed.clone()))).await {
                return;
            }
        }
    }

    /// The same as long as one connection lasts, or until the store is closed, whose last head is told first.
    async fn hold(&self, closed: watch::Receiver<()>) -> Result<(), tokio_postgres::Error> {
        let (client, mut connection) = self.connector.connect(Some(self.ear())).await?;
        // What rings need not be on any disk.
        let listen = format!(
            "SET synchronous_commit = off; LISTEN {}",
            quoted(&self.channel)
        );
        client.batch_execute(&listen).await?;
        let telling = client.prepare("SELECT pg_notify($1, $2)").await?;
        let mut closed = pin!(close_of(closed));
        let (mut told, mut next_at) = (0, Instant::now());
        loop {
            let rung = pin!(async move {
                self.rung.notified().await;
                sleep_until(next_at).await;
            });
            match select(rung, select(&mut closed, &mut connection)).await {
                Either::Left(_) => {
                    let newest = self.tell(&client, &telling, told).await?;
                    if newest > told {
                        (told, next_at) = (newest, Instant::now() + BETWEEN);
                    }
                }
                Either::Right((Either::Left(_), _)) => {
                    return self.tell(&client, &telling, told).await.map(drop);
                }
                Either::Right((Either::Right(_), _)) => return Ok(()),
            }
        }
    }

    /// Tells the newest head, unless it was told.
    async fn tell(
        &self,
        client: &Client,
        telling: &Statement,
        told: u64,
    ) -> Result<u64, tokio_postgres::Error> {
        let head = *self.known.borrow();
        if head > told {
            let payload = head.to_string();
            client.execute(telling, &[&self.channel, &payload]).await?;
        }
        Ok(head)
    }

    fn ear(&self) -> Heard {
        let known = Arc::clone(&self.known);
        let channel = self.channel.clone();
        Box::new(move |message| {
            if let AsyncMessage::Notification(heard) = message
                && heard.channel() == channel
                && !heard
                    .payload()
                    .parse()
                    .is_ok_and(|head: u64| head <= *known.borrow())
            {
                known.send_modify(|_| ());
            }
        })
    }
}

/// Ends when the bell is gone.
async fn close_of(mut closed: watch::Receiver<()>) {
    while closed.changed().await.is_ok() {}
}

fn advance(known: &watch::Sender<u64>, head: u64) {
    known.send_if_modified(|newest| {
        let is_newer = head > *newest;
        if is_newer {
            *newest = head;
        }
        is_newer
    });
}

/// Waits until a new head is told of, but no longer than this.
pub(crate) async fn wait(
    told: &mut watch::Receiver<u64>,
    at_most: Duration,
    connector: &Connector,
) {
    let waiting = {
        // The timer is the store's runtime's, whoever polls it.
        let _entered = connector.runtime().enter();
        timeout(at_most, told.changed())
    };
    drop(waiting.await);
}
