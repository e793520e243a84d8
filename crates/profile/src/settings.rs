//! The settings of a profiler.

use annals_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// What a profiler keeps: settings, no component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProfilerSettings {
    /// How many streams are kept by name, those that took the longest in all; 1024 by default. Some 170 bytes
    /// each, and more where more than two operations are done on it.
    pub streams_max: usize,
    /// How many categories of streams are kept by name, those that took the longest in all; 128 by default. As much
    /// memory each, for each of 8 locks.
    pub categories_max: usize,
    /// Of how many events that a [`ProfiledCodec`](crate::ProfiledCodec) encodes or decodes one is measured, for
    /// all of them; 64 by default. A measurement takes some 50 ns, an event some 500.
    pub codec_events_per_sample: u64,
}

impl ProfilerSettings {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self {
        streams_max: 1024,
        categories_max: 128,
        codec_events_per_sample: 64,
    };

    /// The most streams that can be kept by name.
    pub const STREAMS_MAX: usize = 1 << 20;

    /// Refuses settings that make no sense.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for no stream or category or more than [`STREAMS_MAX`](Self::STREAMS_MAX), and for
    /// samples of no event.
    pub fn validate(&self) -> Result<(), Error> {
        let complaint = if !(1..=Self::STREAMS_MAX).contains(&self.streams_max) {
            "streams_max is not within 1 to STREAMS_MAX"
        } else if !(1..=Self::STREAMS_MAX).contains(&self.categories_max) {
            "categories_max is not within 1 to STREAMS_MAX"
        } else if self.codec_events_per_sample == 0 {
            "codec_events_per_sample is 0; take 1 to measure each event"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Invalid, complaint).during("profiler settings"))
    }
}

impl Default for ProfilerSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senseless_settings_are_refused() {
        for (json, message) in [
            (r#"{"streams_max": 0}"#, "streams_max"),
            (r#"{"streams_max": 1048577}"#, "streams_max"),
            (r#"{"categories_max": 0}"#, "categories_max"),
            (
                r#"{"codec_events_per_sample": 0}"#,
                "codec_events_per_sample",
            ),
        ] {
            let settings: ProfilerSettings = serde_json::from_str(json).unwrap();
            let refused = settings.validate().unwrap_err().to_string();
            assert!(refused.contains(message), "{refused}");
        }
        ProfilerSettings::default().validate().unwrap();
        assert!(serde_json::from_str::<ProfilerSettings>(r#"{"streams": 1}"#).is_err());
    }
}
