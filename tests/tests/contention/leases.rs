//! Workers that take turns by a lease, are paused at the wrong moment, and have clocks that differ.

use std::sync::Arc;
use std::time::Duration;

use annals_concurrency::{Acquired, LeaseSettings, Leases, ManualTimer, SeededChance};
use annals_core::{
    Append, ContentType, Error, ErrorKind, EventStore, EventStoreExt, EventType, Expected, Ids,
    ManualClock, NewEvent, ReadRequest, StreamId, UuidIds,
};
use futures_executor::block_on;

use crate::simulation::{Restless, Yield, below, restless, run, seeds};

const WORKERS: u64 = 4;
const TURNS: u64 = 8;
const WORK: EventType = EventType::from_static("worked");

/// Whether the appends of a holder carry the check of its lease.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Discipline {
    Guarded,
    Unguarded,
}

/// How often the lease was stolen from who still worked, and how much work was done.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    fenced: u64,
    worked: u64,
}

struct Worker {
    leases: Leases,
    store: Arc<dyn EventStore>,
    chance: SeededChance,
    clock: ManualClock,
    name: String,
    discipline: Discipline,
}

impl Worker {
    async fn run(self) -> Turns {
        let mut turns = Turns::default();
        for _ in 0..TURNS {
            match self.turn(&mut turns).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Conflict => turns.fenced += 1,
                // The lease, or the work, may be there: another turn tells.
                Err(error) if error.kind() == ErrorKind::Unknown => {}
                Err(error) if error.kind() == ErrorKind::Overloaded => {}
                Err(error) => panic!("{}: {error:?}", self.name),
            }
        }
        turns
    }

    /// One turn: acquire, work a little, renew or not, release or forget.
    async fn turn(&self, turns: &mut Turns) -> Result<(), Error> {
        let Acquired::Granted(mut lease) = self.leases.acquire("ledger", &self.name).await? else {
            self.pause().await;
            return Ok(());
        };
        for _ in 0..below(&self.chance, 4) {
            self.pause().await;
            let append = Append::builder(UuidIds::default().append_id());
            let append = match self.discipline {
                Discipline::Guarded => lease.fence().guard(append),
                Discipline::Unguarded => append,
            };
            let work = NewEvent::new(WORK, ContentType::JSON, lease.token().to_string());
            let stream = StreamId::parse("work")?;
            let append = append.write(stream, Expected::Any, [work?]).build()?;
            self.store.append(append).await?;
            turns.worked += 1;
            if below(&self.chance, 2) == 0 {
                self.leases.renew(&mut lease).await?;
            }
        }
        match below(&self.chance, 3) {
            0 => Ok(()),
            _ => self.leases.release(lease).await,
        }
    }

    /// Time passes for this worker, for all it knows.
    async fn pause(&self) {
        for _ in 0..below(&self.chance, 12) {
            Yield::default().await;
            let passed = below(&self.chance, 10_000);
            self.clock.advance(Duration::from_millis(passed));
        }
    }
}

/// Lets workers contend for a lease, and holds the log to the order of tokens.
pub(crate) fn contend(seed: u64, discipline: Discipline) -> Turns {
    let chance = SeededChance::new(seed);
    let (restless, store) = restless(Restless::new(&chance, 3));
    let mut short = LeaseSettings::DEFAULT;
    short.time_to_live = Duration::from_secs(5);
    let workers = (0..WORKERS).map(|number| {
        // The clock of the store stands still; these are up to a minute off, each by itself.
        let clock = ManualClock::default();
        clock.advance(Duration::from_secs(below(&chance, 60)));
        let leases = Leases::new(store.clone(), Arc::new(ManualTimer::default()));
        let worker = Worker {
            leases: leases
                .with_clock(Arc::new(clock.clone()))
                .with_settings(short.clone())
                .expect("right settings"),
            store: store.clone(),
            chance: chance.clone(),
            clock,
            name: format!("worker-{number}"),
            discipline,
        };
        worker.run()
    });
    let turns = run(&chance, workers.collect());
    let work = ReadRequest::stream(StreamId::parse("work").expect("a right name"));
    let mut highest = 0;
    for event in block_on(restless.inner.inner().collect(work)).expect("memory") {
        let text = std::str::from_utf8(event.payload()).expect("digits");
        let token: u64 = text.parse().expect("a token");
        assert!(
            token >= highest,
            "work of token {token} after token {highest}"
        );
        highest = token;
    }
    turns.into_iter().fold(Turns::default(), |all, one| Turns {
        fenced: all.fenced + one.fenced,
        worked: all.worked + one.worked,
    })
}

#[test]
fn of_two_holders_only_the_later_one_writes() {
    let mut all = Turns::default();
    for seed in seeds(25) {
        let turns = contend(seed, Discipline::Guarded);
        all.fenced += turns.fenced;
        all.worked += turns.worked;
    }
    assert!(all.fenced > 0 && all.worked > 0, "{all:?}");
}
