//! Loaded aggregates: what they show, and what a save does.

use std::sync::Arc;

use annals_aggregate::{CommandError, Context};
use annals_core::{AppendId, Error, ErrorKind, EventStoreExt, Expected, Version};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::account::{AccountError, AccountEvent, accounts, memory};
use crate::scripted::{Scripted, Step, append_raw, deposit};

const NONE: Context = Context::new();

#[test]
fn uncommitted_events_are_seen_before_they_are_saved() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        let mut account = accounts.load("42").await.unwrap();
        assert_eq!(account.version(), Version::ABSENT);
        let events = account.execute(|account| account.open("Ada")).unwrap();
        assert_eq!(events.len(), 1);
        account
            .record(AccountEvent::Deposited { amount: 5 })
            .unwrap();
        let withdrawn = account.execute(|account| account.withdraw(2)).unwrap();
        assert_eq!(withdrawn, [AccountEvent::Withdrawn { amount: 2 }]);
        assert_eq!(account.state().balance, 3);
        assert_eq!(
            (account.uncommitted().len(), account.version()),
            (3, Version::ABSENT)
        );
        assert_eq!(
            accounts.load("42").await.unwrap().version(),
            Version::ABSENT
        );

        let receipt = accounts.save(&mut account, &NONE).await.unwrap().unwrap();
        assert_eq!(receipt.version_of(account.stream()), Some(Version::new(3)));
        assert_eq!(
            (account.uncommitted(), account.version()),
            (&[][..], Version::new(3))
        );
        assert_eq!(accounts.save(&mut account, &NONE).await.unwrap(), None);
        account
            .record([AccountEvent::Deposited { amount: 1 }])
            .unwrap();
        accounts.save(&mut account, &NONE).await.unwrap();
        let loaded = accounts.load("42").await.unwrap();
        assert_eq!(
            (loaded.state(), loaded.version()),
            (account.state(), Version::new(4))
        );
    });
}

#[test]
fn a_refused_record_spoils_nothing() {
    block_on(async {
        let accounts = accounts(&memory());
        let mut account = accounts.load("42").await.unwrap();
        account
            .record(AccountEvent::Deposited { amount: 5 })
            .unwrap();
        let before = account.clone();
        let wrong = [1, 2, 3].map(|amount| AccountEvent::Withdrawn { amount });
        let error = account.record(wrong.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        let error = account.execute(|_| Ok::<_, ()>(wrong)).unwrap_err();
        assert!(matches!(error, CommandError::Store(error) if error.kind() == ErrorKind::Refused));
        let error = account.execute(|account| account.withdraw(9)).unwrap_err();
        assert_eq!(
            error.refused(),
            Some(&AccountError::Overdraft { balance: 5 })
        );
        assert_eq!(account.state(), before.state());
        assert_eq!(account.uncommitted(), before.uncommitted());
        assert!(accounts.save(&mut account, &NONE).await.unwrap().is_some());
    });
}

#[test]
fn a_stale_save_is_a_conflict_and_keeps_its_events() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        let mut account = accounts.load("42").await.unwrap();
        account
            .record(AccountEvent::Deposited { amount: 5 })
            .unwrap();
        deposit(&store, "42", 1).await;
        let error = accounts.save(&mut account, &NONE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(
            (account.uncommitted().len(), account.version()),
            (1, Version::ABSENT)
        );
    });
}

#[test]
fn a_save_of_unknown_outcome_can_be_repeated_under_its_append_id() {
    block_on(async {
        let store = Scripted::new([Step::LoseAnswer, Step::LoseRequest]);
        let accounts = accounts(&store).with_resends_max(0);
        let context = Context::new().with_append_id(AppendId::parse("save-1").unwrap());
        let mut account = accounts.load("42").await.unwrap();
        account
            .record(AccountEvent::Deposited { amount: 5 })
            .unwrap();
        for _ in 0..2 {
            let error = accounts.save(&mut account, &context).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unknown);
            assert_eq!(account.uncommitted().len(), 1);
        }
        let receipt = accounts.save(&mut account, &context).await.unwrap();
        assert_eq!(receipt.map(|receipt| receipt.is_duplicate()), Some(true));
        assert_eq!(
            (account.state().balance, account.version()),
            (5, Version::FIRST)
        );
        assert_eq!(accounts.load("42").await.unwrap().version(), Version::FIRST);
    });
}

