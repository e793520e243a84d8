//! How well a store and its consumers are, and what to do about it.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use annals_core::{ConsumerStanding, Error, ErrorKind, StoreVitals, WriterState};
use serde::{Deserialize, Serialize};

use crate::nanos;

/// From where on something is worth a look, and from where on it is urgent: settings, no component.
///
/// ```
/// use annals_profile::{HealthLevel, HealthReport, HealthSettings};
///
/// let mut settings = HealthSettings::default();
/// settings.disk_free_bytes = settings.disk_free_bytes.warning_at(20 << 30);
/// let report = HealthReport::builder(settings)?.disk_free_bytes(7 << 30).build();
/// assert_eq!(report.level, HealthLevel::Warning);
/// println!("{report}");
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HealthSettings {
    /// Bytes that are free on the disk, at the least; 5 GiB and 1 GiB by default.
    pub disk_free_bytes: Thresholds,
    /// Milliseconds that the last sync took, at the most; 250 and 2000 by default.
    pub sync_ms: Thresholds,
    /// Appends that wait to be written, at the most; 1000 and 10,000 by default.
    pub queued_appends: Thresholds,
    /// Acknowledged bytes that a loss of power could take, at the most; 64 MiB and 1 GiB by default.
    pub unsynced_bytes: Thresholds,
    /// Seconds that the first event that a consumer has yet to take has been recorded, at the most; 60 and 900 by
    /// default.
    pub lag_seconds: Thresholds,
    /// Events that are parked or wait behind one, at the most; 0 and 1000 by default.
    pub parked_events: Thresholds,
}

/// Two limits; what is beyond one of them has its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Beyond this it is worth a look.
    pub warning: u64,
    /// Beyond this it is urgent.
    pub critical: u64,
}

/// How well something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthLevel {
    /// As it should be.
    #[default]
    Ok,
    /// Worth a look before it is urgent.
    Warning,
    /// Urgent: something does not work, or is about to stop.
    Critical,
}

/// What a check is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HealthSubject {
    /// Whether the store takes appends.
    Writer,
    /// The space that is left.
    Disk,
    /// What making data durable costs.
    Sync,
    /// What waits to be written.
    Queue,
    /// What a loss of power could take.
    Unsynced,
    /// Whether a consumer runs.
    Consumer,
    /// How far a consumer is behind.
    Lag,
    /// What a consumer could not take.
    Parked,
}

/// What was found of one subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HealthCheck {
    /// Of what.
    pub subject: HealthSubject,
    /// Of which consumer, where it is of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// How well it is.
    pub level: HealthLevel,
    /// What was found, in a sentence.
    pub finding: String,
    /// What to do about it; empty where all is well.
    pub remedy: String,
}

/// What was found of a store and its consumers, the worst level first.
///
/// As data by serde, for people by `Display`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HealthReport {
    /// The worst level of all checks.
    pub level: HealthLevel,
    /// The checks, the worst first.
    pub checks: Vec<HealthCheck>,
}

/// A [`HealthReport`] in the making: what is not told is not in it.
#[derive(Clone, Debug)]
#[must_use = "call `build` to have a report"]
pub struct HealthBuilder {
    settings: HealthSettings,
    checks: Vec<HealthCheck>,
}

impl Thresholds {
    /// These two.
    pub const fn new(warning: u64, critical: u64) -> Self {
        Self { warning, critical }
    }

    /// The same with a warning from here on.
    #[must_use]
    pub const fn warning_at(mut self, warning: u64) -> Self {
        self.warning = warning;
        self
    }

    /// The same that is urgent from here on.
    #[must_use]
    pub const fn critical_at(mut self, critical: u64) -> Self {
        self.critical = critical;
        self
    }

    fn at_most(self, value: u64) -> HealthLevel {
        if value > self.critical {
            HealthLevel::Critical
        } else if value > self.warning {
            HealthLevel::Warning
        } else {
            HealthLevel::Ok
        }
    }

    fn at_least(self, value: u64) -> HealthLevel {
        if value < self.critical {
            HealthLevel::Critical
        } else if value < self.warning {
            HealthLevel::Warning
        } else {
            HealthLevel::Ok
        }
    }
}

impl HealthSettings {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self {
        disk_free_bytes: Thresholds::new(5 << 30, 1 << 30),
        sync_ms: Thresholds::new(250, 2000),
        queued_appends: Thresholds::new(1000, 10_000),
        unsynced_bytes: Thresholds::new(64 << 20, 1 << 30),
        lag_seconds: Thresholds::new(60, 900),
        parked_events: Thresholds::new(0, 1000),
    };

