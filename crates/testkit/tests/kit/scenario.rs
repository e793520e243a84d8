//! Given-when-then: what passes, and what a failing expectation says.

use annals_aggregate::{Decided, Decider};
use annals_testkit::Scenario;
use expect_test::{Expect, expect};

use crate::account::{Account, AccountError, AccountEvent, deposited, opened, withdrawn};
use crate::support::failure_of;

fn rich() -> Scenario<Account> {
    Scenario::given([opened(), deposited(100)])
}

/// What a report says of [`rich`] before the command, which is left out of the messages below.
const RICH: &str = r#"given:
    1. Opened { owner: "Ada" }
    2. Deposited { cents: 100 }

state before the command:
    Account {
        owner: Some(
            "Ada",
        ),
        cents: 100,
    }
"#;

fn check<T>(expectation: impl FnOnce() -> T, message: &Expect) {
    message.assert_eq(&failure_of(expectation).replace(RICH, "(rich)\n"));
}

#[test]
fn right_expectations_pass() {
    rich()
        .then_state(|account| assert_eq!(account.cents, 100))
        .when(|account| account.withdraw(30))
        .then([withdrawn(30)])
        .then_events_where(|events| events.len() == 1)
        .then_state(|account| assert_eq!(account.cents, 70))
        .when(|account| account.withdraw(80))
        .then_error(AccountError::Overdraft { cents: 10 })
        .then_error_where(|error| matches!(error, AccountError::Overdraft { .. }))
        .then_state_is(Account {
            owner: Some("Ada".to_owned()),
            cents: 70,
        })
        .when(|account| account.withdraw(0))
        .then_nothing()
        .then([])
        .when(Account::close)
        .then([withdrawn(70), AccountEvent::Closed]);
    Scenario::<Account>::given([])
        .then_state_is(Account::default())
        .when(|account| account.withdraw(1))
        .then_error(AccountError::NotOpen);
}

#[test]
fn a_command_may_give_events_in_any_form() {
    rich()
        .when(|_| Ok::<_, AccountError>(withdrawn(1)))
        .then([withdrawn(1)])
        .when(|_| Ok::<_, AccountError>(Some(withdrawn(2))))
        .then(Some(withdrawn(2)))
        .when(|_| Ok::<_, AccountError>([withdrawn(3), withdrawn(4)]))
        .then(vec![withdrawn(3), withdrawn(4)])
        .then_state(|account| assert_eq!(account.cents, 90));
}

