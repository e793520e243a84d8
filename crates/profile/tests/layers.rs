//! What repositories and processors tell a monitor of known work.

use std::sync::Arc;
use std::time::Duration;

use annals_aggregate::{Context, DecisionModel, Decisions, Repository};
use annals_codec::JsonCodec;
use annals_concurrency::{ManualTimer, Timer};
use annals_core::{Aggregate, Criteria, Error, EventStore, Observer, Refusal};
use annals_macros::Event;
use annals_profile::{Monitor, Operation, ProfiledStore, Profiler};
use annals_projection::{
    Delivery, FailurePolicy, MemorySink, Processor, Projection, Reaction, Start,
};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "account")]
enum AccountEvent {
    Deposited { cents: u64 },
}

#[derive(Debug, Default)]
struct Account(u64);

impl Aggregate for Account {
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) -> Result<(), Refusal> {
        let AccountEvent::Deposited { cents } = event;
        self.0 = self.0.checked_add(*cents).ok_or(Refusal::new("too much"))?;
        Ok(())
    }
}

struct Any;

impl DecisionModel for Any {
    type Event = AccountEvent;

    fn criteria(&self) -> Result<Criteria, Error> {
        Criteria::of_event::<AccountEvent>()
    }

    fn apply(&mut self, _: &AccountEvent) -> Result<(), Refusal> {
        Ok(())
    }
}

struct World {
    timer: ManualTimer,
    profiler: Profiler,
    monitor: Arc<dyn Observer>,
    inner: Arc<MemoryStore>,
    store: Arc<dyn EventStore>,
}

fn world() -> World {
    let timer = ManualTimer::default();
    let profiler = Profiler::new(Arc::new(timer.clone()));
    let inner = Arc::new(MemoryStore::new());
    World {
        timer,
        monitor: Arc::new(Monitor::new(profiler.clone())),
        store: Arc::new(ProfiledStore::new(Arc::clone(&inner), profiler.clone())),
        profiler,
        inner,
    }
}

impl World {
    fn accounts(&self) -> Repository<Account> {
        Repository::new(Arc::clone(&self.store), JsonCodec).with_observer(Arc::clone(&self.monitor))
    }

    /// Count, failures and events of an operation.
    fn check(&self, expected: &[(Operation, (u64, u64, u64))]) {
        for (operation, expected) in expected {
            let totals = self.profiler.totals(*operation);
            let found = (totals.count, totals.failed, totals.events);
            assert_eq!(found, *expected, "{operation}");
        }
    }
}

fn deposit(cents: u64) -> impl FnMut(&Account) -> Result<AccountEvent, String> {
    move |_| Ok(AccountEvent::Deposited { cents })
}

#[test]
fn commands_loads_and_folds_are_counted_and_timed() {
    let world = world();
    let accounts = world.accounts();
    block_on(async {
        for _ in 0..3 {
            let slow = |_: &Account| {
                world
                    .timer
                    .sleep(Duration::from_millis(2))
                    .now_or_never()
                    .unwrap();
                Ok::<_, String>(AccountEvent::Deposited { cents: 1 })
            };
            accounts.execute("ada", slow).await.unwrap();
        }
        let refused = accounts.execute("ada", |_| Err::<AccountEvent, _>("no"));
        refused.await.unwrap_err();
        // The aggregate itself refuses the event.
        accounts
            .execute("ada", deposit(u64::MAX))
            .await
            .unwrap_err();
        let (context, bob) = (Context::new(), world.accounts());
        let both = accounts.execute_both(&context, "ada", (&bob, "bob"), |_, _| {
            let event = || AccountEvent::Deposited { cents: 1 };
            Ok::<_, String>((event(), event()))
        });
        both.await.unwrap();
        accounts.load("ada").await.unwrap();
    });
    world.check(&[
        (Operation::Command, (6, 1, 0)),
        // Each command loads once, the one on two aggregates twice.
        (Operation::Load, (8, 0, 0)),
        // A load of an absent stream folds an empty page.
        (Operation::Fold, (8, 0, 1 + 2 + 3 + 3 + 3 + 4)),
        (Operation::Append, (4, 0, 5)),
    ]);
    let average = world.profiler.average(Operation::Command).unwrap();
    assert_eq!(average, Duration::from_millis(1));
    assert_eq!(
        world.profiler.average(Operation::Load),
        Some(Duration::ZERO)
    );
    let report = world.profiler.report();
    assert_eq!(report.categories[0].category.as_str(), "account");
    assert_eq!(report.streams[0].stream, "account-ada");
}

#[test]
fn decisions_are_commands() {
    let world = world();
    let decisions = Decisions::new(Arc::clone(&world.store), JsonCodec)
        .with_observer(Arc::clone(&world.monitor));
    let decide = |_: &Any| Ok::<_, String>(AccountEvent::Deposited { cents: 1 });
    block_on(decisions.decide(Any, decide)).unwrap();
    world.check(&[
        (Operation::Command, (1, 0, 0)),
        (Operation::Append, (1, 0, 1)),
    ]);
}

#[test]
fn steps_and_deliveries_are_counted() {
    let world = world();
    let accounts = world.accounts();
    for cents in 1..=5 {
        block_on(accounts.execute("ada", deposit(cents))).unwrap();
    }
    let mut twice = FailurePolicy::RETRY_DEFAULT;
    twice.attempts_max = 2;
    twice.backoff_initial = Duration::ZERO;
    let sum = Projection::builder("sum", 1)
        .unwrap()
        .on(JsonCodec, |sum: &mut u64, event: &AccountEvent, _| {
            let AccountEvent::Deposited { cents } = event;
            *sum += cents;
            Ok(())
        })
        .build()
        .unwrap();
    let mails = Reaction::builder("mails", Start::Beginning)
        .unwrap()
        .on(JsonCodec, |delivery: Delivery<AccountEvent>| async move {
            match *delivery {
                AccountEvent::Deposited { cents: 4 } => Err("no".into()),
                AccountEvent::Deposited { .. } => Ok(()),
            }
        })
        .on_failure(FailurePolicy::park().retrying(twice))
        .build()
        .unwrap();
    let processor = Processor::builder(Arc::clone(&world.store))
        .project(sum, MemorySink::new(0))
        .react(mails, Arc::clone(&world.inner) as _)
        .observer(Arc::clone(&world.monitor))
        .build()
        .unwrap()
        .start();
    block_on(async {
        let head = world
            .store
            .head(annals_core::ConsistencyLevel::Strong)
            .await
            .unwrap();
        for name in ["sum", "mails"] {
            processor.wait_for_cursor(name, &head).await.unwrap();
        }
        processor.stop().await;
    });
    // Events 1 to 3, twice event 4, which is parked, with event 5 behind it.
    world.check(&[
        (Operation::React, (5, 2, 5)),
        (Operation::Project, (1, 0, 5)),
    ]);
}