    /// Refuses settings that make no sense.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where it would be urgent before it is worth a look.
    pub fn validate(&self) -> Result<(), Error> {
        let rising = [
            ("sync_ms", self.sync_ms),
            ("queued_appends", self.queued_appends),
            ("unsynced_bytes", self.unsynced_bytes),
            ("lag_seconds", self.lag_seconds),
            ("parked_events", self.parked_events),
        ];
        let rising = rising.map(|(name, limits)| (name, limits.warning, limits.critical));
        let falling = self.disk_free_bytes;
        let falling = ("disk_free_bytes", falling.critical, falling.warning);
        for (name, first, second) in rising.into_iter().chain([falling]) {
            if first > second {
                let message = "critical comes before warning; exchange the two";
                let error = Error::new(ErrorKind::Invalid, message).during("health settings");
                return Err(error.with("setting", name));
            }
        }
        Ok(())
    }
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl HealthReport {
    /// Begins a report by these thresholds.
    ///
    /// # Errors
    /// As [`HealthSettings::validate`] has it.
    pub fn builder(settings: HealthSettings) -> Result<HealthBuilder, Error> {
        settings.validate()?;
        Ok(HealthBuilder {
            settings,
            checks: Vec::new(),
        })
    }
}

impl HealthBuilder {
    /// Adds what a store tells of its own state.
    pub fn store(mut self, vitals: &StoreVitals) -> Self {
        self.writer(vitals.writer);
        self.syncs(vitals);
        if let Some(appends) = vitals.queued_appends {
            let level = self.settings.queued_appends.at_most(appends);
            let remedy = "the disk is slower than what is appended: see how long syncs take, send fewer or larger appends";
            let finding = format!("{appends} appends wait to be written");
            self.note(HealthSubject::Queue, level, finding, remedy);
        }
        if let Some(bytes) = vitals.unsynced_bytes {
            let level = self.settings.unsynced_bytes.at_most(bytes);
            let remedy = "open the store with the durability `Sync`, or accept that a loss of power takes them";
            let finding = format!("{} are acknowledged and not synced", size(bytes));
            self.note(HealthSubject::Unsynced, level, finding, remedy);
        }
        self
    }

    /// Adds the space that is left on the disk of the store, as [`disk_free_bytes`] tells it.
    pub fn disk_free_bytes(mut self, bytes: u64) -> Self {
        let level = self.settings.disk_free_bytes.at_least(bytes);
        let remedy = "free or add space: the store rejects appends when there is none, and goes on when there is";
        let finding = format!("{} are free on the disk", size(bytes));
        self.note(HealthSubject::Disk, level, finding, remedy);
        self
    }

    /// Adds how far a consumer is.
    pub fn consumer(mut self, standing: &ConsumerStanding<'_>) -> Self {
        let first = self.checks.len();
        self.runs(standing);
        if let Some(lag) = standing.lag {
            let level = self.settings.lag_seconds.at_most(lag.as_secs());
            let events = standing.lag_events.unwrap_or_default();
            let finding = format!("is {} behind, {events} events", nanos::text(lag));
            let remedy = "see whether it still gets nearer; if not, its handlers are too slow: split it into partitions";
            self.note(HealthSubject::Lag, level, finding, remedy);
        }
        let level = self.settings.parked_events.at_most(standing.parked);
        let finding = format!("{} events are parked or wait behind one", standing.parked);
        let remedy = "see why they failed, mend the handler or the event, then retry or drop them";
        self.note(HealthSubject::Parked, level, finding, remedy);
        for check in self.checks.iter_mut().skip(first) {
            check.consumer = Some(standing.name.to_string());
        }
        self
    }

    /// The report.
    pub fn build(mut self) -> HealthReport {
        self.checks
            .sort_by_key(|check| std::cmp::Reverse(check.level));
        HealthReport {
            level: self
                .checks
                .first()
                .map_or(HealthLevel::Ok, |check| check.level),
            checks: self.checks,
        }
    }

    fn writer(&mut self, writer: WriterState) {
        let (level, finding, remedy) = match writer {
            WriterState::Open => (HealthLevel::Ok, "the store takes appends", ""),
            WriterState::Closed => (
                HealthLevel::Critical,
                "the store is closed",
                "open it again, unless the application is about to end",
            ),
            _ => (
                HealthLevel::Critical,
                "the writer failed, and takes no appends; reads go on",
                "see the log for the cause, as a disk that failed; open the store again, then send again what was unknown",
            ),
        };
        self.note(HealthSubject::Writer, level, finding.to_owned(), remedy);
    }

