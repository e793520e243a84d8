//! The directory of runs: crashes, gaps, leftovers, and when to merge.

use std::sync::Arc;

use annals_log::vfs::Vfs;
use annals_log::vfs::sim::{Fault, IoFault, SimFs};

use super::super::{Memtable, Part, Runs};
use super::model::{History, Model, Step, compare};
use super::{KINDS, directory, end, path};

const PIECES: usize = 6;

/// A history in pieces of a few events each.
fn pieces() -> Vec<(Memtable, Model)> {
    let steps: Vec<Step> = (0..PIECES * 5)
        .map(|n| Step::Event {
            stream: n % 3,
            event_type: n % 2,
            tags: vec![n % 4],
            append: true,
            bytes: 200,
        })
        .collect();
    let cuts: Vec<usize> = (1..PIECES).map(|piece| piece * 5).collect();
    History::new(&steps).pieces(&cuts)
}

/// Flushes all pieces and merges where the plan says so. Errors end it, as a crash does.
fn workload(vfs: &Arc<dyn Vfs>) -> Option<Runs> {
    let directory = super::RunDirectory::new(
        Arc::clone(vfs),
        &path(),
        super::LOG_ID,
        super::RunReads::Map,
    )
    .ok()?;
    let pieces = pieces();
    let mut runs = directory.open(end(&pieces.last()?.1)).ok()?;
    for (memtable, model) in &pieces {
        if memtable.first() < runs.next_position() {
            continue;
        }
        runs.add(directory.flush(memtable, KINDS, model.upto()).ok()?);
        while let Some(plan) = runs.plan_merge() {
            runs.replace(&directory.merge(&plan).ok()?);
        }
    }
    Some(runs)
}

/// Holds the runs against the model of all events up to their last.
fn check(runs: &Runs, what: &str) {
    let mut models: Vec<Model> = pieces().into_iter().map(|(_, model)| model).collect();
    models.reverse();
    for run in runs.all() {
        let mut model = models.pop().unwrap();
        while model.last < run.last() {
            model = model.joined(models.pop().unwrap());
        }
        assert_eq!(compare(run.as_ref(), &model), Ok(()), "{what}");
    }
}

fn all_end() -> annals_log::Place {
    end(&pieces().pop().unwrap().1)
}

#[test]
fn a_crash_at_any_call_leaves_runs_that_are_right() {
    let whole = SimFs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(whole.clone());
    let runs = workload(&vfs).unwrap();
    assert_eq!(runs.next_position(), PIECES as u64 * 5 + 1);
    assert_eq!(runs.all().len(), 3);
    let mut partial = 0;
    for calls in 0..whole.calls() {
        let fs = SimFs::new();
        fs.power_off_after(calls);
        let vfs: Arc<dyn Vfs> = Arc::new(fs.clone());
        workload(&vfs);
        for seed in 0..8 {
            let what = format!("power lost after {calls} calls, seed {seed}");
            let after: Arc<dyn Vfs> = Arc::new(fs.crash(seed));
            let runs = directory(&after, &path()).open(all_end()).expect(&what);
            check(&runs, &what);
            partial += u32::from((1..=20).contains(&runs.next_position()));
            let runs = workload(&after).expect(&what);
            assert_eq!(runs.next_position(), PIECES as u64 * 5 + 1, "{what}");
            check(&runs, &what);
        }
    }
    assert!(partial > 100, "{partial} crashes in the middle");
}

#[test]
fn an_error_at_any_call_leaves_runs_that_are_right() {
    let whole = SimFs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(whole.clone());
    workload(&vfs).unwrap();
    for call in 0..whole.calls() {
        let fs = SimFs::new();
        fs.fail_at(call, Fault::Io(IoFault::NoSpace));
        let vfs: Arc<dyn Vfs> = Arc::new(fs.clone());
        workload(&vfs);
        let again = workload(&vfs).unwrap_or_else(|| panic!("failed again after call {call}"));
        assert_eq!(again.next_position(), PIECES as u64 * 5 + 1, "call {call}");
        check(&again, &format!("call {call}"));
    }
}

#[test]
fn runs_behind_a_gap_or_ahead_of_the_log_are_removed() {
    let fs = SimFs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(fs.clone());
    let directory = directory(&vfs, &path());
    let pieces = pieces();
    let flush = || -> Vec<_> {
        let flush = |(memtable, model): &(Memtable, Model)| {
            directory
                .flush(memtable, KINDS, model.upto())
                .unwrap()
                .path()
                .to_path_buf()
        };
        pieces.iter().map(flush).collect()
    };
    let names = || vfs.names(&path()).unwrap().len();
    let files = flush();
    assert_eq!(directory.open(all_end()).unwrap().all().len(), PIECES);
    fs.disk().remove(&files[2]).unwrap();
    assert_eq!(directory.open(all_end()).unwrap().all().len(), 2);
    assert_eq!(names(), 2);
    flush();
    assert_eq!(directory.open(end(&pieces[3].1)).unwrap().all().len(), 4);
    assert_eq!(names(), 4);
    fs.disk()
        .write(
            path().join("00000000000000000001-00000000000000000009.unfinished"),
            b"x",
        )
        .ok();
    fs.disk().flip_bit(&files[1], 20 * 8).unwrap();
    let mut runs = directory.open(all_end()).unwrap();
    assert_eq!((runs.all().len(), names()), (1, 1));
    assert_eq!(runs.upto(), Some(pieces[0].1.upto()));
    runs.drop_from(&files[0]);
    assert_eq!((runs.all().len(), names(), runs.upto()), (0, 0, None));
}

#[test]
fn runs_stay_few_and_are_seldom_rewritten() {
    let fs = SimFs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(fs);
    let directory = directory(&vfs, &path());
    let mut runs = directory.open(all_end()).unwrap();
    let events = 256;
    let steps: Vec<Step> = (0..events)
        .map(|n| Step::Event {
            stream: n % 3,
            event_type: 0,
            tags: vec![],
            append: false,
            bytes: 9,
        })
        .collect();
    let cuts: Vec<usize> = (1..events).collect();
    let mut rewritten = 0;
    for (memtable, model) in History::new(&steps).pieces(&cuts) {
        runs.add(directory.flush(&memtable, KINDS, model.upto()).unwrap());
        while let Some(plan) = runs.plan_merge() {
            let merged = directory.merge(&plan).unwrap();
            rewritten += merged.last() - merged.first() + 1;
            runs.replace(&merged);
        }
        assert!(runs.all().len() <= 12, "{} runs", runs.all().len());
    }
    let times = rewritten / events as u64;
    assert!(times <= 4, "each event was written anew {times} times");
}
