//! The chapters about stores are held to the stores.

use std::path::PathBuf;
use std::sync::Arc;

use annals::core::{AppendIdWindow, AppendScope, Capabilities, Durability, Error, EventStore as _};
use annals::{LogStore, MemoryStore, NatsStore, PostgresStore};
use annals_partitioned::Partitioned;
use annals_services::{DiskSync, NatsCluster, NatsServer, PostgresServer};

use crate::copy::{Following, Services};
use crate::examples::with_services;
use crate::support::Place;

fn chapter(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/book/src/{name}.md"))
}

#[test]
fn the_walk_through_runs() {
    let page = std::fs::read_to_string(chapter("growing")).unwrap();
    let place = Place::empty();
    let Some(services) = Services::of(&place, "growing") else {
        return;
    };
    let mut ran = 0;
    for block in page.split("```sh\n").skip(1) {
        let (lines, _) = block.split_once("```").unwrap();
        for line in lines.lines() {
            let line = with_services(line, Some(&services)).unwrap();
            if line.contains("--follow") {
                let mut following = Following::begin(&place, &line);
                following.caught_up();
                following.end();
            } else {
                place.ok(&line);
            }
            ran += 1;
        }
    }
    assert!(ran > 10, "the chapter has {ran} commands");
}

/// What the stores say of themselves; none where tests do without servers.
async fn all() -> Result<Option<Vec<(&'static str, Capabilities)>>, Error> {
    let folder = tempfile::tempdir().unwrap();
    let log = |name: &str| LogStore::builder(folder.path().join(name)).create();
    let servers = (
        PostgresServer::own(DiskSync::On).unwrap(),
        NatsServer::own(DiskSync::On).unwrap(),
        NatsCluster::own(3, DiskSync::On).unwrap(),
    );
    let (Some(postgres), Some(nats), Some(cluster)) = servers else {
        eprintln!("SKIPPED capabilities: told to do without services");
        return Ok(None);
    };
    let on_nats = |url: String| NatsStore::builder(&url).assume_synced();
    let mut partitions = Vec::new();
    for name in ["a", "b", "c", "d"] {
        partitions.push(Arc::new(log(name)?));
    }
    let postgres = PostgresStore::builder(&postgres.url()).open_or_create();
    let cluster = on_nats(cluster.url()).replicas(3).open_or_create();
    Ok(Some(vec![
        ("memory", MemoryStore::new().capabilities()),
        ("embedded", log("log")?.capabilities()),
        ("PostgreSQL", postgres.await?.capabilities()),
        (
            "NATS, R1",
            on_nats(nats.url()).open_or_create().await?.capabilities(),
        ),
        ("NATS, R3", cluster.await?.capabilities()),
        (
            "partitions",
            Partitioned::over(partitions).open().await?.capabilities(),
        ),
    ]))
}

fn table(stores: &[(&str, Capabilities)]) -> String {
    type Told = fn(&Capabilities) -> String;
    let rows: [(&str, Told); 13] = [
        ("an acknowledged append survives", |it| {
            match it.durability {
                Durability::Volatile => "nothing",
                Durability::Process => "the process",
                Durability::Synced => "a loss of power",
                Durability::Replicated => "the loss of a server",
                _ => "?",
            }
            .to_owned()
        }),
        ("a retry is known", |it| match it.append_ids {
            AppendIdWindow::Forever => "for ever".to_owned(),
            AppendIdWindow::AtLeast(time) => format!("for {time:?}"),
            _ => "?".to_owned(),
        }),
        ("one append reaches", |it| {
            match it.append_scope {
                AppendScope::Store => "the store",
                AppendScope::PartitionKey => "a partition",
                _ => "?",
            }
            .to_owned()
        }),
        ("several streams in one append", |it| {
            yes_or_no(it.multi_stream_appends)
        }),
        ("checks of other streams", |it| yes_or_no(it.stream_checks)),
        ("conditions (boundaries)", |it| yes_or_no(it.conditions)),
        ("one total order", |it| yes_or_no(it.total_order)),
        ("positions without gaps", |it| yes_or_no(it.dense_positions)),
        ("unique event ids", |it| yes_or_no(it.unique_event_ids)),
        ("reads backward", |it| yes_or_no(it.backward_reads)),
        ("policies of streams", |it| yes_or_no(it.stream_policies)),
        ("events of an append, at most", |it| {
            it.append_events_max.to_string()
        }),
        ("KiB of a payload and of an append, at most", |it| {
            format!(
                "{}, {}",
                it.payload_bytes_max / 1024,
                it.append_bytes_max / 1024
            )
        }),
    ];
    let mut table = String::from("|");
    for (name, _) in stores {
        table.push_str(&format!(" | {name}"));
    }
    table.push_str(&format!(" |\n|{}\n", "---|".repeat(stores.len() + 1)));
    for (name, told) in rows {
        table.push_str(&format!("| {name}"));
        for (_, capabilities) in stores {
            table.push_str(&format!(" | {}", told(capabilities)));
        }
        table.push_str(" |\n");
    }
    table
}

fn yes_or_no(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

#[test]
fn capabilities() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let Some(stores) = runtime.block_on(all()).unwrap() else {
        return;
    };
    let path = chapter("choosing-a-store");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("<!-- capabilities: ").unwrap();
    let (how, rest) = rest.split_once("-->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end of capabilities -->").unwrap();
    let table = table(&stores);
    let expected = format!(
        "{before}<!-- capabilities: {how}-->\n\n{table}\n<!-- end of capabilities -->{after}"
    );
    expect_test::expect_file![path].assert_eq(&expected);
}
