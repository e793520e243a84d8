//! Several stores on one log, as processes have them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use annals_core::{ErrorKind, EventStore, Expected, Outcome};
use annals_store_nats::{NatsStore, Settings};
use tokio::time::Instant;

use crate::support::events::append;
use crate::support::proxy::Proxy;
use crate::support::{self, RUNTIME};

const STORES: usize = 3;

async fn stores(url: &str, settings: &Settings) -> Vec<Arc<NatsStore>> {
    let log = support::fresh_log();
    let mut stores = Vec::new();
    for _ in 0..STORES {
        let builder = support::builder(url).settings(settings.clone()).log(&log);
        let store = builder.allow_lazy_sync().open_or_create().await.unwrap();
        stores.push(Arc::new(store));
    }
    stores
}

/// Each store's writers append until so many are recorded in all; how many each store recorded.
async fn shares(stores: &[Arc<NatsStore>], writers: usize, until: usize) -> Vec<usize> {
    let all = Arc::new(AtomicUsize::new(0));
    let mut running = Vec::new();
    for (place, store) in stores.iter().enumerate() {
        for writer in 0..writers {
            let (store, all) = (Arc::clone(store), Arc::clone(&all));
            let task = tokio::spawn(async move {
                let mut count = 0;
                while all.load(Ordering::SeqCst) < until {
                    let id = format!("{writers}/{place}/{writer}/{count}");
                    let append = append(&format!("own-{place}x{writer}"), Expected::Any, &id);
                    store.append(append).await.unwrap();
                    all.fetch_add(1, Ordering::SeqCst);
                    count += 1;
                }
                count
            });
            running.push((place, task));
        }
    }
    let mut shares = vec![0; stores.len()];
    for (place, task) in running {
        shares[place] += task.await.unwrap();
    }
    shares
}

/// None waits for ever while others append: each has some of what is recorded while all of them append.
#[test]
fn processes_that_share_a_log_take_turns() {
    let Some(url) = support::server("processes_that_share_a_log_take_turns") else {
        return;
    };
    RUNTIME.block_on(async {
        let stores = stores(&url, &Settings::default()).await;
        for (writers, until) in [(1, 150), (16, 800)] {
            let start = Instant::now();
            let shares = shares(&stores, writers, until).await;
            let took = start.elapsed();
            println!("{writers} writers in each of {STORES} stores: {shares:?} in {took:?}");
            assert!(shares.iter().all(|share| *share > writers), "{shares:?}");
        }
    });
}

/// A store that hears nothing of what others append, and one that does.
async fn deaf_and_other(url: &str) -> [NatsStore; 2] {
    /// What rings tells of nothing new.
    fn hushed(said: &str) -> Option<String> {
        said.parse::<u64>().is_ok().then(|| "0".to_owned())
    }
    let proxy = Proxy::start(url).await;
    proxy.rewrite(hushed);
    let log = support::fresh_log();
    let open = async |url: &str| {
        let mut settings = Settings::default();
        settings.overtaken_max = 1;
        settings.poll_interval_max = Duration::from_mins(10);
        let builder = support::builder(url).settings(settings).log(&log);
        builder.allow_lazy_sync().open_or_create().await.unwrap()
    };
    [open(&proxy.url()).await, open(url).await]
}

/// What came first may be the same append, by another way.
#[test]
fn an_append_that_is_overtaken_by_itself_is_recorded() {
    let test = "an_append_that_is_overtaken_by_itself_is_recorded";
    let Some(url) = support::server(test) else {
        return;
    };
    RUNTIME.block_on(async {
        let [deaf, other] = deaf_and_other(&url).await;
        let same = append("a-1", Expected::NoStream, "same");
        let first = other.append(same.clone()).await.unwrap();
        let again = deaf.append(same).await.unwrap();
        assert!(again.is_duplicate());
        assert_eq!(again.cursor, first.cursor);
    });
}

/// A conflict is told as one however busy others are.
#[test]
fn a_conflict_is_told_while_others_append() {
    let Some(url) = support::server("a_conflict_is_told_while_others_append") else {
        return;
    };
    RUNTIME.block_on(async {
        let [deaf, other] = deaf_and_other(&url).await;
        for (number, expected) in [Expected::Exactly(7.into()), Expected::NoStream]
            .into_iter()
            .enumerate()
        {
            // By what was known when they were sent, the first of them is refused, and the second is not.
            let to = format!("a-{number}");
            let before = append(&to, Expected::Any, &format!("before {number}"));
            other.append(before).await.unwrap();
            let refused = append(&to, expected, &format!("refused {number}"));
            let error = deaf.append(refused).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        }
    });
}

/// What is overtaken too often is refused, with nothing recorded, and can be sent again.
#[test]
fn an_append_that_is_overtaken_too_often_is_refused() {
    let test = "an_append_that_is_overtaken_too_often_is_refused";
    let Some(url) = support::server(test) else {
        return;
    };
    RUNTIME.block_on(async {
        let [deaf, other] = deaf_and_other(&url).await;
        let before = append("shared-1", Expected::Any, "before");
        let before = other.append(before).await.unwrap();
        let late = append("shared-1", Expected::Any, "late");
        let error = deaf.append(late.clone()).await.unwrap_err();
        let told = (error.kind(), error.outcome());
        assert_eq!(told, (ErrorKind::Unavailable, Outcome::Rejected), "{error}");
        let late = deaf.append(late).await.unwrap();
        assert!(!late.is_duplicate());
        support::events::assert_recorded(&other, &[before, late]).await;
    });
}

/// The same while all of them append.
#[test]
fn what_is_refused_as_overtaken_is_not_recorded() {
    let test = "what_is_refused_as_overtaken_is_not_recorded";
    let Some(url) = support::server(test) else {
        return;
    };
    RUNTIME.block_on(async {
        let mut settings = Settings::default();
        settings.overtaken_max = 1;
        let stores = stores(&url, &settings).await;
        let mut recorded = Vec::new();
        let mut running = Vec::new();
        for (place, store) in stores.iter().enumerate() {
            let store = Arc::clone(store);
            running.push(tokio::spawn(async move {
                let mut answers = Vec::new();
                for number in 0..100 {
                    let id = format!("{place}/{number}");
                    let append = append("shared-1", Expected::Any, &id);
                    answers.push(store.append(append).await);
                }
                answers
            }));
        }
        for task in running {
            for answer in task.await.unwrap() {
                match answer {
                    Ok(receipt) => recorded.push(receipt),
                    Err(error) => {
                        let told = (error.kind(), error.outcome());
                        assert_eq!(told, (ErrorKind::Unavailable, Outcome::Rejected), "{error}");
                    }
                }
            }
        }
        support::events::assert_recorded(&*stores[0], &recorded).await;
    });
}
