//! Commands that come twice.

use std::sync::Arc;

use annals_aggregate::{CommandError, Context, Executed, Repository};
use annals_core::{AppendId, ErrorKind, EventStore, Expected, PolicyAction, PolicyChange, Version};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::account::{Account, AccountError, AccountEvent, accounts, journals, memory};
use crate::scripted::{Scripted, Step, append_raw, deposit};

fn payment() -> Context {
    Context::new().with_append_id(AppendId::parse("order-17/pay").unwrap())
}

/// Opens account 42 and deposits 5, under the append id of the payment.
async fn open(accounts: &Repository<Account>) -> Executed<Account> {
    let open = |account: &Account| {
        let opened = account.open("Ada")?;
        Ok::<_, AccountError>([opened, AccountEvent::Deposited { amount: 5 }])
    };
    let opened = accounts.execute_with(&payment(), "42", open).await;
    opened.unwrap()
}

async fn change_policy(store: &Arc<MemoryStore>, action: PolicyAction) {
    let change = PolicyChange {
        stream: accounts(store).stream("42").unwrap(),
        expected: Expected::Any,
        action,
    };
    store.change_stream_policy(change).await.unwrap();
}

/// That the second answer is the first one, given by an earlier append.
fn assert_same(first: Executed<Account>, second: &Executed<Account>) {
    let mut expected = first;
    expected.receipt = expected.receipt.map(|receipt| receipt.as_duplicate());
    assert!(expected.is_recorded());
    assert_eq!(&expected, second);
}

#[test]
fn a_second_execution_answers_as_the_first_without_a_decision() {
    block_on(async {
        for page in [1, 2, 100] {
            let store = Scripted::new([]);
            let accounts = accounts(&store).with_page_events_max(page);
            deposit(&store.inner, "42", 10).await;
            let first = open(&accounts).await;
            assert_eq!((first.state.balance, first.version), (15, Version::new(3)));
            deposit(&store.inner, "42", 100).await;
            let never = |_: &Account| -> Result<AccountEvent, ()> { panic!("decided again") };
            let second = accounts.execute_with(&payment(), "42", never).await;
            assert_same(first, &second.unwrap());
            assert_eq!(store.calls().append_ids.len(), 1);
        }
    });
}

#[test]
fn an_answer_does_not_depend_on_what_the_command_would_do_now() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        let first = open(&accounts).await;
        assert_same(first, &open(&accounts).await); // Would be refused: it is open already.

        let context = Context::new().with_append_id(AppendId::parse("empty").unwrap());
        let empty =
            || accounts.execute_with(&context, "42", |account| Ok::<_, ()>(account.empty()));
        let first = empty().await.unwrap();
        assert_eq!(first.events, [AccountEvent::Withdrawn { amount: 5 }]);
        assert_same(first.clone(), &empty().await.unwrap()); // Would decide nothing.
        deposit(&store, "42", 7).await;
        assert_same(first, &empty().await.unwrap()); // Would decide another event.
        let loaded = accounts.load("42").await.unwrap();
        assert_eq!(
            (loaded.state().balance, loaded.version()),
            (7, Version::new(4))
        );
    });
}

#[test]
fn only_what_was_recorded_counts_as_executed() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        let context = payment();
        let empty =
            || accounts.execute_with(&context, "42", |account| Ok::<_, ()>(account.empty()));
        assert!(!empty().await.unwrap().is_recorded());
        deposit(&store, "42", 7).await;
        let emptied = empty().await.unwrap();
        assert_eq!(emptied.events, [AccountEvent::Withdrawn { amount: 7 }]);
        assert!(
            emptied
                .receipt
                .is_some_and(|receipt| !receipt.is_duplicate())
        );
    });
}

#[test]
fn later_events_that_do_not_fold_do_not_matter() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        let first = open(&accounts).await;
        append_raw(&store, "frozen", "{}").await;
        assert_eq!(
            accounts.load("42").await.unwrap_err().kind(),
            ErrorKind::Undecodable
        );
        assert_same(first, &open(&accounts).await);
    });
}

#[test]
fn events_that_are_hidden_by_now_are_missing_from_the_answer() {
    block_on(async {
        let five = || AccountEvent::Deposited { amount: 5 };
        for (action, events, balance) in [
            (
                PolicyAction::TruncateBefore(Version::new(2)),
                vec![five()],
                5,
            ),
            (PolicyAction::SoftDelete, vec![], 0),
            (PolicyAction::Tombstone, vec![], 0),
        ] {
            let store = memory();
            let accounts = accounts(&store);
            let first = open(&accounts).await;
            change_policy(&store, action).await;
            let second = open(&accounts).await;
            assert_eq!(second.events, events);
            assert_eq!(second.state.balance, balance);
            assert_eq!(second.version, first.version);
            assert_eq!(
                second.receipt,
                first.receipt.map(|receipt| receipt.as_duplicate())
            );
        }
    });
}

