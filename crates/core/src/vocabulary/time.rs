//! Time, which is recorded but never orders anything.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike, SecondsFormat, Utc};

use super::serial::serde_as_text;
use crate::{Error, ErrorKind};

/// A moment in UTC, in whole microseconds since 1970; written and parsed as RFC 3339, outside the
/// years 0 to 9999 as a number like `-12us`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Where a component gets the time from.
///
/// Time comes in through this handle everywhere, so that a test can set it.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present moment. May stand still or go back, as a machine's clock does.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// The moment this many microseconds after 1970 (before, when negative).
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The moment this many seconds after 1970; the nearest that can be told when out of range.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This moment later by `duration`; the last that can be told when out of range.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let micros = i128::try_from(duration.as_micros()).unwrap_or(i128::MAX);
        Self(i64::try_from(micros.saturating_add(self.0.into())).unwrap_or(i64::MAX))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        let micros = i128::from(self.0) - i128::from(earlier.0);
        Duration::from_micros(u64::try_from(micros).unwrap_or_default())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that asks the machine"
        )]
        let now = SystemTime::now();
        let micros = match now.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |n| -n),
        };
        Timestamp(micros)
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        self.as_ref().now()
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_micros())
    }
}

impl TryFrom<Timestamp> for DateTime<Utc> {
    type Error = Error;

    fn try_from(time: Timestamp) -> Result<Self, Error> {
        DateTime::from_timestamp_micros(time.0).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "timestamp lies outside the calendar")
                .with("micros", time.0)
        })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::try_from(*self) {
            Ok(time) if (0..=9999).contains(&time.year()) => {
                f.pad(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
            }
            _ => write!(f, "{}us", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(micros) = text
            .strip_suffix("us")
            .and_then(|micros| micros.parse().ok())
        {
            return Ok(Self(micros));
        }
        let time = DateTime::parse_from_rfc3339(text).map_err(|source| {
            Error::new(
                ErrorKind::Invalid,
                "not a time; write it as 2026-01-31T12:00:00Z",
            )
            .with("text", text)
            .caused_by(source)
        })?;
        Ok(time.with_timezone(&Utc).into())
    }
}

serde_as_text!(Timestamp);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_survives_its_text() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_700_000_000_123_456, "2023-11-14T22:13:20.123456Z"),
            (-1_000_000, "1969-12-31T23:59:59Z"),
            (i64::MAX, "9223372036854775807us"),
            (i64::MIN, "-9223372036854775808us"),
            (253_402_300_800_000_000, "253402300800000000us"),
            (-62_167_219_200_000_001, "-62167219200000001us"),
        ] {
            let time = Timestamp::from_micros(micros);
            assert_eq!(time.to_string(), text);
            assert_eq!(text.parse::<Timestamp>().unwrap(), time);
        }
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn time_arithmetic_stays_in_range() {
        let second = Timestamp::from_seconds(1);
        assert_eq!(second.since(Timestamp::EPOCH), Duration::from_secs(1));
        assert_eq!(Timestamp::EPOCH.since(second), Duration::ZERO);
        assert_eq!(
            Timestamp::from_micros(i64::MAX)
                .after(Duration::MAX)
                .as_micros(),
            i64::MAX
        );
    }
}
