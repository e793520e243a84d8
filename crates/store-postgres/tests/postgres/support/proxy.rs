//! A way to the server that can be cut.

use std::collections::VecDeque;
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
    /// What is done to the next calls, in order.
    armed: Mutex<VecDeque<Armed>>,
}

/// What is done to the next call of some kind.
struct Armed {
    watch: Watch,
    /// Carried in place of the call's answer.
    answer: Vec<u8>,
    cuts: bool,
}

/// Which call is watched for.
enum Watch {
    /// One on a connection that has prepared a statement with this text.
    Prepared(String),
    /// One that has this text among its parameters.
    Parameter(String),
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
        self.arm(Watch::Prepared(prepared.to_owned()), answer, true);
    }

    /// Once what was armed before is used up, lets a call with this among its parameters reach the server, and cuts the
    /// connection instead of carrying the answer.
    pub(crate) fn then_swallow_the_answer(&self, parameter: &str) {
        self.arm(Watch::Parameter(parameter.to_owned()), Vec::new(), true);
    }

    /// The same, but this is carried in place of the answer, and the connection stays.
    pub(crate) fn then_replace_the_answer(&self, parameter: &str, answer: Vec<u8>) {
        self.arm(Watch::Parameter(parameter.to_owned()), answer, false);
    }

    fn arm(&self, watch: Watch, answer: Vec<u8>, cuts: bool) {
        let armed = Armed {
            watch,
            answer,
            cuts,
        };
        self.switches.armed.lock().unwrap().push_back(armed);
    }
}

/// The message with which the answer to a call begins.
const BOUND: &[u8] = b"2\0\0\0\x04";

/// The message by which the server says that it fails so badly that it ends.
pub(crate) fn panic_message(code: &str, text: &str) -> Vec<u8> {
    message("PANIC", code, text)
}

/// The messages by which the server says that it refuses a call, and waits for the next one.
pub(crate) fn error_message(code: &str, text: &str) -> Vec<u8> {
    let ready = b"Z\0\0\0\x05I";
    [&*message("ERROR", code, text), ready].concat()
}

fn message(severity: &str, code: &str, text: &str) -> Vec<u8> {
    let fields = format!("S{severity}\0V{severity}\0C{code}\0M{text}\0\0");
    let length = u32::try_from(fields.len()).unwrap() + 4;
    [b"E", length.to_be_bytes().as_slice(), fields.as_bytes()].concat()
}

impl Switches {
    /// What is done to the call, where this is the one that is watched for.
    fn replacement(&self, sent: &[u8], bytes: &[u8]) -> Option<Armed> {
        let mut armed = self.armed.lock().unwrap();
        let is_watched = armed.front().is_some_and(|next| match &next.watch {
            // It begins with `B`ind.
            Watch::Prepared(text) => has(sent, text) && bytes.first() == Some(&b'B'),
            Watch::Parameter(text) => has(bytes, text),
        });
        if is_watched { armed.pop_front() } else { None }
    }
}

async fn carry(client: TcpStream, server: TcpStream, switches: Arc<Switches>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut sent = Vec::new();
    let mut replacement: Option<Armed> = None;
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
                let bytes = &down[..count];
                // An answer to something that was sent before may come first, and is not the call's.
                let answer = bytes.windows(BOUND.len()).position(|window| window == BOUND);
                let (carried, is_cut) = match (answer, replacement.take()) {
                    (Some(at), Some(armed)) => ([&bytes[..at], &armed.answer].concat(), armed.cuts),
                    (_, kept) => {
                        replacement = kept;
                        (bytes.to_vec(), false)
                    }
                };
                if to_client.write_all(&carried).await.is_err() || is_cut { return }
            }
        }
    }
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
