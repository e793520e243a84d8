//! A decider is an aggregate in other words.

use std::sync::Arc;

use annals_aggregate::{CommandError, Context, Decided, Decider, Repository};
use annals_codec::JsonCodec;
use annals_core::{ErrorKind, fold};
use futures_executor::block_on;

use crate::account::{Account, AccountError, AccountEvent, accounts, memory};
use crate::scripted::{Scripted, Step};

/// The account once more, as pure functions.
struct Teller;

enum Command {
    Open(&'static str),
    Deposit(u64),
    Withdraw(u64),
    Empty,
}

impl Decider for Teller {
    type Command = Command;
    type Event = AccountEvent;
    type State = (Option<String>, u64);
    type Error = AccountError;

    fn initial() -> Self::State {
        (None, 0)
    }

    fn decide(
        command: &Command,
        (owner, balance): &Self::State,
    ) -> Result<Vec<AccountEvent>, AccountError> {
        match command {
            Command::Open(_) if owner.is_some() => Err(AccountError::AlreadyOpen),
            Command::Open(owner) => Ok(vec![AccountEvent::Opened {
                owner: (*owner).to_owned(),
            }]),
            Command::Deposit(amount) => Ok(vec![AccountEvent::Deposited { amount: *amount }]),
            Command::Withdraw(amount) if amount > balance => {
                Err(AccountError::Overdraft { balance: *balance })
            }
            Command::Withdraw(amount) => Ok(vec![AccountEvent::Withdrawn { amount: *amount }]),
            Command::Empty if *balance == 0 => Ok(vec![]),
            Command::Empty => Ok(vec![AccountEvent::Withdrawn { amount: *balance }]),
        }
    }

    fn evolve((owner, balance): Self::State, event: &AccountEvent) -> Self::State {
        match event {
            AccountEvent::Opened { owner } => (Some(owner.clone()), balance),
            AccountEvent::Deposited { amount } => (owner, balance + amount),
            AccountEvent::Withdrawn { amount } => (owner, balance - amount),
        }
    }
}

/// The same command, as a method of the aggregate.
fn by_method(command: &Command, account: &Account) -> Result<Vec<AccountEvent>, AccountError> {
    match command {
        Command::Open(owner) => account.open(owner).map(|event| vec![event]),
        Command::Deposit(amount) => account.deposit(*amount).map(|event| vec![event]),
        Command::Withdraw(amount) => account.withdraw(*amount).map(|event| vec![event]),
        Command::Empty => Ok(account.empty().into_iter().collect()),
    }
}

#[test]
fn a_decider_does_what_the_aggregate_does() {
    block_on(async {
        let store = memory();
        let tellers = Repository::<Decided<Teller>>::new(store, JsonCodec);
        let accounts = accounts(&memory());
        for command in [
            Command::Withdraw(1),
            Command::Open("Ada"),
            Command::Open("Eve"),
            Command::Deposit(5),
            Command::Withdraw(3),
            Command::Withdraw(3),
            Command::Empty,
            Command::Empty,
        ] {
            let decided = tellers.decide("42", &command).await;
            let executed = accounts
                .execute("42", |account| by_method(&command, account))
                .await;
            match (decided, executed) {
                (Ok(decided), Ok(executed)) => {
                    assert_eq!(decided.events, executed.events);
                    assert_eq!(decided.version, executed.version);
                    assert_eq!(decided.is_recorded(), executed.is_recorded());
                    let account = executed.state;
                    assert_eq!(*decided.state, (account.owner, account.balance));
                }
                (Err(decided), Err(executed)) => {
                    assert_eq!(decided.refused(), executed.refused());
                    assert!(decided.refused().is_some());
                }
                (decided, executed) => panic!("{decided:?} but {executed:?}"),
            }
        }
    });
}

#[test]
fn a_decision_is_made_again_after_a_conflict() {
    block_on(async {
        let store = Scripted::new([Step::Compete("42", 7)]);
        let tellers = Repository::<Decided<Teller>>::new(store.clone(), JsonCodec);
        let deposited = tellers.decide("42", &Command::Deposit(5)).await.unwrap();
        assert_eq!((deposited.state.1, deposited.attempts), (12, 2));
        let context = Context::new();
        let emptied = tellers
            .decide_with(&context, "42", &Command::Empty)
            .await
            .unwrap();
        assert_eq!(emptied.events, [AccountEvent::Withdrawn { amount: 12 }]);
    });
}

#[test]
fn the_state_of_a_decider_is_a_fold() {
    let events = [5, 7].map(|amount| AccountEvent::Deposited { amount });
    let decided: Decided<Teller> = fold(&events).unwrap();
    assert_eq!(decided.state(), &(None, 12));
    assert_eq!(decided.clone(), decided);
    assert_eq!(format!("{decided:?}"), "Decided((None, 12))");
    assert_eq!(Decided::<Teller>::default().state(), &Teller::initial());
    let refused = decided.decide(&Command::Withdraw(13));
    assert_eq!(refused, Err(AccountError::Overdraft { balance: 12 }));
}

#[test]
fn errors_read_well_from_outside() {
    block_on(async {
        let store = Scripted::new([Step::Fail(ErrorKind::NoSpace)]);
        let tellers = Repository::<Decided<Teller>>::new(Arc::clone(&store) as _, JsonCodec);
        let error = tellers
            .decide("42", &Command::Deposit(5))
            .await
            .unwrap_err();
        let error: CommandError<String> = error.map_refused(|refused| format!("{refused:?}"));
        assert_eq!(error.to_string(), "append: as the script says");
        let refused = tellers
            .decide("42", &Command::Withdraw(5))
            .await
            .unwrap_err();
        let refused = refused.map_refused(|refused| format!("{refused:?}"));
        assert_eq!(refused.to_string(), "Overdraft { balance: 0 }");
    });
}
