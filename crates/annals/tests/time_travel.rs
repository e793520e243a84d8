//! The code of the book's chapter "Time travel".

use std::sync::Arc;
use std::time::Duration;

use annals::prelude::*;
use annals::replay::{
    AlteredEvents, AsOf, MemoryFork, OnRefusal, Pace, PacedBy, Replay, ReplayFold, ReplayProgress,
    StateDiff, WhatIf, play,
};
use annals::{Selection, SystemTimer};
use futures_executor::block_on;
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "account")]
enum AccountEvent {
    Deposited { cents: u64 },
    Withdrawn { cents: u64 },
}

// ANCHOR: state
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Account {
    cents: u64,
    withdrawals: u32,
}
// ANCHOR_END: state

impl Aggregate for Account {
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) -> Result<(), Refusal> {
        let cents = match event {
            AccountEvent::Deposited { cents } => self.cents.checked_add(*cents),
            AccountEvent::Withdrawn { cents } => {
                self.withdrawals += 1;
                self.cents.checked_sub(*cents)
            }
        };
        self.cents = cents.ok_or(Refusal::new("the balance leaves its range"))?;
        Ok(())
    }
}

type Error = CommandError<&'static str>;

async fn store() -> Result<Arc<MemoryStore>, Error> {
    let store = Arc::new(MemoryStore::new());
    let accounts = Repository::<Account>::new(store.clone(), JsonCodec);
    for event in [
        AccountEvent::Deposited { cents: 100 },
        AccountEvent::Withdrawn { cents: 30 },
        AccountEvent::Withdrawn { cents: 50 },
        AccountEvent::Deposited { cents: 5 },
    ] {
        accounts.execute("ada", |_| Ok(event.clone())).await?;
    }
    Ok(store)
}

