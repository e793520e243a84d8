//! The schema ledger: each way in which a change breaks old events is told, with what to do.

use std::fmt::Debug;
use std::fs;
use std::path::Path;

use annals_codec::{Codecs, Evolution, Evolving, JsonCodec, Policy, PostcardCodec, Value};
use annals_core::Event;
use annals_testkit::schema::Ledger;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::support::failure_of;

/// An application at one time of its life: its events, its upcasters, its samples.
trait Release: Event + PartialEq + Debug + Serialize + DeserializeOwned {
    fn evolution() -> Evolution<Self>;
    fn samples() -> Vec<Self>;
}

macro_rules! release {
    ($name:ident, $(#[$meta:meta])* { $($fields:tt)* }, $sample:expr, $evolution:expr) => {
        mod $name {
            use super::*;
            use annals_macros::Event;
            use serde::{Deserialize, Serialize};

            #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
            #[event(category = "account")]
            pub(super) enum AccountEvent {
                $(#[$meta])*
                Deposited { $($fields)* },
                Closed,
            }

            impl Release for AccountEvent {
                fn evolution() -> Evolution<Self> {
                    ($evolution)(Evolution::builder()).build().expect("the upcasters fit")
                }

                fn samples() -> Vec<Self> {
                    use AccountEvent::*;
                    vec![$sample, Closed]
                }
            }
        }
    };
}

type Builder<E> = annals_codec::EvolutionBuilder<E>;

fn in_cents(mut old: Value) -> Value {
    let euros = old
        .get("euros")
        .and_then(Value::as_integer)
        .unwrap_or_default();
    old.remove("euros");
    old.insert("cents", euros * 100);
    old
}

fn in_tenths(mut old: Value) -> Value {
    let euros = old
        .get("euros")
        .and_then(Value::as_integer)
        .unwrap_or_default();
    old.remove("euros");
    old.insert("cents", euros * 10);
    old
}

release!(first, { euros: u32 }, Deposited { euros: 5 }, |builder: Builder<AccountEvent>| builder);
release!(
    renamed, { amount: u32 }, Deposited { amount: 5 }, |builder: Builder<AccountEvent>| builder
);
release!(
    renamed_in_silence, { #[serde(default)] amount: u32 }, Deposited { amount: 5 },
    |builder: Builder<AccountEvent>| builder
);
release!(retyped, { euros: String }, Deposited { euros: "5".to_owned() }, |builder: Builder<AccountEvent>| builder);
release!(
    second, #[event(version = 2)] { cents: u32 }, Deposited { cents: 5 },
    |builder: Builder<AccountEvent>| builder.upcast("deposited", 1, in_cents)
);
release!(
    meaning_changed, #[event(version = 2)] { cents: u32 }, Deposited { cents: 5 },
    |builder: Builder<AccountEvent>| builder.upcast("deposited", 1, in_tenths)
);
release!(
    upcaster_broken, #[event(version = 2)] { cents: u32 }, Deposited { cents: 5 },
    |builder: Builder<AccountEvent>| builder.upcast("deposited", 1, |old: Value| old)
);
release!(
    skipping, #[event(version = 3)] { cents: u32 }, Deposited { cents: 5 },
    |builder: Builder<AccountEvent>| builder
        .upcast("deposited", 1, in_cents)
        .upcast("deposited", 2, |old: Value| old)
);
release!(
    renamed_type, #[event(name = "paid-in")] { euros: u32 }, Deposited { euros: 5 },
    |builder: Builder<AccountEvent>| builder
);
release!(
    passing_over, #[event(name = "paid-in")] { euros: u32 }, Deposited { euros: 5 },
    |builder: Builder<AccountEvent>| builder.on_unknown_type(Policy::Skip)
);

release!(
    kept, { payload: String, to: String },
    Deposited { payload: "payload: text".to_owned(), to: "shape:".to_owned() },
    |builder: Builder<AccountEvent>| builder
);
release!(
    named, { #[serde(rename = "in")] input: u8, #[serde(rename = "out")] output: u8 },
    Deposited { input: 1, output: 2 }, |builder: Builder<AccountEvent>| builder
);
release!(
    swapped, { #[serde(rename = "in")] output: u8, #[serde(rename = "out")] input: u8 },
    Deposited { input: 1, output: 2 }, |builder: Builder<AccountEvent>| builder
);
release!(
    merged, #[event(name = "paid-in")] { euros: u32 }, Deposited { euros: 5 },
    |builder: Builder<AccountEvent>| builder.becomes(("deposited", 1), ("paid-in", 1), |old: Value| old)
);
release!(
    dropping, #[event(name = "paid-in")] { euros: u32 }, Deposited { euros: 5 },
    |builder: Builder<AccountEvent>| builder.dropped("deposited", 1)
);
release!(
    handing_over, #[event(name = "paid-in")] { euros: u32 }, Deposited { euros: 5 },
    |builder: Builder<AccountEvent>| builder.on_unknown_type(Policy::hand_over(|_| AccountEvent::Closed))
);
release!(
    lagging, #[event(version = 2)] { cents: u32 }, Deposited { cents: 500 },
    |builder: Builder<AccountEvent>| builder
        .upcast("deposited", 1, in_cents)
        .downcast("deposited", 2, in_euros)
        .write_as("deposited", 1)
);
release!(
    lagging_badly, #[event(version = 2)] { cents: u32 }, Deposited { cents: 500 },
    |builder: Builder<AccountEvent>| builder
        .upcast("deposited", 1, in_cents)
        .downcast("deposited", 2, |_: Value| Value::Map(Vec::new()))
        .write_as("deposited", 1)
);
release!(
    unordered, { names: std::collections::HashSet<String> },
    Deposited { names: ["Ada", "Ben", "Cleo"].map(str::to_owned).into() },
    |builder: Builder<AccountEvent>| builder
);

fn in_euros(mut old: Value) -> Value {
    let cents = old
        .get("cents")
        .and_then(Value::as_integer)
        .unwrap_or_default();
    old.remove("cents");
    old.insert("euros", cents / 100);
    old
}

fn run<R: Release>(ledger: &Ledger) {
    let codec = Evolving::new(JsonCodec, R::evolution()).expect("JSON tells of fields");
    ledger.check(&codec, &R::samples());
}

fn reading(directory: &Path) -> Ledger {
    Ledger::at(directory).reading()
}

fn writing(directory: &Path) -> Ledger {
    Ledger::at(directory).writing()
}

/// A ledger as the first release wrote it.
fn ledger() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    run::<first::AccountEvent>(&writing(directory.path()));
    directory
}

/// The files below a directory and what they hold.
fn files(directory: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(
                fs::read_dir(&path)
                    .expect("a directory")
                    .map(|entry| entry.expect("an entry").path()),
            );
        } else {
            let name = path
                .strip_prefix(directory)
                .expect("below")
                .display()
                .to_string();
            found.push((name, fs::read_to_string(&path).expect("a text")));
        }
    }
    found.sort();
    found
}

#[test]
fn a_ledger_is_written_and_holds() {
    let directory = ledger();
    let written = files(directory.path());
    let names: Vec<&str> = written.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "account/closed/v1/1.json.means-1.txt",
            "account/closed/v1/1.json.sample",
            "account/deposited/v1/1.json.means-1.txt",
            "account/deposited/v1/1.json.sample",
            "account/ledger.txt",
        ]
    );
    assert_eq!(
        written[3].1,
        "annals schema sample 1\ncontent-type: application/json\nshape:\n.: struct\n.euros: u32\n\
         payload: text\n{\"euros\":5}\n"
    );
    assert_eq!(
        written[2].1,
        "annals schema meaning 1\nas: deposited v1\ndeposited v1 {\n  euros: 5\n}\n"
    );
    run::<first::AccountEvent>(&reading(directory.path()));
    run::<first::AccountEvent>(&writing(directory.path()));
    assert_eq!(files(directory.path()), written);
}

