//! Parked events: trying them again, and giving them up.

use std::sync::Arc;

use annals_core::{
    Error, ErrorKind, EventStore, EventStoreExt, Page, Position, ReadRequest, RecordedEvent,
};

use super::Worker;
use crate::contract::batch::Batch;
use crate::contract::choice::EventChoice;
use crate::contract::consumer::Handled;
use crate::contract::page::FeedPage;
use crate::contract::parked::{ParkedCause, ParkedEvent, ParkedEvents};
use crate::errors::in_words;
use crate::processor::gate::failed;

impl Worker {
    /// Tries the parked events of a key again, or all; those of each key in their order, until one fails. Tells how
    /// many were taken.
    pub(super) async fn retry_parked(&mut self, key: Option<&str>) -> Result<usize, Error> {
        self.note().await?;
        let mut taken = 0;
        for parked in self.heads() {
            if key.is_none_or(|key| key == parked.key) {
                taken += self.retry_key(&parked.key).await?;
            }
        }
        Ok(taken)
    }

    /// Gives up a parked event; those that waited behind it are tried.
    pub(super) async fn drop_parked(&mut self, position: Position) -> Result<(), Error> {
        self.note().await?;
        let mut changed = self.parked();
        let Some(event) = changed.remove(position) else {
            let message = "no event of this position is parked; list those that are";
            return Err(Error::new(ErrorKind::Invalid, message).with("position", position));
        };
        changed.skip(event.into_skipped());
        self.note_parked(changed).await?;
        self.release().await
    }

    /// Tries the events that wait behind none.
    pub(super) async fn release(&mut self) -> Result<(), Error> {
        for parked in self.heads() {
            if parked.cause == ParkedCause::Waits {
                self.retry_key(&parked.key).await?;
            }
        }
        Ok(())
    }

    /// The first parked event of each key.
    fn heads(&self) -> Vec<ParkedEvent> {
        let mut heads: Vec<ParkedEvent> = Vec::new();
        for event in self.gate.parked().events() {
            if !heads.iter().any(|head| head.key == event.key) {
                heads.push(event.clone());
            }
        }
        heads
    }

    async fn retry_key(&mut self, key: &str) -> Result<usize, Error> {
        let mut taken = 0;
        while let Some(first) = self.first_of(key) {
            if !self.retry_one(first).await? {
                break;
            }
            taken += 1;
        }
        Ok(taken)
    }

    fn first_of(&self, key: &str) -> Option<ParkedEvent> {
        let mut events = self.gate.parked().events().iter();
        events.find(|event| event.key == key).cloned()
    }

    /// Tries one event; `false` when it is still parked.
    async fn retry_one(&mut self, parked: ParkedEvent) -> Result<bool, Error> {
        let mut changed = self.parked();
        changed.remove(parked.position);
        let Some(event) = self.fetch(&parked).await? else {
            let mut gone = parked.into_skipped();
            "it is no longer in the store".clone_into(&mut gone.error);
            changed.skip(gone);
            self.note_parked(changed).await?;
            return Ok(true);
        };
        let attempts = 1 + match &parked.cause {
            ParkedCause::Failed { attempts, .. } => *attempts,
            ParkedCause::Waits => 0,
        };
        let changed = Arc::new(changed);
        let batch = Batch::whole(self.page_of(event.clone()))
            .parking(Arc::clone(&changed))
            .attempt(0, attempts)
            .observed_by(self.feed.observer.clone());
        match self.consumer.handle(&batch).await? {
            Handled::Whole => {
                self.set_parked(changed);
                let cursor = self.cursor.clone();
                self.stand(cursor, 1);
                Ok(true)
            }
            Handled::Interrupted { .. } | Handled::PutOff => Ok(false),
            Handled::Failed { error, .. } => {
                let mut still = self.parked();
                still.park(failed(&event, parked.key, &in_words(&*error), attempts));
                self.note_parked(still).await?;
                Ok(false)
            }
        }
    }

    /// A parked event as it stands in the store; `None` when a policy hides it.
    async fn fetch(&mut self, parked: &ParkedEvent) -> Result<Option<RecordedEvent>, Error> {
        let request = ReadRequest::stream(parked.stream.clone())
            .after_version(parked.version.previous())
            .until_version(parked.version)
            .events_max(1);
        let store: Arc<dyn EventStore> = Arc::clone(&self.feed.store);
        Ok(store.collect(request).await?.pop())
    }

    /// A page of one event, after which the consumer stands where it stood.
    fn page_of(&self, event: RecordedEvent) -> Arc<FeedPage> {
        let page = Page {
            events: vec![event],
            next: None,
            cursor: self.cursor.clone(),
            stream: None,
        };
        Arc::new(FeedPage::new(self.cursor.clone(), page, EventChoice::ALL))
    }

    fn parked(&self) -> ParkedEvents {
        ParkedEvents::clone(self.gate.parked())
    }

    /// Has what is parked noted, and nothing else.
    async fn note_parked(&mut self, parked: ParkedEvents) -> Result<(), Error> {
        let parked = Arc::new(parked);
        let batch = Batch::empty(self.cursor.clone()).parking(Arc::clone(&parked));
        self.hand_over(batch).await?;
        self.set_parked(parked);
        Ok(())
    }
}
