//! The settings of timers.

use std::time::Duration;

use annals_concurrency::RetryPolicy;
use annals_core::limits::PAGE_EVENTS_MAX;
use annals_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// How timers work: settings, no component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TimerSettings {
    /// How many timers are held in memory, those that are due first; 65,536 by default, of about 200 bytes each.
    /// When all of them have fired while others wait, the events of timers are read again, from the oldest that may
    /// wait on.
    pub pending_max: usize,
    /// The most events that are read at a time; 1000 by default.
    pub page_events_max: usize,
    /// How long is slept at most before the clock is looked at again, while a timer waits: a clock may be set, and a
    /// machine sleeps; a minute by default. The store is not asked. While no timer waits nothing is looked at.
    pub clock_check_interval: Duration,
    /// After how many events of timers a mark is saved, where there are checkpoints: from there on events are read
    /// after a restart; 1000 by default.
    pub mark_events: u64,
    /// What is done when the store fails for now: the attempts, the pauses and the jitter count. 20 attempts by
    /// default, with pauses of up to 10 ms that grow to 10 s; then the timers stop.
    pub retry: RetryPolicy,
}

impl TimerSettings {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self {
        pending_max: 65_536,
        page_events_max: 1000,
        clock_check_interval: Duration::from_mins(1),
        mark_events: 1000,
        retry: {
            let mut retry = RetryPolicy::DEFAULT;
            retry.attempts_max = 20;
            retry.backoff_initial = Duration::from_millis(10);
            retry.backoff_factor = 2;
            retry.backoff_max = Duration::from_secs(10);
            retry
        },
    };

    /// Refuses settings that make no sense.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for no timer in memory, pages of no event or over the limit of a store, a clock that is
    /// looked at without a pause, and as [`RetryPolicy::validate`] has it.
    pub fn validate(&self) -> Result<(), Error> {
        let complaint = if self.pending_max == 0 {
            "pending_max is 0; the timer that is due next has to be known"
        } else if !(1..=PAGE_EVENTS_MAX).contains(&self.page_events_max) {
            "page_events_max is not within 1 to 10,000; choose what a store gives in one page"
        } else if self.clock_check_interval.is_zero() {
            "clock_check_interval is zero, which would never rest"
        } else {
            return self.retry.validate();
        };
        Err(Error::new(ErrorKind::Invalid, complaint).during("timer settings"))
    }
}

impl Default for TimerSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senseless_settings_are_refused() {
        TimerSettings::DEFAULT.validate().unwrap();
        for (json, message) in [
            (r#"{"pending_max": 0}"#, "pending_max"),
            (r#"{"page_events_max": 0}"#, "page_events_max"),
            (r#"{"page_events_max": 100000}"#, "page_events_max"),
            (
                r#"{"clock_check_interval": {"secs": 0, "nanos": 0}}"#,
                "clock_check_interval",
            ),
            (r#"{"retry": {"attempts_max": 0}}"#, "attempts_max"),
        ] {
            let settings: TimerSettings = serde_json::from_str(json).unwrap();
            let refused = settings.validate().unwrap_err().to_string();
            assert!(refused.contains(message), "{refused}");
        }
        assert!(serde_json::from_str::<TimerSettings>(r#"{"pending": 7}"#).is_err());
    }
}