#[test]
fn a_new_version_is_added_and_the_old_one_stays() {
    let directory = ledger();
    let before = files(directory.path());
    let message = failure_of(|| run::<second::AccountEvent>(&reading(directory.path())));
    assert!(
        message.starts_with("deposited v2 lacks a sample in the schema ledger"),
        "{message}"
    );
    assert!(
        message.contains("run this test with ANNALS_SCHEMAS=write"),
        "{message}"
    );

    run::<second::AccountEvent>(&writing(directory.path()));
    run::<second::AccountEvent>(&reading(directory.path()));
    let after = files(directory.path());
    let kept = before.iter().filter(|file| !file.0.ends_with("ledger.txt"));
    assert!(kept.clone().all(|file| after.contains(file)), "{after:?}");
    let meaning = after
        .iter()
        .find(|(name, _)| name == "account/deposited/v1/1.json.means-2.txt");
    assert_eq!(
        meaning.map(|(_, text)| text.as_str()),
        Some("annals schema meaning 1\nas: deposited v2\ndeposited v2 {\n  cents: 500\n}\n")
    );
}

fn check<R: Release>(directory: &Path, expected: &[&str]) {
    for ledger in [reading(directory), writing(directory)] {
        let message = failure_of(|| run::<R>(&ledger));
        for text in expected {
            assert!(message.contains(text), "{text:?} is not in: {message}");
        }
    }
}

