//! The contract of an event store.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, Page, PolicyChange,
    ReadRequest, Receipt, StreamHead, StreamId,
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

    /// The receipt of the append with this id, marked as a duplicate; `None` when it is not recorded.
    ///
    /// Strong, for as long as the store knows append ids ([`Capabilities::append_ids`]): so a command that
    /// is sent twice is known before it is decided again, and an append of unknown outcome is resolved
    /// without sending it again.
    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error>;

    /// Reads one page of events.
    ///
    /// # Ordering
    /// Events of one stream come in the order of versions, others in the order of positions, as far as
    /// the request's [`EventOrdering`](crate::EventOrdering) goes, in its direction. A forward read that
    /// follows [`Page::next`] meets every selected event exactly once.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a request that
    /// [`ReadRequest::validate`] refuses. [`ErrorKind::CursorAhead`](crate::ErrorKind::CursorAhead) when its
    /// `after`, or its session, is ahead of the whole store: a checkpoint of another store, or of one that
    /// lost events, is never a silent fresh start. The same holds for the cursors of conditions, of `head`
    /// and of `changed_since`.
    async fn read(&self, request: ReadRequest) -> Result<Page, Error>;

    /// Where a reader stands who has seen everything, as fresh as asked for.
    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error>;

    /// The version and the policy of a stream, strongly consistent. A stream that never had an event
    /// is at [`Version::ABSENT`](crate::Version::ABSENT).
    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error>;

    /// Changes the policy of a stream, as durably as an append, and gives the stream's head after it.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when the stream is not in the expected state, or
    /// is tombstoned.
    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error>;

    /// Waits until the store's head, as strong reads see it, is past this cursor, and gives the head.
    /// Wakes without polling where the backend can; may wake when nothing of interest to the caller
    /// happened.
    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error>;
}

/// A call on its way, as `async_trait` has it.
type Call<'f, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'f>>;

// What a pointer's store answers with is handed on as it is: no future around it, and no allocation.
macro_rules! forward {
    ($pointer:ty) => {
        #[deny(clippy::missing_trait_methods)]
        impl<S: EventStore + ?Sized> EventStore for $pointer {
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }

            fn append<'s, 'f>(&'s self, append: Append) -> Call<'f, Receipt>
            where
                's: 'f,
                Self: 'f,
            {
                (**self).append(append)
            }

            fn receipt<'s, 'i, 'f>(&'s self, id: &'i AppendId) -> Call<'f, Option<Receipt>>
            where
                's: 'f,
                'i: 'f,
                Self: 'f,
            {
                (**self).receipt(id)
            }

            fn read<'s, 'f>(&'s self, request: ReadRequest) -> Call<'f, Page>
            where
                's: 'f,
                Self: 'f,
            {
                (**self).read(request)
            }

            fn head<'s, 'f>(&'s self, consistency: ConsistencyLevel) -> Call<'f, Cursor>
            where
                's: 'f,
                Self: 'f,
            {
                (**self).head(consistency)
            }

            fn stream_head<'s, 'i, 'f>(&'s self, stream: &'i StreamId) -> Call<'f, StreamHead>
            where
                's: 'f,
                'i: 'f,
                Self: 'f,
            {
                (**self).stream_head(stream)
            }

            fn change_stream_policy<'s, 'f>(&'s self, change: PolicyChange) -> Call<'f, StreamHead>
            where
                's: 'f,
                Self: 'f,
            {
                (**self).change_stream_policy(change)
            }

            fn changed_since<'s, 'i, 'f>(&'s self, cursor: &'i Cursor) -> Call<'f, Cursor>
            where
                's: 'f,
                'i: 'f,
                Self: 'f,
            {
                (**self).changed_since(cursor)
            }
        }
    };
}

forward!(&S);
forward!(Box<S>);
forward!(Arc<S>);