#[test]
fn an_append_id_stands_for_one_aggregate() {
    block_on(async {
        let store = memory();
        let (accounts, journals) = (accounts(&store), journals(&store));
        open(&accounts).await;
        let error = accounts
            .execute_with(&payment(), "43", |account| account.deposit(1))
            .await
            .unwrap_err();
        let CommandError::AppendIdReused(error) = error else {
            panic!("{error:?}");
        };
        assert_eq!(error.kind(), ErrorKind::AppendIdReused);
        assert_eq!(
            error.to_string(),
            format!(
                "execute: append id stands for another command; use a fresh one \
                 (append: {}, stream: account-43, recorded in: account-42)",
                payment().append_id().unwrap()
            )
        );
        // An append that wrote the aggregate beside another is another command.
        let context = Context::new().with_append_id(AppendId::parse("both").unwrap());
        accounts
            .execute_both(&context, "43", (&accounts, "44"), |one, other| {
                Ok::<_, AccountError>((one.deposit(1)?, other.deposit(1)?))
            })
            .await
            .unwrap();
        for key in ["43", "44"] {
            let alone = accounts.execute_with(&context, key, |account| account.deposit(1));
            assert!(matches!(alone.await, Err(CommandError::AppendIdReused(_))));
        }
        let mixed = accounts.execute_both(&context, "43", (&journals, ""), |_, _| {
            Ok::<_, ()>((None::<AccountEvent>, None))
        });
        assert!(matches!(mixed.await, Err(CommandError::AppendIdReused(_))));
        assert_eq!(accounts.load("43").await.unwrap().version(), Version::FIRST);
    });
}

#[test]
fn two_executions_at_one_moment_are_one() {
    block_on(async {
        for (amount, attempts) in [(5, 1), (6, 2)] {
            let store = Scripted::new([Step::Twin("42", amount)]);
            let executed = accounts(&store)
                .execute_with(&payment(), "42", |account| account.deposit(5))
                .await
                .unwrap();
            assert_eq!(executed.events, [AccountEvent::Deposited { amount }]);
            assert_eq!(executed.state.balance, 100 + amount);
            assert_eq!(
                (executed.version, executed.attempts),
                (Version::new(2), attempts)
            );
            assert!(
                executed
                    .receipt
                    .is_some_and(|receipt| receipt.is_duplicate())
            );
        }
        let store = Scripted::new([Step::Twin("42", 6)]);
        let accounts = accounts(&store).with_attempts_max(1);
        let context = payment();
        let deposit = || accounts.execute_with(&context, "42", |account| account.deposit(5));
        let error = deposit().await.unwrap_err();
        assert!(
            matches!(error, CommandError::AppendIdReused(_)),
            "{error:?}"
        );
        let executed = deposit().await.unwrap();
        assert_eq!(executed.events, [AccountEvent::Deposited { amount: 6 }]);
    });
}

#[test]
fn a_decision_never_sees_the_events_of_its_own_command() {
    block_on(async {
        for question in [0, 1] {
            let store = Scripted::new([]);
            store.twin_before(question, payment());
            let executed = accounts(&store)
                .execute_with(&payment(), "42", |account| match account.balance {
                    0 => Ok(AccountEvent::Deposited { amount: 5 }),
                    _ => Err("paid already"),
                })
                .await
                .unwrap();
            assert_eq!(executed.events, [AccountEvent::Deposited { amount: 5 }]);
            assert_eq!(executed.version, Version::FIRST);
        }
    });
}

#[test]
fn a_command_is_not_decided_while_its_receipt_can_not_be_told() {
    block_on(async {
        let store = Scripted::new([]);
        store.fail_receipts(ErrorKind::Unavailable);
        let accounts = accounts(&store);
        let error = accounts
            .execute_with(&payment(), "42", |_| -> Result<AccountEvent, ()> {
                panic!("decided")
            })
            .await
            .unwrap_err();
        assert!(
            matches!(&error, CommandError::Store(error) if error.kind() == ErrorKind::Unavailable),
            "{error:?}"
        );
        assert!(store.calls().append_ids.is_empty());
        let fresh = accounts.execute("42", |account| account.deposit(5)).await;
        assert!(
            fresh.unwrap().is_recorded(),
            "a fresh append id asks nothing"
        );
    });
}

#[test]
fn a_fixed_append_id_lasts_through_conflicts_and_losses() {
    block_on(async {
        let store = Scripted::new([Step::Compete("42", 1), Step::LoseAnswer]);
        let accounts = accounts(&store);
        let executed = accounts
            .execute_with(&payment(), "42", |account| account.deposit(5))
            .await
            .unwrap();
        assert_eq!((executed.state.balance, executed.attempts), (6, 2));
        let calls = store.calls();
        assert_eq!(calls.append_ids, [payment().append_id().unwrap(); 3]);
        assert_eq!(calls.receipts, 2);
    });
}