#[test]
fn a_change_of_fields_without_a_new_version_is_told() {
    let directory = ledger();
    let headline = "the fields of deposited v1 changed without a new version";
    let fix = "make it version 2: `#[event(version = 2, upcast(..., 1 => your_upcaster))]`";
    check::<renamed::AccountEvent>(
        directory.path(),
        &[headline, "  - .euros: u32\n  + .amount: u32", fix],
    );
    let lines = ["  - .euros: u32\n  + .amount: u32", headline, fix];
    check::<renamed_in_silence::AccountEvent>(directory.path(), &lines);
    check::<retyped::AccountEvent>(
        directory.path(),
        &[headline, "  - .euros: u32\n  + .euros: text", fix],
    );
}

#[test]
fn an_upcaster_that_changed_is_told() {
    let directory = ledger();
    run::<second::AccountEvent>(&writing(directory.path()));
    check::<meaning_changed::AccountEvent>(
        directory.path(),
        &[
            "deposited v1 means something else than it did",
            "  -   cents: 500\n  +   cents: 50",
            "account/deposited/v1/1.json.sample".trim_start_matches("account/"),
            "correct the upcasters so that it means the same again",
        ],
    );
    check::<upcaster_broken::AccountEvent>(
        directory.path(),
        &[
            "deposited v1 no longer decodes",
            "recorded schema version: 1",
            "correct the upcasters",
        ],
    );
}

#[test]
fn a_version_that_is_skipped_is_told() {
    check::<skipping::AccountEvent>(
        ledger().path(),
        &[
            "`deposited` skips a version",
            "the newest version in the ledger is v1, and the code writes v3",
            "write `deposited` as version 2",
        ],
    );
}

#[test]
fn a_type_that_is_gone_is_told() {
    let directory = ledger();
    let message = failure_of(|| run::<renamed_type::AccountEvent>(&writing(directory.path())));
    assert!(
        message.starts_with("deposited v1 no longer decodes"),
        "{message}"
    );
    assert!(message.contains("`#[event(was = ...)]`"), "{message}");
    let directory = ledger();
    let message = failure_of(|| run::<passing_over::AccountEvent>(&writing(directory.path())));
    assert!(
        message.starts_with("deposited v1 is passed over by a policy"),
        "{message}"
    );
}

#[test]
fn what_does_not_hold_writes_nothing() {
    let directory = ledger();
    let before = files(directory.path());
    let message = failure_of(|| run::<upcaster_broken::AccountEvent>(&writing(directory.path())));
    assert!(
        message.starts_with("deposited v1 no longer decodes"),
        "{message}"
    );
    assert_eq!(files(directory.path()), before);
}

#[test]
fn a_release_that_went_back_is_told() {
    let directory = ledger();
    run::<second::AccountEvent>(&writing(directory.path()));
    check::<first::AccountEvent>(
        directory.path(),
        &[
            "deposited v2 no longer decodes",
            "raise the version of the type",
        ],
    );
}

#[test]
fn a_file_that_is_gone_or_changed_is_told() {
    for (name, headline) in [
        (
            "account/deposited/v1/1.json.sample",
            "a file of the schema ledger was",
        ),
        (
            "account/deposited/v1/1.json.means-1.txt",
            "a file of the schema ledger was",
        ),
    ] {
        for change in ["deleted", "changed"] {
            let directory = ledger();
            let file = directory.path().join(name);
            if change == "deleted" {
                fs::remove_file(&file).expect("it is there");
            } else {
                let text = fs::read_to_string(&file).expect("it is there");
                fs::write(&file, text.replace('5', "6")).expect("it can be written");
            }
            let headline = format!("{headline} {change}");
            check::<first::AccountEvent>(
                directory.path(),
                &[&headline, "restore it from version control"],
            );
        }
    }
}

