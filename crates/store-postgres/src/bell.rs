//! How those who wait for new events learn of them.

use std::sync::Arc;
use std::time::Duration;

use annals_core::Position;
use futures_util::future::{Either, select};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Client, Statement};

use crate::connection::{Connector, Heard};
use crate::settings::{Settings, WakeUp};
use crate::sql::quoted;

/// The pause before a lost connection is replaced.
const PAUSE: Duration = Duration::from_millis(200);

/// The newest head that this process has seen, and the way to tell others.
///
/// A notification is a hint to look, whoever sent it: its number is believed only as far as it says nothing new.
///
/// Who appends tells the readers of its own process at once, and those of others by a notification of its own, after
/// the commit: within it, it would cost every append. Many appends may share one. One that is lost is made up for by
/// looking.
#[derive(Debug)]
pub(crate) struct Bell {
    known: Arc<watch::Sender<u64>>,
    rung: Arc<Notify>,
    channel: Option<String>,
    task: Option<JoinHandle<()>>,
}

impl Bell {
    pub(crate) fn start(connector: &Connector, settings: &Settings, channel: &str) -> Self {
        let known = Arc::new(watch::Sender::new(0));
        let rung = Arc::new(Notify::new());
        let task = (settings.wake_up == WakeUp::Listen).then(|| {
            let line = Line {
                connector: connector.clone(),
                channel: channel.to_owned(),
                known: Arc::clone(&known),
                rung: Arc::clone(&rung),
            };
            connector.runtime().spawn(line.keep())
        });
        let channel = task.is_none().then(|| channel.to_owned());
        Self {
            known,
            rung,
            channel,
            task,
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

impl Drop for Bell {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
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
    async fn keep(self) {
        loop {
            if let Err(error) = self.hold().await {
                tracing::debug!(%error, "the connection that listens was lost");
            }
            sleep(PAUSE).await;
        }
    }

    /// The same as long as one connection lasts.
    async fn hold(&self) -> Result<(), tokio_postgres::Error> {
        let (client, mut connection) = self.connector.connect(Some(self.ear())).await?;
        // What rings need not be on any disk.
        let listen = format!(
            "SET synchronous_commit = off; LISTEN {}",
            quoted(&self.channel)
        );
        client.batch_execute(&listen).await?;
        let telling = client.prepare("SELECT pg_notify($1, $2)").await?;
        let mut told = 0;
        loop {
            let rung = std::pin::pin!(self.rung.notified());
            match select(rung, &mut connection).await {
                Either::Left(_) => told = self.tell(&client, &telling, told).await?,
                Either::Right(_) => return Ok(()),
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
