//! The laws hold for a right aggregate, and each catches the wrong ones that it is for.

use std::cell::Cell;
use std::collections::HashMap;
use std::num::ParseIntError;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use annals_aggregate::{CommandError, Repository};
use annals_codec::{Decoded, Error, EventCodec, JsonCodec};
use annals_core::{
    Aggregate, Category, ContentRef, ContentType, Event, EventKind, EventStoreExt as _, EventType,
    Expected, NewEvent, Refusal, SchemaVersion, Tag, Tags,
};
use annals_store_memory::MemoryStore;
use annals_testkit::laws;
use expect_test::{Expect, expect};
use futures_executor::block_on;
use serde::{Deserialize, Serialize};

use crate::account::{Account, AccountError, AccountEvent, deposited, opened, withdrawn};
use crate::support::failure_of;

fn histories() -> [Vec<AccountEvent>; 3] {
    [
        vec![opened(), deposited(100), withdrawn(30)],
        vec![opened(), deposited(5), AccountEvent::Closed],
        vec![],
    ]
}

#[test]
fn a_right_aggregate_keeps_every_law() {
    laws::check_all::<Account>(&JsonCodec, &histories());
    laws::equal_events_have_equal_bytes(&JsonCodec, &histories().concat());
    laws::replay_is_deterministic_by(&histories(), |account: &Account| account.cents);
    laws::folding_in_two_parts_is_folding_in_one_by(&histories(), |account: &Account| {
        account.cents
    });
}

/// An aggregate that adds up numbers, with `apply` as given, and what its laws say to it.
macro_rules! planted {
    ($test:ident, $law:ident, $apply:expr, $message:expr $(, keeps $kept:ident)?) => {
        #[test]
        fn $test() {
            #[derive(Debug, Default, PartialEq)]
            struct Planted {
                sum: i64,
            }

            impl Aggregate for Planted {
                type Event = Added;

                fn apply(&mut self, event: &Added) -> Result<(), Refusal> {
                    let apply: fn(&mut Self, i64) -> bool = $apply;
                    let accepted = apply(self, event.0);
                    accepted.then_some(()).ok_or(Refusal::new("enough"))
                }
            }

            let histories = [[Added(1), Added(2)], [Added(3), Added(4)]];
            $(laws::$kept::<Planted>(&histories);)?
            let message = failure_of(|| laws::$law::<Planted>(&histories));
            let expected: Expect = $message;
            expected.assert_eq(&message);
        }
    };
}

