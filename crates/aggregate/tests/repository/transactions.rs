//! Several aggregates in one append.

use annals_aggregate::{Context, Transaction};
use annals_core::{AppendId, ErrorKind, EventStoreExt, ReadRequest, Version};
use futures_executor::block_on;

use crate::account::{AccountEvent, JournalEvent, Noon, accounts, journals, memory};
use crate::scripted::{Scripted, Step, deposit};

const NONE: Context = Context::new();

fn noted(text: &str) -> JournalEvent {
    JournalEvent::Noted {
        text: text.to_owned(),
    }
}

#[test]
fn aggregates_of_any_type_change_together() {
    block_on(async {
        let store = memory();
        let (accounts, journals) = (accounts(&store), journals(&store));
        deposit(&store, "ada", 5).await;
        let mut ada = accounts.load("ada").await.unwrap();
        let mut bob = accounts.load("bob").await.unwrap();
        let mut journal = journals.load("").await.unwrap();
        ada.execute(|account| account.withdraw(3)).unwrap();
        bob.execute(|account| account.deposit(3)).unwrap();
        journal.record(noted("ada to bob")).unwrap();
        let transaction = accounts.transaction().with(ada).with(bob).with(journal);
        let receipt = transaction.commit(&NONE).await.unwrap().unwrap();
        assert_eq!(receipt.streams.len(), 3);
        assert_eq!(receipt.last_position.since(receipt.first_position), 2);
        for (key, balance, version) in [("ada", 2, 2), ("bob", 3, 1)] {
            let loaded = accounts.load(key).await.unwrap();
            assert_eq!(loaded.state().balance, balance);
            assert_eq!(loaded.version(), Version::new(version));
        }
        assert_eq!(journals.load("").await.unwrap().state().0, ["ada to bob"]);
        let newest = store
            .collect(ReadRequest::all())
            .await
            .unwrap()
            .pop()
            .unwrap();
        assert_eq!(newest.recorded_at(), Noon::NOW);
    });
}

#[test]
fn one_stale_aggregate_stops_all_of_them() {
    block_on(async {
        for stale in ["ada", "bob", "eve"] {
            let store = memory();
            let accounts = accounts(&store);
            let mut ada = accounts.load("ada").await.unwrap();
            let mut bob = accounts.load("bob").await.unwrap();
            let eve = accounts.load("eve").await.unwrap();
            ada.record(AccountEvent::Deposited { amount: 1 }).unwrap();
            bob.record(AccountEvent::Deposited { amount: 1 }).unwrap();
            deposit(&store, stale, 7).await;
            let transaction = accounts.transaction().with(ada).with(bob).with(eve);
            let error = transaction.commit(&NONE).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict);
            assert!(
                error.to_string().contains(&format!("account-{stale}")),
                "{error}"
            );
            assert_eq!(store.collect(ReadRequest::all()).await.unwrap().len(), 1);
        }
    });
}

#[test]
fn nothing_to_append_is_no_append() {
    block_on(async {
        let store = Scripted::new([]);
        let accounts = accounts(&store);
        let unchanged = accounts.load("ada").await.unwrap();
        let transaction = Transaction::new(store.clone()).with(unchanged);
        assert_eq!(transaction.commit(&NONE).await.unwrap(), None);
        assert!(store.calls().append_ids.is_empty());
    });
}

#[test]
fn an_aggregate_is_there_once() {
    block_on(async {
        let accounts = accounts(&memory());
        let mut ada = accounts.load("ada").await.unwrap();
        ada.record(AccountEvent::Deposited { amount: 1 }).unwrap();
        let twin = accounts.load("ada").await.unwrap();
        let error = accounts
            .transaction()
            .with(ada)
            .with(twin)
            .commit(&NONE)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("account-ada"), "{error}");
    });
}

#[test]
fn a_commit_can_be_repeated_under_its_append_id() {
    block_on(async {
        let store = Scripted::new([Step::LoseAnswer]);
        let accounts = accounts(&store);
        let context = Context::new().with_append_id(AppendId::parse("pay").unwrap());
        let mut ada = accounts.load("ada").await.unwrap();
        ada.record(AccountEvent::Deposited { amount: 1 }).unwrap();
        let transaction = accounts.transaction().with_resends_max(0).with(ada);
        let error = transaction.commit(&context).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unknown);
        let receipt = transaction.commit(&context).await.unwrap().unwrap();
        assert!(receipt.is_duplicate());
        assert_eq!(
            accounts.load("ada").await.unwrap().version(),
            Version::FIRST
        );
    });
}
