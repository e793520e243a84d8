//! What a registry refuses when it is built, by name.

use annals_codec::{
    Error, EventCodec, Evolution, EvolutionBuilder, Evolving, FlawKind, Format, JsonCodec, Value,
    Visit,
};
use annals_core::{ContentRef, ContentType, NewEvent};
use annals_macros::Event;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "account")]
enum AccountEvent {
    #[event(version = 3)]
    Deposited {
        cents: u64,
    },
    Closed,
}

fn same(old: Value) -> Value {
    old
}

type Builder = EvolutionBuilder<AccountEvent>;

fn whole() -> Builder {
    Evolution::builder()
        .upcast("deposited", 1, same)
        .upcast("deposited", 2, same)
}

fn check(state: fn(Builder) -> Builder, builder: Builder, expected: &[(FlawKind, &str)]) {
    let error = state(builder).build().unwrap_err();
    let flaws = error
        .flaws()
        .iter()
        .map(|flaw| (flaw.kind(), flaw.to_string()));
    let flaws: Vec<_> = flaws.collect();
    let flaws: Vec<_> = flaws
        .iter()
        .map(|(kind, text)| (*kind, text.as_str()))
        .collect();
    assert_eq!(flaws, expected);
}

#[test]
fn a_gap_is_named() {
    let empty = Evolution::builder;
    let gap = |which| {
        format!(
            "`deposited` has no upcaster from {which}; write one, so that old events stay readable"
        )
    };
    check(
        |builder| builder,
        empty(),
        &[(FlawKind::Gap, &gap("v1 to v2"))],
    );
    check(
        |builder| builder.upcast("deposited", 1, same),
        empty(),
        &[(FlawKind::Gap, &gap("v2"))],
    );
    check(
        |builder| builder.upcast("deposited", 2, same),
        empty(),
        &[(FlawKind::Gap, &gap("v1"))],
    );
    check(
        |builder| builder.dropped("old", 1).dropped("old", 3),
        whole(),
        &[(
            FlawKind::Gap,
            "`old` has no upcaster from v2; write one, so that old events stay readable",
        )],
    );
    check(
        |builder| builder.becomes(("cash", 1), ("deposit", 2), same),
        whole(),
        &[(
            FlawKind::Gap,
            "the upcaster cash v1 -> deposit v2 ends at deposit v2, which is neither the present nor has an \
             upcaster; write it",
        )],
    );
}

#[test]
fn two_upcasters_of_one_step_are_named() {
    check(
        |builder| builder.dropped("deposited", 2),
        whole(),
        &[(
            FlawKind::TwoSteps,
            "two upcasters start from deposited v2 (deposited v2 -> deposited v3 and deposited v2 -> nothing); \
             remove one",
        )],
    );
}

#[test]
fn a_circle_is_named() {
    check(
        |builder| {
            builder
                .becomes(("into", 1), ("there", 1), same)
                .becomes(("there", 1), ("back", 1), same)
                .becomes(("back", 1), ("there", 1), same)
        },
        whole(),
        &[(
            FlawKind::Cycle,
            "upcasters lead in a circle: back v1 -> there v1 -> back v1; let one of them lead to the present",
        )],
    );
    check(
        |builder| builder.renamed("one", "two").renamed("two", "one"),
        whole(),
        &[
            (
                FlawKind::Cycle,
                "renames lead in a circle: `one` -> `two` -> `one`",
            ),
            (
                FlawKind::Cycle,
                "renames lead in a circle: `two` -> `one` -> `two`",
            ),
        ],
    );
}

#[test]
fn what_is_not_old_is_named() {
    check(
        |builder| builder.upcast("deposited", 3, same),
        whole(),
        &[
            (
                FlawKind::NotOld,
                "the upcaster deposited v3 -> deposited v4 starts from no older version: the code writes v3; \
                 raise the type's version",
            ),
            (
                FlawKind::Gap,
                "the upcaster deposited v3 -> deposited v4 ends at deposited v4, which is neither the present \
                 nor has an upcaster; write it",
            ),
        ],
    );
}

