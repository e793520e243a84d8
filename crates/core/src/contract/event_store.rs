//! The contract of an event store.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Append, Capabilities, ConsistencyLevel, Cursor, Error, Page, PolicyChange, ReadRequest,
    Receipt, StreamHead, StreamId,
};

/// A store of events: what a backend implements.
///
/// Small and object-safe: hold it as `Arc<dyn EventStore>`. Callers find the conveniences in
/// [`EventStoreExt`](crate::EventStoreExt). A backend is right when it passes the conformance suite;
/// a wrapper forwards every method.
///
/// # Cancellation
/// Every future may be dropped at any point. An append whose future is dropped happens whole or not at
/// all; the caller can find out by retrying with the same append id.
#[async_trait]
pub trait EventStore: fmt::Debug + Send + Sync {
    /// What this store guarantees and offers; the same for as long as it is open.
    fn capabilities(&self) -> Capabilities;

    /// Records the events of the append in one atomic step, or none of them.
    ///
    /// An append whose id was recorded before records nothing: with the same content
    /// ([`Append::same_content`]) it is answered by the first receipt, marked as a duplicate and
    /// whatever has happened since; with other content it is refused. Otherwise all expectations,
    /// checks and conditions are judged against one state of the store.
    ///
    /// # Durability
    /// When the receipt is here, the events are as durable as the store's capabilities say, and every
    /// strong read that begins later shows them.
    ///
    /// # Errors
    /// [`Error::outcome`] tells whether the append was certainly not written (rejected) or may have
    /// been (unknown). [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) lists every failing check.
    async fn append(&self, append: Append) -> Result<Receipt, Error>;

    /// Reads one page of events.
    ///
    /// # Ordering
    /// Events come in the order of positions, or of versions for a stream, in the direction asked for.
    /// A forward read that follows [`Page::next`] meets every selected event exactly once.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a request that
    /// [`ReadRequest::validate`] refuses, and for one whose `after`, or session, is ahead of the store:
    /// a checkpoint of another store, or of one that lost events, is never a silent fresh start. The
    /// same holds for the cursors of conditions, of `changed_since` and of saved checkpoints.
    async fn read(&self, request: ReadRequest) -> Result<Page, Error>;

    /// Where a reader stands who has seen everything, as fresh as asked for.
    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error>;

    /// The version and the policy of a stream, strongly consistent. A stream that never had an event
    /// is at [`Version::ABSENT`](crate::Version::ABSENT).
    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error>;

    /// Gives a stream a new policy, as durably as an append; the last one counts.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when the stream is tombstoned and the new
    /// policy is not: a tombstone is for good.
    async fn set_stream_policy(&self, change: PolicyChange) -> Result<(), Error>;

    /// Waits until the store's head is past this cursor, and gives the head. Wakes without polling
    /// where the backend can; may wake when nothing of interest to the caller happened.
    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error>;
}

macro_rules! forward {
    ($pointer:ty) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<S: EventStore + ?Sized> EventStore for $pointer {
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }

            async fn append(&self, append: Append) -> Result<Receipt, Error> {
                (**self).append(append).await
            }

            async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
                (**self).read(request).await
            }

            async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
                (**self).head(consistency).await
            }

            async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
                (**self).stream_head(stream).await
            }

            async fn set_stream_policy(&self, change: PolicyChange) -> Result<(), Error> {
                (**self).set_stream_policy(change).await
            }

            async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
                (**self).changed_since(cursor).await
            }
        }
    };
}

forward!(&S);
forward!(Box<S>);
forward!(Arc<S>);
