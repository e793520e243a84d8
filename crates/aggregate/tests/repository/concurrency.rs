//! Retries by a policy, conflicts that are resolved without a new decision, and fences.

use std::sync::Arc;
use std::time::Duration;

use annals_aggregate::{CommandError, Context, Executed, Repository};
use annals_concurrency::{
    CommutingPairs, Fence, Jitter, ManualTimer, Resolution, RetryPolicy, SeededChance,
};
use annals_core::{AppendId, ErrorKind, EventStoreExt, ReadRequest, StreamId, Version};
use futures_executor::block_on;

use crate::account::{Account, AccountError, AccountEvent, accounts};
use crate::scripted::{Scripted, Step, append_raw, append_to, deposit};

fn pairs() -> CommutingPairs<AccountEvent> {
    CommutingPairs::none()
        .with("deposited", "deposited")
        .and_then(|pairs| pairs.with("deposited", "withdrawn"))
        .unwrap()
}

fn rebasing(store: &Arc<Scripted>) -> Repository<Account> {
    accounts(store).with_resolver(pairs())
}

fn foreseeable() -> RetryPolicy {
    let mut policy = RetryPolicy::DEFAULT;
    policy.jitter = Jitter::None;
    policy
}

type Answer = Result<Executed<Account>, CommandError<AccountError>>;

/// Deposits 5 into account 42, and counts the decisions.
async fn deposit_5(accounts: &Repository<Account>) -> (u32, Answer) {
    let mut decisions = 0;
    let executed = accounts
        .execute("42", |account| {
            decisions += 1;
            account.deposit(5)
        })
        .await;
    (decisions, executed)
}

#[test]
fn what_commutes_is_rebased_without_a_new_decision() {
    block_on(async {
        let store = Scripted::new([Step::Compete("42", 7), Step::Compete("42", 9)]);
        let (decisions, executed) = deposit_5(&rebasing(&store)).await;
        let executed = executed.unwrap();
        assert_eq!(decisions, 1);
        assert_eq!((executed.attempts, executed.rebases), (3, 2));
        assert_eq!((executed.state.balance, executed.version.value()), (21, 3));
        // The load, and the two tails.
        assert_eq!(store.calls().reads, 3);
        let ids = store.calls().append_ids;
        assert!(
            ids.iter().all(|id| *id == ids[0]),
            "one command, one id: {ids:?}"
        );
    });
}

#[test]
fn what_does_not_commute_is_decided_again() {
    block_on(async {
        let store = Scripted::new([Step::Pass, Step::Compete("42", 7), Step::Pass]);
        deposit(&store.inner, "42", 100).await;
        let accounts = accounts(&store).with_resolver(CommutingPairs::none());
        deposit_5(&accounts).await.1.unwrap();
        let (decisions, executed) = deposit_5(&accounts).await;
        let executed = executed.unwrap();
        assert_eq!((decisions, executed.rebases, executed.attempts), (2, 0, 2));
        assert_eq!(executed.state.balance, 117);
    });
}

#[test]
fn a_resolver_may_reject() {
    block_on(async {
        let store = Scripted::new([Step::Compete("42", 7)]);
        let reject = |_: &[AccountEvent], _: &[AccountEvent]| Resolution::Reject;
        let (decisions, executed) = deposit_5(&accounts(&store).with_resolver(reject)).await;
        assert_eq!(decisions, 1);
        let Err(CommandError::Conflicting(error)) = executed else {
            panic!("{executed:?}");
        };
        assert_eq!(error.kind(), ErrorKind::Conflict);
    });
}

#[test]
fn a_false_pair_that_the_aggregate_refuses_is_decided_again() {
    block_on(async {
        let store = Scripted::new([]);
        deposit(&store.inner, "42", 10).await;
        let rebase = |_: &[AccountEvent], _: &[AccountEvent]| Resolution::Rebase;
        let accounts = accounts(&store).with_resolver(rebase);
        let behind = self::accounts(&store);
        let mut first = true;
        let executed = accounts
            .execute("42", |account| {
                if std::mem::take(&mut first) {
                    std::thread::scope(|scope| {
                        let withdrawn = behind.execute("42", |account| account.withdraw(8));
                        scope.spawn(|| block_on(withdrawn).unwrap());
                    });
                }
                account.withdraw(5)
            })
            .await;
        assert!(
            matches!(executed, Err(CommandError::Refused(_))),
            "{executed:?}"
        );
        assert_eq!(behind.load("42").await.unwrap().state().balance, 2);
    });
}

#[test]
fn what_nobody_knows_is_an_error_and_what_was_deleted_is_decided_again() {
    block_on(async {
        let store = Scripted::new([Step::Pass, Step::Delete]);
        deposit(&store.inner, "42", 10).await;
        let accounts = rebasing(&store);
        deposit_5(&accounts).await.1.unwrap();
        let (decisions, executed) = deposit_5(&accounts).await;
        let executed = executed.unwrap();
        assert_eq!(
            (decisions, executed.state.balance, executed.rebases),
            (2, 5, 0)
        );
        append_raw(&store.inner, "unheard-of", "{}").await;
        let error = deposit_5(&accounts).await.1.unwrap_err();
        assert_eq!(error.store().unwrap().kind(), ErrorKind::Undecodable);
    });
}

