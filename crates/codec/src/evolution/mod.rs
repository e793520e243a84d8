//! Events of older schemas, made into those of the present.
//!
//! [`EvolutionBuilder`] says what becomes of every version that may be stored, [`Evolution`] is that checked, and
//! [`Evolving`] is the codec that does it.

mod builder;
mod check;
mod evolving;
mod flaw;
mod policy;
mod registry;
mod schema;
mod step;
mod value;

pub use builder::{EvolutionBuilder, EvolvingEvent};
pub use evolving::{Evolving, UPCAST_PAYLOADS_MAX};
pub use flaw::{EvolutionError, Flaw, FlawKind};
pub use policy::Policy;
pub use registry::Evolution;
pub use schema::{Plan, PlannedStep, Schema};
pub use step::{
    Events, Fallible, Raw, RawPayload, SplitOutput, Typed, UpcastError, UpcastInput, UpcastOutput,
};
pub use value::{VALUE_NODES_MAX, Value};
