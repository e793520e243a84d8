//! Ten thousand accounts without a conflict, and one account under real threads.

use std::sync::Arc;
use std::thread;

use annals_aggregate::Repository;
use annals_codec::JsonCodec;
use annals_concurrency::{CommutingPairs, RetryPolicy};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::account::Account;

const TASKS: usize = 16;
const ACCOUNTS: usize = 10_000;
const DEPOSITS: i64 = 50;

/// Runs it on sixteen threads.
fn on_threads(run: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for number in 0..TASKS {
            let run = &run;
            scope.spawn(move || run(number));
        }
    });
}

#[test]
fn ten_thousand_accounts_do_not_meet() {
    let accounts = Repository::<Account>::new(Arc::new(MemoryStore::new()), JsonCodec);
    let amount = |account: usize| i64::try_from(account).expect("small") + 1;
    on_threads(|number| {
        for account in (number..ACCOUNTS).step_by(TASKS) {
            for change in [2 * amount(account), -amount(account)] {
                let key = account.to_string();
                let executed = accounts.execute(&key, |state| state.change(change));
                let executed = block_on(executed).expect("nobody is in the way");
                assert_eq!(executed.attempts, 1);
            }
        }
    });
    for account in 0..ACCOUNTS {
        let loaded = block_on(accounts.load(&account.to_string())).expect("memory");
        assert_eq!(loaded.state().balance, amount(account));
    }
}

#[test]
fn threads_on_one_account_lose_nothing() {
    let mut patient = RetryPolicy::DEFAULT;
    patient.attempts_max = 10_000;
    let accounts = Repository::<Account>::new(Arc::new(MemoryStore::new()), JsonCodec)
        .with_resolver(CommutingPairs::declared())
        .with_retry_policy(patient)
        .expect("a right policy");
    on_threads(|_| {
        for _ in 0..DEPOSITS {
            let executed = block_on(accounts.execute("42", |state| state.change(1)));
            let executed = executed.expect("patience");
            let version = i64::try_from(executed.version.value()).expect("small");
            assert_eq!(
                executed.state.balance, version,
                "the state is that of its version"
            );
        }
    });
    let loaded = block_on(accounts.load("42")).expect("memory");
    let tasks = i64::try_from(TASKS).expect("few");
    assert_eq!(loaded.state().balance, tasks * DEPOSITS);
}
