//! A command on two aggregates.

use annals_aggregate::{CommandError, Context, Executed, Repository};
use annals_core::{AppendId, ErrorKind, Version};
use futures_executor::block_on;

use crate::account::{
    Account, AccountError, AccountEvent, JournalEvent, accounts, journals, memory,
};
use crate::scripted::{Scripted, Step, deposit};

const NONE: Context = Context::new();

type Transferred = Result<(Executed<Account>, Executed<Account>), CommandError<AccountError>>;

async fn transfer(accounts: &Repository<Account>, context: &Context, amount: u64) -> Transferred {
    accounts
        .execute_both(context, "ada", (accounts, "bob"), |ada, _| {
            Ok((ada.withdraw(amount)?, AccountEvent::Deposited { amount }))
        })
        .await
}

#[test]
fn two_accounts_change_together_or_not_at_all() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        deposit(&store, "ada", 5).await;
        let (ada, bob) = transfer(&accounts, &NONE, 3).await.unwrap();
        assert_eq!((ada.state.balance, ada.version), (2, Version::new(2)));
        assert_eq!((bob.state.balance, bob.version), (3, Version::FIRST));
        assert_eq!(ada.receipt, bob.receipt);
        let error = transfer(&accounts, &NONE, 3).await.unwrap_err();
        assert_eq!(
            error.refused(),
            Some(&AccountError::Overdraft { balance: 2 })
        );
        assert_eq!(accounts.load("bob").await.unwrap().state().balance, 3);
    });
}

#[test]
fn a_conflict_on_either_is_decided_again() {
    block_on(async {
        for other in ["ada", "bob"] {
            let store = Scripted::new([Step::Compete(other, 100), Step::LoseAnswer]);
            let accounts = accounts(&store);
            deposit(&store.inner, "ada", 5).await;
            let (ada, bob) = transfer(&accounts, &NONE, 3).await.unwrap();
            assert_eq!((ada.attempts, bob.attempts), (2, 2));
            assert_eq!(ada.state.balance + bob.state.balance, 105);
            let sum = accounts.load("ada").await.unwrap().state().balance
                + accounts.load("bob").await.unwrap().state().balance;
            assert_eq!(sum, 105);
        }
    });
}

#[test]
fn a_transfer_that_comes_twice_is_recorded_once() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        deposit(&store, "ada", 9).await;
        let context = Context::new().with_append_id(AppendId::parse("transfer-1").unwrap());
        let (ada, bob) = transfer(&accounts, &context, 6).await.unwrap();
        deposit(&store, "bob", 100).await;
        // The second one would be refused.
        let (ada_again, bob_again) = transfer(&accounts, &context, 6).await.unwrap();
        for (mut first, again) in [(ada, ada_again), (bob, bob_again)] {
            first.receipt = first.receipt.map(|receipt| receipt.as_duplicate());
            assert!(first.is_recorded());
            assert_eq!(first, again);
        }
        for (key, version) in [("ada", 2), ("bob", 2)] {
            let loaded = accounts.load(key).await.unwrap();
            assert_eq!(loaded.version(), Version::new(version));
        }
    });
}

#[test]
fn a_second_execution_shows_the_one_without_events_as_it_was() {
    block_on(async {
        let context = Context::new().with_append_id(AppendId::parse("note-1").unwrap());
        for later in [0, 1, 2] {
            let store = memory();
            let (accounts, journals) = (accounts(&store), journals(&store));
            deposit(&store, "ada", 5).await;
            let note = || {
                accounts.execute_both(&context, "ada", (&journals, "1"), |ada, _| {
                    let text = ada.balance.to_string();
                    Ok::<_, ()>((None::<AccountEvent>, JournalEvent::Noted { text }))
                })
            };
            let (ada, journal) = note().await.unwrap();
            for _ in 0..later {
                deposit(&store, "ada", 7).await;
            }
            let (ada_again, journal_again) = note().await.unwrap();
            assert_eq!(ada_again, ada, "{later} events later");
            assert_eq!(journal_again.state, journal.state);
            assert_eq!(journal_again.events, journal.events);
        }
    });
}

#[test]
fn the_one_without_events_is_checked() {
    block_on(async {
        let store = Scripted::new([Step::Compete("ada", 1)]);
        let (accounts, journals) = (accounts(&store), journals(&store));
        let note = |account: &Account| JournalEvent::Noted {
            text: account.balance.to_string(),
        };
        let (ada, journal) = accounts
            .execute_both(&NONE, "ada", (&journals, "1"), |ada, _| {
                Ok::<_, ()>((None::<AccountEvent>, note(ada)))
            })
            .await
            .unwrap();
        assert_eq!(
            (ada.receipt, ada.version, ada.attempts),
            (None, Version::FIRST, 2)
        );
        assert!(journal.is_recorded());
        assert_eq!(journal.state.0, ["1"], "decided on the account as it is");

        let nothing = accounts
            .execute_both(&NONE, "ada", (&journals, "1"), |_, _| {
                Ok::<_, ()>((None::<AccountEvent>, None::<JournalEvent>))
            })
            .await
            .unwrap();
        assert!(!nothing.0.is_recorded() && !nothing.1.is_recorded());
        assert_eq!(nothing.1.version, Version::FIRST);
    });
}

#[test]
fn what_can_not_be_one_append_is_refused() {
    block_on(async {
        let (store, elsewhere) = (memory(), memory());
        let (here, there) = (accounts(&store), accounts(&elsewhere));
        let deposit = || AccountEvent::Deposited { amount: 1 };
        for (other, key, message) in [
            (&here, "ada", "both aggregates are the same"),
            (&there, "bob", "different stores"),
        ] {
            let error = here
                .execute_both(&NONE, "ada", (other, key), |_, _| {
                    Ok::<_, ()>((deposit(), deposit()))
                })
                .await
                .unwrap_err();
            let error = error.store().unwrap();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(message), "{error}");
        }
    });
}
