//! What reads the pages of a lane, ahead of those who take them.

use std::sync::Arc;
use std::time::Duration;

use annals_core::{Cursor, Error, ErrorKind, EventStore, ReadRequest};
use event_listener::EventListener;
use futures_util::future::{Either, select};

use super::Feed;
use super::lane::Plan;
use crate::contract::choice::EventChoice;
use crate::contract::page::FeedPage;
use crate::errors::may_pass;

/// The reader of one lane; ends when nobody is left in it.
pub(super) struct Reader {
    feed: Arc<Feed>,
    lane: u64,
    failures: u32,
}

/// What is next, and what rings when it changes.
enum Next {
    Await,
    Plan(Plan),
}

impl Reader {
    pub(super) fn new(feed: Arc<Feed>, lane: u64) -> Self {
        Self {
            feed,
            lane,
            failures: 0,
        }
    }

    pub(super) async fn run(mut self) {
        while let Some((next, bell)) = self.next() {
            let done = match next {
                Next::Await => {
                    self.await_consumers(bell).await;
                    Ok(())
                }
                Next::Plan(Plan::End) => return,
                Next::Plan(Plan::WaitForRoom { is_urgent: false }) => {
                    bell.await;
                    Ok(())
                }
                Next::Plan(Plan::WaitForRoom { is_urgent: true }) => {
                    self.wait_for_room(bell).await;
                    Ok(())
                }
                Next::Plan(Plan::Follow(cursor)) => self.follow(cursor, bell).await,
                Next::Plan(Plan::Read(choice, after)) => self.read(choice, after).await,
            };
            match done {
                Ok(()) => {}
                Err(error) => self.pause(&error).await,
            }
        }
    }

    fn next(&self) -> Option<(Next, EventListener)> {
        let window_pages = self.feed.settings.window_pages;
        let mut lanes = self.feed.lanes();
        let is_awaiting = lanes.is_awaiting();
        let lane = lanes.lane(self.lane)?;
        let bell = lane.work.listen();
        if is_awaiting {
            return Some((Next::Await, bell));
        }
        Some((Next::Plan(lane.plan(window_pages)), bell))
    }

    /// Waits for the consumers that begin together, but not for ever.
    async fn await_consumers(&self, bell: EventListener) {
        let sleep = self.feed.timer.sleep(self.feed.settings.patience);
        if let Either::Right(_) = select(bell, sleep).await {
            self.feed.lanes().await_nobody();
        }
    }

    /// Waits for room while some member has nothing to do, and counts how long.
    async fn wait_for_room(&self, bell: EventListener) {
        let Feed {
            timer, settings, ..
        } = &*self.feed;
        let patience = settings.patience;
        let began = timer.elapsed();
        select(bell, timer.sleep(patience)).await;
        let time = timer.elapsed().saturating_sub(began);
        if let Some(lane) = self.feed.lanes().lane(self.lane) {
            lane.waited(time, patience);
        }
    }

    /// Waits until the store goes on, or the members change.
    async fn follow(&mut self, cursor: Cursor, bell: EventListener) -> Result<(), Error> {
        let changed = self.feed.store.changed_since(&cursor);
        let Either::Left((changed, _)) = select(changed, bell).await else {
            return Ok(());
        };
        changed?;
        if self.feed.settings.batch_wait > Duration::ZERO {
            self.sleep(self.feed.settings.batch_wait).await;
        }
        self.failures = 0;
        if let Some(lane) = self.feed.lanes().lane(self.lane) {
            lane.goes_on();
        }
        Ok(())
    }

    async fn read(&mut self, choice: EventChoice, after: Cursor) -> Result<(), Error> {
        let settings = &self.feed.settings;
        let request = ReadRequest::new(choice.selection())
            .after(after.clone())
            .ordering(self.feed.store.capabilities().ordering())
            .events_max(settings.page_events_max)
            .bytes_max(settings.page_bytes_max);
        let page = self.feed.store.read(request).await?;
        let is_last = page.next.is_none();
        let page = Arc::new(self.prepared(FeedPage::new(after, page, choice)));
        self.failures = 0;
        if let Some(lane) = self.feed.lanes().lane(self.lane) {
            lane.push(page, is_last);
        }
        Ok(())
    }

    /// A page as the members of the lane want it.
    fn prepared(&self, page: FeedPage) -> FeedPage {
        let (is_shared, preparations) = match self.feed.lanes().lane(self.lane) {
            Some(lane) => (lane.is_shared(), lane.preparations()),
            None => return page,
        };
        if !is_shared {
            return page.for_one();
        }
        for preparation in preparations {
            preparation.prepare(&page);
        }
        page
    }

    /// Notes what hinders, and waits before the next try; or gives up.
    async fn pause(&mut self, error: &Error) {
        let retry = &self.feed.settings.retry;
        self.failures = self.failures.saturating_add(1);
        let pause = retry.pause(self.failures, self.feed.chance.draw());
        let gives_up = !may_pass(error.kind()) || self.failures >= retry.attempts_max;
        {
            let mut lanes = self.feed.lanes();
            let Some(lane) = lanes.lane(self.lane) else {
                return;
            };
            if gives_up {
                lane.fail(error);
                return;
            }
            lane.is_in_trouble(error.to_string());
        }
        self.sleep(pause).await;
    }

    /// Waits so long, or until nobody is left to read for.
    async fn sleep(&self, duration: Duration) {
        let mut sleep = self.feed.timer.sleep(duration);
        while let Some(bell) = self.left() {
            match select(sleep, bell).await {
                Either::Left(_) => return,
                Either::Right(((), rest)) => sleep = rest,
            }
        }
    }

    /// What rings when somebody leaves; `None` when nobody is left.
    fn left(&self) -> Option<EventListener> {
        let mut lanes = self.feed.lanes();
        let lane = lanes.lane(self.lane)?;
        let bell = lane.work.listen();
        lane.has_members().then_some(bell)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let ended = Error::new(
            ErrorKind::Unavailable,
            "reading was given up; begin the processor anew",
        );
        let mut lanes = self.feed.lanes();
        if let Some(lane) = lanes.lane(self.lane) {
            // Members that are left, as where a runtime shuts down, hear of it.
            lane.fail(&ended);
        }
        lanes.sweep();
    }
}
