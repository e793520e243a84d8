//! Pages that are made before they are asked for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annals_core::{
    ConsistencyLevel, Cursor, Direction, Error, Page, Position, ReadRequest, Selection, Version,
};
use blocking::Task;

use super::read;
use super::shared::Shared;
use crate::planted::{self, Bug};

/// The most pages that stand ready or are being made, for all readers together.
pub(crate) const PAGES_MAX: usize = 8;

/// Pages of fewer events are not made ahead: their readers want few.
const EVENTS_MIN: usize = 250;

/// A page that stood ready while as many others were read is given up for another reader's.
const PASSED_OVER_MAX: u64 = 64;

/// Makes the next pages for who reads page after page, on threads that may block, while the one before is used.
///
/// Only a page that is full is used, so that nothing which is appended later belongs on it; and only while no policy
/// hides anything, for what a policy hides may change with the time.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    /// How many pages are made ahead for a reader.
    pages: usize,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    making: Vec<Making>,
    /// How many pages were read.
    reads: u64,
}

/// A page that is being made or stands ready.
#[derive(Debug)]
struct Making {
    request: ReadRequest,
    /// After how many reads it was asked for.
    since: u64,
    /// Set when a thread took it up.
    has_begun: Arc<AtomicBool>,
    page: Task<Result<Made, Error>>,
}

/// A page, and whether anything could be hidden when it was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) page: Page,
    policy_changes: u64,
    has_policies: bool,
}

impl Made {
    /// Whether a read would give the same events now.
    pub(crate) fn is_right(&self, shared: &Shared) -> bool {
        let hides_nothing = || {
            !self.has_policies
                && !shared.snapshot().has_policies()
                && self.policy_changes == shared.policy_changes()
        };
        self.page.next.is_some() && (hides_nothing() || planted::is_active(Bug::PageAheadTrusted))
    }
}

impl ReadAhead {
    pub(crate) fn new(pages: usize) -> Self {
        Self {
            pages,
            slots: Mutex::default(),
        }
    }

    /// The page that was made for this request, if there is one.
    pub(crate) async fn take(&self, request: &ReadRequest) -> Option<Made> {
        if !self.is_for(request) {
            return None;
        }
        let making = {
            let making = &mut self.slots().making;
            let index = making.iter().position(|page| page.request == *request)?;
            making.swap_remove(index)
        };
        // What no thread took up may wait for the very thread that asks.
        if !making.has_begun.load(Ordering::Acquire) {
            return None;
        }
        making.page.await.ok()
    }

    /// Has the pages after this one made, where it went on from one before.
    pub(crate) fn go_on(&self, shared: &Arc<Shared>, request: &ReadRequest, page: &Page) {
        let Some(next) = page.next.as_ref() else {
            return;
        };
        if !self.is_for(request) || !goes_on(request) {
            return;
        }
        let mut slots = self.slots();
        slots.reads += 1;
        slots.make(shared, next);
        // Where the others begin is known when pages end for the number of their events.
        if page.events.len() < request.events_max {
            return;
        }
        let head = shared.snapshot().head;
        let mut next = next.clone();
        for _ in 1..self.pages {
            let Some(following) = following(&next, head, page) else {
                return;
            };
            slots.make(shared, &following);
            next = following;
        }
    }

    /// Gives up what stands ready.
    pub(crate) fn clear(&self) {
        self.slots().making.clear();
    }

