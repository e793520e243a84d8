//! Runs and merges of runs against the model.

use std::sync::Arc;

use annals_log::vfs::sim::SimFs;
use annals_log::vfs::{OsVfs, Vfs};
use proptest::prelude::*;

use super::super::{Memtable, Part, Run, RunReads};
use super::model::{History, LOG_ID, Model, Step, compare, steps};
use super::{KINDS, directory, path, reopened};

/// Flushes the pieces that have a position, the policies of the others joined to the next.
fn flushed(vfs: &Arc<dyn Vfs>, pieces: Vec<(Memtable, Model)>) -> Vec<(Arc<Run>, Model)> {
    let directory = directory(vfs, &path());
    let flush = |(memtable, model): (Memtable, Model)| {
        (memtable.len() > 0).then(|| {
            (
                directory.flush(&memtable, KINDS, model.upto()).unwrap(),
                model,
            )
        })
    };
    pieces.into_iter().filter_map(flush).collect()
}

fn check(run: &Run, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(compare(run, model), Ok(()));
    prop_assert_eq!(run.upto(), model.upto());
    prop_assert_eq!(run.kinds().unwrap(), KINDS);
    run.check().unwrap();
    Ok(())
}

proptest! {
    #[test]
    fn a_run_answers_as_the_model(
        steps in steps(300),
        cuts in prop::collection::vec(any::<usize>(), 0..3),
    ) {
        let vfs: Arc<dyn Vfs> = Arc::new(SimFs::new());
        for (run, model) in flushed(&vfs, History::new(&steps).pieces(&cuts)) {
            check(&run, &model)?;
            check(&reopened(&vfs, &run), &model)?;
        }
    }

    #[test]
    fn merges_in_any_grouping_answer_as_the_model(
        steps in steps(200),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
        groups in prop::collection::vec((any::<prop::sample::Index>(), 2..5_usize), 1..5),
    ) {
        let vfs: Arc<dyn Vfs> = Arc::new(SimFs::new());
        let directory = directory(&vfs, &path());
        let mut parts = flushed(&vfs, History::new(&steps).pieces(&cuts));
        for (start, count) in groups {
            if parts.len() < 2 {
                break;
            }
            let start = start.index(parts.len() - 1);
            let end = parts.len().min(start + count);
            let (runs, models): (Vec<_>, Vec<_>) = parts.drain(start..end).unzip();
            let merged = directory.merge(&runs).unwrap();
            let model = models.into_iter().reduce(Model::joined).unwrap();
            check(&merged, &model)?;
            parts.insert(start, (merged, model));
        }
    }
}

#[test]
fn a_mapped_run_answers_as_the_model() {
    let home = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
    let directory = directory(&vfs, &home.path().join("index"));
    let steps: Vec<Step> = (0..500)
        .map(|n| Step::Event {
            stream: n % 4,
            event_type: n % 3,
            tags: vec![n % 2, 2],
            append: n % 10 == 0,
            bytes: 300,
        })
        .collect();
    let mut runs = Vec::new();
    let mut models = Vec::new();
    for (memtable, model) in History::new(&steps).pieces(&[100, 130, 400]) {
        let run = directory.flush(&memtable, KINDS, model.upto()).unwrap();
        assert_eq!(compare(run.as_ref(), &model), Ok(()));
        runs.push(run);
        models.push(model);
    }
    let merged = directory.merge(&runs).unwrap();
    let model = models.into_iter().reduce(Model::joined).unwrap();
    assert_eq!(compare(merged.as_ref(), &model), Ok(()));
    assert_eq!((merged.first(), merged.last()), (1, 500));
    let owned = Run::open(vfs.as_ref(), merged.path(), LOG_ID, RunReads::Owned).unwrap();
    assert_eq!(compare(&owned, &model), Ok(()));
}
