//! How those who wait for new events learn of them.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use annals_core::Position;
use futures_util::future::{Either, select};
use tokio::sync::{Notify, oneshot, watch};
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
    _open: oneshot::Sender<()>,
}

impl Bell {
    pub(crate) fn start(connector: &Connector, settings: &Settings, channel: &str) -> Self {
        let known = Arc::new(watch::Sender::new(0));
        let rung = Arc::new(Notify::new());
        let (open, closed) = oneshot::channel();
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

/// Why a line ended.
enum End {
    /// The store is closed.
    Closed,
    /// The connection was lost.
    Lost,
}

impl Line {
    /// Listens and rings as long as the store is open, whatever becomes of the connection.
    async fn keep(self, mut closed: oneshot::Receiver<()>) {
        loop {
            match self.hold(&mut closed).await {
                Ok(End::Closed) => return,
                Ok(End::Lost) => {}
                Err(error) => tracing::debug!(%error, "the connection that listens was lost"),
            }
            if let Either::Left(_) = select(&mut closed, pin!(sleep(PAUSE))).await {
                return;
            }
        }
    }

    /// The same as long as one connection lasts. What was rung last is told, though the store be closed meanwhile.
    async fn hold(&self, closed: &mut oneshot::Receiver<()>) -> Result<End, tokio_postgres::Error> {
        let (client, mut connection) = self.connector.connect(Some(self.ear())).await?;
        // What rings need not be on any disk.
        let listen = format!(
            "SET synchronous_commit = off; LISTEN {}",
            quoted(&self.channel)
        );
        client.batch_execute(&listen).await?;
        let telling = client.prepare("SELECT pg_notify($1, $2)").await?;
        let (mut told, mut next_at) = (0, Instant::now());
        loop {
            let rung = pin!(async move {
                self.rung.notified().await;
                sleep_until(next_at).await;
            });
            let end = match select(rung, select(&mut *closed, &mut connection)).await {
                Either::Left(_) => None,
                Either::Right((Either::Left(_), _)) => Some(End::Closed),
                Either::Right((Either::Right(_), _)) => return Ok(End::Lost),
            };
            told = self.tell(&client, &telling, told).await?;
            if let Some(end) = end {
                return Ok(end);
            }
            next_at = Instant::now() + BETWEEN;
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
