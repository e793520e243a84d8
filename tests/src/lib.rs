//! What the workspace-wide tests share: an application to test with, and the bodies of the fuzz
//! targets.
//!
//! The laws themselves stand in `tests/tests`, one law a file.

pub mod cold;
pub mod counted;
pub mod evolving;
pub mod fuzz;
pub mod ledger;
pub mod strategies;
pub mod wide;
