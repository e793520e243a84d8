//! A model that is folded of all aggregates of a type.

use std::sync::Arc;

use annals_aggregate::Repository;
use annals_core::{ErrorKind, EventStoreExt, Expected};
use futures_executor::block_on;

use crate::account::{Account, AccountEvent, accounts, memory};
use crate::decoded::Halves;
use crate::scripted::append_raw;

#[test]
fn it_has_all_aggregates_of_the_type_in_the_order_of_the_log() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        for (key, amount) in [("ada", 1), ("ben", 2), ("ada", 3), ("cleo", 4), ("ben", 5)] {
            let deposit = |account: &Account| account.deposit(amount);
            accounts.execute(key, deposit).await.unwrap();
        }
        let hidden = accounts.stream("cleo").unwrap();
        store.soft_delete(hidden, Expected::Any).await.unwrap();
        for page_events_max in [1, 2, 1000] {
            let accounts = accounts.clone().with_page_events_max(page_events_max);
            let folded = accounts.fold_all(Vec::new(), |mut entries, entry| {
                let AccountEvent::Deposited { amount } = entry.event else {
                    return entries;
                };
                entries.push((entry.recorded.stream().key().to_owned(), amount));
                entries
            });
            let expected = [("ada", 1), ("ben", 2), ("ada", 3), ("ben", 5)];
            assert_eq!(
                folded.await.unwrap(),
                expected.map(|(key, amount)| (key.to_owned(), amount))
            );
        }
    });
}

#[test]
fn an_event_is_folded_as_often_as_it_reads() {
    block_on(async {
        let store = memory();
        for amount in [4, 0, 1000, 6] {
            let deposit = |_: &Account| Ok::<_, ()>(AccountEvent::Deposited { amount });
            accounts(&store).execute("42", deposit).await.unwrap();
        }
        let halved = Repository::<Account>::new(Arc::clone(&store) as _, Halves);
        let positions = halved.fold_all(Vec::new(), |mut positions, entry| {
            positions.push(entry.recorded.position().value());
            positions
        });
        assert_eq!(positions.await.unwrap(), [1, 1, 4, 4]);
    });
}

#[test]
fn an_event_that_does_not_decode_is_named() {
    block_on(async {
        let store = memory();
        append_raw(&store, "frozen", "{}").await;
        let accounts = accounts(&store);
        let counted = accounts.fold_all(0, |count, _| count + 1);
        let error = counted.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Undecodable);
        assert!(error.to_string().contains("account-42"), "{error}");
    });
}
