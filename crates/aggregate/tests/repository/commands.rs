//! One command on one aggregate.

use annals_aggregate::{CommandError, Context, IntoEvents, Repository};
use annals_core::{Aggregate, AppendId, Error, ErrorKind, EventStoreExt, Expected, Version};
use futures_executor::block_on;
use futures_util::FutureExt;

use crate::account::{Account, AccountError, AccountEvent, accounts, memory};
use crate::scripted::{Scripted, Step};

#[test]
fn a_command_loads_decides_and_appends() {
    block_on(async {
        let store = Scripted::new([]);
        let accounts = accounts(&store);
        let opened = accounts
            .execute("42", |account| account.open("Ada"))
            .await
            .unwrap();
        assert_eq!((opened.version, opened.attempts), (Version::FIRST, 1));
        assert_eq!(opened.stream, "account-42");
        let deposited = accounts
            .execute("42", |account| account.deposit(5))
            .await
            .unwrap();
        assert_eq!(deposited.events, [AccountEvent::Deposited { amount: 5 }]);
        assert_eq!(deposited.state.balance, 5);
        assert_eq!(deposited.version, Version::new(2));
        let receipt = deposited.receipt.unwrap();
        assert_eq!(receipt.version_of(&deposited.stream), Some(Version::new(2)));
        assert!(!receipt.is_duplicate());

        let loaded = accounts.load("42").await.unwrap();
        assert_eq!(loaded.state(), &deposited.state);
        assert_eq!(loaded.state().owner.as_deref(), Some("Ada"));
        let calls = store.calls();
        assert_eq!((calls.reads, calls.append_ids.len()), (3, 2));
        assert_eq!(calls.receipts, 0, "a fresh append id has no receipt");
    });
}

#[test]
fn a_command_gives_any_number_of_events() {
    async fn check(events: impl IntoEvents<AccountEvent> + Clone, version: u64) {
        let accounts = accounts(&memory());
        let executed = accounts
            .execute("42", |_| Ok::<_, ()>(events.clone()))
            .await
            .unwrap();
        assert_eq!(executed.version, Version::new(version));
        assert_eq!(executed.is_recorded(), version > 0);
        assert_eq!(
            accounts.load("42").await.unwrap().version(),
            executed.version
        );
    }
    let one = || AccountEvent::Deposited { amount: 1 };
    block_on(async {
        check(one(), 1).await;
        check([one(), one()], 2).await;
        check(vec![one(), one(), one()], 3).await;
        check(Some(one()), 1).await;
        check(None, 0).await;
        check(Vec::new(), 0).await;
    });
}

#[test]
fn a_refusal_keeps_its_type_and_appends_nothing() {
    block_on(async {
        let store = Scripted::new([]);
        let accounts = accounts(&store);
        let error = accounts
            .execute("42", |account| account.withdraw(1))
            .await
            .unwrap_err();
        assert_eq!(
            error.refused(),
            Some(&AccountError::Overdraft { balance: 0 })
        );
        assert!(error.store().is_none());
        assert!(store.calls().append_ids.is_empty());
    });
}

#[test]
fn an_event_that_the_aggregate_refuses_is_never_appended() {
    block_on(async {
        let store = Scripted::new([]);
        let accounts = accounts(&store);
        let wrong = || Ok::<_, ()>([1, 9].map(|amount| AccountEvent::Withdrawn { amount }));
        let error = accounts.execute("42", |_| wrong()).await.unwrap_err();
        assert!(matches!(&error, CommandError::Store(error) if error.kind() == ErrorKind::Refused));
        let text = error.store().unwrap().to_string();
        assert!(text.contains("the balance leaves its range"), "{text}");
        assert!(text.contains("stream: account-42"), "{text}");
        assert!(store.calls().append_ids.is_empty());
    });
}

#[test]
fn a_conflict_is_decided_again_on_the_new_state() {
    block_on(async {
        let store = Scripted::new([Step::Pass, Step::Compete("42", 7), Step::Compete("42", 1)]);
        let accounts = accounts(&store);
        accounts
            .execute("42", |account| account.deposit(5))
            .await
            .unwrap();
        let mut seen = Vec::new();
        let emptied = accounts.execute("42", |account| {
            seen.push(account.balance);
            Ok::<_, ()>(account.empty())
        });
        let emptied = emptied.await.unwrap();
        assert_eq!(emptied.events, [AccountEvent::Withdrawn { amount: 13 }]);
        assert_eq!((emptied.state.balance, emptied.attempts), (0, 3));
        assert_eq!(emptied.version, Version::new(4));
        assert_eq!(seen, [5, 12, 13]);
        let ids = store.calls().append_ids;
        assert_ne!(ids.get(1), ids.get(2), "another decision is another append");
    });
}

