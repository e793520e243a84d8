//! Runs in the background.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use annals_core::{Error, ErrorKind};

use crate::apply::{Applied, ApplySettings, Progress};
use crate::control::Control;
use crate::optimizer::Optimizer;
use crate::plan::Plan;

/// How far a run is that goes on in the background.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunProgress {
    /// Which of the plan's steps is in hand, from 0.
    pub step_index: usize,
    /// How many steps the plan has.
    pub steps: usize,
    /// How many bytes were read and written by now.
    pub bytes_moved: u64,
    /// About how many the whole plan takes.
    pub bytes_total: u64,
}

/// A plan that is being applied on a thread of its own. Dropping it lets the run go on.
#[must_use = "a run that nobody joins tells nobody how it ended"]
pub struct Run {
    control: Control,
    seen: Arc<Mutex<RunProgress>>,
    thread: JoinHandle<Result<Applied, Error>>,
}

impl Run {
    /// Pauses, resumes and cancels it.
    pub const fn control(&self) -> &Control {
        &self.control
    }

    /// How far it is.
    pub fn progress(&self) -> RunProgress {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// As for [`Optimizer::apply`]; [`ErrorKind::Unknown`] when its thread panicked.
    pub fn join(self) -> Result<Applied, Error> {
        self.thread.join().unwrap_or_else(|_| {
            let message = "the optimizer panicked; make another plan";
            Err(Error::new(ErrorKind::Unknown, message))
        })
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("progress", &self.progress())
            .finish_non_exhaustive()
    }
}

impl Optimizer {
    /// Does what the plan says, on a thread of its own.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the system gives no thread.
    pub fn begin(self: &Arc<Self>, plan: Plan, settings: ApplySettings) -> Result<Run, Error> {
        let (control, seen) = (Control::new(), Arc::new(Mutex::new(RunProgress::default())));
        let (optimizer, held, told) = (Arc::clone(self), control.clone(), Arc::clone(&seen));
        let thread = std::thread::Builder::new().name("annals-optimize".to_owned());
        let thread = thread.spawn(move || {
            let mut tell = |progress: Progress<'_>| {
                *told.lock().unwrap_or_else(PoisonError::into_inner) = RunProgress {
                    step_index: progress.step_index,
                    steps: progress.steps,
                    bytes_moved: progress.bytes_moved,
                    bytes_total: progress.bytes_total,
                };
            };
            optimizer.apply(&plan, &settings, &held, &mut tell)
        });
        let thread = thread.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "no thread for the optimizer").caused_by(error)
        })?;
        Ok(Run {
            control,
            seen,
            thread,
        })
    }
}