#[test]
fn a_kind_without_a_sample_is_told() {
    let directory = ledger();
    let codec = Evolving::new(JsonCodec, first::AccountEvent::evolution()).expect("it fits");
    let message =
        failure_of(|| reading(directory.path()).check(&codec, &[first::AccountEvent::Closed]));
    assert!(
        message.starts_with("not every kind of event has a sample"),
        "{message}"
    );
    assert!(
        message.contains("without a sample:\n    deposited"),
        "{message}"
    );
}

#[test]
fn a_directory_that_is_no_ledger_is_refused() {
    let empty = tempfile::tempdir().expect("a directory");
    let message = failure_of(|| run::<first::AccountEvent>(&reading(empty.path())));
    assert!(
        message.starts_with("there is no schema ledger"),
        "{message}"
    );

    let newer = ledger();
    let list = newer.path().join("account/ledger.txt");
    let text = fs::read_to_string(&list).expect("it is there");
    fs::write(&list, text.replace("ledger 1", "ledger 2")).expect("it can be written");
    check::<first::AccountEvent>(newer.path(), &["a layout that this version does not know"]);

    let other = tempfile::tempdir().expect("a directory");
    fs::create_dir(other.path().join("account")).expect("it can be made");
    fs::write(other.path().join("account/notes"), "mine").expect("it can be written");
    let message = failure_of(|| run::<first::AccountEvent>(&writing(other.path())));
    assert!(
        message.starts_with("the directory for the schema ledger holds something else"),
        "{message}"
    );
}

#[test]
fn what_can_not_be_written_is_told_and_what_is_there_is_not_written_over() {
    let directory = ledger();
    let file = directory.path().join("account/deposited/v2/1.json.sample");
    fs::create_dir_all(file.parent().expect("it has one")).expect("it can be made");
    fs::write(&file, "mine").expect("it can be written");
    let message = failure_of(|| run::<second::AccountEvent>(&writing(directory.path())));
    assert!(
        message.starts_with("the list of the schema ledger does not name a file that is there"),
        "{message}"
    );
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "mine");

    // A file where a directory has to be made: like a directory that takes no writes.
    let barred = ledger();
    fs::write(barred.path().join("account/deposited/v2"), "").expect("it can be written");
    let message = failure_of(|| run::<second::AccountEvent>(&writing(barred.path())));
    assert!(
        message.starts_with("the schema ledger can't be written"),
        "{message}"
    );
    assert!(
        message.contains("elsewhere run the test without ANNALS_SCHEMAS"),
        "{message}"
    );
}

mod binary {
    use annals_macros::Event;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
    #[event(category = "reading")]
    pub(super) enum First {
        Measured { volts: u16 },
    }

    #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
    #[event(category = "reading")]
    pub(super) enum Second {
        #[event(version = 2, upcast(1 => |old: Volts| old.volts.wrapping_mul(1000)))]
        Measured(u32),
    }

    #[derive(Deserialize)]
    pub(super) struct Volts {
        volts: u32,
    }
}

#[test]
fn a_form_without_fields_and_a_change_of_forms_are_covered_alike() {
    let directory = tempfile::tempdir().expect("a directory");
    let ledger = writing(directory.path());
    ledger.check(&PostcardCodec, &[binary::First::Measured { volts: 300 }]);
    let second = [binary::Second::Measured(7)];
    let postcard = Evolving::<binary::Second, _>::of(PostcardCodec).expect("the upcasters fit");
    let json = Evolving::of(JsonCodec).expect("the upcasters fit");
    let codec = Codecs::writing(json).reading(postcard);
    ledger.check(&codec, &second);
    reading(directory.path()).check(&codec, &second);
    let files = files(directory.path());
    let text = |name: &str| {
        let mut files = files.iter();
        let found = files.find(|(path, _)| path == name);
        found.map(|(_, text)| text.as_str())
    };
    assert_eq!(
        text("reading/measured/v1/1.postcard.sample"),
        Some(
            "annals schema sample 1\ncontent-type: application/vnd.annals.postcard\nshape:\n.: struct\n\
             .volts: u16\npayload: hex\nac02\n"
        )
    );
    assert_eq!(
        text("reading/measured/v1/1.postcard.means-2.txt"),
        Some("annals schema meaning 1\nas: measured v2\nmeasured v2 300000\n")
    );
    assert!(text("reading/measured/v2/1.json.sample").is_some());
    let only_json = Evolving::of(JsonCodec).expect("the upcasters fit");
    let message = failure_of(|| reading(directory.path()).check(&only_json, &second));
    assert!(
        message.starts_with("measured v1 no longer decodes"),
        "{message}"
    );
    assert!(message.contains("payload is in another form"), "{message}");
}