#[test]
fn a_command_may_be_refused_on_the_new_state() {
    block_on(async {
        let store = Scripted::new([Step::Compete("42", 7)]);
        let accounts = accounts(&store);
        let error = accounts.execute("42", |account| match account.balance {
            0 => account.deposit(1).map_err(drop),
            _ => Err(()),
        });
        assert_eq!(error.await.unwrap_err().refused(), Some(&()));
    });
}

#[test]
fn a_contended_command_ends_with_the_last_conflict() {
    block_on(async {
        let steps = || std::iter::repeat_with(|| Step::Compete("42", 1));
        for (attempts_max, expected) in [(0, 1), (1, 1), (3, 3)] {
            let store = Scripted::new(steps().take(20));
            let accounts = accounts(&store).with_attempts_max(attempts_max);
            let error = accounts
                .execute("42", |account| account.deposit(5))
                .await
                .unwrap_err();
            let CommandError::Contended { attempts, conflict } = error else {
                panic!("{error:?}");
            };
            assert_eq!(attempts, expected);
            assert_eq!(
                conflict
                    .conflict()
                    .map(|conflict| conflict.failures().len()),
                Some(1)
            );
            assert_eq!(
                store.calls().append_ids.len(),
                usize::try_from(expected).unwrap()
            );
            let balance = accounts.load("42").await.unwrap().into_state().balance;
            assert_eq!(balance, u64::from(expected), "only the others deposited");
        }
        let store = Scripted::new(steps().take(20));
        let error = accounts(&store)
            .execute("42", |account| account.deposit(5))
            .await;
        assert!(matches!(
            error,
            Err(CommandError::Contended { attempts: 10, .. })
        ));
    });
}

#[test]
fn an_append_of_unknown_outcome_is_sent_again_and_recorded_once() {
    block_on(async {
        for (steps, duplicate) in [
            (vec![Step::LoseRequest], false),
            (vec![Step::LoseAnswer], true),
            (
                vec![Step::LoseRequest, Step::LoseAnswer, Step::LoseRequest],
                true,
            ),
        ] {
            let sent = steps.len() + 1;
            let store = Scripted::new(steps);
            let accounts = accounts(&store);
            let executed = accounts
                .execute("42", |account| account.deposit(5))
                .await
                .unwrap();
            assert_eq!(
                executed.receipt.map(|receipt| receipt.is_duplicate()),
                Some(duplicate)
            );
            assert_eq!(
                (executed.version, executed.state.balance),
                (Version::FIRST, 5)
            );
            assert_eq!(executed.attempts, 1);
            let loaded = accounts.load("42").await.unwrap();
            assert_eq!(
                (loaded.version(), loaded.state().balance),
                (Version::FIRST, 5)
            );
            let mut ids = store.calls().append_ids;
            assert_eq!(ids.len(), sent);
            ids.dedup();
            assert_eq!(ids.len(), 1);
        }
    });
}

#[test]
fn a_lost_append_that_meets_a_conflict_is_decided_again() {
    block_on(async {
        let store = Scripted::new([Step::LoseRequest, Step::Compete("42", 7)]);
        let accounts = accounts(&store);
        let executed = accounts
            .execute("42", |account| account.deposit(5))
            .await
            .unwrap();
        assert_eq!((executed.state.balance, executed.attempts), (12, 2));
    });
}

#[test]
fn an_outcome_that_stays_unknown_hands_out_the_append() {
    block_on(async {
        for (last, recorded) in [(Step::LoseRequest, false), (Step::LoseAnswer, true)] {
            let store = Scripted::new([Step::LoseRequest, last]);
            let accounts = accounts(&store).with_resends_max(1);
            let error = accounts
                .execute("42", |account| account.deposit(5))
                .await
                .unwrap_err();
            let text = format!("{error:?}");
            assert!(!text.contains("amount"), "no payload is shown: {text}");
            let CommandError::Unknown { append, error } = error else {
                panic!("{text}");
            };
            assert_eq!(error.kind(), ErrorKind::Unknown);
            assert!(
                error
                    .to_string()
                    .ends_with(&format!("(append: {}, sent: 2)", append.id()))
            );
            let receipt = accounts.store().append(append).await.unwrap();
            assert_eq!(receipt.is_duplicate(), recorded);
            assert_eq!(accounts.load("42").await.unwrap().state().balance, 5);
        }
    });
}

#[test]
fn other_failures_are_passed_on_at_once() {
    block_on(async {
        for kind in [
            ErrorKind::NoSpace,
            ErrorKind::Unavailable,
            ErrorKind::AppendIdReused,
        ] {
            let store = Scripted::new([Step::Fail(kind)]);
            let accounts = accounts(&store);
            let error = accounts
                .execute("42", |account| account.deposit(5))
                .await
                .unwrap_err();
            assert!(
                matches!(&error, CommandError::Store(error) if error.kind() == kind),
                "{error:?}"
            );
            assert_eq!(store.calls().append_ids.len(), 1);
        }
    });
}

