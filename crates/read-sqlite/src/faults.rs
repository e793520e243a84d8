//! Failures of the file at the n-th statement, for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use annals_core::{Error, ErrorKind};

/// After how many more statements the file fails; never while it is negative.
#[derive(Clone, Debug)]
pub(crate) struct Faults(Arc<AtomicI64>);

impl Default for Faults {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(-1)))
    }
}

impl Faults {
    pub(crate) fn after(&self, statements: i64) {
        self.0.store(statements, Ordering::Relaxed);
    }

    pub(crate) fn is_due(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= 0
    }

    pub(crate) fn at_statement(&self) -> Result<(), Error> {
        if !self.is_due() || self.0.fetch_sub(1, Ordering::Relaxed) > 0 {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unavailable, "planted failure"))
    }
}
