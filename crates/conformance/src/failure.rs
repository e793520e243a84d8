//! Why a case failed, and the small checks that say so.

use std::fmt;

use annals_core::Error;

/// Why a case failed: what was done, what the contract asks for and what the store did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    message: String,
}

/// What a case ends with.
pub(crate) type Verdict = Result<(), Failure>;

impl Failure {
    /// A failure with this message, which may have several lines.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }

    /// The same with what was done in front.
    pub(crate) fn during(self, what: impl fmt::Display) -> Self {
        Self::new(format!("{what}: {}", self.message))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(format!("the store failed: {error} ({:?})", error.kind()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Fails unless `found` is what was expected of `what`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the two are compared and printed; borrows would clutter every call"
)]
pub(crate) fn check_eq<F, E>(what: impl fmt::Display, found: F, expected: E) -> Verdict
where
    F: fmt::Debug + PartialEq<E>,
    E: fmt::Debug,
{
    if found == expected {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{what}\n  expected: {expected:?}\n  found:    {found:?}"
    )))
}

/// Fails with this message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::failure::Failure::new(format!($($message)+)));
        }
    };
}
pub(crate) use ensure;
