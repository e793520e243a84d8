//! Why a command was not executed, sorted by what the caller does next.

use std::fmt;

use annals_core::{Append, Error, WorkOutcome};

#[cfg(doc)]
use crate::Context;

/// Why a command was not executed, and what to do about it. `E` is the error of the decision.
///
/// Shown or debugged, it repeats nothing of the payloads in [`Unknown`](Self::Unknown).
#[non_exhaustive]
pub enum CommandError<E> {
    /// The decision refused the command: tell whoever sent it. Nothing was written.
    Refused(E),
    /// Others kept writing the same aggregates, or what a decision selects, until all attempts were used up:
    /// send the command again later. Nothing was written.
    Contended {
        /// How often the command was tried.
        attempts: u32,
        /// The conflict of the last try.
        conflict: Error,
    },
    /// Others wrote the aggregate meanwhile, and the [resolver](crate::Repository::with_resolver) says that what they
    /// recorded rules this command out. Nothing was written.
    Conflicting(Error),
    /// The right to append that the context's [fence](Context::with_fence) stands for is lost, as a lease is that
    /// somebody else holds by now: stop, and acquire it again. Nothing was written.
    FenceBroken(Error),
    /// It can't be told whether the events were recorded: append `append` again when the store answers,
    /// which records it once, or look at the aggregate. Sending the command again may execute it twice,
    /// unless its context fixes the append id.
    Unknown {
        /// What was sent.
        append: Append,
        /// The error of the last try.
        error: Error,
    },
    /// The append id that the context fixes stands for another command, one that wrote other aggregates:
    /// use a fresh id. Or another execution of this command recorded other events at the same moment, in
    /// the last attempt: send it again for its answer. Nothing was written now.
    AppendIdReused(Error),
    /// Loading, folding, encoding or appending failed: see the kind of the error. Nothing was written.
    Store(Error),
}

impl<E> CommandError<E> {
    /// The error of the decision, when it refused the command.
    pub fn refused(&self) -> Option<&E> {
        match self {
            Self::Refused(error) => Some(error),
            _ => None,
        }
    }

    /// The error of the store, when it is not the decision that refused the command.
    pub fn store(&self) -> Option<&Error> {
        match self {
            Self::Refused(_) => None,
            Self::Contended {
                conflict: error, ..
            }
            | Self::Unknown { error, .. }
            | Self::Conflicting(error)
            | Self::FenceBroken(error)
            | Self::AppendIdReused(error)
            | Self::Store(error) => Some(error),
        }
    }

    /// How the command ended, as an observer sees it.
    pub(crate) fn outcome(&self) -> WorkOutcome {
        self.store().map_or(WorkOutcome::Declined, |error| {
            WorkOutcome::Failed(error.kind())
        })
    }

    /// The same with another error of the decision.
    pub fn map_refused<F>(self, change: impl FnOnce(E) -> F) -> CommandError<F> {
        match self {
            Self::Refused(error) => CommandError::Refused(change(error)),
            Self::Contended { attempts, conflict } => {
                CommandError::Contended { attempts, conflict }
            }
            Self::Conflicting(error) => CommandError::Conflicting(error),
            Self::FenceBroken(error) => CommandError::FenceBroken(error),
            Self::Unknown { append, error } => CommandError::Unknown { append, error },
            Self::AppendIdReused(error) => CommandError::AppendIdReused(error),
            Self::Store(error) => CommandError::Store(error),
        }
    }
}

impl<E> From<Error> for CommandError<E> {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl<E: fmt::Debug> fmt::Debug for CommandError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => f.debug_tuple("Refused").field(error).finish(),
            Self::Contended { attempts, conflict } => f
                .debug_struct("Contended")
                .field("attempts", attempts)
                .field("conflict", conflict)
                .finish(),
            Self::Conflicting(error) => f.debug_tuple("Conflicting").field(error).finish(),
            Self::FenceBroken(error) => f.debug_tuple("FenceBroken").field(error).finish(),
            Self::Unknown { append, error } => f
                .debug_struct("Unknown")
                .field("append", &append.id())
                .field("error", error)
                .finish(),
            Self::AppendIdReused(error) => f.debug_tuple("AppendIdReused").field(error).finish(),
            Self::Store(error) => f.debug_tuple("Store").field(error).finish(),
        }
    }
}

impl<E: fmt::Display> fmt::Display for CommandError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Contended { attempts, .. } => {
                write!(
                    f,
                    "what is decided on was written by others in {attempts} attempts; try again later"
                )
            }
            Self::Conflicting(_) => {
                f.write_str("aggregate was written by others, which rules the command out")
            }
            Self::FenceBroken(_) => {
                f.write_str("right to append is lost; acquire it again before the next command")
            }
            Self::Unknown { append, .. } => write!(
                f,
                "events may or may not be recorded; append them again (append: {})",
                append.id()
            ),
            Self::AppendIdReused(_) => f.write_str(
                "append id stands for other events; use a fresh one for another command",
            ),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for CommandError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(error) => error.source(),
            Self::Store(error) => std::error::Error::source(error),
            Self::Contended {
                conflict: error, ..
            }
            | Self::Conflicting(error)
            | Self::FenceBroken(error)
            | Self::Unknown { error, .. }
            | Self::AppendIdReused(error) => Some(error),
        }
    }
}
