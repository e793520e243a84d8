//! What is acknowledged is stored, in order and once, whatever happens to the servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support;
use crate::support::RUNTIME;
use crate::support::events::{append, check, insist};
use annals_core::{ErrorKind, EventStore, EventStoreExt, Expected, ReadRequest, Receipt};
use annals_services::{DiskSync, NatsCluster};
use annals_store_nats::NatsStore;
use base64ct::Encoding;
use tokio::sync::mpsc;

const WRITERS: usize = 8;

/// Two stores on one log, as two processes have them.
async fn stores(cluster: &NatsCluster) -> [Arc<NatsStore>; 2] {
    let log = support::fresh_log();
    let open = async || {
        let builder = support::builder(&cluster.url()).log(&log).replicas(3);
        Arc::new(builder.assume_synced().open_or_create().await.unwrap())
    };
    [open().await, open().await]
}

/// Writers that append one event after the other, each to its own stream and to one that they share; `each` is called
/// with the number of appends that were acknowledged so far.
async fn load(
    stores: &[Arc<NatsStore>; 2],
    appends_each: usize,
    each: impl Fn(usize) + Send + Sync + 'static,
) -> Vec<Receipt> {
    let count = Arc::new(AtomicUsize::new(0));
    let each = Arc::new(each);
    let writers = (0..WRITERS).map(|writer| {
        let store = Arc::clone(&stores[writer % 2]);
        let (count, each) = (Arc::clone(&count), Arc::clone(&each));
        tokio::spawn(async move {
            let mut receipts = Vec::new();
            for number in 0..appends_each {
                let to = if number % 4 == 0 {
                    "shared-1".to_owned()
                } else {
                    format!("own-{writer}")
                };
                let append = append(&to, Expected::Any, &format!("{writer}/{number}"));
                receipts.push(insist(&*store, append).await.unwrap());
                each(count.fetch_add(1, Ordering::SeqCst) + 1);
            }
            receipts
        })
    });
    let mut all = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        all.extend(writer.await.unwrap());
    }
    all
}

/// Appends under load while something is done to the cluster at these numbers of acknowledged appends.
fn under_load(
    test: &str,
    at: &'static [usize],
    hurt: impl Fn(&mut NatsCluster, &str) + Send + 'static,
) {
    let Some(mut cluster) = support::cluster(test, DiskSync::On) else {
        return;
    };
    RUNTIME.block_on(async {
        let stores = stores(&cluster).await;
        let log = stores[0].log().to_owned();
        let (reached, mut times) = mpsc::unbounded_channel();
        let hurting = tokio::task::spawn_blocking(move || {
            while times.blocking_recv().is_some() {
                hurt(&mut cluster, &log);
            }
            cluster
        });
        let receipts = load(&stores, 150, move |count| {
            if at.contains(&count) {
                reached.send(()).unwrap();
            }
        });
        let receipts = receipts.await;
        let cluster = hurting.await.unwrap();
        for store in &stores {
            check(&**store, &receipts).await;
        }
        drop(cluster);
    });
}

/// The node that leads the log, when one does.
fn leader(cluster: &NatsCluster, log: &str) -> usize {
    loop {
        if let Ok(leader) = cluster.leader_of(log) {
            return leader;
        }
    }
}

#[test]
fn the_leader_is_killed_under_load() {
    under_load(
        "the_leader_is_killed_under_load",
        &[200, 600],
        |cluster, log| {
            let leader = leader(cluster, log);
            cluster.nodes_mut()[leader].kill().unwrap();
            cluster.nodes_mut()[leader].restart().unwrap();
        },
    );
}

#[test]
fn the_leader_is_halted_under_load() {
    under_load("the_leader_is_halted_under_load", &[200], |cluster, log| {
        let halted = leader(cluster, log);
        cluster.nodes_mut()[halted].pause().unwrap();
        let others = |cluster: &NatsCluster| {
            let others = cluster.nodes().iter().enumerate();
            let mut leaders =
                others
                    .filter(|(index, _)| *index != halted)
                    .filter_map(|(_, node)| {
                        let state = node.monitor("/jsz?streams=1").ok()?;
                        let details = state
                            .pointer("/account_details/0/stream_detail")?
                            .as_array()?;
                        let found = details.iter().find(|detail| detail["name"] == log)?;
                        Some(found.pointer("/cluster/leader")?.as_str()?.to_owned())
                    });
            leaders.any(|leader| leader != format!("node{}", halted + 1))
        };
        while !others(cluster) {
            std::thread::yield_now();
        }
        cluster.nodes_mut()[halted].resume().unwrap();
    });
}

#[test]
fn all_nodes_are_killed_under_load() {
    under_load("all_nodes_are_killed_under_load", &[300], |cluster, _| {
        for node in cluster.nodes_mut() {
            node.kill().unwrap();
        }
        for node in cluster.nodes_mut() {
            node.restart().unwrap();
        }
    });
}

