//! Sixteen tasks and one account.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use annals_aggregate::{CommandError, Context, Repository};
use annals_codec::{Decoded, EventCodecExt, JsonCodec};
use annals_concurrency::{
    CommutingPairs, ConflictResolver, ManualTimer, RetryPolicy, SeededChance,
};
use annals_core::{AppendId, CorrelationId, EventStoreExt, Metadata, ReadRequest};
use futures_executor::block_on;

use crate::account::{Account, AccountEvent};
use crate::simulation::{Bug, Mortal, Restless, below, restless, run, seeds};

const TASKS: u64 = 16;
const COMMANDS: u64 = 6;

/// How a task identifies its commands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Identity {
    /// Each has an append id of its own, and is sent until it is answered.
    Fixed,
    /// None has, so one that was not answered is given up.
    Fresh,
}

/// What goes wrong, and what is planted.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) lost_percent: u64,
    pub(crate) dying_percent: u64,
    pub(crate) identity: Identity,
    pub(crate) bug: Option<Bug>,
}

impl World {
    /// Nothing goes wrong.
    pub(crate) fn quiet(seed: u64) -> Self {
        Self {
            seed,
            lost_percent: 0,
            dying_percent: 0,
            identity: Identity::Fixed,
            bug: None,
        }
    }
}

/// The fate of a command, as its task knows it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Acknowledged {
        rebases: u32,
    },
    Refused,
    /// It died, or its outcome is unknown.
    Open,
}

/// What a run came to: how much of what it is about there was.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) rebased: usize,
    pub(crate) open: usize,
    pub(crate) refused: usize,
}

/// One task: its commands one after the other.
async fn task(
    number: u64,
    accounts: Repository<Account>,
    world: &World,
    chance: SeededChance,
) -> Vec<(String, i64, Fate)> {
    let mut fates = Vec::new();
    for command in 0..COMMANDS {
        let name = format!("{number}/{command}");
        let amount = i64::try_from(below(&chance, 21)).expect("small") - 10;
        let fate = loop {
            let fate = attempt(&name, amount, &accounts, world, &chance).await;
            if fate != Fate::Open || world.identity == Identity::Fresh {
                break fate;
            }
        };
        fates.push((name, amount, fate));
    }
    fates
}

/// Sends a command once, and perhaps dies.
async fn attempt(
    name: &str,
    amount: i64,
    accounts: &Repository<Account>,
    world: &World,
    chance: &SeededChance,
) -> Fate {
    let metadata =
        CorrelationId::parse(name).and_then(|id| Metadata::EMPTY.with_correlation_id(id));
    let mut context = Context::from(metadata.expect("a short name"));
    if world.identity == Identity::Fixed {
        context = context.with_append_id(AppendId::parse(name).expect("a short name"));
    }
    let dies = below(chance, 100) < world.dying_percent;
    let polls = if dies { below(chance, 40) } else { u64::MAX };
    let command = accounts.execute_with(&context, "42", |account| account.change(amount));
    match Mortal::new(command, polls).await {
        Some(Ok(executed)) => Fate::Acknowledged {
            rebases: executed.rebases,
        },
        Some(Err(CommandError::Refused(_))) => Fate::Refused,
        None | Some(Err(CommandError::Unknown { .. })) => Fate::Open,
        Some(Err(error)) => panic!("{name}: {error:?}"),
    }
}

/// Lets sixteen tasks hammer one account, and holds the log against what they were answered.
pub(crate) fn hammer(
    world: &World,
    resolver: impl ConflictResolver<AccountEvent> + 'static,
) -> Tally {
    let chance = SeededChance::new(world.seed);
    let mut store = Restless::new(&chance, world.lost_percent);
    if let Some(bug) = world.bug {
        store = store.planted(bug);
    }
    let (restless, store) = restless(store);
    let mut patient = RetryPolicy::DEFAULT;
    patient.attempts_max = 10_000;
    patient.resends_max = 20;
    patient.overloads_max = 10_000;
    let accounts = Repository::<Account>::new(store, JsonCodec)
        .with_timer(Arc::new(ManualTimer::default()))
        .with_chance(Arc::new(chance.clone()))
        .with_resolver(resolver)
        .with_retry_policy(patient)
        .expect("a right policy");
    let tasks = (0..TASKS).map(|number| task(number, accounts.clone(), world, chance.clone()));
    let fates = run(&chance, tasks.collect()).concat();
    check(&restless, &fates)
}

/// Every acknowledged command is recorded once, no refused one is, none twice, and no balance was negative.
fn check(store: &Restless, fates: &[(String, i64, Fate)]) -> Tally {
    let recorded = block_on(store.inner.inner().collect(ReadRequest::all())).expect("memory");
    let mut balance = 0;
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for event in &recorded {
        let correlation = event
            .metadata()
            .correlation_id()
            .expect("every command has one");
        *times.entry(correlation.as_str().to_owned()).or_default() += 1;
        let decoded: Result<Decoded<AccountEvent>, _> = JsonCodec.decode(event);
        let Ok(Decoded::One(decoded)) = decoded else {
            panic!("{event:?}");
        };
        balance += match decoded {
            AccountEvent::Deposited { amount } => amount,
            AccountEvent::Withdrawn { amount } => -amount,
        };
        assert!(balance >= 0, "overdrawn at version {}", event.version());
    }
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "recorded twice: {twice:?}");
    let mut tally = Tally::default();
    let mut sum = 0;
    let mut expected = BTreeSet::new();
    for (name, amount, fate) in fates {
        let is_recorded = times.contains_key(name);
        match fate {
            Fate::Acknowledged { rebases } => {
                assert!(is_recorded, "{name} was acknowledged and is lost");
                tally.rebased += usize::from(*rebases > 0);
            }
            Fate::Refused => {
                assert!(!is_recorded, "{name} was refused and is recorded");
                tally.refused += 1;
            }
            Fate::Open => tally.open += 1,
        }
        if is_recorded {
            sum += amount;
            expected.insert(name.clone());
        }
    }
    assert_eq!(balance, sum, "the balance is not the sum of the commands");
    assert_eq!(times.into_keys().collect::<BTreeSet<_>>(), expected);
    tally
}

/// The worlds in which things go wrong.
pub(crate) fn rough(seed: u64, identity: Identity) -> World {
    World {
        lost_percent: 10,
        dying_percent: 30,
        identity,
        ..World::quiet(seed)
    }
}

#[test]
fn what_was_acknowledged_adds_up() {
    let mut rebased = 0;
    for seed in seeds(10) {
        rebased += hammer(&World::quiet(seed), CommutingPairs::declared()).rebased;
    }
    assert!(rebased > 0, "no command was rebased: the tasks do not meet");
}

#[test]
fn a_command_is_recorded_once_whatever_is_lost_and_whoever_dies() {
    let mut tally = Tally::default();
    for seed in seeds(25) {
        let came = hammer(&rough(seed, Identity::Fixed), CommutingPairs::declared());
        tally.rebased += came.rebased;
        tally.refused += came.refused;
        assert_eq!(came.open, 0, "every command is sent until it is answered");
    }
    assert!(tally.rebased > 0 && tally.refused > 0, "{tally:?}");
}

#[test]
fn without_a_fixed_id_a_command_is_recorded_once_or_not_at_all() {
    let mut open = 0;
    for seed in seeds(25) {
        open += hammer(&rough(seed, Identity::Fresh), CommutingPairs::declared()).open;
    }
    assert!(open > 0, "no task died");
}
