//! Whether servers sync what they acknowledge, as they tell on their monitoring ports.

use std::collections::HashSet;
use std::time::Duration;

use annals_core::{BoxError, Error, ErrorKind};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Sees that at least so many servers answer at these addresses, and that each of them syncs always.
pub(crate) async fn check(
    addresses: &[String],
    servers_min: usize,
    at_most: Duration,
) -> Result<(), Error> {
    let mut servers = HashSet::new();
    for address in addresses {
        let asked = timeout(at_most, ask(address)).await;
        let state = asked
            .map_err(BoxError::from)
            .and_then(|asked| asked)
            .map_err(|cause| {
                let message =
                    "monitoring port does not tell whether the server syncs always; see the cause";
                Error::new(ErrorKind::Unavailable, message)
                    .with("address", address)
                    .with("cause", &cause)
                    .caused_by(cause)
            })?;
        if state.pointer("/config/sync_always") != Some(&Value::Bool(true)) {
            let message = "server acknowledges what it has not synced, so that a loss of power takes acknowledged events; \
                           set `sync_interval: always`, or accept it with `Sync::AllowLazy`";
            return Err(Error::new(ErrorKind::Invalid, message).with("address", address));
        }
        let server = state.get("server_id").and_then(Value::as_str);
        servers.extend(server.map(str::to_owned));
    }
    if servers.len() < servers_min {
        let message = "fewer servers were asked whether they sync always than keep the log; name the monitoring ports of \
                       all";
        return Err(Error::new(ErrorKind::Invalid, message)
            .with("asked", servers.len())
            .with("replicas", servers_min));
    }
    Ok(())
}

/// What the server says of its JetStream, over HTTP 1.0: an answer, then the end of the connection.
async fn ask(address: &str) -> Result<Value, BoxError> {
    let host = address
        .strip_prefix("http://")
        .ok_or("not an address like http://127.0.0.1:8222")?
        .trim_end_matches('/');
    let mut connection = TcpStream::connect(host).await?;
    let question = format!("GET /jsz HTTP/1.0\r\nHost: {host}\r\n\r\n");
    connection.write_all(question.as_bytes()).await?;
    let mut answer = String::new();
    let mut limited = connection.take(ANSWER_BYTES_MAX);
    limited.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer of HTTP")?;
    if head.split(' ').nth(1) != Some("200") {
        return Err(head.lines().next().unwrap_or_default().into());
    }
    Ok(serde_json::from_str(body)?)
}