#[test]
fn what_is_appended_without_a_quorum_is_not_lost_nor_repeated() {
    let test = "what_is_appended_without_a_quorum_is_not_lost_nor_repeated";
    let Some(mut cluster) = support::cluster(test, DiskSync::On) else {
        return;
    };
    RUNTIME.block_on(async {
        let mut settings = annals_store_nats::Settings::default();
        settings.request_timeout = Duration::from_millis(500);
        settings.resolve_timeout = Duration::from_secs(2);
        let builder = support::builder(&cluster.url()).settings(settings);
        let builder = builder.log(&support::fresh_log()).replicas(3);
        let store = builder.allow_lazy_sync().open_or_create().await.unwrap();
        let before = append("a-1", Expected::NoStream, "before");
        let before = store.append(before).await.unwrap();
        let leader = leader(&cluster, store.log());
        for other in (0..3).filter(|other| *other != leader) {
            cluster.nodes_mut()[other].end().unwrap();
        }
        let cut = append("a-1", Expected::Exactly(1.into()), "cut off");
        let error = store.append(cut.clone()).await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Unknown | ErrorKind::Unavailable),
            "{error}"
        );
        for other in (0..3).filter(|other| *other != leader) {
            cluster.nodes_mut()[other].restart().unwrap();
        }
        let after = insist(&store, cut).await.unwrap();
        check(&store, &[before, after]).await;
    });
}

/// The files of messages below a folder that hold this text.
fn blocks_with(folder: &Path, text: &[u8], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            blocks_with(&path, text, found);
        } else if path.extension().is_some_and(|extension| extension == "blk")
            && path.components().any(|part| part.as_os_str() == "streams")
            && fs::read(&path).is_ok_and(|bytes| place_of(&bytes, text).is_some())
        {
            found.push(path);
        }
    }
}

fn place_of(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

/// Flips a bit of the payload that has this text, in every block below the folder; how many.
fn flip(folder: &Path, text: &str) -> usize {
    let mut blocks = Vec::new();
    blocks_with(folder, text.as_bytes(), &mut blocks);
    for block in &blocks {
        let mut bytes = fs::read(block).unwrap();
        let place = place_of(&bytes, text.as_bytes()).unwrap();
        bytes[place] ^= 1;
        fs::write(block, bytes).unwrap();
    }
    blocks.len()
}

#[test]
fn a_flipped_bit_on_one_server_is_made_up_for_by_the_others() {
    let test = "a_flipped_bit_on_one_server_is_made_up_for_by_the_others";
    let Some(mut cluster) = support::cluster(test, DiskSync::On) else {
        return;
    };
    RUNTIME.block_on(async {
        let [store, other] = stores(&cluster).await;
        let receipts = load(&[Arc::clone(&store), other], 20, |_| ()).await;
        let log = store.log().to_owned();
        let hurt = leader(&cluster, &log);
        cluster.nodes_mut()[hurt].end().unwrap();
        let flipped = flip(cluster.nodes()[hurt].folder(), "3/7");
        assert!(flipped > 0, "the event stands in a block");
        cluster.nodes_mut()[hurt].restart().unwrap();
        cluster.await_leader().unwrap();
        let fresh = support::builder(&cluster.url())
            .log(&log)
            .open()
            .await
            .unwrap();
        for store in [&*store, &fresh] {
            for _ in 0..5 {
                check(store, &receipts).await;
            }
        }
    });
}

/// Waits until the store has noted how far its log goes.
async fn noted(url: &str, sequence: &str) {
    let client = async_nats::connect(url).await.unwrap();
    let question = r#"{"last_by_subj":"shop-aux.m"}"#;
    loop {
        let subject = "$JS.API.STREAM.MSG.GET.shop-aux";
        let answer = client.request(subject, question.into()).await.unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
        let data = answer
            .pointer("/message/data")
            .and_then(|data| data.as_str());
        if data == Some(&*base64ct::Base64::encode_string(sequence.as_bytes())) {
            return;
        }
    }
}

/// A server cuts its stream at the damage when it starts, and tells nobody.
#[test]
fn a_flipped_bit_on_the_only_server_is_reported() {
    let test = "a_flipped_bit_on_the_only_server_is_reported";
    let Some(mut server) = support::own_server(test, DiskSync::On) else {
        return;
    };
    RUNTIME.block_on(async {
        let mut settings = annals_store_nats::Settings::default();
        settings.poll_interval_max = Duration::from_millis(50);
        let builder = support::builder(&server.url()).settings(settings);
        let store = builder.log("shop").allow_lazy_sync().open_or_create();
        let store = store.await.unwrap();
        for number in 0..50 {
            let append = append("a-1", Expected::Any, &format!("event {number}"));
            store.append(append).await.unwrap();
        }
        noted(&server.url(), "50").await;
        drop(store);
        server.end().unwrap();
        assert!(flip(server.folder(), "event 20") > 0);
        server.restart().unwrap();
        let builder = support::builder(&server.url()).log("shop");
        match builder.open().await {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
            Ok(store) => {
                let read = store.collect(ReadRequest::all()).await;
                panic!(
                    "the damage is not told: {:?}",
                    read.map(|events| events.len())
                );
            }
        }
    });
}