#[test]
fn other_events_are_shown_line_by_line() {
    check(
        || {
            rich()
                .when(Account::close)
                .then([withdrawn(30), AccountEvent::Closed])
        },
        &expect![[r#"
            the command decided other events than expected

            (rich)

            difference (- expected, + actual):
                Withdrawn {
              -     cents: 30,
              +     cents: 100,
                }
                Closed

            what to do:
                correct the command, or the expectation where the rule has changed
        "#]],
    );
    check(
        || {
            rich()
                .when(|account| account.withdraw(0))
                .then([withdrawn(0)])
        },
        &expect![[r#"
            the command decided other events than expected

            (rich)

            difference (- expected, + actual):
              - Withdrawn {
              -     cents: 0,
              - }

            what to do:
                correct the command, or the expectation where the rule has changed
        "#]],
    );
}

#[test]
fn a_refusal_in_place_of_events_is_shown() {
    check(
        || {
            rich()
                .when(|account| account.withdraw(101))
                .then([withdrawn(101)])
        },
        &expect![[r#"
            the command was refused; these events were expected of it

            (rich)

            refused with:
                Overdraft {
                    cents: 1,
                }

            expected:
                1. Withdrawn { cents: 101 }

            what to do:
                correct the command, or the expectation where the rule has changed
        "#]],
    );
    check(
        || rich().when(|account| account.withdraw(101)).then_nothing(),
        &expect![[r#"
            the command was refused; it was expected to be accepted

            (rich)

            refused with:
                Overdraft {
                    cents: 1,
                }

            what to do:
                correct the command, or the expectation where the rule has changed
        "#]],
    );
}

#[test]
fn events_that_are_not_as_said_are_shown() {
    check(
        || rich().when(|account| account.withdraw(7)).then_nothing(),
        &expect![[r#"
            the command decided events; none was expected of it

            (rich)

            decided:
                1. Withdrawn { cents: 7 }

            what to do:
                correct the command, or the expectation where the rule has changed
        "#]],
    );
    check(
        || {
            rich()
                .when(|account| account.withdraw(7))
                .then_events_where(<[AccountEvent]>::is_empty)
        },
        &expect![[r#"
            the command decided other events than expected

            (rich)

            decided:
                1. Withdrawn { cents: 7 }

            what to do:
                correct the command, or the expectation where the rule has changed
        "#]],
    );
}

#[test]
fn another_error_is_shown() {
    check(
        || {
            rich()
                .when(|account| account.withdraw(101))
                .then_error(AccountError::Overdraft { cents: 2 })
        },
        &expect![[r#"
            the command was refused with another error than expected

            (rich)

            difference (- expected, + actual):
                Overdraft {
              -     cents: 2,
              +     cents: 1,
                }

            what to do:
                correct the command, or the expectation where the rule has changed
        "#]],
    );
    check(
        || {
            rich()
                .when(|account| account.withdraw(101))
                .then_error_where(|error| *error == AccountError::NotOpen)
        },
        &expect![[r#"
            the command was refused with another error than expected

            (rich)

            refused with:
                Overdraft {
                    cents: 1,
                }

            what to do:
                correct the command, or the expectation where the rule has changed
        "#]],
    );
}

#[test]
fn no_error_is_shown() {
    check(
        || {
            rich()
                .when(|account| account.withdraw(99))
                .then_error(AccountError::NotOpen)
        },
        &expect![[r#"
            the command was accepted; this error was expected of it

            (rich)

            expected:
                NotOpen

            decided:
                1. Withdrawn { cents: 99 }

            what to do:
                correct the command, or the expectation where the rule has changed
        "#]],
    );
    check(
        || {
            rich()
                .when(|account| account.withdraw(99))
                .then_error_where(|_| true)
        },
        &expect![[r#"
            the command was accepted; an error was expected of it

            (rich)

            decided:
                1. Withdrawn { cents: 99 }

            what to do:
                correct the command, or the expectation where the rule has changed
        "#]],
    );
}

#[test]
fn another_state_is_shown() {
    check(
        || {
            rich()
                .when(|account| account.withdraw(30))
                .then_state_is(Account::default())
        },
        &expect![[r#"
            the state after the command is another than expected

            (rich)

            decided:
                1. Withdrawn { cents: 30 }

            difference (- expected, + actual):
                Account {
              -     owner: None,
              -     cents: 0,
              +     owner: Some(
              +         "Ada",
              +     ),
              +     cents: 70,
                }

            what to do:
                correct the command or `apply`, or the expectation
        "#]],
    );
    check(
        || Scenario::given([opened()]).then_state_is(Account::default()),
        &expect![[r#"
            the state is another than expected

            given:
                1. Opened { owner: "Ada" }

            difference (- expected, + actual):
                Account {
              -     owner: None,
              +     owner: Some(
              +         "Ada",
              +     ),
                    cents: 0,
                }

            what to do:
                correct `apply`, or the expectation
        "#]],
    );
}

#[test]
fn what_earlier_commands_decided_is_shown_as_given() {
    check(
        || {
            rich()
                .when(|account| account.withdraw(30))
                .when(|account| account.withdraw(80))
                .then([withdrawn(80)])
        },
        &expect![[r#"
            the command was refused; these events were expected of it

            given:
                1. Opened { owner: "Ada" }
                2. Deposited { cents: 100 }
                3. Withdrawn { cents: 30 }

            state before the command:
                Account {
                    owner: Some(
                        "Ada",
                    ),
                    cents: 70,
                }

            refused with:
                Overdraft {
                    cents: 10,
                }

            expected:
                1. Withdrawn { cents: 80 }

            what to do:
                correct the command, or the expectation where the rule has changed
        "#]],
    );
}

#[test]
fn a_refusal_that_nobody_expects_ends_the_test() {
    check(
        || {
            rich()
                .when(|account| account.withdraw(101))
                .when(|account| account.withdraw(1))
                .then([withdrawn(1)])
        },
        &expect![[r#"
            the command was refused, and no expectation before says so

            (rich)

            refused with:
                Overdraft {
                    cents: 1,
                }

            what to do:
                correct the command, or expect its error with `then_error`
        "#]],
    );
    let looked = || {
        rich()
            .when(|account| account.withdraw(101))
            .then_state(|account| assert_eq!(account.cents, 100))
    };
    assert!(failure_of(looked).starts_with("the command was refused, and no"));
}

#[test]
fn a_history_that_the_aggregate_refuses_is_told_with_the_event() {
    check(
        || Scenario::<Account>::given([opened(), deposited(5), withdrawn(6)]),
        &expect![[r#"
            the aggregate refuses event 3 of the given history

            why:
                the balance is below zero

            given:
                1. Opened { owner: "Ada" }
                2. Deposited { cents: 5 }
                3. Withdrawn { cents: 6 }

            what to do:
                correct the history, or let `apply` accept it
        "#]],
    );
}

#[test]
fn a_decided_event_that_the_aggregate_refuses_is_told() {
    check(
        || rich().when(|_| Ok::<_, AccountError>([withdrawn(99), withdrawn(2)])),
        &expect![[r#"
            the aggregate refuses event 2 of what its command decided

            why:
                the balance is below zero

            (rich)

            decided:
                1. Withdrawn { cents: 99 }
                2. Withdrawn { cents: 2 }

            what to do:
                let the command refuse before it comes to this, or let `apply` accept it
        "#]],
    );
}

/// A light that burns out at its third switching.
#[derive(Debug)]
struct Light;

#[derive(Debug, PartialEq, annals_macros::Event)]
#[event(category = "light")]
enum LightEvent {
    SwitchedOn,
    SwitchedOff,
}

#[derive(Debug)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, PartialEq)]
struct BurntOut;

#[derive(Debug)]
struct LightState {
    on: bool,
    switched: u32,
}

impl Decider for Light {
    type Command = Switch;
    type Event = LightEvent;
    type State = LightState;
    type Error = BurntOut;

    fn initial() -> LightState {
        LightState {
            on: false,
            switched: 0,
        }
    }

    fn decide(command: &Switch, light: &LightState) -> Result<Vec<LightEvent>, BurntOut> {
        match (command, light.on) {
            _ if light.switched == 3 => Err(BurntOut),
            (Switch::On, false) => Ok(vec![LightEvent::SwitchedOn]),
            (Switch::Off, true) => Ok(vec![LightEvent::SwitchedOff]),
            _ => Ok(vec![]),
        }
    }

    fn evolve(light: LightState, event: &LightEvent) -> LightState {
        LightState {
            on: *event == LightEvent::SwitchedOn,
            switched: light.switched + 1,
        }
    }
}

#[test]
fn a_decider_is_tested_by_its_commands() {
    Scenario::<Decided<Light>>::given([LightEvent::SwitchedOn])
        .when_command(Switch::On)
        .then_nothing()
        .when_command(Switch::Off)
        .then([LightEvent::SwitchedOff])
        .when_command(Switch::On)
        .then([LightEvent::SwitchedOn])
        .then_state(|light| assert!(light.on))
        .when_command(Switch::Off)
        .then_error(BurntOut);
}

#[test]
fn a_failing_expectation_of_a_decider_shows_the_command() {
    check(
        || {
            Scenario::<Decided<Light>>::given([])
                .when_command(Switch::Off)
                .then([LightEvent::SwitchedOff])
        },
        &expect![[r#"
            the command decided other events than expected

            given:
                none

            state before the command:
                Decided(
                    LightState {
                        on: false,
                        switched: 0,
                    },
                )

            command:
                Off

            difference (- expected, + actual):
              - SwitchedOff

            what to do:
                correct the command, or the expectation where the rule has changed
        "#]],
    );
}
