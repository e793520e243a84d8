//! The settings of a file of read models.

use std::time::Duration;

use annals_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// How a file of read models is written: settings, no component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SqliteSettings {
    /// What a step survives; [`SqliteDurability::Replayed`] by default.
    pub durability: SqliteDurability,
    /// How long a step waits for another writer of the same file, before it is tried again as a whole; 5 s by
    /// default.
    pub busy_timeout: Duration,
    /// How many prepared statements are kept; 64 by default.
    pub statements_max: usize,
}

/// What a step survives, that is the rows of a batch with its progress. Killing the process costs nothing in any of
/// them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SqliteDurability {
    /// Power loss too, each step (`synchronous = FULL`): one sync of the disk a step.
    Power,
    /// Power loss costs the newest steps, rows and progress alike, so that their events are taken again when the
    /// projection goes on: nothing is lost, and some is done twice (`synchronous = NORMAL`). What readers saw of
    /// these steps is gone until then.
    #[default]
    Replayed,
    /// Power loss may damage the file (`synchronous = OFF`): remove it then, and project anew.
    Process,
}

impl SqliteSettings {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self {
        durability: SqliteDurability::Replayed,
        busy_timeout: Duration::from_secs(5),
        statements_max: 64,
    };

    /// The longest wait for another writer: an hour.
    pub const BUSY_TIMEOUT_MAX: Duration = Duration::from_hours(1);

    /// The most statements that may be kept.
    pub const STATEMENTS_MAX: usize = 10_000;

    /// The same with this durability.
    #[must_use]
    pub fn with_durability(mut self, durability: SqliteDurability) -> Self {
        self.durability = durability;
        self
    }

    /// The same with this wait for another writer.
    #[must_use]
    pub fn with_busy_timeout(mut self, busy_timeout: Duration) -> Self {
        self.busy_timeout = busy_timeout;
        self
    }

    /// Refuses settings that make no sense.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a wait over [`BUSY_TIMEOUT_MAX`](Self::BUSY_TIMEOUT_MAX), and for no statement
    /// or more than [`STATEMENTS_MAX`](Self::STATEMENTS_MAX).
    pub fn validate(&self) -> Result<(), Error> {
        let complaint = if self.busy_timeout > Self::BUSY_TIMEOUT_MAX {
            "busy_timeout is over an hour"
        } else if !(1..=Self::STATEMENTS_MAX).contains(&self.statements_max) {
            "statements_max is not within 1 to 10000"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Invalid, complaint).during("sqlite settings"))
    }
}

impl Default for SqliteSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl SqliteDurability {
    pub(crate) fn pragma(self) -> &'static str {
        match self {
            Self::Power => "FULL",
            Self::Replayed => "NORMAL",
            Self::Process => "OFF",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_data() {
        let settings: SqliteSettings =
            serde_json::from_str(r#"{"durability": "power", "statements_max": 7}"#).unwrap();
        let mut expected = SqliteSettings::DEFAULT.with_durability(SqliteDurability::Power);
        expected.statements_max = 7;
        assert_eq!(settings, expected);
        assert!(serde_json::from_str::<SqliteSettings>(r#"{"sync": "power"}"#).is_err());
    }

    #[test]
    fn senseless_settings_are_refused() {
        let long = SqliteSettings::DEFAULT.with_busy_timeout(Duration::from_hours(2));
        assert!(
            long.validate()
                .unwrap_err()
                .to_string()
                .contains("busy_timeout")
        );
        let mut none = SqliteSettings::DEFAULT;
        none.statements_max = 0;
        assert!(
            none.validate()
                .unwrap_err()
                .to_string()
                .contains("statements_max")
        );
        SqliteSettings::DEFAULT.validate().unwrap();
    }
}
