//! Which moment of a history is meant.

use annals_core::{Error, ErrorKind, Position, ReadRequest, Selection, Timestamp, Version};

/// A moment of a history: which of its events count.
///
/// All but [`Recorded`](Self::Recorded) mean a beginning of the history, up to and with some event; where the
/// history does not reach so far, they mean all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AsOf {
    /// All that there is.
    #[default]
    Now,
    /// Up to and with the event of this version; for a single stream.
    Version(Version),
    /// Up to and with this position of the log, whichever event stands there.
    Position(Position),
    /// What the store had recorded at this moment, by [`appended_at`](annals_core::RecordedEvent::appended_at):
    /// what was *known* then.
    Appended(Timestamp),
    /// What had happened at this moment by the application's clock, as far as it is known now: the events
    /// whose [`recorded_at`](annals_core::RecordedEvent::recorded_at) is not later, in the order of the log.
    ///
    /// An event that was recorded late counts at its own time, so this is no beginning of the history: it reads
    /// all of it, uses no snapshot, and an event may be refused whose cause is left out.
    Recorded(Timestamp),
}

impl AsOf {
    /// The request for what counts of a selection.
    pub(crate) fn request(self, selection: &Selection) -> Result<ReadRequest, Error> {
        let all = ReadRequest::new(selection.clone());
        match self {
            Self::Now | Self::Recorded(_) => Ok(all),
            Self::Version(version) if matches!(selection, Selection::Stream(_)) => {
                Ok(all.until_version(version))
            }
            Self::Version(version) => {
                let message =
                    "versions belong to one stream; say which moment by a position or a time";
                Err(Error::new(ErrorKind::Invalid, message)
                    .during("replay")
                    .with("version", version))
            }
            Self::Position(position) => Ok(all.until(position)),
            Self::Appended(time) => Ok(all.appended_until(time)),
        }
    }

    /// Whether an event counts that the request selects.
    pub(crate) fn counts(self, recorded_at: Timestamp) -> bool {
        match self {
            Self::Recorded(time) => recorded_at <= time,
            _ => true,
        }
    }

    /// Refuses a moment that is no beginning of the history.
    pub(crate) fn check_is_a_beginning(self) -> Result<(), Error> {
        match self {
            Self::Recorded(time) => {
                let message = "a moment by the application's clock is no beginning of the history; take a \
                               position, a version or the store's time";
                Err(Error::new(ErrorKind::Invalid, message)
                    .during("replay")
                    .with("recorded", time))
            }
            _ => Ok(()),
        }
    }
}

impl From<Version> for AsOf {
    fn from(version: Version) -> Self {
        Self::Version(version)
    }
}

impl From<Position> for AsOf {
    fn from(position: Position) -> Self {
        Self::Position(position)
    }
}
