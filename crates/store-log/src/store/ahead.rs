//! Pages that are made before they are asked for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annals_core::{
    ConsistencyLevel, Cursor, Direction, Error, Page, Position, ReadRequest, Selection, Version,
};
use blocking::Task;

use super::read;
use super::shared::Shared;

/// Pages of fewer events are not made ahead: their readers want few.
const EVENTS_MIN: usize = 250;

/// How many pages stand ready or are expected, for all readers together.
const SLOTS_MAX: usize = 8;

/// Makes the next pages for who reads page after page, on threads that may block, while the one before is used.
///
/// Only a page that is full is used, so that nothing which is appended later belongs on it; and only while no policy
/// hides anything, for what a policy hides may change with the time.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    /// How many pages are made ahead for a reader.
    pages: usize,
    /// Oldest first.
    slots: Mutex<Vec<Slot>>,
}

#[derive(Debug)]
struct Slot {
    request: ReadRequest,
    /// None while it is only expected that this will be asked for.
    made: Option<Task<Result<Made, Error>>>,
}

/// A page, and whether anything was hidden when it was made.
#[derive(Debug)]
struct Made {
    page: Page,
    policy_changes: u64,
    has_policies: bool,
}

impl ReadAhead {
    pub(crate) fn new(pages: usize) -> Self {
        Self {
            pages,
            slots: Mutex::default(),
        }
    }

    /// The page that was made for this request, if there is one that is still right; and has the pages after it made
    /// where the request goes on from a page before.
    pub(crate) async fn take(&self, shared: &Arc<Shared>, request: &ReadRequest) -> Option<Page> {
        if !self.is_for(request) {
            return None;
        }
        let slot = {
            let mut slots = self.slots();
            let index = slots.iter().position(|slot| slot.request == *request)?;
            let slot = slots.remove(index);
            self.make_after(&mut slots, shared, request);
            slot
        };
        let made = slot.made?.await.ok()?;
        let snapshot = shared.snapshot();
        let is_right = made.page.next.is_some()
            && !made.has_policies
            && !snapshot.has_policies()
            && made.policy_changes == shared.policy_changes();
        if !is_right {
            return None;
        }
        let mut page = made.page;
        if let Some(head) = &mut page.stream {
            *head = snapshot.stream_head(&head.stream).ok()?;
        }
        Some(page)
    }

    /// Expects the next page to be asked for; has it made where this one went on from one before.
    pub(crate) fn expect(&self, shared: &Arc<Shared>, request: &ReadRequest, page: &Page) {
        let Some(next) = page.next.as_ref().filter(|_| self.is_for(request)) else {
            return;
        };
        let mut slots = self.slots();
        let is_new = slots.iter().all(|slot| slot.request != *next);
        if is_new {
            let made = goes_on(request).then(|| make(shared, next));
            put(&mut slots, next.clone(), made);
        }
    }

    fn is_for(&self, request: &ReadRequest) -> bool {
        self.pages > 0
            && request.events_max >= EVENTS_MIN
            && request.bytes_max <= ReadRequest::BYTES_MAX_DEFAULT
            && request.direction == Direction::Forward
            && !matches!(request.consistency, ConsistencyLevel::Session(_))
    }

    /// Has the pages after this one made, as far as it is known where they begin.
    fn make_after(&self, slots: &mut Vec<Slot>, shared: &Arc<Shared>, request: &ReadRequest) {
        let head = shared.snapshot().head;
        let mut request = request.clone();
        for _ in 0..self.pages {
            let Some(next) = following(&request, head) else {
                return;
            };
            match slots.iter_mut().find(|slot| slot.request == next) {
                Some(slot) => {
                    slot.made.get_or_insert_with(|| make(shared, &next));
                }
                None => put(slots, next.clone(), Some(make(shared, &next))),
            }
            request = next;
        }
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put(slots: &mut Vec<Slot>, request: ReadRequest, made: Option<Task<Result<Made, Error>>>) {
    if slots.len() == SLOTS_MAX {
        slots.remove(0);
    }
    slots.push(Slot { request, made });
}

fn make(shared: &Arc<Shared>, request: &ReadRequest) -> Task<Result<Made, Error>> {
    let (shared, request) = (Arc::clone(shared), request.clone());
    blocking::unblock(move || {
        let policy_changes = shared.policy_changes();
        let snapshot = shared.snapshot();
        Ok(Made {
            page: read::page(&snapshot, &request, shared.now(&snapshot))?,
            policy_changes,
            has_policies: snapshot.has_policies() || !policy_changes.is_multiple_of(2),
        })
    })
}

/// Whether the request is for more than the first page.
fn goes_on(request: &ReadRequest) -> bool {
    request.after != Cursor::START || request.after_version > Version::ABSENT
}

/// The request for the page after the one of this request, if that is full by its number of events.
fn following(request: &ReadRequest, head: Position) -> Option<ReadRequest> {
    let events = u64::try_from(request.events_max).ok()?;
    let mut next = request.clone();
    match request.selection {
        Selection::All => {
            let after = request.after.position()?.forward(events);
            next.after = Cursor::at(after);
            (after < head).then_some(next)
        }
        Selection::Stream(_) => {
            next.after_version = request.after_version.forward(events);
            Some(next)
        }
        _ => None,
    }
}
