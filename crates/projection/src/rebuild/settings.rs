//! The settings of rebuilds.

use std::time::Duration;

use annals_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// When a new version of a projection may take over: settings, no component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RebuildSettings {
    /// How many events of the projection may be recorded that the version which takes over has not handled; none
    /// by default, so that no reader goes back in time.
    pub lag_events_max: u64,
    /// How long a comparison and a cut-over wait for a version that lags; 10 s by default.
    pub patience: Duration,
    /// How many rows are compared, half of them picked from each version; 1000 by default.
    pub sample_rows_max: usize,
    /// How many of them may differ; none by default.
    pub differences_max: usize,
    /// By how many rows the versions may differ in size; none by default. `None` where their sizes say nothing.
    pub count_difference_max: Option<u64>,
    /// How many events may be parked or skipped by the new version when it is compared; none by default.
    pub passed_over_max: u64,
    /// Which fields of a row are compared; [`ComparedFields::All`] by default.
    pub fields: ComparedFields,
}

/// Which fields of rows are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ComparedFields {
    /// The whole rows.
    #[default]
    All,
    /// Of rows that are objects, the fields that both versions have: for a version that adds or drops some.
    Common,
}

impl RebuildSettings {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self {
        lag_events_max: 0,
        patience: Duration::from_secs(10),
        sample_rows_max: 1000,
        differences_max: 0,
        count_difference_max: Some(0),
        passed_over_max: 0,
        fields: ComparedFields::All,
    };

    /// The largest `lag_events_max`, and the largest `sample_rows_max`: 100,000.
    pub const EVENTS_MAX: usize = 100_000;

    /// Refuses settings that make no sense.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for more events or rows than [`EVENTS_MAX`](Self::EVENTS_MAX).
    pub fn validate(&self) -> Result<(), Error> {
        let events_max = u64::try_from(Self::EVENTS_MAX).unwrap_or(u64::MAX);
        let complaint = if self.lag_events_max > events_max {
            "lag_events_max is over 100,000; allow fewer, or pass over the checks with a reason"
        } else if self.sample_rows_max > Self::EVENTS_MAX {
            "sample_rows_max is over 100,000; compare fewer rows, or all by a condition of yours"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Invalid, complaint).during("rebuild settings"))
    }
}

impl Default for RebuildSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}
