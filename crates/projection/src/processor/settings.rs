//! The settings of a processor.

use std::time::Duration;

use annals_concurrency::RetryPolicy;
use annals_core::limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use annals_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// How a processor works: settings, no component.
///
/// What it holds in memory is bounded by them: each read pass has up to `window_pages` pages of up to
/// `page_bytes_max` bytes, with what was decoded of them, and each consumer one more. There is one pass for all
/// consumers that keep up, and one for each that lags or catches up alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProcessorSettings {
    /// The most events of a page, and so of a batch; 1000 by default.
    pub page_events_max: usize,
    /// Where a page ends in bytes; 1 MiB by default.
    pub page_bytes_max: usize,
    /// How many pages are read ahead of the slowest consumer of a pass; 16 by default, so that a thread that waits for
    /// a processor of a busy machine holds up no other.
    pub window_pages: usize,
    /// How long in all the consumers of a pass wait for one that is slower, before that one goes on in a pass of
    /// its own; 2 s by default.
    pub patience: Duration,
    /// How long a consumer that is live waits for more events to come with the first; nothing by default.
    pub batch_wait: Duration,
    /// How long a consumer that catches up, and may put off its steps, takes events before it notes how far it got and
    /// shows what it made of them; 100 ms by default, and eight times as long as beginning a step takes where that is
    /// more, as where the state is cloned for it. With nothing each page is a step.
    pub put_off_max: Duration,
    /// After how many pages without events for it a consumer notes how far it got all the same; 100 by default.
    pub empty_pages_max: u32,
    /// What is done when a store, a sink or a consumer fails for now: the attempts, the pauses and the jitter count.
    /// 20 attempts by default, with pauses of up to 10 ms that grow to 10 s; then the consumer fails.
    pub retry: RetryPolicy,
}

impl ProcessorSettings {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self {
        page_events_max: 1000,
        page_bytes_max: 1024 * 1024,
        window_pages: 16,
        patience: Duration::from_secs(2),
        batch_wait: Duration::ZERO,
        put_off_max: Duration::from_millis(100),
        empty_pages_max: 100,
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
    /// [`ErrorKind::Invalid`] for pages of no event or over the limits of a store
    /// ([`annals_core::limits`]), a window of no page or more than 1024, and as
    /// [`RetryPolicy::validate`] has it.
    pub fn validate(&self) -> Result<(), Error> {
        let complaint = if !(1..=PAGE_EVENTS_MAX).contains(&self.page_events_max) {
            "page_events_max is not within 1 to 10,000; choose what a store gives in one page"
        } else if !(1..=PAGE_BYTES_MAX).contains(&self.page_bytes_max) {
            "page_bytes_max is not within 1 to 64 MiB; choose what a store gives in one page"
        } else if !(1..=1024).contains(&self.window_pages) {
            "window_pages is not within 1 to 1024; choose fewer, larger pages"
        } else {
            return self.retry.validate();
        };
        Err(Error::new(ErrorKind::Invalid, complaint).during("processor settings"))
    }
}

impl Default for ProcessorSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senseless_settings_are_refused() {
        let with = |change: fn(&mut ProcessorSettings)| {
            let mut settings = ProcessorSettings::DEFAULT;
            change(&mut settings);
            settings.validate().map_err(|error| error.to_string())
        };
        for (change, message) in [
            (
                (|settings| settings.page_events_max = 0) as fn(&mut ProcessorSettings),
                "page_events_max",
            ),
            (|settings| settings.page_bytes_max = 0, "page_bytes_max"),
            (|settings| settings.window_pages = 0, "window_pages"),
            (|settings| settings.retry.attempts_max = 0, "attempts_max"),
        ] {
            let refused = with(change).unwrap_err();
            assert!(refused.contains(message), "{refused}");
        }
        with(|_| ()).unwrap();
    }

    #[test]
    fn settings_are_data() {
        let settings: ProcessorSettings = serde_json::from_str(r#"{"window_pages": 7}"#).unwrap();
        assert_eq!((settings.window_pages, settings.page_events_max), (7, 1000));
        assert!(serde_json::from_str::<ProcessorSettings>(r#"{"window": 7}"#).is_err());
    }
}
