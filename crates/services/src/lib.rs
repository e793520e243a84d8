//! Starts the servers that tests talk to, and sees that they end.
//!
//! [`PostgresServer`] is a real PostgreSQL in a temporary folder, on a free port of this machine. It ends when it is
//! dropped, and when its test ends in any way, a signal included. A test binary shares one by
//! [`PostgresServer::shared`]; tests keep apart by schemas of their own.
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
//! | `ANNALS_WITHOUT_SERVICES` | when it is `1`, tests that need a server are skipped, and say so |
//!
//! # Limits
//! Unix only. A server takes some 60 MiB of disk and a second to start.

mod account;
mod binaries;
mod postgres;
mod supervisor;

pub use binaries::PostgresBinaries;
pub use postgres::{DiskSync, PostgresServer};

/// Whether this process may do everything on the machine.
pub fn is_root() -> bool {
    rustix::process::getuid().is_root()
}