#[test]
fn names_that_are_unknown_taken_or_none_are_told() {
    check(
        |builder| {
            builder
                .renamed("old", "new")
                .renamed("closed", "deposited")
                .renamed("a", "closed")
                .renamed("a", "deposited")
        },
        whole(),
        &[
            (
                FlawKind::TakenName,
                "`closed` is renamed to `deposited` and in use; remove the rename, or state the upcasters under \
                 `deposited`",
            ),
            (
                FlawKind::TakenName,
                "`a` is renamed to `closed` and to `deposited`; remove one",
            ),
            (
                FlawKind::UnknownName,
                "`old` is renamed to `new`, which nobody knows; correct the name",
            ),
        ],
    );
    check(
        |builder| builder.dropped("", 1).dropped("old", 0),
        whole(),
        &[
            (
                FlawKind::BadName,
                "`` v1 is no schema: event type is empty; give it at least one byte",
            ),
            (
                FlawKind::BadName,
                "`old` v0 is no schema: schema version is 0; versions start at 1",
            ),
        ],
    );
}

#[test]
fn downcasts_are_checked_alike() {
    check(
        |builder| {
            builder
                .write_as("deposited", 1)
                .downcast("deposited", 3, same)
        },
        whole(),
        &[(
            FlawKind::Gap,
            "deposited v1 is to be written, and no downcaster starts from deposited v2; write it",
        )],
    );
    check(
        |builder| {
            let twice = builder
                .downcast("deposited", 3, same)
                .downcast("deposited", 3, same);
            twice
                .downcast("deposited", 4, same)
                .write_as("deposited", 4)
                .write_as("none", 1)
        },
        whole(),
        &[
            (
                FlawKind::TwoSteps,
                "two downcasters start from deposited v3; remove one",
            ),
            (
                FlawKind::UnknownName,
                "the downcaster deposited v4 -> deposited v3 starts from what the code never writes; correct it",
            ),
            (
                FlawKind::UnknownName,
                "deposited v4 is to be written, which the code does not know; correct it",
            ),
            (
                FlawKind::UnknownName,
                "none v1 is to be written, which the code does not know; correct it",
            ),
        ],
    );
}

#[test]
fn all_flaws_make_one_error_of_the_core() {
    let error = Builder::build(Evolution::builder().dropped("", 1)).unwrap_err();
    let core = annals_core::Error::from(error);
    assert_eq!(core.kind(), annals_core::ErrorKind::Invalid);
    let text = core.to_string();
    assert!(
        text.starts_with("build upcasters: upcasters do not fit: `` v1"),
        "{text}"
    );
    assert!(
        text.contains("; `deposited` has no upcaster from v1 to v2"),
        "{text}"
    );
}

/// JSON that does not tell of fields.
#[derive(Debug)]
struct Plain;

impl EventCodec<AccountEvent> for Plain {
    fn content_type(&self) -> ContentType {
        ContentType::JSON
    }

    fn encode(&self, event: &AccountEvent) -> Result<NewEvent, Error> {
        JsonCodec.encode(event)
    }

    fn decode_content(
        &self,
        content: ContentRef<'_>,
    ) -> Result<annals_codec::Decoded<AccountEvent>, Error> {
        JsonCodec.decode_content(content)
    }
}

impl Format for Plain {
    fn content_type(&self) -> ContentType {
        ContentType::JSON
    }

    fn describes_itself(&self) -> bool {
        false
    }

    fn write(&self, value: &dyn erased_serde::Serialize) -> Result<Vec<u8>, Error> {
        JsonCodec.write(value)
    }

    fn read(&self, bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        JsonCodec.read(bytes, visit)
    }
}

#[test]
fn a_value_is_not_asked_of_a_form_without_fields() {
    let error = Evolving::new(Plain, whole().build().unwrap()).unwrap_err();
    let mut kinds = error.flaws().iter().map(annals_codec::Flaw::kind);
    assert!(kinds.all(|kind| kind == FlawKind::NeedsFields), "{error}");
    assert!(error.to_string().contains(
        "deposited v1 -> deposited v2 reads or gives a `Value`, and application/json does not tell of \
         fields; take structs of the fields"
    ), "{error}");
    let typed = Evolution::<AccountEvent>::builder()
        .upcast("deposited", 1, |old: u64| old)
        .upcast("deposited", 2, |old: u64| old);
    assert!(Evolving::new(Plain, typed.build().unwrap()).is_ok());
}
