//! How far a consumer got, and the next step.

use annals_core::Cursor;

use super::parked::ParkedEvents;

/// How far a consumer got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Every event up to here is in the model, or parked, or skipped; [`Cursor::START`] for a new consumer.
    pub cursor: Cursor,
    /// The events up to the cursor that are not in the model.
    pub parked: ParkedEvents,
}

/// What a batch makes of the progress; saved in one step with what the batch makes of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Where the consumer stands after the batch. May be where it stood before, when parked events are tried again.
    pub cursor: &'a Cursor,
    /// What is parked after the batch, in place of what was; `None` where nothing of it changed.
    pub parked: Option<&'a ParkedEvents>,
}
