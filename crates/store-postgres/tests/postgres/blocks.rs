//! Reads by type and by category, which go by blocks of positions, held against the whole log.

use annals_core::{
    Append, AppendId, Category, ContentType, Criteria, Cursor, ErrorKind, EventStore,
    EventStoreExt, EventType, Expected, NewEvent, Position, ReadRequest, RecordedEvent, Tag, Tags,
};
use annals_store_postgres::PostgresStore;

use crate::support::events::{event, stream};
use crate::support::{RUNTIME, builder, server};

/// How often each of the types occurs: with every event, now and then, once in more than a block, a few times in all.
const EVERY: [(&str, usize); 4] = [("often", 1), ("seldom", 13), ("far", 71), ("rare", 450)];

fn event_type(name: &str) -> EventType {
    EventType::parse(name).unwrap()
}

/// So many that a condition from the start is not looked at event by event.
const EVENTS: usize = 1200;

/// Events of many types, categories and tags, in appends of one to nine.
async fn fill(store: &PostgresStore) {
    let mut number = 0;
    while number < EVENTS {
        let count = number % 9 + 1;
        let append = Append::builder(AppendId::parse(&format!("a{number}")).unwrap());
        let to = stream(&format!("c{}-{}", number % 40 / 9, number % 3));
        let events = (number..number + count).map(|number| {
            let (name, _) = EVERY
                .iter()
                .rfind(|(_, every)| number % every == 0)
                .unwrap();
            let tag = Tag::parse(&format!("n:{}", number % 17)).unwrap();
            NewEvent::new(event_type(name), ContentType::JSON, "{}")
                .unwrap()
                .with_tags(Tags::new([tag]).unwrap())
        });
        let append = append.write(to, Expected::Any, events.collect::<Vec<_>>());
        store.append(append.build().unwrap()).await.unwrap();
        number += count;
    }
}

/// Holds what a request gives, by small pages, against what of the whole log it should give.
async fn check(
    store: &PostgresStore,
    request: ReadRequest,
    log: &[RecordedEvent],
    is_wanted: impl Fn(&RecordedEvent) -> bool,
) {
    for since in [0, 31, 32, 63, 200, EVENTS as u64] {
        for until in [since, since + 70, u64::MAX] {
            let (after, until) = (Position::new(since), Position::new(until));
            let within = |event: &&RecordedEvent| {
                event.position() > after && event.position() <= until && is_wanted(event)
            };
            let mut expected: Vec<Position> = log
                .iter()
                .filter(within)
                .map(RecordedEvent::position)
                .collect();
            let request = request.clone().after(after).until(until);
            for request in [request.clone(), request.backward()] {
                let found = store.collect(request.clone().events_max(67)).await.unwrap();
                let found: Vec<Position> = found.iter().map(RecordedEvent::position).collect();
                assert_eq!(found, expected, "{request:?}");
                expected.reverse();
            }
        }
    }
}

#[test]
fn types_and_categories_are_found_by_their_blocks() {
    let Some(url) = server("types_and_categories_are_found_by_their_blocks") else {
        return;
    };
    RUNTIME.block_on(async {
        let store = builder(&url).open_or_create().await.unwrap();
        fill(&store).await;
        let log = store.collect(ReadRequest::all()).await.unwrap();
        for name in ["c0", "c3", "c4", "none"] {
            let request = ReadRequest::category(Category::parse(name).unwrap());
            check(&store, request, &log, |event| {
                event.stream().category().as_str() == name
            })
            .await;
        }
        for names in [vec!["often"], vec!["rare"], vec!["seldom", "far", "none"]] {
            let criteria = Criteria::of_types(names.iter().map(|name| event_type(name))).unwrap();
            let is_wanted = |event: &RecordedEvent| names.contains(&event.event_type().as_str());
            check(&store, ReadRequest::matching(criteria), &log, is_wanted).await;
        }
        let tag = Tag::parse("n:3").unwrap();
        let criteria = Criteria::of_types([event_type("far")]).unwrap();
        let criteria = criteria
            .or(&Criteria::of_tags([tag.clone()]).unwrap())
            .unwrap();
        let criteria = criteria
            .or(&Criteria::of_types([event_type("seldom")]).unwrap())
            .unwrap();
        let is_wanted = |event: &RecordedEvent| {
            ["far", "seldom"].contains(&event.event_type().as_str()) || event.tags().contains(&tag)
        };
        check(&store, ReadRequest::matching(criteria), &log, is_wanted).await;
        for (name, since, is_refused) in [
            ("rare", 0, true),
            ("rare", 901, false),
            ("far", 0, true),
            ("none", 0, false),
        ] {
            let unless = Criteria::of_types([event_type(name)]).unwrap();
            let append = Append::builder(AppendId::parse(&format!("{name}{since}")).unwrap())
                .write(stream("end-1"), Expected::Any, [event("{}")])
                .unless(unless, Cursor::at(Position::new(since)));
            let refused = store.append(append.build().unwrap()).await.err();
            let kind = refused.map(|error| error.kind());
            assert_eq!(kind, is_refused.then_some(ErrorKind::Conflict), "{name}");
        }
    });
}
