//! rho: the state that a history gives.

use std::fmt;

use crate::{Aggregate, Error, ErrorKind, Refusal};

/// A history that an aggregate refuses, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldError {
    /// How many events were applied before the refused one.
    pub applied: usize,
    /// Why.
    pub refusal: Refusal,
}

/// rho: the state that these events give, from the beginning.
///
/// # Errors
/// [`FoldError`] at the first event that the aggregate refuses.
pub fn fold<'a, A: Aggregate>(
    events: impl IntoIterator<Item = &'a A::Event>,
) -> Result<A, FoldError> {
    fold_from(A::default(), events)
}

/// The state that these events give, from a state that earlier events gave: folding in two parts is
/// folding in one.
///
/// # Errors
/// [`FoldError`] at the first event that the aggregate refuses.
pub fn fold_from<'a, A: Aggregate>(
    mut state: A,
    events: impl IntoIterator<Item = &'a A::Event>,
) -> Result<A, FoldError> {
    for (applied, event) in events.into_iter().enumerate() {
        state
            .apply(event)
            .map_err(|refusal| FoldError { applied, refusal })?;
    }
    Ok(state)
}

impl fmt::Display for FoldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} of the history is refused", self.applied + 1)
    }
}

impl std::error::Error for FoldError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.refusal)
    }
}

impl From<FoldError> for Error {
    fn from(error: FoldError) -> Self {
        Self::new(ErrorKind::Refused, error.to_string())
            .during("fold")
            .caused_by(error.refusal)
    }
}
