//! How often a command is tried, and which failures are worth another try.

use annals_concurrency::{Tries, can_pass};
use annals_core::{Append, Error, ErrorKind, Receipt};

use crate::writer::Writer;
use crate::{CommandError, Context};

/// The tries of one command.
pub(crate) struct Attempts {
    tries: Tries,
    /// How often its events were appended again without a new decision.
    pub(crate) rebases: u32,
}

impl Attempts {
    /// The first try, with what the writer allows.
    pub(crate) fn first(writer: &Writer) -> Self {
        Self {
            tries: writer.retrier.begin(),
            rebases: 0,
        }
    }

    /// How many tries there were.
    pub(crate) fn used(&self) -> u32 {
        self.tries.attempts()
    }

    /// Appends, and again while the outcome is unknown or the store overloaded.
    pub(crate) async fn send(
        &mut self,
        writer: &Writer,
        append: &Append,
    ) -> Result<Receipt, Error> {
        self.tries.append(&writer.store, append).await
    }

    /// Begins another try after this failure, if it is worth one, and gives the failure back.
    pub(crate) async fn next<E>(
        &mut self,
        append: Append,
        error: Error,
        context: &Context,
    ) -> Result<Error, CommandError<E>> {
        match error.kind() {
            ErrorKind::Conflict if context.is_fence_broken_by(&error) => {
                Err(CommandError::FenceBroken(error))
            }
            ErrorKind::Conflict if !error.conflict().is_some_and(can_pass) => {
                Err(CommandError::Store(error))
            }
            ErrorKind::Conflict if self.tries.again().await => Ok(error),
            ErrorKind::Conflict => Err(CommandError::Contended {
                attempts: self.used(),
                conflict: error,
            }),
            ErrorKind::Unknown => Err(CommandError::Unknown { append, error }),
            // Recorded by another execution since this one asked for its receipt, which is there now.
            ErrorKind::AppendIdReused if context.append_id().is_some() => {
                if self.tries.again().await {
                    Ok(error)
                } else {
                    Err(CommandError::AppendIdReused(error))
                }
            }
            _ => Err(CommandError::Store(error)),
        }
    }
}