    fn is_for(&self, request: &ReadRequest) -> bool {
        self.pages > 0
            && request.events_max >= EVENTS_MIN
            && request.bytes_max <= ReadRequest::BYTES_MAX_DEFAULT
            && request.direction == Direction::Forward
            && !matches!(request.consistency, ConsistencyLevel::Session(_))
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    /// Has a page made, if it is not yet and there is room.
    fn make(&mut self, shared: &Arc<Shared>, request: &ReadRequest) {
        if self.making.iter().any(|page| page.request == *request) {
            return;
        }
        if self.making.len() >= PAGES_MAX {
            let reads = self.reads;
            let is_left =
                |page: &Making| page.page.is_finished() && reads - page.since >= PASSED_OVER_MAX;
            let Some(left) = self.making.iter().position(is_left) else {
                return;
            };
            self.making.swap_remove(left);
        }
        let has_begun = Arc::new(AtomicBool::new(false));
        self.making.push(Making {
            request: request.clone(),
            since: self.reads,
            page: make(shared, request, &has_begun),
            has_begun,
        });
    }
}

fn make(
    shared: &Arc<Shared>,
    request: &ReadRequest,
    has_begun: &Arc<AtomicBool>,
) -> Task<Result<Made, Error>> {
    let (shared, request) = (Arc::clone(shared), request.clone());
    let has_begun = Arc::clone(has_begun);
    blocking::unblock(move || {
        has_begun.store(true, Ordering::Release);
        let policy_changes = shared.policy_changes();
        let snapshot = shared.snapshot();
        Ok(Made {
            page: read::page(&snapshot, &request, shared.now(&snapshot))?,
            policy_changes,
            has_policies: snapshot.has_policies() || !policy_changes.is_multiple_of(2),
        })
    })
}

/// Whether the request goes on from somewhere, as that for a second page does.
fn goes_on(request: &ReadRequest) -> bool {
    request.after != Cursor::START || request.after_version > Version::ABSENT
}

/// The request for the page after the one of this request, if that is full by its number of events and does not reach
/// an end: of the request, of the log at this head, or of the stream of `page`.
fn following(request: &ReadRequest, head: Position, page: &Page) -> Option<ReadRequest> {
    let events = u64::try_from(request.events_max).ok()?;
    let mut next = request.clone();
    let is_before_end = match request.selection {
        Selection::All => {
            let after = request.after.position()?.forward(events);
            next.after = Cursor::at(after);
            let until = request
                .until
                .as_ref()
                .map_or(Some(head), Cursor::position)?;
            after < until.min(head)
        }
        Selection::Stream(_) => {
            next.after_version = request.after_version.forward(events);
            let head = page.stream.as_ref()?.version;
            next.after_version < request.until_version.min(head)
        }
        _ => false,
    };
    is_before_end.then_some(next)
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
            let making = &self.slots().making;
            making.iter().any(|page| !page.page.is_finished())
        }

        fn has_made(&self, request: &ReadRequest) -> bool {
            let making = &self.slots().making;
            making.iter().any(|page| page.request == *request)
        }
    }

    #[test]
    fn a_page_made_ahead_is_the_page() {
        let (_directory, store) = store();
        for request in requests() {
            let third = third(&store, request);
            let made = block_on(store.ahead.take(&third)).unwrap();
            assert!(made.is_right(&store.shared));
            let page = block_on(store.page(&third)).unwrap();
            assert_eq!(made.page, page);
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
        assert!(store.ahead.slots().making.is_empty());
    }

    #[test]
    fn readers_share_a_few_pages_and_keep_those_that_are_theirs() {
        let (_directory, store) = store();
        let requests = (1..100).map(|after| ReadRequest::all().after(Position::new(after)));
        let nexts: Vec<_> = requests
            .filter_map(|request| read(&store, request.events_max(PAGE_EVENTS)).next)
            .collect();
        while store.ahead.is_making() {
            std::thread::yield_now();
        }
        assert_eq!(store.ahead.slots().making.len(), PAGES_MAX);
        // The first reader's stood there for too long, the last ones' do not.
        assert!(!store.ahead.has_made(&nexts[0]));
        let made = nexts.iter().filter(|next| store.ahead.has_made(next));
        assert!(made.count() > 1);
        store.close().unwrap();
        assert!(store.ahead.slots().making.is_empty());
    }

    #[test]
    fn no_page_is_made_where_there_is_none() {
        let (_directory, store) = store();
        let bounded = [
            ReadRequest::all().until(Position::new(3 * PAGE_EVENTS as u64)),
            ReadRequest::stream(stream()).until_version(Version::new(3 * PAGE_EVENTS as u64)),
        ];
        for request in bounded {
            let first = read(&store, request.events_max(PAGE_EVENTS));
            let second = read(&store, first.next.unwrap());
            assert!(store.ahead.has_made(&second.next.unwrap()));
            assert_eq!(store.ahead.slots().making.len(), 1);
            store.ahead.clear();
        }
        // Pages that end for their bytes tell nothing of the pages after the next.
        let request = ReadRequest::all().after(Position::new(1));
        let request = request.events_max(PAGE_EVENTS).bytes_max(1000);
        let page = read(&store, request);
        assert!(page.events.len() < PAGE_EVENTS && store.ahead.has_made(&page.next.unwrap()));
        assert_eq!(store.ahead.slots().making.len(), 1);
    }

    #[test]
    fn more_pages_than_there_is_room_for_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let settings = crate::Settings {
            read_ahead_pages: PAGES_MAX + 1,
            ..crate::Settings::default()
        };
        let store = LogStore::builder(directory.path().join("store")).settings(settings);
        let error = store.create().unwrap_err().to_string();
        assert!(error.contains("read_ahead_pages"), "{error}");
    }
}
