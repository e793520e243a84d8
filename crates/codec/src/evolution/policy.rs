//! What becomes of events that the code does not know.

use std::fmt;
use std::sync::Arc;

use annals_core::ContentRef;

use crate::{Decoded, Error};

type HandOver<E> = dyn Fn(ContentRef<'_>) -> E + Send + Sync;

/// What becomes of an event that the code does not know: of a newer schema, or of an unknown type.
#[derive(Default)]
pub enum Policy<E> {
    /// It is an error. The default, as a state that leaves out an event may be wrong.
    #[default]
    Stop,
    /// It is passed over, and whoever reads is told: [`Decoded::Skipped`].
    Skip,
    /// It is given as it was recorded to a function that makes an event of it, [`Decoded::HandedOver`]; see
    /// [`hand_over`](Self::hand_over).
    HandOver(Arc<HandOver<E>>),
}

impl<E> Policy<E> {
    /// Gives the event as it was recorded to this function, which makes one of the code's own of it, such as a
    /// kind `Unknown` that keeps the bytes.
    pub fn hand_over(make: impl Fn(ContentRef<'_>) -> E + Send + Sync + 'static) -> Self {
        Self::HandOver(Arc::new(make))
    }

    /// What the event reads as, which is not read for this reason.
    pub(super) fn decide(
        &self,
        content: ContentRef<'_>,
        reason: Error,
    ) -> Result<Decoded<E>, Error> {
        match self {
            Self::Stop => Err(reason),
            Self::Skip => Ok(Decoded::Skipped(reason)),
            Self::HandOver(make) => Ok(Decoded::HandedOver(make(content))),
        }
    }
}

impl<E> Clone for Policy<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Stop => Self::Stop,
            Self::Skip => Self::Skip,
            Self::HandOver(make) => Self::HandOver(make.clone()),
        }
    }
}

impl<E> fmt::Debug for Policy<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stop => "Stop",
            Self::Skip => "Skip",
            Self::HandOver(_) => "HandOver",
        })
    }
}
