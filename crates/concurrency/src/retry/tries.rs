//! One command's tries, counted over all of its errors.

use std::pin::pin;
use std::time::Duration;

use annals_core::{Append, Conflict, Error, ErrorKind, EventStore, FailedCheck, Receipt};
use futures_util::future::{Either, select};

use super::retrier::Retrier;

/// The tries of one command, from [`Retrier::begin`]: what was used up of its policy.
///
/// Dropped at any time, it leaves nothing behind.
#[derive(Clone, Debug)]
pub struct Tries {
    retrier: Retrier,
    began: Duration,
    attempts: u32,
    resends: u32,
    overloads: u32,
    retries: u32,
}

impl Tries {
    pub(super) fn first(retrier: Retrier) -> Self {
        Self {
            began: retrier.timer().elapsed(),
            retrier,
            attempts: 1,
            resends: 0,
            overloads: 0,
            retries: 0,
        }
    }

    /// How many attempts there were: 1, and one for each that [`again`](Self::again) granted.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether the policy grants another attempt, for which the caller loads and decides again; waits the
    /// pause before it. Which errors deserve one is the caller's to say ([`can_pass`]).
    pub async fn again(&mut self) -> bool {
        if self.attempts >= self.retrier.policy().attempts_max || !self.pause().await {
            return false;
        }
        self.attempts = self.attempts.saturating_add(1);
        true
    }

    /// Appends, and sends the same append with the same id again while its outcome is unknown, or the store
    /// is overloaded, as often as the policy grants over all attempts: it is recorded once.
    ///
    /// # Cancellation
    /// When the future is dropped, the append happens whole or not at all.
    ///
    /// # Errors
    /// [`ErrorKind::Unknown`] when the outcome is unknown after all resends, when the deadline passed before
    /// an answer came, and when an append of unknown outcome was refused afterwards by a store that did not
    /// judge it; [`ErrorKind::Unavailable`] when the deadline had passed before anything was sent; or as the
    /// store has it.
    pub async fn append(
        &mut self,
        store: &(impl EventStore + ?Sized),
        append: &Append,
    ) -> Result<Receipt, Error> {
        let mut sent = 0_u32;
        let mut in_doubt = false;
        loop {
            sent = sent.saturating_add(1);
            let error = match self.send(store, append).await {
                Ok(receipt) => return Ok(receipt),
                Err(error) => error,
            };
            in_doubt |= error.kind() == ErrorKind::Unknown;
            if !self.grants_resend(&error).await {
                let error = if in_doubt { doubtful(error) } else { error };
                let is_unknown = error.kind() == ErrorKind::Unknown;
                return Err(if is_unknown {
                    error.with("append", append.id()).with("sent", sent)
                } else {
                    error
                });
            }
        }
    }

    /// Counts a send that failed so against the policy, and waits where another is granted.
    async fn grants_resend(&mut self, error: &Error) -> bool {
        let policy = self.retrier.policy();
        let (used, max) = match error.kind() {
            ErrorKind::Unknown => (&mut self.resends, policy.resends_max),
            ErrorKind::Overloaded => (&mut self.overloads, policy.overloads_max),
            _ => return false,
        };
        if *used >= max {
            return false;
        }
        *used = used.saturating_add(1);
        self.pause().await
    }

    async fn send(
        &self,
        store: &(impl EventStore + ?Sized),
        append: &Append,
    ) -> Result<Receipt, Error> {
        let Some(left) = self.time_left() else {
            return store.append(append.clone()).await;
        };
        if left.is_zero() {
            let message =
                "deadline passed before the append was sent; raise it, or try again later";
            return Err(Error::new(ErrorKind::Unavailable, message).during("append"));
        }
        let answer = pin!(store.append(append.clone()));
        match select(answer, self.retrier.timer().sleep(left)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => {
                let message = "deadline passed before the store answered; send the append again";
                Err(Error::new(ErrorKind::Unknown, message).during("append"))
            }
        }
    }

    /// Waits before the next retry; `false` when the deadline comes first, without waiting.
    async fn pause(&mut self) -> bool {
        self.retries = self.retries.saturating_add(1);
        let policy = self.retrier.policy();
        let pause = policy.pause(self.retries, self.retrier.chance().draw());
        if self.time_left().is_some_and(|left| left <= pause) {
            return false;
        }
        if !pause.is_zero() {
            self.retrier.timer().sleep(pause).await;
        }
        true
    }

    /// How long it is to the deadline; `None` where there is none.
    fn time_left(&self) -> Option<Duration> {
        let deadline = self.retrier.policy().deadline?;
        let taken = self.retrier.timer().elapsed().saturating_sub(self.began);
        Some(deadline.saturating_sub(taken))
    }
}

/// Whether loading and deciding again may help after this conflict: not where a stream is closed for good, or
/// an event id is taken.
pub fn can_pass(conflict: &Conflict) -> bool {
    let mut failures = conflict.failures().iter();
    failures.all(|failure| {
        matches!(
            failure,
            FailedCheck::Stream { .. } | FailedCheck::Condition { .. }
        )
    })
}

/// What becomes of an error when an earlier send of the same append has an unknown outcome: it stays unknown,
/// unless the store judged the append, which it does by the id first.
fn doubtful(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Unknown | ErrorKind::Conflict | ErrorKind::AppendIdReused => error,
        _ => {
            let message = "append of unknown outcome was then refused unjudged; send it again";
            let doubt = Error::new(ErrorKind::Unknown, message);
            doubt.during("append").caused_by(error)
        }
    }
}
