//! Whoever asks blocks, in whatever context.

use std::sync::Arc;

use crate::SEGMENT_BYTES;
use crate::support::{Written, check, limits, local, memory, parts};

fn there_and_back(store: Arc<dyn object_store::ObjectStore>) {
    let parts = parts(store, limits());
    let mut it = Written::new(&parts, SEGMENT_BYTES, 3);
    it.archive(1).unwrap();
    check(&it.log.view(), &it.records);
    it.restore(1).unwrap();
    check(&it.log.view(), &it.records);
    // What opens archives ends with the log, here as well.
}

#[test]
fn a_thread_of_no_runtime_may_ask() {
    there_and_back(memory());
}

#[tokio::test]
async fn a_runtime_of_one_thread_may_be_asked_from() {
    let directory = tempfile::tempdir().unwrap();
    there_and_back(memory());
    there_and_back(local(directory.path()));
    tokio::task::spawn_blocking(|| there_and_back(memory()))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_of_several_threads_may_be_asked_from() {
    let directory = tempfile::tempdir().unwrap();
    there_and_back(local(directory.path()));
    let asked = (0..8).map(|_| tokio::spawn(async { there_and_back(memory()) }));
    for one in asked.collect::<Vec<_>>() {
        one.await.unwrap();
    }
}
