//! Processors: what consumers are fed with, whatever happens beside it.

mod failing;
mod fed;
mod handover;
mod law;
mod order;
mod reacting;
mod rig;
mod sharing;
mod steering;
