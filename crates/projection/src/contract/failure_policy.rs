//! What becomes of an event that can't be handled.

use std::time::Duration;

use annals_concurrency::RetryPolicy;
use annals_core::Error;
use serde::{Deserialize, Serialize};

/// What becomes of an event whose handler fails, or that does not decode: it is tried again, and then?
///
/// While one consumer waits for the next try, the others go on. Of the retry policy, the attempts, the pauses and
/// the jitter count. What fails for another reason than an event, as a store that is out of reach, is not its
/// business: see [`ProcessorSettings::retry`](crate::ProcessorSettings::retry).
///
/// ```
/// use annals_concurrency::RetryPolicy;
/// use annals_projection::FailurePolicy;
///
/// let patient = FailurePolicy::park();
/// let strict = FailurePolicy::stop().retrying(RetryPolicy::NEVER);
/// # strict.validate()?;
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct FailurePolicy {
    /// How often an event is tried, and with what pauses; [`RETRY_DEFAULT`](Self::RETRY_DEFAULT) unless said
    /// otherwise.
    pub retry: RetryPolicy,
    /// What becomes of it then; [`AfterRetries::Stop`] unless said otherwise.
    pub then: AfterRetries,
    /// How many events may be parked, those that wait behind them included; 1000 by default. With one more the
    /// consumer stops.
    pub parked_max: usize,
}

/// What becomes of an event that failed as often as it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AfterRetries {
    /// The consumer stops before the event; its model holds all before it.
    #[default]
    Stop,
    /// The event is parked, and later events of its key wait behind it, in order; those of other keys go on. It can
    /// be looked at, tried again, or dropped.
    Park,
    /// The event is passed over for good, with a record.
    Skip,
}

impl FailurePolicy {
    /// How many events may be parked unless said otherwise.
    pub const PARKED_MAX_DEFAULT: usize = 1000;

    /// How often an event is tried unless said otherwise: 5 times, with pauses of up to 10 ms, 50 ms, 250 ms, 1 s.
    pub const RETRY_DEFAULT: RetryPolicy = {
        let mut retry = RetryPolicy::DEFAULT;
        retry.attempts_max = 5;
        retry.backoff_initial = Duration::from_millis(10);
        retry.backoff_factor = 5;
        retry.backoff_max = Duration::from_secs(1);
        retry
    };

    /// Tries again, then stops the consumer.
    pub const fn stop() -> Self {
        Self {
            retry: Self::RETRY_DEFAULT,
            then: AfterRetries::Stop,
            parked_max: Self::PARKED_MAX_DEFAULT,
        }
    }

    /// Tries again, then parks the event.
    pub const fn park() -> Self {
        let mut policy = Self::stop();
        policy.then = AfterRetries::Park;
        policy
    }

    /// Tries again, then passes over the event with a record.
    pub const fn skip() -> Self {
        let mut policy = Self::stop();
        policy.then = AfterRetries::Skip;
        policy
    }

    /// The same with these retries.
    #[must_use]
    pub fn retrying(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// The same with at most this many parked events.
    #[must_use]
    pub fn with_parked_max(mut self, parked_max: usize) -> Self {
        self.parked_max = parked_max;
        self
    }

    /// Refuses settings that make no sense.
    ///
    /// # Errors
    /// As [`RetryPolicy::validate`] has it.
    pub fn validate(&self) -> Result<(), Error> {
        self.retry.validate()
    }
}

impl Default for FailurePolicy {
    fn default() -> Self {
        Self::stop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_data() {
        let policy: FailurePolicy =
            serde_json::from_str(r#"{"then": "park", "parked_max": 7}"#).unwrap();
        assert_eq!(policy, FailurePolicy::park().with_parked_max(7));
        assert!(serde_json::from_str::<FailurePolicy>(r#"{"after": "park"}"#).is_err());
        policy.validate().unwrap();
    }
}
