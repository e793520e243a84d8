//! Errors of the engine and of the index, as errors of the contract.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use annals_core::{Error, ErrorKind, Position};
use annals_log::{Damage, DamageKind, ErrorKind as LogErrorKind};

use crate::record::BadRecord;

/// Stored data is damaged.
pub(crate) fn corrupt(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

/// What the engine says after something was written that it can't call durable.
pub(crate) fn unknown(error: annals_log::Error) -> Error {
    Error::new(ErrorKind::Unknown, error.to_string()).caused_by(error)
}

/// What the engine says, sorted by what the caller of a store does next.
pub(crate) fn from_log(error: annals_log::Error) -> Error {
    let kind = match error.kind() {
        LogErrorKind::Invalid => ErrorKind::Invalid,
        // A place that the index names holds no record.
        LogErrorKind::Corrupt => ErrorKind::Corrupt,
        LogErrorKind::NoSpace => ErrorKind::NoSpace,
        LogErrorKind::Unknown => ErrorKind::Unknown,
        _ => ErrorKind::Unavailable,
    };
    match error.damage() {
        Some(Damage {
            kind: DamageKind::Lost,
            numbers: Some(lost),
            ..
        }) if !lost.is_empty() => positions_lost(lost),
        Some(Damage {
            kind: DamageKind::Lost,
            ..
        }) => given_up(
            "a part of the log is lost, as a repair recorded; restore a backup, or read on behind it",
        ),
        Some(damage) => Error::new(kind, told(damage)).caused_by(error),
        None => Error::new(kind, error.to_string()).caused_by(error),
    }
}

/// Damage as users of a store know it: numbers of records are positions of events to them.
fn told(damage: &Damage) -> String {
    let Damage {
        file, offset, kind, ..
    } = damage;
    let place = format!("{} at offset {offset}: {kind}", file.display());
    let events = damage
        .numbers
        .as_ref()
        .filter(|numbers| !numbers.is_empty());
    let events = events.map_or_else(String::new, |numbers| {
        let (first, last) = (numbers.start, numbers.end - 1);
        if first == last {
            format!(", position {first}")
        } else {
            format!(", positions {first} to {last}")
        }
    });
    format!(
        "the log is damaged; verify the store, then restore a backup or repair it: {place}{events}"
    )
}

/// These positions were asked for, which a repair gave up.
pub(crate) fn positions_lost(lost: &Range<u64>) -> Error {
    let message =
        "positions are lost, as a repair recorded; restore a backup, or read on behind them";
    given_up(message)
        .with("first_position", lost.start)
        .with("last_position", lost.end - 1)
}

/// What a repair gave up was asked for.
pub(crate) fn given_up(message: &'static str) -> Error {
    corrupt(message).caused_by(GivenUp)
}

/// Whether a store can't be opened to be written because it is open to be written already, here or in another process.
///
/// ```
/// use annals_store_log::{LogStore, is_locked};
///
/// # let directory = tempfile::tempdir()?;
/// let _store = LogStore::builder(directory.path()).create()?;
/// let error = LogStore::builder(directory.path()).open().unwrap_err();
/// assert!(is_locked(&error));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn is_locked(error: &Error) -> bool {
    let cause = std::error::Error::source(error);
    let engine = cause.and_then(|cause| cause.downcast_ref::<annals_log::Error>());
    engine.is_some_and(|engine| engine.kind() == LogErrorKind::Locked)
}

/// The cause of an error about what a repair gave up, by which it is told from damage.
#[derive(Debug)]
struct GivenUp;

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lost, as a repair recorded")
    }
}

impl std::error::Error for GivenUp {}

/// Whether a call failed because a [repair](crate::LogStoreBuilder::repair) gave up what it asks for: restoring a backup
/// is the only way to have it. A store that is opened with [`LostEvents::Skip`](crate::LostEvents::Skip) reads past it.
pub fn is_lost(error: &Error) -> bool {
    let cause = std::error::Error::source(error);
    cause.is_some_and(<dyn std::error::Error>::is::<GivenUp>)
}

/// A record that is whole by its checksum is no event of this format.
pub(crate) fn bad_record(bad: BadRecord, position: Position) -> Error {
    corrupt("record is no event of this format; verify the store")
        .with("position", position)
        .caused_by(bad)
}
