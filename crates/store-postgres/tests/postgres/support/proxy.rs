//! A way to the server that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// Carries bytes between clients and a server, until it is told otherwise.
pub(crate) struct Proxy {
    address: SocketAddr,
    config: Config,
    switches: Arc<Switches>,
}

#[derive(Default)]
struct Switches {
    refuses: AtomicBool,
    /// The prepared statement whose text has this is watched for, and this is carried in place of its answer.
    armed: Mutex<Option<(String, Vec<u8>)>>,
}

impl Proxy {
    /// Starts one in front of the server at this address.
    pub(crate) async fn start(url: &str) -> Self {
        let config: Config = url.parse().unwrap();
        let Host::Tcp(host) = &config.get_hosts()[0] else {
            panic!("the server of the tests is reached by TCP");
        };
        let server = (host.clone(), config.get_ports()[0]);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let switches = Arc::new(Switches::default());
        let shared = Arc::clone(&switches);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !shared.refuses.load(Ordering::SeqCst)
                    && let Ok(server) = TcpStream::connect(&server).await
                {
                    tokio::spawn(carry(client, server, Arc::clone(&shared)));
                }
            }
        });
        Self {
            address,
            config,
            switches,
        }
    }

    /// The address through the proxy.
    pub(crate) fn url(&self) -> String {
        let user = self.config.get_user().unwrap_or("annals");
        let password = self.config.get_password().unwrap_or(b"none");
        let password = String::from_utf8_lossy(password);
        let database = self.config.get_dbname().unwrap_or("postgres");
        format!("postgres://{user}:{password}@{}/{database}", self.address)
    }

    /// Whether new connections are turned away.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.switches.refuses.store(refuses, Ordering::SeqCst);
    }

    /// Lets the next call on a connection that has prepared a statement with this text reach the server, and cuts the
    /// connection instead of carrying the answer.
    pub(crate) fn swallow_the_next_answer(&self, prepared: &str) {
        self.replace_the_next_answer(prepared, Vec::new());
    }

    /// The same, but what the client gets before the cut is this.
    pub(crate) fn replace_the_next_answer(&self, prepared: &str, answer: Vec<u8>) {
        *self.switches.armed.lock().unwrap() = Some((prepared.to_owned(), answer));
    }
}

/// The message by which the server says that it fails so badly that it ends.
pub(crate) fn panic_message(code: &str, text: &str) -> Vec<u8> {
    let fields = format!("SPANIC\0VPANIC\0C{code}\0M{text}\0\0");
    let length = u32::try_from(fields.len()).unwrap() + 4;
    [b"E", length.to_be_bytes().as_slice(), fields.as_bytes()].concat()
}

impl Switches {
    /// What is carried in place of the answer, where this is the call that is watched for: it begins with `B`ind, on a
    /// connection that has prepared it.
    fn replacement(&self, sent: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
        let mut armed = self.armed.lock().unwrap();
        armed
            .take_if(|(text, _)| has(sent, text) && bytes.first() == Some(&b'B'))
            .map(|(_, answer)| answer)
    }
}

async fn carry(client: TcpStream, server: TcpStream, switches: Arc<Switches>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut sent = Vec::new();
    let mut replacement = None;
    let (mut up, mut down) = (vec![0; 65536], vec![0; 65536]);
    loop {
        tokio::select! {
            read = from_client.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                let bytes = &up[..count];
                sent.extend_from_slice(bytes);
                replacement = replacement.or_else(|| switches.replacement(&sent, bytes));
                if to_server.write_all(&up[..count]).await.is_err() { return }
            }
            read = from_server.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                let carried = replacement.as_deref().unwrap_or(&down[..count]);
                if to_client.write_all(carried).await.is_err() || replacement.is_some() { return }
            }
        }
    }
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
