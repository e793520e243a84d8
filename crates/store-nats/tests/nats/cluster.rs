//! What is acknowledged is stored, in order and once, whatever happens to the servers of a cluster.

use std::sync::Arc;
use std::time::Duration;

use crate::support;
use crate::support::RUNTIME;
use crate::support::blocks::flip;
use crate::support::events::{WRITERS, append, assert_recorded, insist, load};
use annals_core::{ErrorKind, EventStore, Expected};
use annals_services::{DiskSync, NatsCluster};
use annals_store_nats::NatsStore;
use tokio::sync::mpsc;

/// Two stores on one log, as two processes have them.
async fn stores(cluster: &NatsCluster) -> [Arc<NatsStore>; 2] {
    let log = support::fresh_log();
    let open = async || {
        let builder = support::builder(&cluster.url()).log(&log).replicas(3);
        Arc::new(builder.assume_synced().open_or_create().await.unwrap())
    };
    [open().await, open().await]
}

/// What is done to a cluster that is written to.
#[derive(Clone, Copy, Debug)]
enum Hurt {
    KillTheLeader,
    HaltTheLeader,
    KillAll,
}

/// What was done to clusters, and how many appends were acknowledged meanwhile.
#[derive(Debug, Default)]
struct Tally {
    leaders_killed: usize,
    leaders_halted: usize,
    all_killed: usize,
    acknowledged: usize,
}

impl Tally {
    fn note(&mut self, hurt: Hurt) {
        *match hurt {
            Hurt::KillTheLeader => &mut self.leaders_killed,
            Hurt::HaltTheLeader => &mut self.leaders_halted,
            Hurt::KillAll => &mut self.all_killed,
        } += 1;
    }
}

/// How many appends are acknowledged before something is done to the cluster.
const ACKNOWLEDGED_BEFORE: usize = 50;

/// Appends while this is done to the cluster, one after the other, and once more after all of it: each time all that
/// is appended has to be acknowledged in the end.
async fn under_load(
    mut cluster: NatsCluster,
    appends_each: usize,
    hurts: &[Hurt],
    tally: &mut Tally,
) -> NatsCluster {
    let stores = stores(&cluster).await;
    let mut receipts = Vec::new();
    for hurt in hurts {
        let log = stores[0].log().to_owned();
        let hurt = *hurt;
        let (reached, mut time) = mpsc::unbounded_channel();
        let hurting = tokio::task::spawn_blocking(move || {
            time.blocking_recv().unwrap();
            hurt_it(&mut cluster, &log, hurt);
            cluster
        });
        let each = move |count| {
            if count == ACKNOWLEDGED_BEFORE {
                reached.send(()).unwrap();
            }
        };
        let round = format!("{}", receipts.len());
        receipts.extend(load(&stores, &round, appends_each, each).await);
        cluster = hurting.await.unwrap();
        tally.note(hurt);
    }
    receipts.extend(load(&stores, "after", appends_each, |_| ()).await);
    let sent = WRITERS * appends_each * (hurts.len() + 1);
    assert_eq!(receipts.len(), sent, "each is acknowledged");
    tally.acknowledged += receipts.len();
    for store in &stores {
        assert_recorded(&**store, &receipts).await;
    }
    cluster
}

fn hurt_it(cluster: &mut NatsCluster, log: &str, hurt: Hurt) {
    match hurt {
        Hurt::KillTheLeader => {
            let leader = leader(cluster, log);
            cluster.nodes_mut()[leader].kill().unwrap();
            cluster.nodes_mut()[leader].restart().unwrap();
        }
        Hurt::HaltTheLeader => {
            let halted = leader(cluster, log);
            cluster.nodes_mut()[halted].pause().unwrap();
            awaited(|| others_lead(cluster, log, halted).then_some(()));
            cluster.nodes_mut()[halted].resume().unwrap();
        }
        Hurt::KillAll => {
            for node in cluster.nodes_mut() {
                node.kill().unwrap();
            }
            for node in cluster.nodes_mut() {
                node.restart().unwrap();
            }
        }
    }
}

/// The node that leads the log, when one does.
fn leader(cluster: &NatsCluster, log: &str) -> usize {
    awaited(|| cluster.leader_of(log).ok())
}

