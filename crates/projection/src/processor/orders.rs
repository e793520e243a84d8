//! What a consumer is told to do.

use annals_core::{Error, ErrorKind, Position};
use futures_channel::oneshot;

/// An order to the worker of one consumer.
#[derive(Debug)]
pub(super) enum Order {
    /// Go on after a failure.
    Resume,
    /// Forget all and begin anew.
    Reset(Reply<()>),
    /// Try parked events again: of one key, or all; tells how many were taken.
    Retry(Option<String>, Reply<usize>),
    /// Give up a parked event.
    Drop(Position, Reply<()>),
}

/// The way back of an answer.
pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// What a consumer is to be doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Run,
    Pause,
    Stop,
}

/// Waits for an answer; a worker that ends without one is gone.
pub(super) async fn answer<T>(reply: oneshot::Receiver<Result<T, Error>>) -> Result<T, Error> {
    reply.await.unwrap_or_else(|_| Err(gone()))
}

/// That nobody takes orders any more.
pub(super) fn gone() -> Error {
    let message = "consumer is stopped; begin the processor anew";
    Error::new(ErrorKind::Unavailable, message)
}

impl Order {
    /// Answers that it can't be done.
    pub(super) fn refuse(self, error: Error) -> Result<(), Error> {
        let kind = error.kind();
        match self {
            Self::Resume => {}
            Self::Reset(reply) | Self::Drop(_, reply) => drop(reply.send(Err(error))),
            Self::Retry(_, reply) => drop(reply.send(Err(error))),
        }
        Err(Error::new(kind, "order can't be obeyed"))
    }
}
