//! What holds when several write at once.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use std::sync::Arc;

use annals::{
    Acquired, CommandError, CommutingPairs, EventStore, Leases, MemoryStore, SystemTimer,
};
use annals_testkit::{Fault, FaultyStore, laws};
use bank::{Account, AccountEvent, Bank};

// ANCHOR: law
#[test]
fn deposits_commute_with_all_that_moves_money() {
    use AccountEvent::{Deposited, Opened, Withdrawn};
    let opened = Opened {
        owner: "Ada".into(),
    };
    let life = [
        opened,
        Deposited { cents: 100 },
        Withdrawn { cents: 70 },
        Deposited { cents: 5 },
    ];
    laws::commuting_pairs_commute::<Account>(&[life]);
}
// ANCHOR_END: law

#[test]
#[should_panic(expected = "commuting pairs commute")]
fn two_withdrawals_do_not() {
    use AccountEvent::{Deposited, Withdrawn};
    let both = CommutingPairs::none()
        .with("withdrawn", "withdrawn")
        .unwrap();
    let life = [Deposited { cents: 100 }, Withdrawn { cents: 70 }];
    laws::commuting_pairs_commute_in::<Account>(&both, |_| true, &[life]);
}

#[tokio::test]
async fn who_lost_is_told_who_was_first() {
    let memory = Arc::new(MemoryStore::new());
    let bank = Bank::new(memory.clone());
    bank.open("1", "Ada").await.unwrap();
    let competitor = competing_deposit(&memory).await;
    let store = FaultyStore::new(memory).on_append(1, Fault::Competing(competitor));
    let hurried = Bank::new(Arc::new(store)).with_attempts_max(1);
    let error = hurried.deposit("1", 5).await.unwrap_err();
    assert!(matches!(error, CommandError::Contended { .. }), "{error:?}");
    let line = hurried.who_was_first(&error).await.unwrap().unwrap();
    assert!(
        line.contains("account-1: expected version 1, is at version 2; deposited at"),
        "{line}"
    );
}

/// An append by somebody else.
async fn competing_deposit(store: &Arc<MemoryStore>) -> annals::Append {
    use annals::{Append, EventCodec, EventStoreExt, Expected, Ids, JsonCodec, UuidIds};
    let deposit = AccountEvent::Deposited { cents: 7 };
    let opened = store.collect(annals::ReadRequest::all()).await.unwrap();
    let append = Append::builder(UuidIds::default().append_id());
    let stream = opened[0].stream().clone();
    let append = append.write(stream, Expected::Any, [JsonCodec.encode(&deposit).unwrap()]);
    append.build().unwrap()
}

// ANCHOR: lease
#[tokio::test]
async fn interest_is_paid_by_who_holds_the_lease() -> Result<(), annals::Error> {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let bank = Bank::new(store.clone());
    bank.open("1", "Ada").await.unwrap();

    let leases = Leases::new(store, Arc::new(SystemTimer));
    let Acquired::Granted(lease) = leases.acquire("interest", "worker-1").await? else {
        panic!("nobody else is here");
    };
    bank.pay_interest("1", 3, &lease).await.unwrap();

    let paused = lease.clone();
    leases.release(lease).await?;
    let refused = bank.pay_interest("1", 3, &paused).await.unwrap_err();
    assert!(matches!(refused, CommandError::FenceBroken(_)));
    Ok(())
}
// ANCHOR_END: lease
