//! Pages of events of any size, in logs with and without policies.

use annals_core::{
    Append, ContentType, EventStore, EventType, Expected, Ids, NewEvent, Page, PolicyAction,
    PolicyChange, ReadRequest, UuidIds, Version,
};
use annals_store_postgres::PostgresStore;

use crate::support;
use crate::support::RUNTIME;
use crate::support::events::stream;

/// The sizes of the payloads of a log: small ones, with a large one here and there.
const SIZES: [usize; 12] = [
    10, 20, 9_000, 30, 200_000, 40, 50, 60, 300_000, 300_000, 70, 12_000,
];

fn sized(bytes: usize) -> NewEvent {
    let event_type = EventType::from_static("sized");
    NewEvent::new(event_type, ContentType::OCTETS, vec![b'x'; bytes]).unwrap()
}

async fn filled(url: &str) -> PostgresStore {
    let store = support::builder(url).open_or_create().await.unwrap();
    let append = Append::builder(UuidIds::default().append_id());
    let events = SIZES.into_iter().map(sized);
    let append = append.write(stream("sized-1"), Expected::NoStream, events);
    store.append(append.build().unwrap()).await.unwrap();
    store
}

/// Follows a request to its end; the pages that it had.
async fn pages(store: &PostgresStore, request: ReadRequest) -> Vec<Page> {
    let mut pages = Vec::new();
    let mut next = Some(request);
    while let Some(request) = next.take() {
        let page = store.read(request).await.unwrap();
        next.clone_from(&page.next);
        pages.push(page);
    }
    pages
}

fn sizes(pages: &[Page]) -> Vec<Vec<usize>> {
    let sizes = |page: &Page| {
        page.events
            .iter()
            .map(|event| event.payload().len())
            .collect()
    };
    pages.iter().map(sizes).collect()
}

/// What the pages of a log of these sizes have: as much as there is room for, and one event at least.
fn expected(sizes: &[usize], events_max: usize, bytes_max: usize) -> Vec<Vec<usize>> {
    let mut pages: Vec<Vec<usize>> = vec![Vec::new()];
    let mut bytes = 0;
    for size in sizes {
        let of_event = sized(*size).bytes();
        let page = pages.last_mut().unwrap();
        if !page.is_empty() && (page.len() == events_max || bytes + of_event > bytes_max) {
            pages.push(vec![*size]);
            bytes = of_event;
        } else {
            page.push(*size);
            bytes += of_event;
        }
    }
    pages
}

#[test]
fn pages_hold_what_they_have_room_for_whatever_its_size() {
    let Some(url) = support::server("pages_hold_what_they_have_room_for_whatever_its_size") else {
        return;
    };
    RUNTIME.block_on(async {
        for (events_max, bytes_max) in [
            (1000, ReadRequest::BYTES_MAX_DEFAULT),
            (5, 50_000),
            (2, 1_000_000),
            (3, 300_000),
            (1, 1),
        ] {
            // A fresh one each: what was read before has a store choose how it reads.
            let store = filled(&url).await;
            for base in [
                ReadRequest::all(),
                ReadRequest::stream(stream("sized-1")),
                ReadRequest::all(),
            ] {
                let request = base.events_max(events_max).bytes_max(bytes_max);
                let found = sizes(&pages(&store, request.clone()).await);
                let wanted = expected(&SIZES, events_max, bytes_max);
                assert_eq!(found, wanted, "{request:?}");
                let request = request.backward();
                let found = sizes(&pages(&store, request.clone()).await);
                let mut reversed = SIZES;
                reversed.reverse();
                let wanted = expected(&reversed, events_max, bytes_max);
                assert_eq!(found, wanted, "{request:?}");
            }
        }
    });
}

#[test]
fn a_policy_that_another_process_made_counts_for_the_next_page() {
    let Some(url) = support::server("a_policy_that_another_process_made_counts_for_the_next_page")
    else {
        return;
    };
    RUNTIME.block_on(async {
        let store = filled(&url).await;
        let other = PostgresStore::builder(&url).schema(store.schema());
        let other = other.open().await.unwrap();
        let of_stream = || ReadRequest::stream(stream("sized-1"));
        for request in [ReadRequest::all(), of_stream()] {
            let request = request.events_max(2).bytes_max(1_000_000);
            assert_eq!(sizes(&[store.read(request).await.unwrap()]), [[10, 20]]);
        }
        let action = PolicyAction::TruncateBefore(Version::new(4));
        let change = PolicyChange {
            stream: stream("sized-1"),
            expected: Expected::Any,
            action,
        };
        let head = other.change_stream_policy(change).await.unwrap();
        for request in [ReadRequest::all(), of_stream()] {
            let request = request.events_max(1).bytes_max(1_000_000);
            let page = store.read(request.clone()).await.unwrap();
            assert_eq!(sizes(std::slice::from_ref(&page)), [[30]], "{request:?}");
            assert!(page.stream.is_none_or(|found| found == head));
        }
    });
}
