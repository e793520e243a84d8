//! Starts the servers that tests talk to, and sees that they end.
//!
//! [`PostgresServer`] is a real PostgreSQL in a temporary folder, on a free port of this machine. It ends when it is
//! dropped, and when its test ends in any way, a signal included. A test binary shares one by
//! [`PostgresServer::shared`]; tests keep apart by schemas of their own.
//!
//! [`NatsServer`] is the same for NATS with JetStream, [`NatsCluster`] several of them that form one cluster; tests keep
//! apart by names of streams.
//!
//! It is *not* for production, and it installs nothing: `cargo xtask services` does.
//!
//! ```no_run
//! use annals_services::PostgresServer;
//!
//! # fn main() -> std::io::Result<()> {
//! let Some(url) = PostgresServer::shared()? else {
//!     return Ok(()); // told to do without services, which was said on standard error
//! };
//! println!("a test connects to {url}");
//! # Ok(())
//! # }
//! ```
//!
//! # Environment
//! | variable | means |
//! |---|---|
//! | `ANNALS_TEST_POSTGRES_URL` | a server of one's own, taken in place of one that is started |
//! | `ANNALS_TEST_POSTGRES_BIN` | the folder of the programs with which servers are started, of another version than the machine's |
//! | `ANNALS_TEST_NATS_URL` | the same for NATS |
//! | `ANNALS_WITHOUT_SERVICES` | when it is `1`, tests that need a server are skipped, and say so |
//!
//! # Limits
//! Unix only. A PostgreSQL server takes some 60 MiB of disk and a second to start, a cluster of three NATS servers some
//! seconds.

mod account;
mod binaries;
mod nats;
mod postgres;
mod supervisor;

pub use binaries::{NatsBinary, PostgresBinaries};
pub use nats::{NatsCluster, NatsServer};
pub use postgres::{DiskSync, PostgresServer};

/// Whether this process may do everything on the machine.
pub fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// Whether tests are told to do without servers.
pub(crate) fn is_without_services() -> bool {
    std::env::var("ANNALS_WITHOUT_SERVICES").is_ok_and(|value| value == "1")
}
