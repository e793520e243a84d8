//! Settings of a store.

use std::time::Duration;

use annals_core::{Error, ErrorKind};

/// Settings of a store: data, checked when the store is opened. Every bound of memory and of time stands here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The schema of the database that holds the log: one log each. Up to 48 bytes. Default: `annals`.
    pub schema: String,
    /// The most connections that reads, conflicts and changes of policies share. Two more are held: one that appends,
    /// one that listens. Default: 8.
    pub connections_max: usize,
    /// How the store learns of what other processes append. Default: [`WakeUp::Listen`].
    pub wake_up: WakeUp,
    /// The longest pause between two looks at the head while a reader waits and nothing is heard. Looks begin at a
    /// fiftieth of it. Default: 1 s.
    pub poll_interval_max: Duration,
    /// The most appends that wait; one more is refused as overloaded. Default: 65,536.
    pub queue_appends_max: usize,
    /// The most bytes of appends that wait; beyond it they are refused as overloaded, a single append apart.
    /// Default: 128 MiB.
    pub queue_bytes_max: usize,
    /// The most appends of one group commit. Default: 1024.
    pub batch_appends_max: usize,
    /// The most bytes of one group commit, a single append apart. Default: 4 MiB.
    pub batch_bytes_max: usize,
    /// For how long a lost connection is replaced, and the fate of what was on its way is found out, before the
    /// appends are answered as unknown. Default: 10 s.
    pub reconnect_timeout: Duration,
    /// The most connections to a replica, which reads that may lag share. Default: 8.
    pub replica_connections_max: usize,
    /// How far a replica may lag for reads to go to it: what it answers is at most so old. Where that is not known, the
    /// primary is asked. Default: 10 s.
    pub replica_lag_max: Duration,
    /// How long a replica may take for an answer before the primary is asked. Default: 2 s.
    pub replica_timeout: Duration,
}

/// How a store learns of what other processes append.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WakeUp {
    /// By `LISTEN` and `NOTIFY`, on a connection that is held for it. Looks at the head now and then all the same.
    Listen,
    /// By looking at the head alone: saves the connection that listens. It does not make a pooler do that gives a
    /// session to another client after each transaction: the store's other connections need sessions of their own too.
    Poll,
}

/// The longest name of a schema, in bytes: names of PostgreSQL have 63, and the channel of notifications begins with
/// something of ours.
const SCHEMA_BYTES_MAX: usize = 48;

impl Default for Settings {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            schema: "annals".to_owned(),
            connections_max: 8,
            wake_up: WakeUp::Listen,
            poll_interval_max: Duration::from_secs(1),
            queue_appends_max: 65_536,
            queue_bytes_max: 128 * MIB,
            batch_appends_max: 1024,
            batch_bytes_max: 4 * MIB,
            reconnect_timeout: Duration::from_secs(10),
            replica_connections_max: 8,
            replica_lag_max: Duration::from_secs(10),
            replica_timeout: Duration::from_secs(2),
        }
    }
}

impl Settings {
    /// Refuses settings with which no store works.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        for (name, value) in [
            ("connections_max", self.connections_max),
            ("queue_appends_max", self.queue_appends_max),
            ("queue_bytes_max", self.queue_bytes_max),
            ("batch_appends_max", self.batch_appends_max),
            ("batch_bytes_max", self.batch_bytes_max),
            ("replica_connections_max", self.replica_connections_max),
        ] {
            if value == 0 {
                return Err(invalid(format!("{name} is 0; give it at least 1")));
            }
        }
        if self.reconnect_timeout.is_zero() {
            let message = "reconnect_timeout is 0; give it more, such as 10 s";
            return Err(invalid(message.to_owned()));
        }
        if self.replica_lag_max.is_zero() || self.replica_timeout.is_zero() {
            let message = "replica_lag_max or replica_timeout is 0; give it more, such as 2 s";
            return Err(invalid(message.to_owned()));
        }
        if self.poll_interval_max < Duration::from_millis(50) {
            let message = "poll_interval_max is under 50 ms; give it more";
            return Err(invalid(message.to_owned()));
        }
        let length = self.schema.len();
        if length == 0 || length > SCHEMA_BYTES_MAX || self.schema.contains('\0') {
            let message = format!("schema has {length} bytes; give it 1 to {SCHEMA_BYTES_MAX}");
            return Err(invalid(message));
        }
        Ok(())
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, message).during("open")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_with_which_nothing_works_are_refused() {
        fn check(change: impl FnOnce(&mut Settings), expected: &str) {
            let mut settings = Settings::default();
            change(&mut settings);
            let refused = settings.validate().unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
        }
        assert!(Settings::default().validate().is_ok());
        check(
            |settings| settings.batch_bytes_max = 0,
            "batch_bytes_max is 0",
        );
        check(
            |settings| settings.schema = "x".repeat(49),
            "schema has 49 bytes",
        );
        check(
            |settings| settings.schema = String::new(),
            "schema has 0 bytes",
        );
        check(
            |settings| settings.poll_interval_max = Duration::from_millis(49),
            "poll_interval_max",
        );
        check(
            |settings| settings.reconnect_timeout = Duration::ZERO,
            "reconnect_timeout is 0",
        );
        check(
            |settings| settings.replica_lag_max = Duration::ZERO,
            "replica_lag_max",
        );
    }
}
