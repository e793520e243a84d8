//! The settings of groups.

use std::time::Duration;

use annals_concurrency::LeaseSettings;
use annals_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

use crate::contract::partition::Partition;

/// How a group shares its partitions: settings, no component. The members of a group have the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct GroupSettings {
    /// Into how many partitions the events are split, and so how many members can have something to do; 16 by
    /// default. It is part of the names under which progress is kept: a group of another count begins anew.
    pub partitions: u32,
    /// How long a member that is silent keeps its partitions; 30 s by default. It renews them three times in that
    /// time.
    pub time_to_live: Duration,
    /// By how much the clocks of two members may differ; 1 s by default.
    pub clock_difference_max: Duration,
}

impl GroupSettings {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self {
        partitions: 16,
        time_to_live: Duration::from_secs(30),
        clock_difference_max: Duration::from_secs(1),
    };

    /// How often a member renews what it has, and looks at who else is there.
    pub fn round(&self) -> Duration {
        self.time_to_live / 3
    }

    /// Refuses settings that make no sense.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a count of partitions that there can't be, and as
    /// [`LeaseSettings::validate`] has it.
    pub fn validate(&self) -> Result<(), Error> {
        if !(1..=Partition::COUNT_MAX).contains(&self.partitions) {
            let message =
                "partitions is not within 1 to 1024; choose some times the number of members";
            return Err(Error::new(ErrorKind::Invalid, message).during("group settings"));
        }
        self.leases().validate()
    }

    pub(super) fn leases(&self) -> LeaseSettings {
        let mut leases = LeaseSettings::DEFAULT;
        leases.time_to_live = self.time_to_live;
        leases.clock_difference_max = self.clock_difference_max;
        leases
    }
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}
