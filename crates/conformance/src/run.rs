//! Runs cases: as many at a time as the backend says, each on a store and a thread of its own, none for ever.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::backend::Backend;
use crate::bench::Bench;
use crate::case::Case;
use crate::cases::SUBJECTS;
use crate::failure::{Failure, Verdict};
use crate::report::{CaseOutcome, CaseResult, Report};

/// Runs every case of the contract on stores of this backend.
pub fn check(backend: impl Backend) -> Report {
    check_only(backend, "")
}

/// Runs the cases whose names begin like this: `paging` for a subject,
/// `append.multi_stream_is_atomic` for one case.
pub fn check_only(backend: impl Backend, beginning: &str) -> Report {
    let backend: Arc<dyn Backend> = Arc::new(backend);
    let probe = match open(&backend, "opening a store") {
        Ok(probe) => probe,
        Err(failure) => return single("backend.opens", Err(failure)),
    };
    let named = SUBJECTS.iter().flat_map(|(subject, cases)| {
        let name = move |case: &'static Case| (format!("{subject}.{}", case.name), case);
        cases.iter().map(name)
    });
    let chosen: Vec<(String, &'static Case)> = named
        .filter(|(name, _)| name.starts_with(beginning))
        .collect();
    let run = |(name, case): (String, &'static Case)| {
        let outcome = run_case(&backend, &probe, case, &name);
        CaseResult { name, outcome }
    };
    Report::new(side_by_side(backend.cases_at_once(), chosen, run))
}

/// Does a piece of work for each item, so many at a time, and gives what each gave, in the order of the items.
pub(crate) fn side_by_side<I: Send, T: Send>(
    at_once: usize,
    items: Vec<I>,
    work: impl Fn(I) -> T + Sync,
) -> Vec<T> {
    let workers = at_once.min(items.len());
    let items = Mutex::new(items.into_iter().enumerate());
    let done = Mutex::new(Vec::new());
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    let worker = || {
        while let Some((number, item)) = next() {
            let result = work(item);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push((number, result));
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(worker);
        }
        worker();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Opens a store.
pub(crate) fn open(backend: &Arc<dyn Backend>, name: &str) -> Result<Bench, Failure> {
    guarded(backend, name, Bench::open(Arc::clone(backend)))
}

/// The report of a check that is a single case.
pub(crate) fn single(name: &str, verdict: Verdict) -> Report {
    let outcome = match verdict {
        Ok(()) => CaseOutcome::Passed,
        Err(failure) => CaseOutcome::Failed(failure),
    };
    let name = name.to_owned();
    Report::new(vec![CaseResult { name, outcome }])
}

/// The report of a check that is a single case which does not apply.
pub(crate) fn skipped(name: &str, reason: &'static str) -> Report {
    Report::new(vec![CaseResult {
        name: name.to_owned(),
        outcome: CaseOutcome::Skipped(reason),
    }])
}

/// Runs a future to its end on a thread of its own; a panic is a failure, and so is no end at all. A
/// thread that hangs is left behind, as nothing can end it from outside.
pub(crate) fn guarded<T: Send + 'static>(
    backend: &Arc<dyn Backend>,
    name: &str,
    future: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let (sender, receiver) = channel();
    let runner = Arc::clone(backend);
    let body = move || {
        let mut result = None;
        let run = AssertUnwindSafe(|| {
            runner.block_on(Box::pin(async { result = Some(future.await) }));
        });
        let ended = catch_unwind(run);
        let result = match (ended, result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(Failure::new("`Backend::block_on` came back too early")),
            (Err(panic), _) => Err(Failure::new(format!("it panicked: {}", text_of(&*panic)))),
        };
        // Nobody listens any more once the time is up.
        drop(sender.send(result));
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| Failure::new(format!("no thread for the case: {error}")))?;
    let timeout = backend.case_timeout();
    receiver.recv_timeout(timeout).unwrap_or_else(|why| {
        Err(Failure::new(match why {
            RecvTimeoutError::Timeout => format!("it hangs: no end after {timeout:?}"),
            RecvTimeoutError::Disconnected => "its thread died".to_owned(),
        }))
    })
}

fn run_case(
    backend: &Arc<dyn Backend>,
    probe: &Bench,
    case: &'static Case,
    name: &str,
) -> CaseOutcome {
    let capabilities = probe.capabilities();
    let unmet = |need: &crate::case::Need| need.unmet(probe.stores(), capabilities);
    if let Some(reason) = case.needs.iter().find_map(unmet) {
        return CaseOutcome::Skipped(reason);
    }
    let opening = Bench::open(Arc::clone(backend));
    let verdict = guarded(backend, name, async move {
        let bench = opening.await?;
        (case.run)(&bench).await
    });
    match verdict {
        Ok(()) => CaseOutcome::Passed,
        Err(failure) => CaseOutcome::Failed(failure),
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use annals_core::{Error, ErrorKind, ManualClock};
    use annals_store_memory::MemoryStore;
    use async_trait::async_trait;
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::backend::Stores;

    /// How a backend may let the suite down.
    #[derive(Clone, Copy)]
    enum Flaw {
        None,
        CannotOpen,
        RunsNothing,
    }

    #[async_trait]
    impl Backend for Flaw {
        async fn open(&self, _: ManualClock) -> Result<Stores, Error> {
            match self {
                Self::CannotOpen => Err(Error::new(ErrorKind::Unavailable, "no disk")),
                _ => Ok(Stores::new(MemoryStore::new())),
            }
        }

        fn block_on(&self, future: BoxFuture<'_, ()>) {
            if !matches!(self, Self::RunsNothing) {
                futures_executor::block_on(future);
            }
        }

        fn case_timeout(&self) -> Duration {
            Duration::from_millis(50)
        }
    }

    fn failure_of(
        flaw: Flaw,
        body: impl Future<Output = Result<(), Failure>> + Send + 'static,
    ) -> String {
        let backend: Arc<dyn Backend> = Arc::new(flaw);
        guarded(&backend, "a case", body).unwrap_err().to_string()
    }

    #[test]
    fn a_case_that_panics_or_hangs_has_failed() {
        let panics = failure_of(Flaw::None, async { panic!("boom {}", 7) });
        assert_eq!(panics, "it panicked: boom 7");
        let hangs = failure_of(Flaw::None, std::future::pending());
        assert_eq!(hangs, "it hangs: no end after 50ms");
        let idle = failure_of(Flaw::RunsNothing, async { Ok(()) });
        assert_eq!(idle, "`Backend::block_on` came back too early");
    }

    #[test]
    fn a_backend_that_cannot_open_has_failed() {
        let report = check(Flaw::CannotOpen);
        let failed: Vec<(&str, String)> = report
            .failed()
            .map(|(name, failure)| (name, failure.to_string()))
            .collect();
        let message = "opening a store: the store failed: no disk (Unavailable)".to_owned();
        assert_eq!(failed, [("backend.opens", message)]);
    }

    #[test]
    fn an_event_store_alone_is_enough() {
        let report = check_only(Flaw::None, "snapshots");
        assert!(report.failed().next().is_none());
        let reasons: Vec<&str> = report.skipped().map(|(_, reason)| reason).collect();
        assert!(!reasons.is_empty());
        assert!(
            reasons
                .iter()
                .all(|reason| *reason == "not offered: a snapshot store")
        );
    }
}
