//! Streams that are deleted or truncated while somebody works on their aggregate.

use std::sync::{Arc, Mutex};

use annals_aggregate::{CommandError, Context, Loaded};
use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, ErrorKind, EventStore,
    Expected, Page, PolicyAction, PolicyChange, ReadRequest, Receipt, StreamHead, StreamId,
    Version,
};
use annals_store_memory::MemoryStore;
use async_trait::async_trait;
use futures_executor::block_on;

use crate::account::{Account, AccountEvent, accounts, memory};
use crate::scripted::{Scripted, Step, delete, deposit};

const NONE: Context = Context::new();

/// A store in which others are at work between two pages of account 42.
#[derive(Debug)]
struct Meddled {
    inner: Arc<MemoryStore>,
    between: Vec<Meddling>,
    /// How often they still do it.
    times: Mutex<u32>,
    loads: Mutex<u32>,
}

#[derive(Clone, Debug)]
enum Meddling {
    Change(PolicyAction),
    Deposit(u64),
}

impl Meddled {
    /// Five deposits, of 1, 10, 100, 1000 and 10000; then what happens between pages, so many times.
    async fn new(between: &[Meddling], times: u32) -> Arc<Self> {
        let inner = memory();
        for amount in [1, 10, 100, 1_000, 10_000] {
            deposit(&inner, "42", amount).await;
        }
        Arc::new(Self {
            inner,
            between: between.to_vec(),
            times: Mutex::new(times),
            loads: Mutex::default(),
        })
    }

    async fn meddle(&self) {
        for meddling in &self.between {
            match meddling {
                Meddling::Deposit(amount) => deposit(&self.inner, "42", *amount).await,
                Meddling::Change(action) => {
                    let change = PolicyChange {
                        stream: StreamId::parse("account-42").unwrap(),
                        expected: Expected::Any,
                        action: action.clone(),
                    };
                    self.inner.change_stream_policy(change).await.unwrap();
                }
            }
        }
    }

    fn is_due(&self) -> bool {
        let mut times = self.times.lock().unwrap();
        let left = times.checked_sub(1);
        *times = left.unwrap_or_default();
        left.is_some()
    }
}

#[async_trait]
impl EventStore for Meddled {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        self.inner.append(append).await
    }

    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        self.inner.receipt(id).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        if request.after_version == Version::ABSENT {
            *self.loads.lock().unwrap() += 1;
        } else if self.is_due() {
            self.meddle().await;
        }
        self.inner.read(request).await
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        self.inner.head(consistency).await
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        self.inner.stream_head(stream).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        self.inner.change_stream_policy(change).await
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        self.inner.changed_since(cursor).await
    }
}

#[test]
fn a_load_over_pages_never_mixes_two_histories() {
    use Meddling::{Change, Deposit};
    let newest = |count| PolicyAction::Retain {
        max_age: None,
        max_count: Some(count),
    };
    let deleted = Change(PolicyAction::SoftDelete);
    let truncated = |version| Change(PolicyAction::TruncateBefore(Version::new(version)));
    block_on(async {
        for (between, balance, version) in [
            (vec![deleted.clone(), Deposit(7)], 7, 6),
            (vec![deleted], 0, 5),
            (vec![truncated(2)], 11_110, 5),
            (vec![truncated(4), Deposit(7)], 11_007, 6),
            (vec![Change(newest(2))], 11_000, 5),
            (vec![Change(PolicyAction::Tombstone)], 0, 5),
        ] {
            let store = Meddled::new(&between, 1).await;
            let loaded = accounts(&store).with_page_events_max(2).load("42").await;
            let loaded = loaded.unwrap();
            assert_eq!(
                (loaded.state().balance, loaded.version()),
                (balance, Version::new(version)),
                "{between:?}"
            );
            assert_eq!(*store.loads.lock().unwrap(), 2, "{between:?}");
        }
    });
}

#[test]
fn a_load_over_pages_begins_again_where_events_between_them_went_out_of_sight() {
    block_on(async {
        let appended = [7, 70, 700].map(Meddling::Deposit);
        let store = Meddled::new(&appended, 1).await;
        let newest = PolicyAction::Retain {
            max_age: None,
            max_count: Some(5),
        };
        let change = PolicyChange {
            stream: StreamId::parse("account-42").unwrap(),
            expected: Expected::Any,
            action: newest,
        };
        store.inner.change_stream_policy(change).await.unwrap();
        let loaded = accounts(&store).with_page_events_max(2).load("42").await;
        assert_eq!(loaded.unwrap().state().balance, 11_777);
    });
}

