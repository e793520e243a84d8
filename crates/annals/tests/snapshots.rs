//! The code of the book's chapter "Snapshots".

use std::sync::Arc;
use std::time::Duration;

use annals::prelude::*;
use annals_testkit::laws;
use futures_executor::block_on;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "account")]
enum AccountEvent {
    Deposited { cents: u64 },
    Withdrawn { cents: u64 },
}

// ANCHOR: state
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Account {
    cents: u64,
}

impl Aggregate for Account {
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) -> Result<(), Refusal> {
        let cents = match event {
            AccountEvent::Deposited { cents } => self.cents.checked_add(*cents),
            AccountEvent::Withdrawn { cents } => self.cents.checked_sub(*cents),
        };
        self.cents = cents.ok_or(Refusal::new("the balance leaves its range"))?;
        Ok(())
    }
}
// ANCHOR_END: state

#[derive(Debug)]
struct Full;

type Error = CommandError<Full>;

fn deposit(account: &Account) -> Result<AccountEvent, Full> {
    account.cents.checked_add(1).ok_or(Full)?;
    Ok(AccountEvent::Deposited { cents: 1 })
}

// ANCHOR: repository
fn accounts(store: Arc<LogStore>) -> Repository<Account> {
    let snapshots = Snapshots::new(store.clone(), JsonCodec, Fold::version(1))
        .with_policy(SnapshotPolicy::every_events(100));
    Repository::new(store, JsonCodec)
        .with_snapshots(snapshots)
        .with_cache(CacheSettings::default())
}
// ANCHOR_END: repository

// ANCHOR: policies
fn policies() -> [SnapshotPolicy; 4] {
    [
        // Every 100 events, and whenever a load took long.
        SnapshotPolicy::every_events(100).or(SnapshotPolicy::fold_takes(Duration::from_millis(5))),
        // Once an hour, where something happened.
        SnapshotPolicy::older_than(Duration::from_hours(1)),
        // The large accounts only.
        SnapshotPolicy::every_events(100).and(SnapshotPolicy::when(|it| {
            it.stream.key().starts_with("large-")
        })),
        // None is taken; those that are there are used.
        SnapshotPolicy::never(),
    ]
}
// ANCHOR_END: policies

#[test]
fn a_load_begins_with_a_snapshot() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let open = || LogStore::builder(directory.path()).open_or_create();
        // ANCHOR: use
        let ada = accounts(Arc::new(open()?));
        for _ in 0..250 {
            ada.execute("ada", deposit).await?;
        }
        let snapshots = ada.snapshots().unwrap();
        snapshots.flush().await; // for a test, or at the end of a program
        assert!(snapshots.counts().saved >= 1);
        // ANCHOR_END: use
        drop(ada);
        let ada = accounts(Arc::new(open()?));
        assert_eq!(ada.load("ada").await?.state().cents, 250);
        assert_eq!(ada.snapshot_counts().unwrap().used, 1);
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn a_user_sees_what_the_user_wrote() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let store = LogStore::builder(directory.path()).open_or_create()?;
        let accounts = accounts(Arc::new(store));
        // ANCHOR: choices
        let executed = accounts.execute("ada", deposit).await?;
        let receipt = executed.receipt.unwrap();

        let mine = LoadChoice::AtLeast(receipt);
        assert!(accounts.load_with("ada", &mine).await?.version() >= executed.version);
        accounts.load_with("ada", &LoadChoice::AnyCached).await?; // as it was lately
        accounts.load_with("ada", &LoadChoice::Latest).await?; // as it is, like `load`
        // ANCHOR_END: choices
        Ok::<(), Error>(())
    })
    .unwrap();
}

// ANCHOR: law
#[test]
fn an_account_survives_its_snapshot() {
    let history = [
        AccountEvent::Deposited { cents: 100 },
        AccountEvent::Withdrawn { cents: 30 },
    ];
    laws::a_snapshot_and_its_tail_are_the_whole::<Account>(&JsonCodec, &[history]);
}
// ANCHOR_END: law

#[test]
fn a_sample_is_verified() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let store = LogStore::builder(directory.path()).open_or_create()?;
        let accounts = accounts(Arc::new(store));
        accounts.execute("ada", deposit).await?;
        accounts.take_snapshot_now("ada").await?;
        // ANCHOR: verify
        let sample = accounts.recent_keys(100).await?;
        let found = accounts.verify_snapshots(&sample).await?;
        assert!(found.is_right(), "{found}");
        // ANCHOR_END: verify
        assert_eq!(found.right, 1);
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn policies_are_values() {
    let texts = policies().map(|policy| format!("{policy:?}"));
    assert_eq!(texts[3], "never");
}
