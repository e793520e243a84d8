//! The settings of retries.

use std::time::Duration;

use annals_core::{Error, ErrorKind};

/// How often a command is tried, after which errors, and with what pauses: settings, no component.
///
/// Three errors are worth another try, each with a limit of its own, and a limit of 0 (1 for attempts) leaves
/// that error to the caller:
///
/// | error | what is done | limit |
/// |---|---|---|
/// | [`ErrorKind::Conflict`] | load and decide again, or rebase | `attempts_max` |
/// | [`ErrorKind::Unknown`] | send the same append again, with its id | `resends_max` |
/// | [`ErrorKind::Overloaded`] | send the same append again, with its id | `overloads_max` |
///
/// The n-th retry waits a random time of up to `backoff_initial * backoff_factor^(n - 1)`, at most
/// `backoff_max`.
///
/// ```
/// use std::time::Duration;
///
/// use annals_concurrency::RetryPolicy;
///
/// let mut patient = RetryPolicy::DEFAULT;
/// patient.attempts_max = 100;
/// patient.deadline = Some(Duration::from_secs(5));
/// patient.validate()?;
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How often a command is tried against conflicts, the first time included; 10 by default, at least 1.
    pub attempts_max: u32,
    /// How often, over all attempts, an append of unknown outcome is sent again; 3 by default.
    pub resends_max: u32,
    /// How often, over all attempts, an append that an overloaded store refused is sent again; 5 by default.
    pub overloads_max: u32,
    /// The longest pause before the first retry; 1 ms by default. Zero is no pause, ever.
    pub backoff_initial: Duration,
    /// By how much each further pause may be longer; 2 by default, at least 1.
    pub backoff_factor: u32,
    /// The longest pause; 250 ms by default, up to [`BACKOFF_MAX`](Self::BACKOFF_MAX).
    pub backoff_max: Duration,
    /// Whether chance shortens pauses; [`Jitter::Full`] by default.
    pub jitter: Jitter,
    /// How long all of it may take, the last append included; no limit by default. A read that hangs is
    /// not cut off.
    pub deadline: Option<Duration>,
}

/// How chance changes a pause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Jitter {
    /// Any time from nothing to the whole pause: those who collided part the fastest.
    #[default]
    Full,
    /// The whole pause: foreseeable, and those who collided collide again.
    None,
}

impl RetryPolicy {
    /// The longest pause that a policy may ask for: an hour.
    pub const BACKOFF_MAX: Duration = Duration::from_hours(1);

    /// What holds where nothing is said: 10 attempts, 3 resends, 5 after an overload, pauses of up to 1 ms
    /// that grow to 250 ms, no deadline.
    pub const DEFAULT: Self = Self {
        attempts_max: 10,
        resends_max: 3,
        overloads_max: 5,
        backoff_initial: Duration::from_millis(1),
        backoff_factor: 2,
        backoff_max: Duration::from_millis(250),
        jitter: Jitter::Full,
        deadline: None,
    };

    /// Everything is tried once.
    pub const NEVER: Self = Self {
        attempts_max: 1,
        resends_max: 0,
        overloads_max: 0,
        ..Self::DEFAULT
    };

    /// Refuses settings that make no sense.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for no attempt at all, a factor of 0, a first pause that is longer than the
    /// longest, a longest pause over [`BACKOFF_MAX`](Self::BACKOFF_MAX), and a deadline of zero.
    pub fn validate(&self) -> Result<(), Error> {
        let complaint = if self.attempts_max == 0 {
            "attempts_max is 0; a command is tried at least once"
        } else if self.backoff_factor == 0 {
            "backoff_factor is 0; write 1 for pauses that do not grow"
        } else if self.backoff_initial > self.backoff_max {
            "backoff_initial is longer than backoff_max"
        } else if self.backoff_max > Self::BACKOFF_MAX {
            "backoff_max is longer than an hour"
        } else if self.deadline == Some(Duration::ZERO) {
            "deadline is zero; leave it out for none"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Invalid, complaint).during("retry policy"))
    }

    /// The pause before the retry of this number, from 1, for a random number of any size.
    pub fn pause(&self, retry: u32, drawn: u64) -> Duration {
        let factor = self.backoff_factor.checked_pow(retry.saturating_sub(1));
        let whole = factor.and_then(|factor| self.backoff_initial.checked_mul(factor));
        let whole = match whole {
            Some(whole) => whole.min(self.backoff_max),
            None if self.backoff_initial.is_zero() => Duration::ZERO,
            None => self.backoff_max,
        };
        match self.jitter {
            Jitter::None => whole,
            Jitter::Full => {
                let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
                let drawn = (u128::from(drawn) * (u128::from(nanos) + 1)) >> u64::BITS;
                Duration::from_nanos(u64::try_from(drawn).unwrap_or(nanos))
            }
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn senseless_settings_are_refused() {
        let policy = || RetryPolicy::DEFAULT;
        for (policy, message) in [
            (
                RetryPolicy {
                    attempts_max: 0,
                    ..policy()
                },
                "attempts_max",
            ),
            (
                RetryPolicy {
                    backoff_factor: 0,
                    ..policy()
                },
                "backoff_factor",
            ),
            (
                RetryPolicy {
                    backoff_max: Duration::ZERO,
                    ..policy()
                },
                "backoff_initial",
            ),
            (
                RetryPolicy {
                    backoff_max: Duration::MAX,
                    ..policy()
                },
                "an hour",
            ),
            (
                RetryPolicy {
                    deadline: Some(Duration::ZERO),
                    ..policy()
                },
                "deadline",
            ),
        ] {
            let error = policy.validate().unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
        policy().validate().unwrap();
        RetryPolicy::NEVER.validate().unwrap();
    }

    #[test]
    fn pauses_grow_to_the_longest() {
        let policy = RetryPolicy {
            jitter: Jitter::None,
            ..RetryPolicy::DEFAULT
        };
        for (retry, millis) in [(1, 1), (2, 2), (3, 4), (8, 128), (9, 250), (u32::MAX, 250)] {
            assert_eq!(policy.pause(retry, 0), MILLI * millis);
        }
        let none = RetryPolicy {
            backoff_initial: Duration::ZERO,
            ..policy
        };
        assert_eq!(none.pause(u32::MAX, u64::MAX), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn chance_only_shortens(retry in any::<u32>(), drawn in any::<u64>()) {
            let policy = RetryPolicy::DEFAULT;
            let whole = RetryPolicy { jitter: Jitter::None, ..policy.clone() }.pause(retry, drawn);
            prop_assert!(policy.pause(retry, drawn) <= whole);
        }
    }

    #[test]
    fn chance_takes_the_whole_range() {
        let policy = RetryPolicy::DEFAULT;
        assert_eq!(policy.pause(1, 0), Duration::ZERO);
        assert_eq!(policy.pause(1, u64::MAX), MILLI);
        assert_eq!(policy.pause(1, u64::MAX / 2), MILLI / 2);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn settings_are_data() {
        let policy: RetryPolicy =
            serde_json::from_str(r#"{"attempts_max": 3, "jitter": "none"}"#).unwrap();
        let expected = RetryPolicy {
            attempts_max: 3,
            jitter: Jitter::None,
            ..RetryPolicy::DEFAULT
        };
        assert_eq!(policy, expected);
        let text = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<RetryPolicy>(&text).unwrap(), policy);
        assert!(serde_json::from_str::<RetryPolicy>(r#"{"attempts": 3}"#).is_err());
    }
}
