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

#[cfg(test)]
mod tests {
    use annals_core::{
        Append, ContentType, Criteria, EventStore, EventType, Expected, Ids, NewEvent,
        PolicyAction, PolicyChange, StreamId, UuidIds,
    };
    use futures_executor::block_on;

    use super::*;
    use crate::store::LogStore;

    const KIND: EventType = EventType::from_static("counted");
    const PAGE_EVENTS: usize = 300;
    const EVENTS: usize = 5 * PAGE_EVENTS;

    fn stream() -> StreamId {
        StreamId::from_static("counter-1")
    }

    fn append(store: &LogStore, events: usize) {
        let event = |n: usize| NewEvent::new(KIND, ContentType::JSON, n.to_string()).unwrap();
        let append = Append::builder(UuidIds::default().append_id());
        let append = append.write(stream(), Expected::Any, (0..events).map(event));
        block_on(store.append(append.build().unwrap())).unwrap();
    }

    fn store() -> (tempfile::TempDir, LogStore) {
        let directory = tempfile::tempdir().unwrap();
        let store = LogStore::builder(directory.path().join("store")).create();
        let store = store.unwrap();
        append(&store, EVENTS);
        (directory, store)
    }

    fn requests() -> [ReadRequest; 3] {
        let of_kind = Criteria::of_types([KIND]).unwrap();
        [
            ReadRequest::all(),
            ReadRequest::stream(stream()),
            ReadRequest::matching(of_kind),
        ]
        .map(|request| request.events_max(PAGE_EVENTS))
    }

    fn read(store: &LogStore, request: ReadRequest) -> Page {
        block_on(store.read(request)).unwrap()
    }

    /// The request for the third page, which is made ahead and stands ready.
    fn third(store: &LogStore, request: ReadRequest) -> ReadRequest {
        let second = read(store, request).next.unwrap();
        let third = read(store, second).next.unwrap();
        while store.ahead.is_making() {
            std::thread::yield_now();
        }
        assert!(store.ahead.has_made(&third));
        third
    }

    impl ReadAhead {
        fn is_making(&self) -> bool {
            let slots = self.slots();
            let mut made = slots.iter().filter_map(|slot| slot.made.as_ref());
            made.any(|task| !task.is_finished())
        }

        fn has_made(&self, request: &ReadRequest) -> bool {
            let slots = self.slots();
            let mut slots = slots.iter().filter(|slot| slot.made.is_some());
            slots.any(|slot| slot.request == *request)
        }
    }

    #[test]
    fn a_page_made_ahead_is_the_page() {
        let (_directory, store) = store();
        for request in requests() {
            let third = third(&store, request);
            let made = block_on(store.ahead.take(&store.shared, &third)).unwrap();
            let page = block_on(store.page(&third)).unwrap();
            assert_eq!(made, page);
        }
    }

    #[test]
    fn what_was_recorded_since_shows_on_the_head_and_behind_the_page() {
        let (_directory, store) = store();
        for request in requests() {
            let mut next = Some(third(&store, request));
            append(&store, 1);
            let head = block_on(store.stream_head(&stream())).unwrap().version;
            let mut events = 2 * PAGE_EVENTS;
            while let Some(request) = next {
                let page = read(&store, request);
                assert!(page.stream.is_none_or(|found| found.version == head));
                events += page.events.len();
                next = page.next;
            }
            assert_eq!(events as u64, head.value());
        }
    }

    #[test]
    fn what_a_policy_hides_since_is_not_shown() {
        for request in requests() {
            let (_directory, store) = store();
            let third = third(&store, request);
            let change = PolicyChange {
                stream: stream(),
                expected: Expected::Any,
                action: PolicyAction::TruncateBefore(Version::new(EVENTS as u64)),
            };
            block_on(store.change_stream_policy(change)).unwrap();
            let page = read(&store, third);
            assert_eq!(page.events.len(), 1);
        }
    }

    #[test]
    fn few_events_are_read_when_they_are_asked_for() {
        let (_directory, store) = store();
        for request in requests() {
            let mut next = Some(request.events_max(EVENTS_MIN - 1));
            while let Some(request) = next {
                next = read(&store, request).next;
            }
        }
        assert!(store.ahead.slots().is_empty());
    }

    #[test]
    fn readers_share_a_few_slots() {
        let (_directory, store) = store();
        for after in 0..100 {
            let request = ReadRequest::all().after(Position::new(after));
            let page = read(&store, request.events_max(PAGE_EVENTS));
            read(&store, page.next.unwrap());
        }
        assert_eq!(store.ahead.slots().len(), SLOTS_MAX);
    }
}
