//! How often the store is asked at most, and which store.

use annals_aggregate::{CommandError, Context, Transaction};
use annals_core::{ErrorKind, EventStoreExt, ReadRequest, Version};
use futures_executor::block_on;

use crate::account::{AccountEvent, accounts, memory};
use crate::scripted::{Scripted, Step, deposit};

const NONE: Context = Context::new();
const DEPOSITED: AccountEvent = AccountEvent::Deposited { amount: 5 };

fn lost() -> impl Iterator<Item = Step> {
    std::iter::repeat_with(|| Step::LoseRequest).take(1_000)
}

/// Each append is lost once, then meets a conflict.
fn lost_then_contended() -> impl Iterator<Item = Step> {
    std::iter::repeat_with(|| [Step::LoseRequest, Step::Compete("42", 1)])
        .take(500)
        .flatten()
}

#[test]
fn an_append_of_unknown_outcome_is_sent_again_so_often() {
    block_on(async {
        for (resends_max, sent) in [(None, 4), (Some(0), 1), (Some(1), 2), (Some(9), 10)] {
            let store = Scripted::new(lost());
            let mut accounts = accounts(&store);
            let mut transaction = Transaction::new(store.clone());
            if let Some(resends_max) = resends_max {
                accounts = accounts.with_resends_max(resends_max);
                transaction = transaction.with_resends_max(resends_max);
            }
            let executed = accounts.execute("42", |account| account.deposit(5)).await;
            assert!(
                matches!(executed, Err(CommandError::Unknown { .. })),
                "{executed:?}"
            );
            assert_eq!(store.calls().append_ids.len(), sent);
            let mut loaded = accounts.load("42").await.unwrap();
            loaded.record(DEPOSITED).unwrap();
            let error = accounts.save(&mut loaded, &NONE).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unknown);
            assert_eq!(store.calls().append_ids.len(), 2 * sent);
            let error = transaction.with(loaded).commit(&NONE).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unknown);
            assert_eq!(store.calls().append_ids.len(), 3 * sent);
        }
    });
}

#[test]
fn resends_count_over_all_attempts_of_a_command() {
    block_on(async {
        for (attempts_max, resends_max, sent) in [(10, 3, 7), (2, 9, 4), (10, 9, 19)] {
            let store = Scripted::new(lost_then_contended());
            let accounts = accounts(&store)
                .with_attempts_max(attempts_max)
                .with_resends_max(resends_max);
            let executed = accounts.execute("42", |account| account.deposit(5)).await;
            assert!(executed.is_err(), "{executed:?}");
            assert_eq!(store.calls().append_ids.len(), sent);
        }
    });
}

#[test]
fn an_aggregate_of_another_store_is_not_appended() {
    block_on(async {
        let (here, there) = (memory(), memory());
        let (ours, theirs) = (accounts(&here), accounts(&there));
        let foreign = theirs.load("42").await.unwrap();
        let mut own = ours.load("41").await.unwrap();
        own.record(DEPOSITED).unwrap();
        let mut changed = foreign.clone();
        changed.record(DEPOSITED).unwrap();
        let transactions = [
            ours.transaction().with(foreign),
            ours.transaction().with(changed.clone()),
            ours.transaction()
                .with(own)
                .with(theirs.load("42").await.unwrap()),
        ];
        for transaction in transactions {
            let error = transaction.commit(&NONE).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains("account-42"), "{error}");
        }
        let saved = ours.save(&mut changed, &NONE).await;
        assert_eq!(saved.unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(changed.uncommitted().len(), 1);
        assert_eq!(here.collect(ReadRequest::all()).await.unwrap(), []);
        deposit(&here, "42", 1).await;
        theirs.save(&mut changed, &NONE).await.unwrap().unwrap();
        assert_eq!(changed.version(), Version::FIRST);
    });
}
