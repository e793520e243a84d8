//! Times, as people and programs read them.

use annals_core::{Clock as _, SystemClock, Timestamp};
use chrono::{DateTime, Local, Utc};

/// In which zone times are shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zone {
    /// That of the machine, or of the variable `TZ`.
    Local,
    Utc,
}

impl Zone {
    /// A moment, to the millisecond, with its difference to UTC.
    pub(crate) fn show(self, time: Timestamp) -> String {
        const FORM: &str = "%Y-%m-%d %H:%M:%S%.3f";
        let Ok(utc) = DateTime::<Utc>::try_from(time) else {
            return time.to_string();
        };
        match self {
            Self::Utc => format!("{}Z", utc.format(FORM)),
            Self::Local => utc
                .with_timezone(&Local)
                .format(&format!("{FORM}%:z"))
                .to_string(),
        }
    }

    /// A moment in this zone and in UTC, to the microsecond.
    pub(crate) fn show_both(self, time: Timestamp) -> String {
        let local = match self {
            Self::Utc => return time.to_string(),
            Self::Local => self.show(time),
        };
        format!("{local} ({time})")
    }
}

/// The present.
pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}
