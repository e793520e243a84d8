//! A plain model of the contract, held against a store under generated steps.

mod drive;
mod operation;
mod pools;
mod state;
mod strategy;
mod text;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use self::drive::Drive;
use self::operation::Operation;
use self::strategy::{Offer, operations};
use crate::backend::Backend;
use crate::bench::Bench;
use crate::failure::{Failure, Verdict};
use crate::report::Report;
use crate::run::{guarded, open, side_by_side, single};
use crate::seed::Seed;

const NAME: &str = "model.agrees_with_the_store";

/// Takes generated steps on fresh stores and on a plain model, `cases` times over, and compares every
/// answer: receipts, conflicts to the last position, pages, cursors, heads.
///
/// A disagreement is shrunk to the fewest steps that show it. They are printed with the seed, with which
/// `ANNALS_SEED` repeats the run.
pub fn check_model(backend: impl Backend, cases: u32) -> Report {
    let backend: Arc<dyn Backend> = Arc::new(backend);
    single(NAME, check(&backend, cases, Seed::choose()))
}

fn check(backend: &Arc<dyn Backend>, cases: u32, seed: Seed) -> Verdict {
    let probe = open(backend, NAME)?;
    let offer = Offer {
        capabilities: *probe.capabilities(),
        time: probe.stores().time(),
    };
    let lanes = u32::try_from(backend.cases_at_once()).unwrap_or(1).max(1);
    let share = |lane: u32| cases / lanes + u32::from(lane < cases % lanes);
    let run = |lane: u32| check_lane(backend, offer, share(lane), (seed, lane));
    let verdicts = side_by_side(backend.cases_at_once(), (0..lanes).collect(), run);
    verdicts.into_iter().collect()
}

/// Some of the cases, one after the other, with random numbers of their own.
fn check_lane(
    backend: &Arc<dyn Backend>,
    offer: Offer,
    cases: u32,
    (seed, lane): (Seed, u32),
) -> Verdict {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 5_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, seed.rng(u64::from(lane)));
    // A store that hangs would hang again at every step of the shrinking.
    let hung = AtomicBool::new(false);
    let outcome = runner.run(&operations(offer), |operations| {
        if hung.load(Ordering::Relaxed) {
            return Ok(());
        }
        let run = take(Arc::clone(backend), operations);
        guarded(backend, NAME, run).map_err(|failure| {
            let text = failure.to_string();
            hung.fetch_or(text.starts_with("it hangs"), Ordering::Relaxed);
            TestCaseError::fail(text)
        })
    });
    outcome.map_err(|error| {
        let why = match error {
            TestError::Fail(reason, operations) => {
                explain(backend, operations, &reason.to_string())
            }
            TestError::Abort(reason) => reason.to_string(),
        };
        Failure::new(format!("{why}\n{seed} repeats it"))
    })
}

/// Takes all steps on a fresh store and its model; a failure says what was done up to it.
async fn take(backend: Arc<dyn Backend>, operations: Vec<Operation>) -> Verdict {
    let bench = Bench::open(backend).await?;
    let mut drive = Drive::new(&bench);
    for operation in &operations {
        if let Err(failure) = drive.step(operation).await {
            let steps: Vec<String> = drive
                .lines
                .iter()
                .map(|line| format!("  {line}\n"))
                .collect();
            return Err(Failure::new(format!("after\n{}{failure}", steps.concat())));
        }
    }
    Ok(())
}

/// The failure as it shows with the fewest steps; `reason` is what it was when it was shrunk.
fn explain(backend: &Arc<dyn Backend>, operations: Vec<Operation>, reason: &str) -> String {
    if reason.starts_with("it hangs") {
        return format!("{reason}, at the latest after {operations:?}");
    }
    let run = take(Arc::clone(backend), operations);
    let again = guarded(backend, NAME, run).err();
    again.map_or_else(|| reason.to_owned(), |failure| failure.to_string())
}

#[cfg(test)]
mod tests {
    use annals_core::ManualClock;
    use annals_store_memory::MemoryStore;
    use proptest::strategy::{Strategy, ValueTree};

    use super::*;
    use crate::backend::{Stores, TimeSource};

    /// What was done, in 300 runs of generated steps on a memory store.
    fn transcript() -> String {
        let open = |clock: ManualClock| {
            Stores::new(MemoryStore::builder().clock(Arc::new(clock)).build()).on_the_clock()
        };
        let backend: Arc<dyn Backend> = Arc::new(open);
        let seed = Seed::choose();
        let mut runner = TestRunner::new_with_rng(Config::default(), seed.rng(0));
        let steps = operations(Offer {
            capabilities: annals_core::Capabilities::COMPLETE,
            time: TimeSource::Given,
        });
        let mut lines = Vec::new();
        for _ in 0..300 {
            let operations = steps.new_tree(&mut runner).unwrap().current();
            let backend = Arc::clone(&backend);
            futures_executor::block_on(async {
                let bench = Bench::open(backend).await.unwrap();
                let mut drive = Drive::new(&bench);
                for operation in &operations {
                    let step = drive.step(operation).await;
                    step.unwrap_or_else(|failure| panic!("{:?}\n{failure}\n{seed}", drive.lines));
                }
                lines.append(&mut drive.lines);
            });
        }
        lines.join("\n")
    }

    /// A campaign that never reaches an interesting state proves little.
    #[test]
    fn generated_steps_reach_every_kind_of_answer() {
        let transcript = transcript();
        for reached in [
            "// recorded at",
            "// a duplicate",
            "// its id stands for other content",
            "unless(",
            "was recorded after",
            "is closed for good",
            "exists at",
            "expected no stream",
            "expected an existing stream",
            "soft-deleted at version",
            "; ",
            "// ahead of the store",
            "change stream policy: ",
            "backward",
            "// 0 events on 1 pages",
            "events on 4 pages",
            "Tombstone",
            "max_age: Some(",
            "receipt(",
            "clock.advance(",
        ] {
            assert!(transcript.contains(reached), "never reached: {reached}");
        }
    }
}
