//! The endpoint that Prometheus asks.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use annals_core::{Error, ErrorKind};

use super::Prometheus;
use crate::health::{HealthLevel, HealthReport};

/// Answers `GET /metrics` with the metrics, and `GET /health` with the [`HealthReport`] as JSON, until it is dropped.
///
/// It listens on the loopback device unless it is told otherwise, and knows no passwords: what is to be asked from
/// other machines stands behind something that does. One request is answered at a time, by a thread of its own; one
/// that is longer than 8 KiB, or slower than some seconds, is not answered.
///
/// ```
/// use annals_profile::{Endpoint, Prometheus};
///
/// let endpoint = Endpoint::builder(Prometheus::new()?).address(([127, 0, 0, 1], 0).into()).serve()?;
/// println!("http://{}/metrics", endpoint.address());
/// # Ok::<(), annals_core::Error>(())
/// ```
pub struct Endpoint {
    address: SocketAddr,
    ended: Arc<Ended>,
    threads: Vec<JoinHandle<()>>,
}

/// An [`Endpoint`] in the making.
#[must_use = "call `serve` to have an endpoint"]
pub struct EndpointBuilder {
    address: SocketAddr,
    answers: Answers,
}

/// What is answered.
struct Answers {
    prometheus: Prometheus,
    before: Vec<Box<dyn Fn() + Send>>,
    health: Option<Box<dyn Fn() -> HealthReport + Send>>,
}

/// Whether the endpoint is dropped.
#[derive(Debug, Default)]
struct Ended {
    is_over: Mutex<bool>,
    told: Condvar,
}

impl Endpoint {
    /// Where it listens unless it is told otherwise: 127.0.0.1, port 9400.
    pub const ADDRESS_DEFAULT: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9400);

    /// The longest request.
    pub const REQUEST_BYTES_MAX: usize = 8 << 10;

    /// How long is waited for the next part of a request.
    const PATIENCE: Duration = Duration::from_secs(2);

    /// In how many parts a request may come.
    const PARTS_MAX: usize = 16;

    /// How often the metrics are tidied up where nobody asks.
    const TIDY_INTERVAL: Duration = Duration::from_secs(5);

    /// Begins an endpoint for these metrics.
    pub fn builder(prometheus: Prometheus) -> EndpointBuilder {
        EndpointBuilder {
            address: Self::ADDRESS_DEFAULT,
            answers: Answers {
                prometheus,
                before: Vec::new(),
                health: None,
            },
        }
    }

    /// Where it listens: with the port that it got, where it was to choose one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl EndpointBuilder {
    /// Listens there. Port 0 lets the system choose one. Whoever reaches it sees the metrics.
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Does this before each answer: looks at the store and at the processors, so that their gauges are current.
    pub fn before_each(mut self, look: impl Fn() + Send + 'static) -> Self {
        self.answers.before.push(Box::new(look));
        self
    }

    /// Answers `/health` with this report: with status 503 where it is critical, with 200 otherwise.
    pub fn health(mut self, report: impl Fn() -> HealthReport + Send + 'static) -> Self {
        self.answers.health = Some(Box::new(report));
        self
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the address is taken, or there is no thread for it.
    pub fn serve(self) -> Result<Endpoint, Error> {
        let (address, prometheus) = (self.address, self.answers.prometheus.clone());
        let listen = || -> io::Result<Endpoint> {
            let listener = TcpListener::bind(address)?;
            let mut endpoint = Endpoint {
                address: listener.local_addr()?,
                ended: Arc::default(),
                threads: Vec::new(),
            };
            let ended = Arc::clone(&endpoint.ended);
            let answers = self.answers;
            endpoint.spawn("annals-metrics", move || answers.serve(&listener, &ended))?;
            let ended = Arc::clone(&endpoint.ended);
            endpoint.spawn("annals-tidy", move || {
                while !ended.comes_within(Endpoint::TIDY_INTERVAL) {
                    prometheus.tidy_up();
                }
            })?;
            Ok(endpoint)
        };
        listen().map_err(|error| {
            let message = "metrics can't be served there; choose another address";
            let error = Error::new(ErrorKind::Unavailable, message).caused_by(error);
            error.with("address", address)
        })
    }
}

impl Endpoint {
    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = std::thread::Builder::new().name(name.to_owned());
        self.threads.push(thread.spawn(run)?);
        Ok(())
    }
}

impl Answers {
    fn serve(&self, listener: &TcpListener, ended: &Ended) {
        for connection in listener.incoming() {
            if ended.is_over() {
                return;
            }
            // Whoever went away gets no answer.
            let _ = connection.and_then(|connection| self.answer(&connection));
        }
    }

    fn answer(&self, mut connection: &TcpStream) -> io::Result<()> {
        connection.set_read_timeout(Some(Endpoint::PATIENCE))?;
        connection.set_write_timeout(Some(Endpoint::PATIENCE))?;
        let request = read_request(&mut connection)?;
        let (status, form, body) = self.find(&request);
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {form}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes())?;
        connection.write_all(body.as_bytes())?;
        connection.flush()
    }

    /// The status, the form and the text of an answer.
    fn find(&self, request: &str) -> (&'static str, &'static str, String) {
        const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
        let mut words = request.split_whitespace();
        let (method, path) = (words.next(), words.next().unwrap_or_default());
        let path = path.split('?').next().unwrap_or_default();
        if method != Some("GET") {
            return (
                "405 Method Not Allowed",
                TEXT,
                "GET is what there is\n".to_owned(),
            );
        }
        match (path, &self.health) {
            ("/metrics", _) => {
                for look in &self.before {
                    look();
                }
                ("200 OK", TEXT, self.prometheus.render())
            }
            ("/health", Some(health)) => {
                let report = health();
                let status = match report.level {
                    HealthLevel::Critical => "503 Service Unavailable",
                    _ => "200 OK",
                };
                let body = serde_json::to_string_pretty(&report).unwrap_or_default();
                (status, "application/json", body)
            }
            _ => (
                "404 Not Found",
                TEXT,
                "see /metrics and /health\n".to_owned(),
            ),
        }
    }
}

/// The head of a request.
fn read_request(connection: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    for _ in 0..Endpoint::PARTS_MAX {
        let read = connection.read(&mut part)?;
        head.extend_from_slice(part.get(..read).unwrap_or_default());
        if head.windows(4).any(|end| end == b"\r\n\r\n") {
            return String::from_utf8(head).map_err(|_| io::ErrorKind::InvalidData.into());
        }
        if read == 0 || head.len() > Endpoint::REQUEST_BYTES_MAX {
            break;
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

impl Ended {
    fn is_over(&self) -> bool {
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits so long for the end; whether it came.
    fn comes_within(&self, duration: Duration) -> bool {
        let is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .told
            .wait_timeout_while(is_over, duration, |is_over| !*is_over);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn end(&self) {
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.told.notify_all();
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.ended.end();
        // Whoever waits for a connection has one, and sees that it is over.
        let mut to = self.address;
        if to.ip().is_unspecified() {
            to.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        let is_woken = TcpStream::connect_timeout(&to, Self::PATIENCE).is_ok();
        for thread in self.threads.drain(..) {
            if is_woken {
                // A panic in it has been reported by the thread itself.
                let _ = thread.join();
            }
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EndpointBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointBuilder")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
