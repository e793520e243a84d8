//! How often a command is tried, and which failures are worth another try.

use annals_core::{Append, Conflict, Error, ErrorKind, FailedCheck};

use crate::writer::Writer;
use crate::{CommandError, Context};

/// The tries of one command.
pub(crate) struct Attempts {
    used: u32,
    max: u32,
    /// How often appends of unknown outcome may still be sent again, over all tries.
    pub(crate) resends_left: u32,
}

impl Attempts {
    /// The first try, with what the writer allows.
    pub(crate) fn first(writer: &Writer) -> Self {
        Self {
            used: 1,
            max: writer.attempts_max,
            resends_left: writer.resends_max,
        }
    }

    /// How many tries there were.
    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    /// Begins another try after this failure, if it is worth one.
    pub(crate) fn next<E>(
        &mut self,
        append: Append,
        error: Error,
        context: &Context,
    ) -> Result<(), CommandError<E>> {
        match error.kind() {
            ErrorKind::Conflict if !error.conflict().is_some_and(can_pass) => {
                Err(CommandError::Store(error))
            }
            ErrorKind::Conflict if self.used >= self.max => Err(CommandError::Contended {
                attempts: self.used,
                conflict: error,
            }),
            ErrorKind::Conflict => {
                self.used += 1;
                Ok(())
            }
            ErrorKind::Unknown => Err(CommandError::Unknown { append, error }),
            // Recorded by another execution since this one asked for its receipt, which is there now.
            ErrorKind::AppendIdReused if context.append_id().is_some() && self.used < self.max => {
                self.used += 1;
                Ok(())
            }
            ErrorKind::AppendIdReused if context.append_id().is_some() => {
                Err(CommandError::AppendIdReused(error))
            }
            _ => Err(CommandError::Store(error)),
        }
    }
}

/// Whether loading and deciding again may help: not where a stream is closed for good.
fn can_pass(conflict: &Conflict) -> bool {
    conflict.failures().iter().all(|failure| {
        matches!(
            failure,
            FailedCheck::Stream { .. } | FailedCheck::Condition { .. }
        )
    })
}
