//! Nothing around a type changes what the derive writes: its module, what is in scope, who declares
//! it.

use annals_core::Event as _;

/// The name and version of the only kind, and the tags of the event.
fn recorded<E: annals_core::Event>(event: &E) -> (Vec<(&'static str, u32)>, Vec<String>) {
    let kinds = E::KINDS.iter();
    let kinds = kinds.map(|kind| (kind.event_type().as_str(), kind.schema_version().value()));
    let tags = event.tags().into_iter();
    let tags = tags.flat_map(|tags| tags.iter().map(ToString::to_string).collect::<Vec<_>>());
    (kinds.collect(), tags.collect())
}

fn check<E: annals_core::Event>(event: &E, kind: (&'static str, u32), tags: &[&str]) {
    let (kinds, found) = recorded(event);
    assert_eq!(kinds, [kind]);
    assert_eq!(found, tags);
}

/// Declares the same event in the module where it stands, by way of a macro's fragments.
macro_rules! moved {
    ($category:literal, $version:literal, $key:ty) => {
        #[derive(annals_macros::Event)]
        #[event(category = $category)]
        pub(crate) enum Moved {
            #[event(version = $version)]
            HereAndThere {
                #[event(tag)]
                id: $key,
            },
        }
    };
}

mod here {
    moved!("move", 2, Option<u64>);
}

mod there {
    pub(crate) mod below {
        moved!("move", 2, Option<u64>);
    }
}

#[test]
fn moving_a_type_changes_nothing_that_is_recorded() {
    let id = Some(1);
    check(
        &here::Moved::HereAndThere { id },
        ("here-and-there", 2),
        &["id:1"],
    );
    check(
        &there::below::Moved::HereAndThere { id },
        ("here-and-there", 2),
        &["id:1"],
    );
    assert_eq!(here::Moved::CATEGORY, there::below::Moved::CATEGORY);
    assert_eq!(here::Moved::KINDS, there::below::Moved::KINDS);
}

/// Where every name that the derive could mean is something else.
#[no_implicit_prelude]
mod hostile {
    mod annals_core {}
    mod core {}
    mod std {}

    pub(crate) struct Option;
    pub(crate) struct Result;
    pub(crate) struct Tag;
    pub(crate) struct Tags;

    #[derive(::annals_macros::Event)]
    #[event(category = "account")]
    pub(crate) enum Event {
        Opened {
            #[event(tag)]
            account_id: u64,
            #[event(tag)]
            owner: ::std::option::Option<u64>,
        },
    }
}

#[test]
fn nothing_in_scope_is_mistaken() {
    let _ = (
        hostile::Option,
        hostile::Result,
        hostile::Tag,
        hostile::Tags,
    );
    let opened = |owner| hostile::Event::Opened {
        account_id: 42,
        owner,
    };
    check(&opened(None), ("opened", 1), &["account_id:42"]);
    check(
        &opened(Some(7)),
        ("opened", 1),
        &["account_id:42", "owner:7"],
    );
}

mod facade {
    pub(crate) mod core {
        pub(crate) use annals_core::{
            Category, Error, Event, EventKind, EventType, SchemaVersion, Tag, Tags,
        };
    }
}

#[derive(annals_macros::Event)]
#[event(category = "account", crate = "crate::facade::core")]
struct Opened(#[event(tag = "account")] u64);

#[test]
fn the_core_crate_may_be_named() {
    check(&Opened(42), ("opened", 1), &["account:42"]);
}

#[derive(annals_macros::Event)]
#[event(category = "raw")]
#[expect(non_camel_case_types, reason = "a name that is a keyword")]
enum r#move {
    r#loop {
        #[event(tag)]
        r#type: u64,
    },
}

#[test]
fn a_raw_identifier_is_recorded_without_its_mark() {
    check(&r#move::r#loop { r#type: 1 }, ("loop", 1), &["type:1"]);
}

#[derive(annals_macros::Event)]
#[event(category = "legacy", name = "named")]
#[deprecated = "replaced by `Renamed`"]
struct Named(#[event(tag = "name")] &'static str);

#[derive(annals_macros::Event)]
#[event(category = "legacy")]
enum LegacyEvent {
    #[deprecated = "replaced by `Renamed`"]
    Closed(#[event(tag = "why")] &'static str),
    Renamed {
        #[deprecated = "replaced by nothing"]
        #[event(tag)]
        name: &'static str,
    },
}

#[test]
#[expect(deprecated, reason = "old events are still read")]
fn what_is_deprecated_stays_readable() {
    check(&Named("a"), ("named", 1), &["name:a"]);
    assert_eq!(recorded(&LegacyEvent::Closed("a")).1, ["why:a"]);
    assert_eq!(recorded(&LegacyEvent::Renamed { name: "b" }).1, ["name:b"]);
}