#[test]
fn appends_between_pages_do_not_begin_a_load_again() {
    block_on(async {
        let store = Meddled::new(&[Meddling::Deposit(7)], 2).await;
        let loaded = accounts(&store).with_page_events_max(2).load("42").await;
        let loaded = loaded.unwrap();
        assert_eq!(
            (loaded.state().balance, loaded.version()),
            (11_125, Version::new(7))
        );
        assert_eq!(*store.loads.lock().unwrap(), 1);
    });
}

#[test]
fn a_load_that_is_always_torn_gives_up() {
    block_on(async {
        let between = [
            Meddling::Change(PolicyAction::SoftDelete),
            Meddling::Deposit(1),
            Meddling::Deposit(1),
            Meddling::Deposit(1),
        ];
        let store = Meddled::new(&between, 100).await;
        let accounts = accounts(&store)
            .with_page_events_max(2)
            .with_attempts_max(3);
        let error = accounts.load("42").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(
            error
                .to_string()
                .ends_with("(stream: account-42, attempts: 3)"),
            "{error}"
        );
        assert_eq!(*store.loads.lock().unwrap(), 3);
    });
}

/// Account 42 with a deposit of 5 that is not saved; in the store it has one of 100, and is
/// soft-deleted where that is asked for.
async fn loaded(store: &Arc<MemoryStore>, deleted: bool) -> Loaded<Account> {
    deposit(store, "42", 100).await;
    if deleted {
        delete(store).await;
    }
    let mut loaded = accounts(store).load("42").await.unwrap();
    loaded
        .record(AccountEvent::Deposited { amount: 5 })
        .unwrap();
    loaded
}

#[test]
fn a_delete_between_load_and_save_is_a_conflict() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        let mut account = loaded(&store, false).await;
        delete(&store).await;
        let error = accounts.save(&mut account, &NONE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let transaction = accounts.transaction().with(account);
        let error = transaction.commit(&NONE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(accounts.load("42").await.unwrap().state().balance, 0);
    });
}

#[test]
fn a_delete_between_load_and_append_is_decided_again_on_the_deleted_state() {
    block_on(async {
        let store = Scripted::new([Step::Delete]);
        deposit(&store.inner, "42", 100).await;
        let accounts = accounts(&store);
        let mut seen = Vec::new();
        let executed = accounts
            .execute("42", |account| {
                seen.push(account.balance);
                account.deposit(5)
            })
            .await
            .unwrap();
        assert_eq!(seen, [100, 0]);
        assert_eq!(
            (executed.state.balance, executed.version, executed.attempts),
            (5, Version::new(2), 2)
        );
        let again: Result<_, CommandError<_>> =
            accounts.execute("42", |account| account.withdraw(5)).await;
        assert_eq!(again.unwrap().version, Version::new(3));
    });
}

#[test]
fn a_deleted_aggregate_can_be_saved_and_its_versions_go_on() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        let mut account = loaded(&store, true).await;
        assert_eq!(account.version(), Version::FIRST);
        for version in [2, 3] {
            accounts.save(&mut account, &NONE).await.unwrap().unwrap();
            assert_eq!(account.version(), Version::new(version));
            account
                .record(AccountEvent::Deposited { amount: 5 })
                .unwrap();
        }
        let loaded = accounts.load("42").await.unwrap();
        assert_eq!(
            (loaded.state().balance, loaded.version()),
            (10, Version::new(3))
        );
    });
}

#[test]
fn a_deleted_aggregate_that_another_begins_anew_is_a_conflict() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        let mut account = loaded(&store, true).await;
        deposit(&store, "42", 7).await;
        let error = accounts.save(&mut account, &NONE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(accounts.load("42").await.unwrap().state().balance, 7);
    });
}

#[test]
fn a_deleted_aggregate_that_is_deleted_again_is_put_right() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        let mut account = loaded(&store, true).await;
        deposit(&store, "42", 7).await;
        delete(&store).await;
        accounts.save(&mut account, &NONE).await.unwrap().unwrap();
        assert_eq!(
            (account.state().balance, account.version()),
            (5, Version::new(3))
        );
    });
}

#[test]
fn the_past_of_a_deleted_aggregate_is_not_saved() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        deposit(&store, "42", 1).await;
        let _ = loaded(&store, true).await;
        let mut past = accounts.load_at("42", Version::FIRST).await.unwrap();
        past.record(AccountEvent::Deposited { amount: 5 }).unwrap();
        let error = accounts.save(&mut past, &NONE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
    });
}