planted!(
    a_counter_outside_the_state_is_not_deterministic,
    replay_is_deterministic,
    |state, number| {
        static COUNTER: AtomicI64 = AtomicI64::new(0);
        if number == 4 {
            state.sum = COUNTER.fetch_add(1, Ordering::SeqCst);
        }
        true
    },
    expect![[r#"
        broken law: replay is deterministic
        the same history gives different states

        difference (- expected, + actual):
            Planted {
          -     sum: 4,
          +     sum: 5,
            }

        since event 2:
            Added(
                4,
            )

        history 2:
            1. Added(3)
            2. Added(4)

        what to do:
            let `apply` depend on the state and the event alone: not on time, chance,
            statics or the thread, nor on the order in which a `HashMap` gives its entries
    "#]]
);

planted!(
    a_refusal_by_chance_is_not_deterministic,
    replay_is_deterministic,
    |_, _| {
        static COUNTER: AtomicI64 = AtomicI64::new(0);
        COUNTER.fetch_add(1, Ordering::SeqCst) < 6
    },
    expect![[r#"
        broken law: replay is deterministic
        the same history is accepted once and refused once

        refused:
            event 1: enough

        history 2:
            1. Added(3)
            2. Added(4)

        what to do:
            let `apply` depend on the state and the event alone: not on time, chance,
            statics or the thread, nor on the order in which a `HashMap` gives its entries
    "#]]
);

planted!(
    a_state_of_the_thread_is_not_deterministic,
    replay_is_deterministic,
    |state, number| {
        // The thread of a test has a name.
        let named = std::thread::current().name().is_some();
        state.sum += if named { number } else { 0 };
        true
    },
    expect![[r#"
        broken law: replay is deterministic
        the same history gives different states

        difference (- expected, + actual):
            Planted {
          -     sum: 3,
          +     sum: 0,
            }

        history 1:
            1. Added(1)
            2. Added(2)

        what to do:
            let `apply` depend on the state and the event alone: not on time, chance,
            statics or the thread, nor on the order in which a `HashMap` gives its entries
    "#]]
);

planted!(
    a_state_of_the_history_before_is_not_deterministic,
    replay_is_deterministic,
    |state, number| {
        // Right as long as the same histories come in the same order, over and over.
        static LAST: AtomicI64 = AtomicI64::new(4);
        state.sum += LAST.swap(number, Ordering::SeqCst);
        true
    },
    expect![[r#"
        broken law: replay is deterministic
        the same history gives different states

        difference (- expected, + actual):
            Planted {
          -     sum: 4,
          +     sum: 3,
            }

        since event 1:
            Added(
                3,
            )

        history 2:
            1. Added(3)
            2. Added(4)

        what to do:
            let `apply` depend on the state and the event alone: not on time, chance,
            statics or the thread, nor on the order in which a `HashMap` gives its entries
    "#]]
);

planted!(
    a_batch_in_a_static_is_seen_when_another_fold_comes_between,
    folding_in_two_parts_is_folding_in_one,
    |state, number| {
        // Right as long as a history is folded in one go: its first event starts the batch.
        static BATCH: AtomicI64 = AtomicI64::new(0);
        if number % 2 == 1 {
            BATCH.store(0, Ordering::SeqCst);
        }
        state.sum = BATCH.fetch_add(number, Ordering::SeqCst) + number;
        true
    },
    expect![[r#"
        broken law: folding in two parts is folding in one
        the same history gives different states

        difference (- expected, + actual):
            Planted {
          -     sum: 3,
          +     sum: 9,
            }

        the first part:
            its first 1 events

        history 1:
            1. Added(1)
            2. Added(2)

        what to do:
            let `apply` depend on the state and the event alone: not on time, chance,
            statics or the thread, nor on the order in which a `HashMap` gives its entries
    "#]],
    keeps replay_is_deterministic
);

planted!(
    a_batch_in_the_thread_is_seen_when_another_thread_goes_on,
    folding_in_two_parts_is_folding_in_one,
    |state, number| {
        // Right as long as a thread that folds an event folds the first one before it.
        thread_local!(static BEGUN: Cell<bool> = const { Cell::new(false) });
        if number % 2 == 1 {
            BEGUN.set(true);
        }
        state.sum += if BEGUN.get() { number } else { 0 };
        true
    },
    expect![[r#"
        broken law: folding in two parts is folding in one
        the same history gives different states

        difference (- expected, + actual):
            Planted {
          -     sum: 3,
          +     sum: 1,
            }

        the first part:
            its first 1 events

        history 1:
            1. Added(1)
            2. Added(2)

        what to do:
            let `apply` depend on the state and the event alone: not on time, chance,
            statics or the thread, nor on the order in which a `HashMap` gives its entries
    "#]],
    keeps replay_is_deterministic
);

planted!(
    a_refused_history_is_told,
    folding_in_two_parts_is_folding_in_one,
    |_, number| number < 4,
    expect![[r#"
        broken law: folding in two parts is folding in one
        history 2 is refused at event 2: enough

        history 2:
            1. Added(3)
            2. Added(4)

        what to do:
            correct the history or `apply`; a law is about histories that can be
    "#]]
);

#[test]
fn an_order_of_a_map_is_not_deterministic() {
    #[derive(Debug, Default, PartialEq)]
    struct Elected(Option<i64>);

    impl Aggregate for Elected {
        type Event = Added;

        fn apply(&mut self, event: &Added) -> Result<(), Refusal> {
            let votes: HashMap<i64, i64> = (0..1000).map(|key| (key, event.0)).collect();
            self.0 = votes.into_keys().next();
            Ok(())
        }
    }

    let message = failure_of(|| laws::replay_is_deterministic::<Elected>(&[[Added(1)]]));
    assert!(message.contains("`HashMap` gives its entries"), "{message}");
}

#[test]
fn a_law_without_events_says_so() {
    for message in [
        failure_of(|| laws::replay_is_deterministic::<Account>(&[vec![], vec![]])),
        failure_of(|| laws::folding_in_two_parts_is_folding_in_one::<Account>(&[[]])),
    ] {
        assert!(message.starts_with("samples are incomplete"), "{message}");
        let says = "no event to hold the law against; give at least one history that has one";
        assert!(message.contains(says), "{message}");
    }
}

/// An event whose codec and whose own words are wrong in a chosen way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Added(i64);

impl Event for Added {
    const CATEGORY: Category = Category::from_static("sum");
    const KINDS: &'static [EventKind] = &[
        EventKind::new(EventType::from_static("added"), SchemaVersion::FIRST),
        EventKind::new(EventType::from_static("doubled"), SchemaVersion::FIRST),
    ];

    fn kind_index(&self) -> usize {
        usize::try_from(self.0 / 100).unwrap_or_default()
    }

    fn tags(&self) -> Result<Tags, annals_core::Error> {
        let text = if self.0 == 13 { "" } else { "plain" };
        Tags::new([Tag::parse(text)?])
    }
}

/// JSON, with one thing changed.
#[derive(Debug)]
struct Wrong {
    encode: fn(&Added, NewEvent) -> NewEvent,
    decode: fn(Added) -> Added,
}

const RIGHT: Wrong = Wrong {
    encode: |_, encoded| encoded,
    decode: |decoded| decoded,
};

impl EventCodec<Added> for Wrong {
    fn content_type(&self) -> ContentType {
        ContentType::JSON
    }

    fn encode(&self, event: &Added) -> Result<NewEvent, Error> {
        let payload = event.0.to_string();
        let kind = Added::KINDS.get(event.kind_index());
        let named = EventType::from_static("added");
        let event_type = kind.map_or(named, |kind| kind.event_type().clone());
        let encoded = NewEvent::new(event_type, ContentType::JSON, payload).expect("it is short");
        let tags = event.tags().unwrap_or_default();
        Ok((self.encode)(event, encoded.with_tags(tags)))
    }

    fn decode_content(&self, content: ContentRef<'_>) -> Result<Decoded<Added>, Error> {
        let text = std::str::from_utf8(content.payload).expect("digits").trim();
        let number: i64 = text.parse().map_err(|source: ParseIntError| {
            Error::new(annals_codec::ErrorKind::BadBytes, "payload is no number").caused_by(source)
        })?;
        Ok(Decoded::One((self.decode)(Added(number))))
    }
}

fn check_codec(codec: &Wrong, events: &[Added], message: &Expect) {
    let law = || laws::every_event_survives_its_codec(codec, events);
    message.assert_eq(&failure_of(law));
}

#[test]
fn a_wrong_codec_is_caught() {
    let both = [Added(1), Added(100)];
    laws::every_event_survives_its_codec(&RIGHT, &both);
    let dyn_codec: &dyn EventCodec<Added> = &RIGHT;
    laws::every_event_survives_its_codec(dyn_codec, &both);

    let lossy = Wrong {
        decode: |event| Added(event.0 % 100),
        ..RIGHT
    };
    check_codec(
        &lossy,
        &both,
        &expect![[r#"
        broken law: every event survives its codec
        an event comes back from its codec as another

        difference (- expected, + actual):
            Added(
          -     100,
          +     0,
            )

        payload:
            100
    "#]],
    );
}

#[test]
fn an_event_that_says_wrong_things_of_itself_is_caught() {
    check_codec(
        &RIGHT,
        &[Added(1)],
        &expect![[r#"
        samples are incomplete for the law: every event survives its codec
        not every kind of event is held against the law

        without a sample:
            doubled

        what to do:
            give an event of each of these kinds
    "#]],
    );
    check_codec(
        &RIGHT,
        &[Added(13)],
        &expect![[r#"
        broken law: every event survives its codec
        the tags of an event can't be built

        error:
            tag is empty; give it at least one byte

        event:
            Added(
                13,
            )
    "#]],
    );
    check_codec(
        &RIGHT,
        &[Added(200)],
        &expect![[r#"
        broken law: every event survives its codec
        an event is of no kind in KINDS

        kind_index:
            2 of 2 kinds

        event:
            Added(
                200,
            )
    "#]],
    );
}

#[test]
fn a_wrong_label_is_caught() {
    let relabel = |encode| Wrong { encode, ..RIGHT };
    let renamed = relabel(|_, encoded| {
        let other = EventType::from_static("doubled");
        NewEvent::new(other, ContentType::OCTETS, encoded.payload().clone()).expect("it is short")
    });
    check_codec(
        &renamed,
        &[Added(1)],
        &expect![[r#"
        broken law: every event survives its codec
        the codec records an event as something that it is not

        difference (- expected, + actual):
            Label {
          -     event_type: "added",
          +     event_type: "doubled",
                schema_version: 1,
          -     content_type: "application/json",
          -     tags: [
          -         "plain",
          -     ],
          +     content_type: "application/octet-stream",
          +     tags: [],
            }

        event:
            Added(
                1,
            )
    "#]],
    );
    let newer = relabel(|_, encoded| encoded.with_schema_version(SchemaVersion::from_static(2)));
    check_codec(
        &newer,
        &[Added(1)],
        &expect![[r#"
        broken law: every event survives its codec
        the codec records an event as something that it is not

        difference (- expected, + actual):
            Label {
                event_type: "added",
          -     schema_version: 1,
          +     schema_version: 2,
                content_type: "application/json",
                tags: [
                    "plain",
                ],
            ...

        event:
            Added(
                1,
            )
    "#]],
    );
}

#[test]
fn bytes_that_do_not_decode_are_shown() {
    let garbage = Wrong {
        encode: |event, encoded| {
            let event_type = encoded.event_type().clone();
            let payload = format!("number {}", event.0);
            let other = NewEvent::new(event_type, ContentType::JSON, payload).expect("it is short");
            other.with_tags(encoded.tags().clone())
        },
        ..RIGHT
    };
    check_codec(
        &garbage,
        &[Added(1)],
        &expect![[r#"
        broken law: every event survives its codec
        the codec refuses to decode what it encoded

        error:
            payload is no number
            caused by: invalid digit found in string

        payload:
            number 1

        event:
            Added(
                1,
            )
    "#]],
    );
}

#[test]
fn bytes_that_change_are_caught() {
    let alternating = Wrong {
        encode: |event, encoded| {
            static ENCODED: AtomicI64 = AtomicI64::new(0);
            let odd = ENCODED.fetch_add(1, Ordering::SeqCst) % 2 == 1;
            let payload = format!("{}{}", if odd { "0" } else { "" }, event.0);
            let event_type = encoded.event_type().clone();
            let other = NewEvent::new(event_type, ContentType::JSON, payload).expect("it is short");
            other.with_tags(encoded.tags().clone())
        },
        ..RIGHT
    };
    let message = failure_of(|| laws::equal_events_have_equal_bytes(&alternating, &[Added(1)]));
    expect![[r#"
        broken law: equal events have equal bytes
        equal events have different bytes

        difference (- expected, + actual):
          - 01
          + 1

        event:
            Added(
                1,
            )

        what to do:
            encode equal events alike, a map in the order of its keys
    "#]]
    .assert_eq(&message);
}

#[test]
fn bytes_in_the_order_of_a_map_are_caught() {
    #[derive(Debug, PartialEq, annals_macros::Event, Serialize, Deserialize)]
    #[event(category = "vote")]
    struct Counted(HashMap<String, u32>);

    let counted = Counted((0..100).map(|name| (name.to_string(), 1)).collect());
    laws::every_event_survives_its_codec(&JsonCodec, std::slice::from_ref(&counted));
    let message = failure_of(|| laws::equal_events_have_equal_bytes(&JsonCodec, &[counted]));
    assert!(
        message.contains("equal events have different bytes"),
        "{message}"
    );
}

#[test]
fn two_kinds_of_one_name_are_caught() {
    #[derive(Debug, PartialEq)]
    struct Twins;

    impl Event for Twins {
        const CATEGORY: Category = Category::from_static("twin");
        const KINDS: &'static [EventKind] = &[
            EventKind::new(EventType::from_static("born"), SchemaVersion::FIRST),
            EventKind::new(EventType::from_static("born"), SchemaVersion::FIRST),
        ];

        fn kind_index(&self) -> usize {
            0
        }

        fn tags(&self) -> Result<Tags, annals_core::Error> {
            Ok(Tags::EMPTY)
        }
    }

    impl EventCodec<Twins> for Wrong {
        fn content_type(&self) -> ContentType {
            ContentType::JSON
        }

        fn encode(&self, _: &Twins) -> Result<NewEvent, Error> {
            unreachable!("no event is encoded")
        }

        fn decode_content(&self, _: ContentRef<'_>) -> Result<Decoded<Twins>, Error> {
            unreachable!("no event is decoded")
        }
    }

    let message = failure_of(|| laws::every_event_survives_its_codec::<Twins>(&RIGHT, &[]));
    assert!(
        message.contains("two kinds of event have one name"),
        "{message}"
    );
    assert!(message.contains("name:\n    born\n"), "{message}");
}

type Answer = Result<(), CommandError<AccountError>>;

/// The law for a command to an account of 100 cents, in a store that holds another account.
fn refuse(command: impl AsyncFnOnce(&Repository<Account>) -> Answer) -> CommandError<AccountError> {
    let accounts = Repository::<Account>::new(Arc::new(MemoryStore::new()), JsonCodec);
    let history = [opened(), deposited(100)];
    block_on(async {
        let other = accounts.execute("7", |_| Ok::<_, ()>(opened()));
        other.await.expect("the store is empty");
        laws::a_refused_command_records_nothing(&accounts, "42", history, command).await
    })
}

async fn withdraw(accounts: &Repository<Account>, cents: u64) -> Answer {
    let withdrawn = accounts.execute("42", |account| account.withdraw(cents));
    withdrawn.await.map(drop)
}

#[test]
fn a_command_that_refuses_before_it_records_keeps_the_law() {
    let error = refuse(async |accounts| withdraw(accounts, 101).await);
    assert_eq!(error.refused(), Some(&AccountError::Overdraft { cents: 1 }));
}

#[test]
fn a_command_that_records_although_it_is_refused_is_caught() {
    let message = failure_of(|| {
        refuse(async |accounts| {
            withdraw(accounts, 60).await?;
            withdraw(accounts, 60).await
        });
    });
    let (message, place) = message.split_once("\nexpected at:\n").expect("a place");
    expect![[r#"
        broken law: a refused command records nothing
        the command is refused, but recorded events

        recorded:
            4: withdrawn of account-42 at version 3

        what to do:
            decide everything, then append all of it in one step
    "#]]
    .assert_eq(message);
    assert!(place.contains("laws.rs:"), "{place}");
}

#[test]
fn a_command_that_records_elsewhere_although_it_is_refused_is_caught() {
    let message = failure_of(|| {
        refuse(async |accounts| {
            let fee = accounts.execute("bank", |_| Ok([opened(), deposited(1)]));
            fee.await?;
            withdraw(accounts, 101).await
        });
    });
    let recorded = "recorded:\n    4: opened of account-bank at version 1\n    5: deposited of \
        account-bank at version 2\n";
    assert!(message.contains(recorded), "{message}");
}

#[test]
fn a_command_that_deletes_although_it_is_refused_is_caught() {
    let message = failure_of(|| {
        refuse(async |accounts| {
            let stream = accounts.stream("42").expect("it is short");
            accounts.store().soft_delete(stream, Expected::Any).await?;
            withdraw(accounts, 101).await
        });
    });
    let says = "the command is refused and recorded no event, but the aggregate changed";
    assert!(message.contains(says), "{message}");
}

#[test]
fn a_command_that_is_accepted_does_not_test_the_law() {
    let message = failure_of(|| {
        refuse(async |accounts| withdraw(accounts, 60).await);
    });
    let (message, _) = message.split_once("\nexpected at:\n").expect("a place");
    expect![[r#"
        broken law: a refused command records nothing
        the command is accepted; the law is about one that is refused

        state before the command:
            Account {
                owner: Some(
                    "Ada",
                ),
                cents: 100,
            }

        recorded:
            4: withdrawn of account-42 at version 3
    "#]]
    .assert_eq(message);
}

#[test]
fn a_history_that_cannot_be_recorded_is_told() {
    let accounts = Repository::<Account>::new(Arc::new(MemoryStore::new()), JsonCodec);
    let message = failure_of(|| {
        let command = async |accounts: &Repository<Account>| withdraw(accounts, 1).await;
        let law = laws::a_refused_command_records_nothing(&accounts, "42", [deposited(1)], command);
        block_on(law);
    });
    let says = "the given history can't be recorded\n\nerror:\n    ";
    assert!(message.contains(says), "{message}");
    assert!(message.contains("the account is not open"), "{message}");
}