#[test]
fn a_state_as_of_then() {
    block_on(async {
        let store = store().await?;
        let then: Timestamp = "2100-01-01T00:00:00Z".parse()?;
        // ANCHOR: as_of
        let ada = Replay::<Account, _>::of_aggregate(store.clone(), JsonCodec, "ada")?;

        let second = ada.as_of(Version::new(2)).await?;
        assert_eq!(second.state.cents, 70);
        ada.as_of(Position::new(3)).await?; // when the log was so long
        ada.as_of(AsOf::Appended(then)).await?; // what we knew then
        ada.as_of(AsOf::Recorded(then)).await?; // what had happened then, as we know now
        // ANCHOR_END: as_of

        // ANCHOR: selection
        // All accounts together: the money that there was.
        let fold = ReplayFold::new(JsonCodec, Account::default, Account::apply);
        let bank = Replay::new(store, Selection::Category(AccountEvent::CATEGORY), fold);
        assert_eq!(bank.as_of(Position::new(1)).await?.state.cents, 100);
        // ANCHOR_END: selection
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn what_each_event_changed() {
    block_on(async {
        let ada = Replay::<Account, _>::of_aggregate(store().await?, JsonCodec, "ada")?;
        // ANCHOR: transitions
        let mut transitions = ada.transitions_from(Version::new(1));
        let second = transitions.try_next().await?.unwrap();
        assert_eq!(
            second.to_string(),
            "2 account-ada withdrawn\n    cents: 100 -> 70\n    withdrawals: 0 -> 1"
        );
        // ANCHOR_END: transitions
        // ANCHOR: diff
        let diff = StateDiff::of(&vec!["tea", "milk"], &vec!["milk", "salt"])?;
        assert_eq!(diff.to_string(), "- [0]: \"tea\"\n+ [1]: \"salt\"");
        // ANCHOR_END: diff
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn since_when() {
    block_on(async {
        let ada = Replay::<Account, _>::of_aggregate(store().await?, JsonCodec, "ada")?;
        // ANCHOR: bisect
        let found = ada.bisect(|account| account.withdrawals >= 2).await?;
        let turn = found.turning_point().unwrap();
        assert_eq!(turn.event.version(), Version::new(3));
        assert_eq!((turn.before.cents, turn.after.cents), (70, 20));
        // ANCHOR_END: bisect
        // ANCHOR: flips
        // Below 50 since the third event, and it was so before the first deposit.
        let flips: Vec<_> = ada
            .flips(|account| account.cents < 50)
            .try_collect()
            .await?;
        assert_eq!(flips.len(), 2);
        // ANCHOR_END: flips
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn what_if() {
    block_on(async {
        let ada = Replay::<Account, _>::of_aggregate(store().await?, JsonCodec, "ada")?;
        // ANCHOR: what_if
        let without = WhatIf::new().without(AlteredEvents::Version(Version::new(2)));
        let compared = ada.what_if(&without).await?;
        assert_eq!(
            compared.to_string(),
            "4 events, 1 left out, 0 changed, 0 added\n\
             different from position 2 on\n    cents: 25 -> 55\n    withdrawals: 2 -> 1"
        );
        // ANCHOR_END: what_if
        // ANCHOR: command
        // A fee that is decided on each withdrawal, on the state of then.
        let withdrawals = AlteredEvents::matching(|event| *event.event_type() == "withdrawn");
        let with_fee = WhatIf::new()
            .deciding_after(withdrawals, |account: &Account| match account.cents {
                0 => Err("nothing left to take".into()),
                _ => Ok(vec![AccountEvent::Withdrawn { cents: 1 }]),
            })
            .on_refusal(OnRefusal::LeaveOut);
        let compared = ada.what_if(&with_fee).await?;
        assert_eq!((compared.altered.cents, compared.added), (23, 2));
        // ANCHOR_END: command
        // ANCHOR: fold
        // The rule that is to be released, on the history that is there.
        let fold = ReplayFold::<Account, _>::of_aggregate(JsonCodec);
        let doubled = fold.applying(|account, event| {
            account.apply(event)?;
            account.withdrawals = 0;
            Ok(())
        });
        let compared = ada.what_if(&WhatIf::new().folding(doubled)).await?;
        assert_eq!(compared.diff.to_string(), "withdrawals: 2 -> 0");
        // ANCHOR_END: fold
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn a_history_is_played() {
    block_on(async {
        let store = store().await?;
        // ANCHOR: play
        let pace = Pace::scaled(PacedBy::Recorded, 60.0)?.with_pause_max(Duration::from_secs(1));
        let timer = Arc::new(SystemTimer);
        let mut events = play(&*store, ReadRequest::all(), pace, timer);
        while let Some(event) = events.try_next().await? {
            println!("{} {}", event.recorded_at(), event.event_type());
        }
        // ANCHOR_END: play
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn a_store_is_forked() {
    block_on(async {
        let store = store().await?;
        // ANCHOR: memory_fork
        let copy = MemoryFork::of(&*store)
            .until(Position::new(3))
            .make()
            .await?;
        let accounts = Repository::<Account>::new(Arc::new(copy), JsonCodec);
        let tried = accounts.execute("ada", |account| match account.cents {
            20 => Ok(AccountEvent::Withdrawn { cents: 20 }),
            _ => Err("not as it was"),
        });
        assert_eq!(tried.await?.state.cents, 0);
        // ANCHOR_END: memory_fork
        let directory = tempfile::tempdir().unwrap();
        let (path, fork) = (
            directory.path().join("store"),
            directory.path().join("fork"),
        );
        let durable = Arc::new(LogStore::builder(&path).create()?);
        let accounts = Repository::<Account>::new(durable, JsonCodec);
        let deposit = || Ok::<_, &str>(AccountEvent::Deposited { cents: 1 });
        accounts.execute("ada", |_| deposit()).await?;
        accounts.execute("ada", |_| deposit()).await?;
        // ANCHOR: log_fork
        let forked = LogStore::builder(&path).fork(&fork, Position::new(1), &mut |_| {})?;
        assert_eq!(forked.position, Position::new(1));
        let experiment = LogStore::builder(&fork).open()?;
        // ANCHOR_END: log_fork
        let accounts = Repository::<Account>::new(Arc::new(experiment), JsonCodec);
        assert_eq!(accounts.load("ada").await?.state().cents, 1);
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn progress_is_told() {
    block_on(async {
        let ada = Replay::<Account, _>::of_aggregate(store().await?, JsonCodec, "ada")?;
        // ANCHOR: progress
        let observer = |progress: &ReplayProgress| {
            if let Some(rate) = progress.rate() {
                println!("{} events, {rate:.0} a second", progress.events);
            }
        };
        ada.with_observer(observer, SystemTimer).now().await?;
        // ANCHOR_END: progress
        Ok::<(), Error>(())
    })
    .unwrap();
}