#[test]
fn a_closed_stream_is_not_tried_again() {
    block_on(async {
        let store = Scripted::new([]);
        let accounts = accounts(&store);
        accounts
            .execute("42", |account| account.deposit(5))
            .await
            .unwrap();
        store
            .tombstone(accounts.stream("42").unwrap(), Expected::Any)
            .await
            .unwrap();
        let error = accounts
            .execute("42", |account| account.deposit(5))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, CommandError::Store(error) if error.kind() == ErrorKind::Conflict)
        );
        assert_eq!(store.calls().append_ids.len(), 2);
    });
}

#[test]
fn a_bad_key_is_an_error_of_its_own() {
    block_on(async {
        let accounts = accounts(&memory());
        let error = accounts
            .execute("a\nb", |account| account.deposit(5))
            .await
            .unwrap_err();
        assert_eq!(error.store().map(Error::kind), Some(ErrorKind::Invalid));
        assert_eq!(
            accounts.load("a\nb").await.unwrap_err().kind(),
            ErrorKind::Invalid
        );
        assert_eq!(accounts.load("").await.unwrap().stream(), &"account");
    });
}

#[test]
fn long_streams_are_read_page_by_page_and_short_ones_at_once() {
    block_on(async {
        for (events, page, reads) in [(0, 3, 1), (2, 3, 1), (3, 3, 1), (4, 3, 2), (7, 3, 3)] {
            let store = Scripted::new([]);
            let accounts = accounts(&store).with_page_events_max(page);
            let deposits = vec![AccountEvent::Deposited { amount: 1 }; events];
            accounts
                .execute("42", |_| Ok::<_, ()>(deposits.clone()))
                .await
                .unwrap();
            let before = store.calls().reads;
            let loaded = accounts.load("42").await.unwrap();
            assert_eq!(loaded.state().balance, u64::try_from(events).unwrap());
            assert_eq!(store.calls().reads - before, reads, "{events} events");
        }
        let error = accounts(&memory())
            .with_page_events_max(0)
            .load("42")
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    });
}

#[test]
fn racing_threads_all_get_through() {
    let store = memory();
    let accounts = accounts(&store).with_attempts_max(1_000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    block_on(accounts.execute("42", |account| account.deposit(1))).unwrap();
                }
            });
        }
    });
    let loaded = block_on(accounts.load("42")).unwrap();
    assert_eq!(
        (loaded.state().balance, loaded.version()),
        (100, Version::new(100))
    );
}

#[test]
fn a_dropped_command_happens_whole_or_not_at_all() {
    let id = AppendId::parse("deposit-1").unwrap();
    let context = Context::new().with_append_id(id);
    let store = Scripted::new([Step::Hang]);
    let accounts = accounts(&store);
    let deposit = || accounts.execute_with(&context, "42", |account| account.deposit(5));
    drop(deposit());
    assert!(
        store.calls().append_ids.is_empty(),
        "a future that is not polled does nothing"
    );
    assert!(deposit().now_or_never().is_none(), "the answer never comes");
    let executed = block_on(deposit()).unwrap();
    assert_eq!(
        executed.receipt.map(|receipt| receipt.is_duplicate()),
        Some(true)
    );
    assert_eq!(
        (executed.state.balance, executed.version),
        (5, Version::FIRST)
    );
}

fn assert_send<T: Send>(_: T) {}

/// The futures can be spawned, whatever the aggregate is.
fn futures_are_send<A: Aggregate + Clone>(repository: &Repository<A>) {
    let context = Context::new();
    let nothing = |_: &A| Ok::<Vec<A::Event>, ()>(Vec::new());
    let nothing_twice = |_: &A, _: &A| Ok::<(Vec<A::Event>, Vec<A::Event>), ()>(Default::default());
    assert_send(repository.load("42"));
    assert_send(repository.execute("42", nothing));
    assert_send(repository.execute_with(&context, "42", nothing));
    assert_send(repository.execute_both(&context, "1", (repository, "2"), nothing_twice));
    assert_send(repository.transaction().commit(&context));
    assert_send(async {
        let mut loaded = repository.load("42").await.unwrap();
        loaded.execute(nothing).unwrap();
        repository.save(&mut loaded, &context).await.unwrap();
        assert_send(&loaded);
    });
}

#[test]
fn futures_can_be_spawned() {
    futures_are_send::<Account>(&accounts(&memory()));
    let repository = accounts(&memory());
    let spawned = std::thread::spawn(move || {
        let owner = String::from("Ada");
        block_on(async {
            repository
                .execute("42", |account| account.open(&owner))
                .await
                .unwrap()
        })
    });
    assert!(spawned.join().unwrap().is_recorded());
}