    fn syncs(&mut self, vitals: &StoreVitals) {
        let Some(took) = vitals.last_sync_took else {
            return;
        };
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let level = self.settings.sync_ms.at_most(millis);
        let average = average(vitals.sync_time, vitals.syncs);
        let at = vitals
            .last_sync_at
            .map_or_else(String::new, |at| format!(" at {at}"));
        let finding = format!(
            "the last sync{at} took {}, {} on average",
            nanos::text(took),
            nanos::text(average)
        );
        let remedy = "see what else writes to the disk, and whether it is about to fail";
        self.note(HealthSubject::Sync, level, finding, remedy);
    }

    fn runs(&mut self, standing: &ConsumerStanding<'_>) {
        let (level, finding) = if standing.has_failed {
            (HealthLevel::Critical, "stopped by an error")
        } else {
            (HealthLevel::Ok, "runs")
        };
        let remedy = "see its state for the error, remove the cause, then resume it";
        self.note(HealthSubject::Consumer, level, finding.to_owned(), remedy);
    }

    fn note(&mut self, subject: HealthSubject, level: HealthLevel, finding: String, remedy: &str) {
        let remedy = if level == HealthLevel::Ok { "" } else { remedy };
        self.checks.push(HealthCheck {
            subject,
            consumer: None,
            level,
            finding,
            remedy: remedy.to_owned(),
        });
    }
}

/// How many bytes are free on the disk of a directory, for those who are not its administrator.
///
/// # Errors
/// [`ErrorKind::Unavailable`] when the system does not say; [`ErrorKind::Unsupported`] on systems that are asked
/// otherwise.
pub fn disk_free_bytes(directory: impl AsRef<Path>) -> Result<u64, Error> {
    #[cfg(unix)]
    {
        let told = rustix::fs::statvfs(directory.as_ref()).map_err(|error| {
            let message = "system does not say how much space is left";
            let error = std::io::Error::from(error);
            Error::new(ErrorKind::Unavailable, message).caused_by(error)
        })?;
        Ok(told.f_bavail.saturating_mul(told.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = directory;
        Err(Error::unsupported("disk free bytes"))
    }
}

fn average(total: Duration, count: u64) -> Duration {
    let nanos = nanos::of(total).checked_div(count).unwrap_or_default();
    Duration::from_nanos(nanos)
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(30, "GiB"), (20, "MiB"), (10, "KiB"), (0, "bytes")];
    let unit = UNITS.iter().find(|(bits, _)| bytes >> bits > 0);
    let (bits, name) = unit.unwrap_or(&(0, "bytes"));
    let tenths = ((bytes & ((1 << bits) - 1)) * 10) >> bits;
    match (bytes >> bits, *bits) {
        (whole, 0) => format!("{whole} {name}"),
        (whole, _) => format!("{whole}.{tenths} {name}"),
    }
}

impl fmt::Display for HealthLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
}

impl fmt::Display for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} ", self.level)?;
        if let Some(consumer) = &self.consumer {
            write!(f, "{consumer} ")?;
        }
        f.write_str(&self.finding)?;
        if !self.remedy.is_empty() {
            write!(f, ": {}", self.remedy)?;
        }
        Ok(())
    }
}

impl fmt::Display for HealthReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.level)?;
        self.checks
            .iter()
            .try_for_each(|check| writeln!(f, "{check}"))
    }
}

#[cfg(test)]
mod tests {
    use annals_core::{CheckpointName, Timestamp};

    use super::*;

    fn vitals(change: impl FnOnce(&mut StoreVitals)) -> StoreVitals {
        let mut vitals = StoreVitals::default();
        vitals.queued_appends = Some(3);
        vitals.unsynced_bytes = Some(0);
        vitals.syncs = 4;
        vitals.sync_time = Duration::from_millis(8);
        vitals.last_sync_took = Some(Duration::from_millis(3));
        vitals.last_sync_at = Some(Timestamp::EPOCH);
        change(&mut vitals);
        vitals
    }

    fn of_store(change: impl FnOnce(&mut StoreVitals)) -> HealthReport {
        let report = HealthReport::builder(HealthSettings::DEFAULT).unwrap();
        report.store(&vitals(change)).build()
    }

    /// The worst of a report: its level, its subject, and whether it says what to do.
    fn worst(report: &HealthReport) -> (HealthLevel, HealthSubject, bool) {
        let check = &report.checks[0];
        assert_eq!(check.level, report.level);
        (check.level, check.subject, !check.remedy.is_empty())
    }

