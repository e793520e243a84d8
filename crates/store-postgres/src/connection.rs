//! Connections: made on the runtime that the store was opened on, whoever waits for them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use annals_core::{Error, ErrorKind};
use deadpool_postgres::{Connect, Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{AsyncMessage, Client, Config};

use crate::error::{of_pool, of_statement};

/// What every session is told: plans of short statements are not worth compiling, appends and changes are judged under
/// a lock that shows what was committed before it was had, and what is acknowledged is synced.
const SESSION: &str = "SET jit = off; SET default_transaction_isolation = 'read committed'; SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') = 'off'";

/// How long a server may be silent before its connection counts as lost, unless the address says otherwise.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long nothing is said on a connection before it is probed, so that who waits for an answer of a server that has
/// vanished learns of it, unless the address says otherwise.
const PROBE_AFTER: Duration = Duration::from_secs(10);

/// The pause between two probes, unless the address says otherwise.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// How many probes without an answer make a connection lost, unless the address says otherwise.
const PROBES_MAX: u32 = 4;

/// How connections to a database are made: as those of a store, for whoever keeps something beside its log.
///
/// Sessions are `READ COMMITTED`, with `synchronous_commit` raised to `on` where it is off; TLS and what counts as a
/// lost connection are as for the store.
#[derive(Clone)]
pub struct Connector {
    config: Config,
    runtime: Handle,
}

/// What a connection hears that nobody asked for.
pub(crate) type Heard = Box<dyn FnMut(AsyncMessage) + Send>;

impl Connector {
    /// To the database of this address, on this tokio runtime, which needs its I/O and its timer.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an address that can't be parsed; [`ErrorKind::Unsupported`] where it demands TLS and
    /// the crate is built without.
    pub fn new(url: &str, runtime: Handle) -> Result<Self, Error> {
        let mut config: Config = url.parse().map_err(|error| {
            // The address may hold a password, which the error does not repeat.
            let message = "not an address of PostgreSQL, as postgres://user@host/database";
            Error::new(ErrorKind::Invalid, message).caused_by(error)
        })?;
        if config.get_application_name().is_none() {
            config.application_name("annals");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(SILENCE_MAX);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE_MAX);
        }
        probe(&mut config);
        if cfg!(not(feature = "tls")) && config.get_ssl_mode() == SslMode::Require {
            let message =
                "the address demands TLS; build annals-store-postgres with its feature `tls`";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Ok(Self { config, runtime })
    }

    /// The runtime that its connections work on.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// A connection of one's own, worked on by the runtime until it is dropped. Any executor may poll for it.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database can't be reached, [`ErrorKind::Overloaded`] when it takes no more
    /// connections.
    pub async fn client(&self) -> Result<Client, Error> {
        let connected = self.connect(None).await;
        connected.map(|(client, _)| client).map_err(of_statement)
    }

    /// A connection, driven by a task of the runtime until its client is dropped.
    pub(crate) async fn connect(
        &self,
        heard: Option<Heard>,
    ) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        let config = self.config.clone();
        let runtime = self.runtime.clone();
        let connecting = self
            .runtime
            .spawn(async move { connect(&config, &runtime, heard).await });
        connecting
            .await
            .unwrap_or_else(|_| Err(tokio_postgres::Error::__private_api_timeout()))
    }

    /// Connections to share.
    pub(crate) fn pool(&self, connections_max: usize) -> Result<Pool, Error> {
        let manager = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_connect(self.config.clone(), self.clone(), manager);
        let pool = Pool::builder(manager).max_size(connections_max).build();
        pool.map_err(|error| {
            Error::new(ErrorKind::Invalid, "no pool of connections").caused_by(error)
        })
    }
}

impl Connect for Connector {
    fn connect(
        &self,
        _: &Config,
    ) -> Pin<
        Box<
            dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>>
                + Send
                + '_,
        >,
    > {
        Box::pin(self.connect(None))
    }
}

/// Has connections probed that are silent.
fn probe(config: &mut Config) {
    // The client's own default is what an address leaves that does not name it.
    if config.get_keepalives_idle() == Config::new().get_keepalives_idle() {
        config.keepalives_idle(PROBE_AFTER);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(PROBE_INTERVAL);
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(PROBES_MAX);
    }
}

/// A connection of the pool.
pub(crate) async fn shared(pool: &Pool) -> Result<Object, Error> {
    pool.get().await.map_err(of_pool)
}

#[cfg(not(feature = "tls"))]
async fn connect(
    config: &Config,
    runtime: &Handle,
    heard: Option<Heard>,
) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
    let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
    settle(client, runtime.spawn(drive(connection, heard))).await
}

#[cfg(feature = "tls")]
async fn connect(
    config: &Config,
    runtime: &Handle,
    heard: Option<Heard>,
) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
    if config.get_ssl_mode() == SslMode::Disable {
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        return settle(client, runtime.spawn(drive(connection, heard))).await;
    }
    let (client, connection) = config.connect(crate::tls::connector()).await?;
    settle(client, runtime.spawn(drive(connection, heard))).await
}

async fn settle(
    client: Client,
    task: JoinHandle<()>,
) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
    client.batch_execute(SESSION).await?;
    Ok((client, task))
}

/// Carries what is sent and received, until the client is gone or the connection is lost.
async fn drive<S, T>(mut connection: tokio_postgres::Connection<S, T>, mut heard: Option<Heard>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match std::future::poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(message)) => {
                if let Some(heard) = &mut heard {
                    heard(message);
                }
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "a connection to PostgreSQL was lost");
                return;
            }
            None => return,
        }
    }
}

impl fmt::Debug for Connector {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({self})")
    }
}

impl fmt::Display for Connector {
    /// Where it leads, without who goes there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.config.get_hosts())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_probed_as_the_address_says() {
        fn check(settings: &str, idle: u64, interval: u64, retries: u32) {
            let mut config: Config = format!("host=db {settings}").parse().unwrap();
            probe(&mut config);
            assert_eq!(config.get_keepalives_idle(), Duration::from_secs(idle));
            let interval = Duration::from_secs(interval);
            assert_eq!(config.get_keepalives_interval(), Some(interval));
            assert_eq!(config.get_keepalives_retries(), Some(retries));
        }
        check("", 10, 5, 4);
        check("keepalives_idle=60 keepalives_retries=2", 60, 5, 2);
        check("keepalives_interval=1", 10, 1, 4);
    }
}
