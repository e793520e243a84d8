//! What repositories ask of a store and what they are told, held against its log by the checker of histories.

use std::cell::Cell;
use std::sync::Arc;

use annals_aggregate::{CommandError, Context, Executed, Repository};
use annals_codec::JsonCodec;
use annals_concurrency::{CommutingPairs, ManualTimer, RetryPolicy, SeededChance};
use annals_conformance::{History, Recorder, Violation};
use annals_core::{Aggregate, AppendId, EventStoreExt, ReadRequest, RecordedEvent, Refusal};
use annals_macros::Event;
use futures_executor::block_on;
use serde::{Deserialize, Serialize};

use crate::simulation::{Bug, Mortal, Restless, below, restless, run, seeds};

const TASKS: u64 = 16;
const COMMANDS: u64 = 6;
const ACCOUNTS: [&str; 2] = ["ada", "ben"];

/// An entry names the decision that it is of, so that no two events of a history are alike: a command that is decided
/// again may go under another append id, and its events must not be taken for those that were lost.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "account")]
enum Entry {
    #[event(commutes_with("credited", "debited"))]
    Credited {
        decision: String,
        amount: i64,
    },
    Debited {
        decision: String,
        amount: i64,
    },
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Account {
    balance: i64,
}

#[derive(Debug, PartialEq)]
struct Overdraft;

impl Account {
    fn credit(decision: String, amount: i64) -> Entry {
        Entry::Credited { decision, amount }
    }

    fn debit(&self, decision: String, amount: i64) -> Result<Entry, Overdraft> {
        let covered = self.balance >= amount;
        let debited = Entry::Debited { decision, amount };
        covered.then_some(debited).ok_or(Overdraft)
    }
}

impl Aggregate for Account {
    type Event = Entry;

    fn apply(&mut self, entry: &Entry) -> Result<(), Refusal> {
        match entry {
            Entry::Credited { amount, .. } => self.balance += amount,
            Entry::Debited { amount, .. } => self.balance -= amount,
        }
        Ok(())
    }
}

/// What a run came to: how often a command was rebased, left open, or rejected.
#[derive(Debug, Default)]
struct Tally {
    rebased: usize,
    open: usize,
    rejected: usize,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.rebased += other.rebased;
        self.open += other.open;
        self.rejected += other.rejected;
    }

    fn count(&mut self, rebases: u32) {
        self.rebased += usize::from(rebases > 0);
    }
}

/// A recorded run.
struct Recorded {
    tally: Tally,
    history: History,
    log: Vec<RecordedEvent>,
}

/// One task. Every other command has an append id of its own and is sent until it is answered; the others are given
/// up when they are not.
async fn task(number: u64, accounts: Repository<Account>, chance: SeededChance) -> Tally {
    let mut tally = Tally::default();
    for command in 0..COMMANDS {
        let name = format!("{number}/{command}");
        let what = below(&chance, 3);
        let decisions = Cell::new(0);
        let next_decision = || {
            decisions.set(decisions.get() + 1);
            format!("{name}/{}", decisions.get())
        };
        let mut context = Context::new();
        let is_fixed = command % 2 == 0;
        if is_fixed {
            context = context.with_append_id(AppendId::parse(&name).expect("a short name"));
        }
        loop {
            let dies = below(&chance, 100) < 30;
            let polls = if dies { below(&chance, 40) } else { u64::MAX };
            let sent = send(&accounts, &context, &next_decision, what);
            match Mortal::new(sent, polls).await {
                Some(Ok(rebases)) => tally.count(rebases),
                Some(Err(CommandError::Refused(Overdraft))) => tally.rejected += 1,
                None | Some(Err(CommandError::Unknown { .. })) if is_fixed => continue,
                None | Some(Err(CommandError::Unknown { .. })) => tally.open += 1,
                Some(Err(error)) => panic!("{name}: {error:?}"),
            }
            break;
        }
    }
    tally
}

/// Puts money in, takes some out, or moves some; gives how often it was rebased.
async fn send(
    accounts: &Repository<Account>,
    context: &Context,
    next_decision: &dyn Fn() -> String,
    what: u64,
) -> Result<u32, CommandError<Overdraft>> {
    let [ada, ben] = ACCOUNTS;
    let rebases = |executed: Executed<Account>| executed.rebases;
    match what {
        0 => {
            let credit = |_: &Account| Ok(Account::credit(next_decision(), 9));
            accounts.execute_with(context, ada, credit).await
        }
        1 => {
            let debit = |account: &Account| account.debit(next_decision(), 5);
            accounts.execute_with(context, ada, debit).await
        }
        _ => {
            let transfer = |payer: &Account, _: &Account| {
                let debited = payer.debit(next_decision(), 3)?;
                Ok((debited, Account::credit(next_decision(), 3)))
            };
            let both = accounts.execute_both(context, ada, (accounts, ben), transfer);
            both.await.map(|(payer, _)| payer)
        }
    }
    .map(rebases)
}

/// Lets sixteen tasks work on two accounts over a store that loses appends and answers, and notes all of it.
fn record(seed: u64, bug: Option<Bug>) -> Recorded {
    let chance = SeededChance::new(seed);
    let mut store = Restless::new(&chance, 10);
    if let Some(bug) = bug {
        store = store.planted(bug);
    }
    let (restless, store) = restless(store);
    let recorder = Arc::new(Recorder::new(store));
    let mut patient = RetryPolicy::DEFAULT;
    patient.attempts_max = 10_000;
    patient.resends_max = 20;
    patient.overloads_max = 10_000;
    let accounts = Repository::<Account>::new(recorder.clone(), JsonCodec)
        .with_timer(Arc::new(ManualTimer::default()))
        .with_chance(Arc::new(chance.clone()))
        .with_resolver(CommutingPairs::declared())
        .with_retry_policy(patient)
        .expect("a right policy");
    let tasks = (0..TASKS).map(|number| task(number, accounts.clone(), chance.clone()));
    let mut tally = Tally::default();
    for came in run(&chance, tasks.collect()) {
        tally.add(&came);
    }
    Recorded {
        tally,
        history: recorder.history(),
        log: block_on(restless.inner.inner().collect(ReadRequest::all())).expect("memory"),
    }
}

/// Whether a history of one of some seeds has such a violation.
fn is_caught(bug: Bug, is_it: impl Fn(&Violation) -> bool) -> bool {
    (0..40).any(|seed| {
        let recorded = record(seed, Some(bug));
        recorded.history.check(&recorded.log).iter().any(&is_it)
    })
}

#[test]
fn the_history_of_repositories_is_consistent() {
    let mut tally = Tally::default();
    for seed in seeds(25) {
        let recorded = record(seed, None);
        let violations = recorded.history.check(&recorded.log);
        assert!(violations.is_empty(), "seed {seed}: {violations:#?}");
        tally.add(&recorded.tally);
    }
    let Tally {
        rebased,
        open,
        rejected,
    } = tally;
    assert!(rebased > 0 && open > 0 && rejected > 0, "{tally:?}");
}

#[test]
fn a_store_that_forgets_what_was_expected_is_caught() {
    assert!(is_caught(Bug::ForgetsExpectations, |violation| {
        matches!(violation, Violation::ExpectationBroken { .. })
    }));
}

#[test]
fn a_resend_under_a_new_id_is_caught_in_the_history() {
    assert!(is_caught(Bug::ForgetsIds, |violation| {
        matches!(
            violation,
            Violation::RecordedTwice { .. } | Violation::PartlyRecorded { .. }
        )
    }));
}