    #[test]
    fn a_store_that_is_well_says_so() {
        let report = of_store(|_| ());
        assert_eq!(report.level, HealthLevel::Ok);
        assert!(report.checks.iter().all(|check| check.remedy.is_empty()));
        let text = report.to_string();
        assert!(text.contains("took 3.00 ms, 2.00 ms on average"), "{text}");
    }

    #[test]
    fn what_is_beyond_a_threshold_has_its_level_and_a_remedy() {
        use HealthLevel::{Critical, Ok as Well, Warning};
        use HealthSubject::{Queue, Sync, Unsynced, Writer};
        type Change = fn(&mut StoreVitals);
        let cases: [(Change, HealthLevel, HealthSubject); 9] = [
            (|it| it.writer = WriterState::Failed, Critical, Writer),
            (|it| it.writer = WriterState::Closed, Critical, Writer),
            (|it| it.queued_appends = Some(1001), Warning, Queue),
            (|it| it.queued_appends = Some(10_001), Critical, Queue),
            (
                |it| it.unsynced_bytes = Some((64 << 20) + 1),
                Warning,
                Unsynced,
            ),
            (
                |it| it.unsynced_bytes = Some((1 << 30) + 1),
                Critical,
                Unsynced,
            ),
            (
                |it| it.last_sync_took = Some(Duration::from_millis(251)),
                Warning,
                Sync,
            ),
            (
                |it| it.last_sync_took = Some(Duration::from_secs(3)),
                Critical,
                Sync,
            ),
            (|it| it.queued_appends = Some(1000), Well, Writer),
        ];
        for (change, level, subject) in cases {
            let found = worst(&of_store(change));
            assert_eq!(found, (level, subject, level != Well));
        }
        for (bytes, level) in [
            (5 << 30, Well),
            ((5 << 30) - 1, Warning),
            ((1 << 30) - 1, Critical),
        ] {
            let report = HealthReport::builder(HealthSettings::DEFAULT).unwrap();
            assert_eq!(
                report.disk_free_bytes(bytes).build().level,
                level,
                "{bytes}"
            );
        }
    }

    #[test]
    fn consumers_are_told_apart() {
        let (orders, mails) = (
            CheckpointName::from_static("orders"),
            CheckpointName::from_static("mails"),
        );
        let mut late = ConsumerStanding::new(&orders);
        late.lag = Some(Duration::from_secs(61));
        late.lag_events = Some(7);
        let mut parked = ConsumerStanding::new(&mails);
        parked.parked = 1;
        parked.has_failed = true;
        let report = HealthReport::builder(HealthSettings::DEFAULT).unwrap();
        let report = report.consumer(&late).consumer(&parked).build();
        let found: Vec<_> = report
            .checks
            .iter()
            .map(|check| (check.level, check.consumer.as_deref(), check.subject))
            .collect();
        assert_eq!(
            found[..3],
            [
                (
                    HealthLevel::Critical,
                    Some("mails"),
                    HealthSubject::Consumer
                ),
                (HealthLevel::Warning, Some("orders"), HealthSubject::Lag),
                (HealthLevel::Warning, Some("mails"), HealthSubject::Parked),
            ]
        );
    }

    #[test]
    fn a_report_and_its_settings_are_data() {
        let settings: HealthSettings =
            serde_json::from_str(r#"{"sync_ms": {"warning": 5, "critical": 9}}"#).unwrap();
        assert_eq!(settings.sync_ms, Thresholds::new(5, 9));
        assert_eq!(settings.lag_seconds, HealthSettings::DEFAULT.lag_seconds);
        assert!(serde_json::from_str::<HealthSettings>(r#"{"sync": 1}"#).is_err());
        let report = of_store(|it| it.writer = WriterState::Failed);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["level"], "critical");
        assert_eq!(json["checks"][0]["subject"], "writer");
        assert_eq!(
            serde_json::from_value::<HealthReport>(json).unwrap(),
            report
        );
        for change in [
            |it: &mut HealthSettings| it.sync_ms = Thresholds::new(9, 5),
            |it: &mut HealthSettings| it.disk_free_bytes = Thresholds::new(5, 9),
        ] {
            let mut settings = HealthSettings::DEFAULT;
            change(&mut settings);
            let refused = HealthReport::builder(settings).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn people_read_sizes() {
        for (bytes, expected) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1536, "1.5 KiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "17179869183.9 GiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn the_disk_of_a_directory_tells() {
        assert!(disk_free_bytes(std::env::temp_dir()).unwrap() > 0);
        let nowhere = disk_free_bytes("/there/is/no/such/directory");
        assert_eq!(nowhere.unwrap_err().kind(), ErrorKind::Unavailable);
    }
}
