//! Where a projection keeps its model and its progress.

use std::fmt;

use annals_core::Error;

use super::model_id::ModelId;
use super::progress::{Progress, Step};

/// Where a projection keeps its model and how far it got: what a backend of read models implements.
///
/// The contract is one sentence: **the model and the progress change in one atomic step, or not at all**. A sink
/// that keeps it gives exactly-once effects, whenever the process dies.
///
/// The calls come from one caller, one after the other: [`open`](Self::open) first, and again after any error of
/// another call; then for each batch [`begin`](Self::begin), [`model`](Self::model) for each of its events,
/// and [`commit`](Self::commit) or [`roll_back`](Self::roll_back). After a commit the caller asks for the
/// [`second_copy`](Self::second_copy) until there is none.
///
/// Where a sink [puts off](Self::puts_off), the events of several batches may come between [`begin`](Self::begin) and
/// [`commit`](Self::commit); there is no second copy then, and the caller calls [`roll_back`](Self::roll_back) after
/// the commit to say so.
///
/// A sink may be dropped between any two calls; what was not committed is then gone.
///
/// # Errors
/// The kinds of [`annals_core::ErrorKind`] say what is done next, in all methods alike: after
/// [`Unavailable`](annals_core::ErrorKind::Unavailable), [`Overloaded`](annals_core::ErrorKind::Overloaded),
/// [`NoSpace`](annals_core::ErrorKind::NoSpace) and [`Unknown`](annals_core::ErrorKind::Unknown) (of a commit
/// that may or may not have happened) the sink is opened and tried again after a pause; any other kind stops the
/// projection.
pub trait Sink: fmt::Debug + Send + 'static {
    /// What the handlers of a projection change.
    type Model: Send;

    /// Opens or creates the model, and tells how far it got. What was begun and not committed is rolled back.
    fn open(&mut self, model: &ModelId) -> Result<Progress, Error>;

    /// Begins a step.
    fn begin(&mut self) -> Result<(), Error>;

    /// The model, in the step that was begun.
    fn model(&mut self) -> &mut Self::Model;

    /// Ends a step: all changes since [`begin`](Self::begin) and the progress, durably as far as the sink goes, or
    /// nothing of it. Readers see all of it or nothing.
    fn commit(&mut self, step: &Step<'_>) -> Result<(), Error>;

    /// A further copy of the model, which is behind by just the step that was committed last: the caller changes it
    /// by the same events. `None` where the sink has no such copy, as most have. Where that fails,
    /// [`roll_back`](Self::roll_back) gives the copy up.
    fn second_copy(&mut self) -> Option<&mut Self::Model>;

    /// Ends a step, or gives up a second copy, without a trace. With nothing begun it does nothing.
    fn roll_back(&mut self) -> Result<(), Error>;

    /// Empties the model and forgets the progress, in one step.
    fn reset(&mut self) -> Result<(), Error>;

    /// Whether a step may be long: while a projection catches up, the batches of some time are then one step. Right
    /// where a step costs much and an open one costs nothing, as in memory; wrong where an open step keeps a lock or a
    /// transaction that others wait for.
    fn puts_off(&self) -> bool;

    /// Whether the calls may block, as on a disk or a socket: they are then made on a thread that may.
    fn blocks(&self) -> bool;
}
