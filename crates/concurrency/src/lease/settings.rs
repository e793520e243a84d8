//! The settings of leases.

use std::time::Duration;

use annals_core::{Error, ErrorKind};

/// How long leases live: settings, no component.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LeaseSettings {
    /// How long a lease lives without a renewal; 30 s by default, 1 ms to
    /// [`TIME_TO_LIVE_MAX`](Self::TIME_TO_LIVE_MAX).
    pub time_to_live: Duration,
    /// By how much the clocks of two machines may differ, so much longer a lease is left alone after it expired;
    /// 1 s by default, up to [`TIME_TO_LIVE_MAX`](Self::TIME_TO_LIVE_MAX).
    pub clock_difference_max: Duration,
}

impl LeaseSettings {
    /// The longest time to live: a day.
    pub const TIME_TO_LIVE_MAX: Duration = Duration::from_hours(24);

    /// What holds where nothing is said: 30 s to live, clocks that differ by up to 1 s.
    pub const DEFAULT: Self = Self {
        time_to_live: Duration::from_secs(30),
        clock_difference_max: Duration::from_secs(1),
    };

    /// Refuses settings that make no sense.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a time out of its range.
    pub fn validate(&self) -> Result<(), Error> {
        let complaint = if self.time_to_live < Duration::from_millis(1) {
            "time_to_live is shorter than a millisecond"
        } else if self.time_to_live > Self::TIME_TO_LIVE_MAX {
            "time_to_live is longer than a day"
        } else if self.clock_difference_max > Self::TIME_TO_LIVE_MAX {
            "clock_difference_max is longer than a day"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Invalid, complaint).during("lease settings"))
    }
}

impl Default for LeaseSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}
