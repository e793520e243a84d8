//! What the derive writes, seen through the real `Event` trait.

use std::fmt;

use annals_core::{Category, Event as _, EventKind};
use annals_macros::Event;

/// Holds one event of every kind, in order, against what is recorded of it: name, schema version,
/// tags.
fn check<E: annals_core::Event>(category: &str, events: &[E], recorded: &[(&str, u32, &[&str])]) {
    assert_eq!(E::CATEGORY.as_str(), category);
    let kinds: Vec<_> = E::KINDS.iter().map(name_and_version).collect();
    let expected: Vec<_> = recorded
        .iter()
        .map(|(name, version, _)| (*name, *version))
        .collect();
    assert_eq!(kinds, expected);
    assert_eq!(events.len(), recorded.len(), "one event of every kind");
    for (index, (event, (name, _, tags))) in events.iter().zip(recorded).enumerate() {
        assert_eq!(event.kind_index(), index, "{name}");
        assert_eq!(tags_of(event), *tags, "{name}");
    }
}

fn name_and_version(kind: &EventKind) -> (&str, u32) {
    (kind.event_type().as_str(), kind.schema_version().value())
}

#[expect(clippy::unwrap_used, reason = "the helper of tests")]
fn tags_of(event: &impl annals_core::Event) -> Vec<String> {
    event
        .tags()
        .unwrap()
        .iter()
        .map(|tag| tag.as_str().to_owned())
        .collect()
}

#[derive(Event)]
#[event(category = "account")]
#[expect(dead_code, reason = "nobody reads the fields")]
enum AccountEvent {
    Opened,
    MoneyDeposited(u64),
    Transferred(u64, String),
    #[event(version = 3)]
    OwnerChanged {
        owner: String,
    },
    #[event(name = "Account Closed", version = 4294967295)]
    Closed,
}

#[test]
fn every_form_of_variant_has_a_name_and_a_version() {
    let events = [
        AccountEvent::Opened,
        AccountEvent::MoneyDeposited(5),
        AccountEvent::Transferred(5, "43".to_owned()),
        AccountEvent::OwnerChanged {
            owner: "Ada".to_owned(),
        },
        AccountEvent::Closed,
    ];
    let recorded: [(_, _, &[&str]); 5] = [
        ("opened", 1, &[]),
        ("money-deposited", 1, &[]),
        ("transferred", 1, &[]),
        ("owner-changed", 3, &[]),
        ("Account Closed", u32::MAX, &[]),
    ];
    check("account", &events, &recorded);
}

#[derive(Event)]
#[event(category = "request", rename_all = "PascalCase")]
enum RequestEvent {
    HTTPReceived,
    #[expect(non_camel_case_types, reason = "a name that is not in Pascal case")]
    answered_late,
    #[event(name = "dropped")]
    Dropped,
}

#[test]
fn pascal_case_is_asked_for_once_and_a_stated_name_stands() {
    let events = [
        RequestEvent::HTTPReceived,
        RequestEvent::answered_late,
        RequestEvent::Dropped,
    ];
    let recorded: [(_, _, &[&str]); 3] = [
        ("HTTPReceived", 1, &[]),
        ("AnsweredLate", 1, &[]),
        ("dropped", 1, &[]),
    ];
    check("request", &events, &recorded);
}

#[derive(Event)]
#[event(category = "course")]
enum CourseEvent {
    Defined {
        #[event(tag)]
        course_id: u64,
        #[event(tag)]
        format: &'static str,
        capacity: u32,
    },
    Enrolled(
        #[event(tag = "student")] String,
        #[event(tag = "course")] u64,
    ),
    Swapped {
        #[event(tag = "course")]
        from: Option<u64>,
        #[event(tag = "course")]
        to: Option<u64>,
        #[event(tag)]
        student: Box<str>,
    },
    Archived,
}

#[test]
fn tags_come_from_fields() {
    let swapped = |from, to| CourseEvent::Swapped {
        from,
        to,
        student: "ada".into(),
    };
    let events = [
        CourseEvent::Defined {
            course_id: 7,
            format: "lecture",
            capacity: 20,
        },
        CourseEvent::Enrolled("ada".to_owned(), 7),
        swapped(Some(7), Some(8)),
        CourseEvent::Archived,
    ];
    let recorded: [(_, _, &[&str]); 4] = [
        ("defined", 1, &["course_id:7", "format:lecture"]),
        ("enrolled", 1, &["course:7", "student:ada"]),
        ("swapped", 1, &["course:7", "course:8", "student:ada"]),
        ("archived", 1, &[]),
    ];
    check("course", &events, &recorded);
    assert_eq!(
        tags_of(&swapped(None, Some(8))),
        ["course:8", "student:ada"]
    );
    assert_eq!(tags_of(&swapped(None, None)), ["student:ada"]);
    assert!(matches!(
        events[0],
        CourseEvent::Defined { capacity: 20, .. }
    ));
}

#[test]
fn a_value_that_is_no_tag_is_an_error() {
    for student in ["a\nb".to_owned(), "a".repeat(1024)] {
        assert!(CourseEvent::Enrolled(student, 7).tags().is_err());
    }
}

#[derive(Event)]
#[event(category = "order")]
struct OrderPlaced {
    #[event(tag)]
    customer_id: Option<u64>,
}

#[derive(Event)]
#[event(category = "order", name = "order-sent", version = 2)]
struct Sent(#[event(tag = "parcel")] u64);

#[derive(Event)]
#[event(category = "order", rename_all = "PascalCase")]
struct OrderPaid;

#[test]
fn a_struct_is_one_kind_of_event() {
    check(
        "order",
        &[OrderPlaced {
            customer_id: Some(3),
        }],
        &[("order-placed", 1, &["customer_id:3"])],
    );
    check(
        "order",
        &[OrderPlaced { customer_id: None }],
        &[("order-placed", 1, &[])],
    );
    check("order", &[Sent(9)], &[("order-sent", 2, &["parcel:9"])]);
    check("order", &[OrderPaid], &[("OrderPaid", 1, &[])]);
}

/// A type that is an event for the parameters that can be printed and shared.
#[derive(Event)]
#[event(category = "sensor")]
enum SensorEvent<K, V = f64, const N: usize = 2>
where
    V: Clone,
{
    Added {
        #[event(tag)]
        sensor: K,
    },
    Measured {
        #[event(tag)]
        sensor: Option<Key<K>>,
        values: [V; N],
    },
}

struct Key<K>(K);

impl<K: fmt::Display> fmt::Display for Key<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key-{}", self.0)
    }
}

#[test]
fn generic_types_are_events() {
    let events: [SensorEvent<u8>; 2] = [
        SensorEvent::Added { sensor: 1 },
        SensorEvent::Measured {
            sensor: Some(Key(1)),
            values: [20.5, 21.0],
        },
    ];
    let recorded: [(_, _, &[&str]); 2] = [
        ("added", 1, &["sensor:1"]),
        ("measured", 1, &["sensor:key-1"]),
    ];
    check("sensor", &events, &recorded);
    assert!(matches!(&events[1], SensorEvent::Measured { values, .. } if values.len() == 2));
}

#[test]
fn the_tables_are_constants() {
    const CATEGORY: Category = AccountEvent::CATEGORY;
    const FIRST: &EventKind = &AccountEvent::KINDS[0];
    assert_eq!(CATEGORY.as_str(), "account");
    assert_eq!(name_and_version(FIRST), ("opened", 1));
}