#[test]
fn a_rebased_command_whose_answer_is_lost_is_recorded_once() {
    block_on(async {
        let store = Scripted::new([
            Step::LoseRequest,
            Step::Compete("42", 7),
            Step::LoseAnswer,
            Step::Pass,
        ]);
        let context = Context::new().with_append_id(AppendId::parse("deposit-1").unwrap());
        let accounts = rebasing(&store);
        let deposit = async || {
            let decide = |account: &Account| account.deposit(5);
            accounts.execute_with(&context, "42", decide).await.unwrap()
        };
        let executed = deposit().await;
        assert_eq!((executed.state.balance, executed.rebases), (12, 1));
        assert_eq!(deposit().await.state.balance, 12);
        let events = store.inner.collect(ReadRequest::all()).await.unwrap();
        assert_eq!(events.len(), 2);
    });
}

#[test]
fn pauses_grow_and_are_foreseeable() {
    block_on(async {
        let store = Scripted::new([
            Step::Fail(ErrorKind::Overloaded),
            Step::LoseRequest,
            Step::Compete("42", 1),
        ]);
        let timer = ManualTimer::default();
        let accounts = accounts(&store)
            .with_timer(Arc::new(timer.clone()))
            .with_chance(Arc::new(SeededChance::new(1)))
            .with_retry_policy(foreseeable())
            .unwrap();
        deposit_5(&accounts).await.1.unwrap();
        assert_eq!(timer.pauses(), [1, 2, 4].map(Duration::from_millis));
        let ids = store.calls().append_ids;
        assert!(ids[..3].iter().all(|id| *id == ids[0]), "the same append");
        assert_eq!(ids.len(), 4);
    });
}

#[test]
fn an_overloaded_store_is_asked_so_often() {
    block_on(async {
        for overloads_max in [0, 2] {
            let overloaded = || Step::Fail(ErrorKind::Overloaded);
            let store = Scripted::new(std::iter::repeat_with(overloaded).take(9));
            let mut policy = foreseeable();
            policy.overloads_max = overloads_max;
            let accounts = accounts(&store).with_retry_policy(policy).unwrap();
            let error = deposit_5(&accounts).await.1.unwrap_err();
            assert_eq!(error.store().unwrap().kind(), ErrorKind::Overloaded);
            let sent = store.calls().append_ids.len();
            assert_eq!(sent, usize::try_from(overloads_max).unwrap() + 1);
        }
    });
}

#[test]
fn an_unknown_outcome_stays_unknown_when_the_store_refuses_to_look() {
    block_on(async {
        for kind in [
            ErrorKind::Unavailable,
            ErrorKind::Overloaded,
            ErrorKind::NoSpace,
        ] {
            let store = Scripted::new([Step::LoseAnswer, Step::Fail(kind)]);
            let mut policy = foreseeable();
            policy.overloads_max = 0;
            let accounts = accounts(&store).with_retry_policy(policy).unwrap();
            let error = deposit_5(&accounts).await.1.unwrap_err();
            let CommandError::Unknown { append, .. } = error else {
                panic!("it is recorded: {error:?}");
            };
            assert!(
                accounts
                    .store()
                    .append(append)
                    .await
                    .unwrap()
                    .is_duplicate()
            );
        }
    });
}

#[test]
fn a_deadline_ends_pauses_and_hanging_appends() {
    block_on(async {
        let mut policy = foreseeable();
        policy.deadline = Some(Duration::from_millis(5));
        let timed = |store: &Arc<Scripted>| {
            let timer = Arc::new(ManualTimer::default());
            accounts(store)
                .with_timer(timer)
                .with_retry_policy(policy.clone())
                .unwrap()
        };
        let contended = std::iter::repeat_with(|| Step::Compete("42", 1)).take(99);
        let error = deposit_5(&timed(&Scripted::new(contended)))
            .await
            .1
            .unwrap_err();
        assert!(
            matches!(error, CommandError::Contended { attempts: 3, .. }),
            "{error:?}"
        );
        let error = deposit_5(&timed(&Scripted::new([Step::Hang])))
            .await
            .1
            .unwrap_err();
        assert!(matches!(error, CommandError::Unknown { .. }), "{error:?}");
    });
}

#[test]
fn a_broken_fence_is_no_conflict_to_try_again() {
    block_on(async {
        let store = Scripted::new([]);
        let right = StreamId::parse("right-to-write").unwrap();
        let context = Context::new().with_fence(Fence::new(right.clone(), Version::ABSENT));
        let accounts = rebasing(&store);
        let deposit = async || {
            let decide = |account: &Account| account.deposit(5);
            accounts.execute_with(&context, "42", decide).await
        };
        deposit().await.unwrap();
        append_to(&store.inner, right).await;
        let error = deposit().await.unwrap_err();
        assert!(matches!(error, CommandError::FenceBroken(_)), "{error:?}");
        assert_eq!(store.calls().append_ids.len(), 2);
        let mut loaded = accounts.load("42").await.unwrap();
        loaded
            .record(AccountEvent::Deposited { amount: 1 })
            .unwrap();
        let saved = accounts.save(&mut loaded, &context).await.unwrap_err();
        assert_eq!(saved.kind(), ErrorKind::Conflict);
        let transaction = accounts.transaction().with(loaded);
        let committed = transaction.commit(&context).await.unwrap_err();
        assert_eq!(committed.kind(), ErrorKind::Conflict);
        assert_eq!(accounts.load("42").await.unwrap().state().balance, 5);
    });
}
