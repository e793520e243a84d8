//! A way to a server that says something else than the server did.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What is said in place of a payload; `None` for the payload itself.
type Rule = fn(&str) -> Option<String>;

/// Carries bytes between clients and a server, and rewrites payloads on their way to the clients.
pub(crate) struct Proxy {
    port: u16,
    rule: Arc<Mutex<Rule>>,
}

impl Proxy {
    /// Starts one in front of the server at this address, which says what the server does.
    pub(crate) async fn start(url: &str) -> Self {
        let server = url.strip_prefix("nats://").unwrap().to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(|_| None));
        let shared = Arc::clone(&rule);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (from_client, to_client) = client.into_split();
                let server = TcpStream::connect(&server).await.unwrap();
                let (from_server, mut to_server) = server.into_split();
                let mut from_client = from_client;
                tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
                tokio::spawn(carry(from_server, to_client, Arc::clone(&shared)));
            }
        });
        Self { port, rule }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// From now on, says what this rule makes of payloads.
    pub(crate) fn rewrite(&self, rule: Rule) {
        *self.rule.lock().unwrap_or_else(PoisonError::into_inner) = rule;
    }
}

/// Carries what the server says. A message is a line that ends with its size, and then as many bytes.
async fn carry(
    server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    rule: Arc<Mutex<Rule>>,
) -> Option<()> {
    let mut server = BufReader::new(server);
    loop {
        let mut line = String::new();
        if server.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let is_plain = line.starts_with("MSG ");
        if !is_plain && !line.starts_with("HMSG ") {
            client.write_all(line.as_bytes()).await.ok()?;
            continue;
        }
        let (beginning, size) = line.trim_end().rsplit_once(' ')?;
        let mut payload = vec![0; size.parse::<usize>().ok()? + 2];
        server.read_exact(&mut payload).await.ok()?;
        let rule = *rule.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&payload);
        let other = if is_plain {
            rule(text.trim_end())
        } else {
            None
        };
        if let Some(other) = other {
            let other = format!("{beginning} {}\r\n{other}\r\n", other.len());
            client.write_all(other.as_bytes()).await.ok()?;
        } else {
            client.write_all(line.as_bytes()).await.ok()?;
            client.write_all(&payload).await.ok()?;
        }
    }
}
