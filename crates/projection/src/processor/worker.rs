//! The loop that feeds one consumer.

use std::sync::Arc;

use annals_core::{Cursor, Error, ErrorKind, EventStore, ReadRequest};
use futures_util::future::{Either, select};

use super::cell::Cell;
use super::settings::ProcessorSettings;
use super::status::ConsumerState;
use crate::contract::batch::Batch;
use crate::contract::consumer::{Consumer, Handled};
use crate::contract::page::FeedPage;

/// Feeds one consumer.
pub(super) struct Worker {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) settings: ProcessorSettings,
    pub(super) cell: Arc<Cell>,
    pub(super) consumer: Box<dyn Consumer>,
}

impl Worker {
    pub(super) async fn run(mut self) {
        let state = match self.feed().await {
            Ok(()) => ConsumerState::Stopped,
            Err(error) => ConsumerState::Failed(error.to_string()),
        };
        self.cell.change(|seen| seen.state = state);
    }

    async fn feed(&mut self) -> Result<(), Error> {
        let mut cursor = self.consumer.open().await?.cursor;
        self.moved(&cursor, false);
        while !self.cell.look().is_stopping {
            let (page, is_last) = self.read(&cursor).await?;
            cursor = page.cursor().clone();
            self.take(page).await?;
            self.moved(&cursor, is_last);
            if is_last && !self.changed_since(&cursor).await? {
                break;
            }
        }
        Ok(())
    }

    async fn read(&mut self, cursor: &Cursor) -> Result<(Arc<FeedPage>, bool), Error> {
        let choice = self.consumer.choice();
        let request = ReadRequest::new(choice.selection())
            .after(cursor.clone())
            .events_max(self.settings.page_events_max)
            .bytes_max(self.settings.page_bytes_max);
        let page = self.store.read(request).await?;
        let is_last = page.next.is_none();
        let page = FeedPage::new(cursor.clone(), page, choice.clone());
        Ok((Arc::new(page), is_last))
    }

    async fn take(&mut self, page: Arc<FeedPage>) -> Result<(), Error> {
        let events = page.events().iter().enumerate();
        let partition = self.consumer.partition();
        let own: Vec<usize> = events
            .filter(|(_, event)| self.consumer.choice().contains(event))
            .filter(|(_, event)| partition.contains(&self.consumer.key(event)))
            .map(|(index, _)| index)
            .collect();
        match self.consumer.handle(&Batch::of(page, own)).await? {
            Handled::Whole => Ok(()),
            Handled::Failed { error, .. } => {
                Err(Error::new(ErrorKind::Refused, "event can't be handled").caused_by(error))
            }
            Handled::Interrupted { .. } => Ok(()),
        }
    }

    fn moved(&self, cursor: &Cursor, is_live: bool) {
        self.cell.change(|seen| {
            seen.cursor = cursor.clone();
            seen.state = if is_live {
                ConsumerState::Live
            } else {
                ConsumerState::CatchingUp
            };
        });
    }

    /// Waits for more; `false` when the consumer is to stop.
    async fn changed_since(&mut self, cursor: &Cursor) -> Result<bool, Error> {
        let stopped = self.cell.wait(|seen| seen.is_stopping.then_some(()));
        let changed = self.store.changed_since(cursor);
        match select(changed, Box::pin(stopped)).await {
            Either::Left((changed, _)) => changed.map(|_| true),
            Either::Right(_) => Ok(false),
        }
    }
}
