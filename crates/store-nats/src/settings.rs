//! Settings of a store.

use std::time::Duration;

use annals_core::{Error, ErrorKind};

/// Settings of a store: data, checked when the store is opened. Every bound of memory and of time stands here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The name of the log, and of its stream: 1 to 32 letters, digits, `-` and `_` of ASCII. Default: `annals`.
    pub log: String,
    /// How many servers keep the log, where it is made: 1, 3 or 5. Default: 1.
    pub replicas: usize,
    /// How it is known that the servers sync what they acknowledge. Default: [`Sync::Checked`] with no address, with
    /// which no store opens: say what holds.
    pub sync: Sync,
    /// The longest pause between two looks at the log's head, where nothing is heard. Default: 1 s.
    pub poll_interval_max: Duration,
    /// How long one question to a server may take. Default: 5 s.
    pub request_timeout: Duration,
    /// For how long the fate of what was on its way is found out, across elections of a leader and lost connections,
    /// before the appends are answered as unknown. Default: 30 s.
    pub resolve_timeout: Duration,
    /// The most appends that wait; one more is refused as overloaded. Default: 65,536.
    pub queue_appends_max: usize,
    /// The most bytes of appends that wait; beyond it they are refused as overloaded, a single append apart.
    /// Default: 128 MiB.
    pub queue_bytes_max: usize,
    /// The most events of one group commit, a single append apart. At most 1000, which is what servers take in a batch
    /// unless told otherwise, and what an append may have. Default: 1000.
    pub batch_events_max: usize,
    /// The most bytes of one group commit, a single append apart. Default: 4 MiB.
    pub batch_bytes_max: usize,
    /// How often other processes may come first to the log's end before an append is refused as unavailable, with
    /// nothing recorded. Each time it is judged again by what they appended. Default: 256.
    pub overtaken_max: usize,
}

/// How it is known that servers sync to their disks what they acknowledge, which they do only with
/// `sync_interval: always`. By default they sync every two minutes: a loss of power that takes a majority of them at
/// once then takes acknowledged events with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sync {
    /// The servers are asked on their monitoring ports, as `http://10.0.0.1:8222`: one address for each server that
    /// keeps the log. One that does not answer, or does not sync always, is a reason not to open.
    Checked {
        /// The addresses.
        monitoring: Vec<String>,
    },
    /// Taken on trust: whoever says so has set `sync_interval: always` on every server.
    AssumeAlways,
    /// They may sync later. The store's capabilities say that a loss of power may take the newest appends.
    AllowLazy,
}

/// The longest name of a log, in bytes.
const LOG_BYTES_MAX: usize = 32;

/// The end of the names of streams that hold snapshots and checkpoints.
pub(crate) const AUXILIARY: &str = "-aux";

/// The most messages that servers take in a batch unless told otherwise.
pub(crate) const BATCH_EVENTS_MAX: usize = 1000;

impl Default for Settings {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            log: "annals".to_owned(),
            replicas: 1,
            sync: Sync::Checked {
                monitoring: Vec::new(),
            },
            poll_interval_max: Duration::from_secs(1),
            request_timeout: Duration::from_secs(5),
            resolve_timeout: Duration::from_secs(30),
            queue_appends_max: 65_536,
            queue_bytes_max: 128 * MIB,
            batch_events_max: BATCH_EVENTS_MAX,
            batch_bytes_max: 4 * MIB,
            overtaken_max: 256,
        }
    }
}

impl Settings {
    /// Refuses settings with which no store works.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        for (name, value) in [
            ("queue_appends_max", self.queue_appends_max),
            ("queue_bytes_max", self.queue_bytes_max),
            ("batch_events_max", self.batch_events_max),
            ("batch_bytes_max", self.batch_bytes_max),
            ("overtaken_max", self.overtaken_max),
            ("replicas", self.replicas),
        ] {
            if value == 0 {
                return Err(invalid(format!("{name} is 0; give it at least 1")));
            }
        }
        if self.batch_events_max > BATCH_EVENTS_MAX {
            let message = format!("batch_events_max is over {BATCH_EVENTS_MAX}; give it less");
            return Err(invalid(message));
        }
        for (name, value) in [
            ("request_timeout", self.request_timeout),
            ("resolve_timeout", self.resolve_timeout),
            ("poll_interval_max", self.poll_interval_max),
        ] {
            if value < Duration::from_millis(10) {
                return Err(invalid(format!("{name} is under 10 ms; give it more")));
            }
        }
        if matches!(&self.sync, Sync::Checked { monitoring } if monitoring.is_empty()) {
            let message = "no monitoring port to ask whether the servers sync always; name those of all in `sync`, or \
                           say there that they do, or that they need not";
            return Err(invalid(message.to_owned()));
        }
        self.validate_log()
    }

    fn validate_log(&self) -> Result<(), Error> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let fits = !self.log.is_empty()
            && self.log.len() <= LOG_BYTES_MAX
            && self.log.bytes().all(is_plain)
            && !self.log.ends_with(AUXILIARY);
        if fits {
            return Ok(());
        }
        let message = format!(
            "log is {:?}; give it 1 to {LOG_BYTES_MAX} letters, digits, `-` and `_`, and not `{AUXILIARY}` at the end",
            self.log
        );
        Err(invalid(message))
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
            let mut settings = Settings {
                sync: Sync::AllowLazy,
                ..Settings::default()
            };
            assert!(settings.validate().is_ok());
            change(&mut settings);
            let refused = settings.validate().unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
        }
        check(
            |settings| settings.sync = Settings::default().sync,
            "monitoring port",
        );
        check(|settings| settings.batch_events_max = 1001, "over 1000");
        check(|settings| settings.replicas = 0, "replicas is 0");
        check(
            |settings| settings.request_timeout = Duration::ZERO,
            "request_timeout",
        );
        for log in [
            "",
            "a.b",
            "x-aux",
            "a b",
            "abcdefghijklmnopqrstuvwxyz0123456789",
        ] {
            check(|settings| log.clone_into(&mut settings.log), "log is");
        }
    }
}