/// How often, and with what pause, servers are asked what they have come to: a minute.
const LOOKS_MAX: usize = 600;
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// What servers come to in the end.
#[expect(
    clippy::disallowed_methods,
    reason = "what other processes come to can only be asked for again and again"
)]
fn awaited<T>(look: impl Fn() -> Option<T>) -> T {
    let mut looks = (0..LOOKS_MAX).map(|number| {
        if number > 0 {
            std::thread::sleep(LOOK_PAUSE);
        }
        look()
    });
    looks.find_map(|found| found).unwrap()
}

/// Whether the nodes beside the one that is halted have another leader.
fn others_lead(cluster: &NatsCluster, log: &str, halted: usize) -> bool {
    let nodes = cluster.nodes().iter().enumerate();
    let others = nodes.filter(|(index, _)| *index != halted);
    let mut leaders = others.filter_map(|(_, node)| {
        let state = node.monitor("/jsz?streams=1").ok()?;
        let details = state
            .pointer("/account_details/0/stream_detail")?
            .as_array()?;
        let found = details.iter().find(|detail| detail["name"] == log)?;
        Some(found.pointer("/cluster/leader")?.as_str()?.to_owned())
    });
    leaders.any(|leader| leader != format!("node{}", halted + 1))
}

/// On one cluster, one after the other: the leader killed, the leader halted until another leads, all nodes killed.
#[test]
fn lost_servers_take_nothing_under_load() {
    const HURTS: [Hurt; 3] = [Hurt::KillTheLeader, Hurt::HaltTheLeader, Hurt::KillAll];
    let test = "lost_servers_take_nothing_under_load";
    let Some(mut cluster) = support::cluster(test, DiskSync::On) else {
        return;
    };
    let mut tally = Tally::default();
    RUNTIME.block_on(async {
        for _ in 0..support::scale() {
            cluster = under_load(cluster, 30, &HURTS, &mut tally).await;
        }
    });
    let Tally {
        leaders_killed,
        leaders_halted,
        all_killed,
        acknowledged,
    } = tally;
    println!(
        "cluster: {{\"leaders killed\": {leaders_killed}, \"leaders halted\": {leaders_halted}, \
         \"all killed\": {all_killed}, \"appends under load\": {acknowledged}}}"
    );
}

/// What another process appended and waits for the other servers is no reason to give up an append: it waits too.
#[test]
fn what_stands_in_the_way_without_a_quorum_is_waited_for() {
    let test = "what_stands_in_the_way_without_a_quorum_is_waited_for";
    let sync = DiskSync::OffLosesCommitsOnPowerLoss;
    let Some(mut cluster) = support::cluster(test, sync) else {
        return;
    };
    RUNTIME.block_on(async {
        let log = support::fresh_log();
        let open = async |url: &str| {
            let mut settings = annals_store_nats::Settings::default();
            settings.overtaken_max = 2;
            let builder = support::builder(url).settings(settings).log(&log);
            let builder = builder.replicas(3).allow_lazy_sync();
            builder.open_or_create().await.unwrap()
        };
        drop(open(&cluster.url()).await);
        let leader = leader(&cluster, &log);
        let url = cluster.nodes()[leader].url();
        let [one, other] = [open(&url).await, open(&url).await];
        let others = || (0..3).filter(|other| *other != leader);
        for other in others() {
            cluster.nodes_mut()[other].pause().unwrap();
        }
        let both = async {
            tokio::join!(
                one.append(append("a-1", Expected::Any, "one")),
                other.append(append("a-1", Expected::Any, "other")),
            )
        };
        tokio::pin!(both);
        let early = tokio::time::timeout(Duration::from_secs(1), &mut both).await;
        assert!(early.is_err(), "answered without a quorum: {early:?}");
        for other in others() {
            cluster.nodes_mut()[other].resume().unwrap();
        }
        let both = tokio::time::timeout(Duration::from_mins(1), both).await;
        let (one_receipt, other_receipt) = both.unwrap();
        assert_recorded(&one, &[one_receipt.unwrap(), other_receipt.unwrap()]).await;
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
        assert_recorded(&store, &[before, after]).await;
    });
}

#[test]
fn a_flipped_bit_on_one_server_is_made_up_for_by_the_others() {
    let test = "a_flipped_bit_on_one_server_is_made_up_for_by_the_others";
    let Some(mut cluster) = support::cluster(test, DiskSync::On) else {
        return;
    };
    RUNTIME.block_on(async {
        let [store, other] = stores(&cluster).await;
        let receipts = load(&[Arc::clone(&store), other], "all", 20, |_| ()).await;
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
                assert_recorded(store, &receipts).await;
            }
        }
    });
}
