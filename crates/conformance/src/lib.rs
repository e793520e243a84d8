//! The contract of an annals event store as executable cases

mod backend;
mod bench;
mod case;
mod cases;
mod failure;
mod history;
mod model;
mod names;
mod pages;
mod report;
mod run;
mod seed;

pub use annals_core::ManualClock;
pub use backend::{Backend, Stores};
pub use failure::Failure;
pub use history::{History, HistorySettings, Recorder, Violation, check_histories};
pub use model::check_model;
pub use report::{CaseOutcome, CaseResult, Report};
pub use run::{check, check_only};