#[test]
fn fields_of_any_name_are_read_back() {
    let directory = tempfile::tempdir().expect("a directory");
    run::<kept::AccountEvent>(&writing(directory.path()));
    run::<kept::AccountEvent>(&reading(directory.path()));
}

#[test]
fn fields_that_are_written_and_read_otherwise_at_once_are_told() {
    let directory = tempfile::tempdir().expect("a directory");
    run::<named::AccountEvent>(&writing(directory.path()));
    check::<swapped::AccountEvent>(
        directory.path(),
        &[
            "a sample of deposited v1 reads as another event than it was written of",
            "  -     output: 2,\n  -     input: 1,\n  +     output: 1,\n  +     input: 2,",
            "make it version 2",
            "1.json.sample",
        ],
    );
}

#[test]
fn a_sample_that_is_no_longer_given_is_told() {
    let directory = ledger();
    let codec = Evolving::new(JsonCodec, first::AccountEvent::evolution()).expect("it fits");
    let with = |euros| first::AccountEvent::Deposited { euros };
    let closed = || first::AccountEvent::Closed;
    writing(directory.path()).check(&codec, &[with(5), with(6), closed()]);
    let message = failure_of(|| reading(directory.path()).check(&codec, &[with(5), closed()]));
    assert!(
        message.starts_with("sample 2 of deposited v1 is not among those of the code"),
        "{message}"
    );
    let swapped = [with(6), with(5), closed()];
    let message = failure_of(|| reading(directory.path()).check(&codec, &swapped));
    assert!(message.contains("keep their places"), "{message}");
}

#[test]
fn an_old_event_that_is_to_become_something_else_is_told() {
    let directory = ledger();
    run::<merged::AccountEvent>(&writing(directory.path()));
    check::<dropping::AccountEvent>(
        directory.path(),
        &[
            "deposited v1 means something else than it did",
            "  - paid-in v1 {\n  -   euros: 5\n  - }",
            "correct the upcasters so that it means the same again",
        ],
    );
    let directory = ledger();
    run::<dropping::AccountEvent>(&writing(directory.path()));
    check::<merged::AccountEvent>(
        directory.path(),
        &[
            "deposited v1 means something else than it did",
            "  + paid-in v1 {",
        ],
    );
}

#[test]
fn a_type_that_is_handed_over_is_told() {
    let directory = ledger();
    let message = failure_of(|| run::<handing_over::AccountEvent>(&writing(directory.path())));
    assert!(
        message.starts_with("deposited v1 is handed over by a policy"),
        "{message}"
    );
    assert!(message.contains("give it an upcaster"), "{message}");
}

#[test]
fn what_is_written_for_readers_who_lag_is_kept() {
    let directory = ledger();
    run::<lagging::AccountEvent>(&writing(directory.path()));
    run::<lagging::AccountEvent>(&reading(directory.path()));
    let files = files(directory.path());
    let downcast = files
        .iter()
        .find(|(name, _)| name == "account/deposited/v1/1.json.from-v2.sample");
    assert_eq!(
        downcast.map(|(_, text)| text.as_str()),
        Some(
            "annals schema sample 1\ncontent-type: application/json\nshape:\npayload: text\n{\"euros\":5}\n"
        )
    );
    let told = "deposited v2 is written as deposited v1 with another meaning than before";
    check::<lagging_badly::AccountEvent>(directory.path(), &[told, "correct the downcasters"]);

    let told = "what is written as deposited v1 does not read as it does";
    let message = failure_of(|| run::<lagging_badly::AccountEvent>(&writing(ledger().path())));
    assert!(message.starts_with(told), "{message}");

    // The present of the first release has its fields still: those of the second were never mixed in.
    run::<second::AccountEvent>(&writing(directory.path()));
    run::<second::AccountEvent>(&reading(directory.path()));
}

