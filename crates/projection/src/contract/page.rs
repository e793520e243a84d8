//! A page of events that several consumers share.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use annals_core::{Cursor, Page, RecordedEvent};

use super::choice::EventChoice;
use crate::decoder::{Column, Decoder, DecoderKey};

/// A page as it was read, shared by the consumers of a processor; each event is decoded once for all of them.
///
/// What was decoded is kept beside the events for as long as the page lives: for each event type and codec that is
/// asked for, by whoever asks first.
pub struct FeedPage {
    events: Vec<RecordedEvent>,
    after: Cursor,
    cursor: Cursor,
    choice: EventChoice,
    columns: Mutex<Vec<(DecoderKey, AnyColumn)>>,
    is_shared: bool,
}

/// A [`Column`] of some event type.
pub(crate) type AnyColumn = Arc<dyn Any + Send + Sync>;

impl FeedPage {
    /// The events of a page that was read by this choice, from this cursor on.
    pub fn new(after: Cursor, page: Page, choice: EventChoice) -> Self {
        Self {
            events: page.events,
            after,
            cursor: page.cursor,
            choice,
            columns: Mutex::default(),
            is_shared: true,
        }
    }

    /// The same for one consumer alone.
    pub(crate) fn for_one(mut self) -> Self {
        self.is_shared = false;
        self
    }

    /// Whether it is read for several consumers.
    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// The events, in order. Those of other consumers are among them.
    pub fn events(&self) -> &[RecordedEvent] {
        &self.events
    }

    /// Where a reader stood before the page.
    pub fn after(&self) -> &Cursor {
        &self.after
    }

    /// Where a reader stands after the page.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Of which events it holds all, between its two cursors.
    pub fn choice(&self) -> &EventChoice {
        &self.choice
    }

    /// What this decoder makes of the events, as far as it was asked.
    pub(crate) fn column<E: Send + Sync + 'static>(&self, decoder: &Decoder<E>) -> AnyColumn {
        let mut columns = self.columns.lock().unwrap_or_else(PoisonError::into_inner);
        let known = columns.iter().find(|(key, _)| *key == decoder.key());
        if let Some((_, column)) = known {
            return Arc::clone(column);
        }
        let column: AnyColumn = Arc::new(Column::new(decoder, self.events.len()));
        columns.push((decoder.key(), Arc::clone(&column)));
        column
    }
}

impl fmt::Debug for FeedPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedPage")
            .field("events", &self.events.len())
            .field("after", &self.after)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}