#[test]
fn a_repeated_save_from_a_later_state_is_put_right() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        let context = Context::new().with_append_id(AppendId::parse("save-1").unwrap());
        for _ in 0..2 {
            let mut account = accounts.load("42").await.unwrap();
            account
                .record(AccountEvent::Deposited { amount: 5 })
                .unwrap();
            assert!(
                accounts
                    .save(&mut account, &context)
                    .await
                    .unwrap()
                    .is_some()
            );
            assert_eq!(
                (account.state().balance, account.version()),
                (5, Version::FIRST)
            );
            assert_eq!(account.uncommitted(), []);
        }
    });
}

#[test]
fn a_save_of_other_events_under_one_append_id_is_refused() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        let context = Context::new().with_append_id(AppendId::parse("save-1").unwrap());
        let mut account = accounts.load("42").await.unwrap();
        for (amount, expected) in [(5, None), (6, Some(ErrorKind::AppendIdReused))] {
            account.record(AccountEvent::Deposited { amount }).unwrap();
            let saved = accounts.save(&mut account, &context).await;
            assert_eq!(saved.err().map(|error| error.kind()), expected);
        }
        assert_eq!(account.uncommitted().len(), 1, "nothing is dropped");
        assert!(accounts.save(&mut account, &NONE).await.unwrap().is_some());
    });
}

#[test]
fn every_earlier_version_can_be_had() {
    block_on(async {
        let store = memory();
        for amount in [1, 2, 4] {
            deposit(&store, "42", amount).await;
        }
        for page in [1, 2, 100] {
            let accounts = accounts(&store).with_page_events_max(page);
            for (asked, version, balance) in [(0, 0, 0), (1, 1, 1), (2, 2, 3), (3, 3, 7), (9, 3, 7)]
            {
                let loaded = accounts.load_at("42", Version::new(asked)).await.unwrap();
                assert_eq!(loaded.version(), Version::new(version), "as of {asked}");
                assert_eq!(loaded.state().balance, balance, "as of {asked}");
            }
        }
        let accounts = accounts(&store);
        let mut past = accounts.load_at("42", Version::FIRST).await.unwrap();
        past.record(AccountEvent::Deposited { amount: 1 }).unwrap();
        let error = accounts.save(&mut past, &NONE).await.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::Conflict,
            "the past can't be changed"
        );
    });
}

#[test]
fn a_deleted_aggregate_begins_anew_with_versions_that_go_on() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        deposit(&store, "42", 5).await;
        deposit(&store, "42", 5).await;
        store
            .soft_delete(accounts.stream("42").unwrap(), Expected::Any)
            .await
            .unwrap();
        let deleted = accounts.load("42").await.unwrap();
        assert_eq!(
            (deleted.state().balance, deleted.version()),
            (0, Version::new(2))
        );
        let executed = accounts
            .execute("42", |account| account.deposit(1))
            .await
            .unwrap();
        assert_eq!(
            (executed.state.balance, executed.version),
            (1, Version::new(3))
        );
        let loaded = accounts.load("42").await.unwrap();
        assert_eq!(
            (loaded.state().balance, loaded.version()),
            (1, Version::new(3))
        );
    });
}

/// What goes wrong when the aggregate is loaded, with the facts of the error.
async fn failure(store: &Arc<MemoryStore>) -> (ErrorKind, String) {
    let error: Error = accounts(store).load("42").await.unwrap_err();
    (error.kind(), error.to_string())
}

#[test]
fn an_event_that_can_not_be_folded_is_named_by_its_place() {
    block_on(async {
        for (event_type, payload, kind, message) in [
            (
                "frozen",
                "{}",
                ErrorKind::Undecodable,
                "known types: opened, deposited, withdrawn",
            ),
            (
                "deposited",
                "{\"amount\":",
                ErrorKind::Undecodable,
                "byte: 10",
            ),
            (
                "withdrawn",
                "{\"amount\":9}",
                ErrorKind::Refused,
                "the balance leaves its range",
            ),
        ] {
            let store = memory();
            deposit(&store, "41", 5).await;
            deposit(&store, "42", 5).await;
            append_raw(&store, event_type, payload).await;
            let (found, text) = failure(&store).await;
            assert_eq!(found, kind, "{text}");
            assert!(text.contains(message), "{text}");
            assert!(
                text.contains("stream: account-42, version: 2, position: 3"),
                "{text}"
            );
        }
    });
}