#[test]
fn a_set_without_an_order_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let message = failure_of(|| run::<unordered::AccountEvent>(&writing(directory.path())));
    assert!(
        message.starts_with("deposited v1 reads in another order each time"),
        "{message}"
    );
    assert!(message.contains("use a `BTreeSet`"), "{message}");
}

#[test]
fn a_version_without_a_sample_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let message = failure_of(|| run::<second::AccountEvent>(&writing(directory.path())));
    assert!(
        message.starts_with("deposited v1 has no sample in the schema ledger"),
        "{message}"
    );
    assert!(
        message.contains("`ledger.begins_at(\"deposited\", 2)`"),
        "{message}"
    );
    run::<second::AccountEvent>(&writing(directory.path()).begins_at("deposited", 2));

    // The files of a version and its lines of the list, as a merge may lose them.
    let directory = ledger();
    run::<second::AccountEvent>(&writing(directory.path()));
    fs::remove_dir_all(directory.path().join("account/deposited/v1")).expect("it is there");
    let list = directory.path().join("account/ledger.txt");
    let text = fs::read_to_string(&list).expect("it is there");
    let kept: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("deposited/v1/"))
        .collect();
    fs::write(&list, kept.join("\n")).expect("it can be written");
    check::<second::AccountEvent>(directory.path(), &["deposited v1 has no sample"]);
}

#[test]
fn a_type_that_only_an_upcaster_knows_needs_a_sample() {
    let directory = tempfile::tempdir().expect("a directory");
    let evolution = std::sync::Arc::new(merged::AccountEvent::evolution());
    let codec = Evolving::new(JsonCodec, evolution.clone()).expect("it fits");
    let samples = merged::AccountEvent::samples();
    let check = |ledger: &Ledger| {
        let checks = ledger.checks();
        checks.with_evolution(&codec, &evolution, &samples).run();
    };
    let message = failure_of(|| check(&writing(directory.path())));
    assert!(
        message.starts_with("deposited v1 has no sample in the schema ledger"),
        "{message}"
    );
    check(&writing(ledger().path()));
}

mod structs {
    use annals_macros::Event;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
    #[event(category = "account")]
    pub(super) struct Opened {
        pub(super) extra: Mixed,
    }

    #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
    #[event(category = "account")]
    pub(super) struct Closed {
        pub(super) early: bool,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    pub(super) enum Mixed {
        Number(u64),
        Text(String),
        Named { name: String },
    }
}

#[test]
fn several_event_types_of_a_category_are_checked_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let opened = [structs::Opened {
        extra: structs::Mixed::Number(1),
    }];
    let closed = [structs::Closed { early: true }];
    for ledger in [writing(directory.path()), reading(directory.path())] {
        let checks = ledger.checks().with(&JsonCodec, &opened);
        checks.with(&JsonCodec, &closed).run();
    }
    let message = failure_of(|| reading(directory.path()).check(&JsonCodec, &closed));
    assert!(
        message.starts_with("opened v1 no longer decodes") && message.contains("`Ledger::checks`"),
        "{message}"
    );
    // A type of the other's that is gone is missed by both.
    let renamed = [
        first::AccountEvent::Closed,
        first::AccountEvent::Deposited { euros: 5 },
    ];
    let ledger = writing(directory.path());
    let message = failure_of(|| ledger.checks().with(&JsonCodec, &renamed).run());
    assert!(
        message.contains("`opened`") || message.contains("closed v1"),
        "{message}"
    );
}

#[test]
fn fields_with_values_of_several_types_are_no_change() {
    use structs::Mixed::{Named, Number, Text};
    let directory = tempfile::tempdir().expect("a directory");
    let mut samples = Vec::new();
    for extra in [
        Number(1),
        Text("a".to_owned()),
        Named {
            name: "b".to_owned(),
        },
    ]
    .into_iter()
    .chain((0..9).map(Number))
    {
        samples.push(structs::Opened { extra });
        writing(directory.path()).check(&JsonCodec, &samples);
        reading(directory.path()).check(&JsonCodec, &samples);
    }
}
