//! Several aggregates in one append.

use std::fmt;
use std::sync::Arc;

use annals_concurrency::RetryPolicy;
use annals_core::{Aggregate, AppendBuilder, Clock, Error, EventStore, Ids, Receipt, StreamId};

use crate::attempts::Attempts;
use crate::writer::{Stamp, Writer};
use crate::{Context, Loaded};

/// The uncommitted events of several aggregates, of any types, to be appended in one atomic step.
///
/// Every aggregate must still have the version that was loaded: those without uncommitted events too,
/// as the decision may rest on them. After a conflict load all of them and decide again; for two
/// aggregates [`Repository::execute_both`](crate::Repository::execute_both) does that by itself.
///
/// All aggregates are loaded from the store that the transaction appends to, through clones of one `Arc`.
#[must_use = "nothing is appended before `commit`"]
pub struct Transaction {
    writer: Writer,
    members: Vec<Box<dyn Member>>,
}

/// A loaded aggregate of some type.
trait Member: Send + Sync {
    fn stream(&self) -> &StreamId;

    fn store(&self) -> &Arc<dyn EventStore>;

    fn is_changed(&self) -> bool;

    fn add_to(&self, append: AppendBuilder, stamp: &Stamp) -> Result<AppendBuilder, Error>;
}

impl Transaction {
    /// Nothing yet, to be appended to this store; with the machine's clock, random append ids and 3
    /// resends. See [`Repository::transaction`](crate::Repository::transaction).
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self::of(Writer::new(store))
    }

    pub(crate) fn of(writer: Writer) -> Self {
        Self {
            writer,
            members: Vec::new(),
        }
    }

    /// The same with append ids from here.
    pub fn with_ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.writer.ids = ids;
        self
    }

    /// The same with the time of this clock, for `recorded_at`.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.writer.clock = clock;
        self
    }

    /// The same with at most this many resends in a commit: while the outcome of the append is unknown, it
    /// is sent again. 0 sends it once.
    pub fn with_resends_max(mut self, resends_max: u32) -> Self {
        self.writer.retrier = self.writer.retrier.with_resends_max(resends_max);
        self
    }

    /// The same with these retries: of a commit, those of an append of unknown outcome and of an overloaded store.
    ///
    /// # Errors
    /// As [`RetryPolicy::validate`] has it.
    pub fn with_retry_policy(mut self, policy: RetryPolicy) -> Result<Self, Error> {
        self.writer.retrier = self.writer.retrier.with_policy(policy)?;
        Ok(self)
    }

    /// The same with this aggregate: its uncommitted events, or that it has not changed.
    pub fn with<A: Aggregate>(mut self, loaded: Loaded<A>) -> Self {
        self.members.push(Box::new(loaded));
        self
    }

    /// Appends the events of all aggregates, or none; `None` when no aggregate has any, and nothing is
    /// checked then.
    ///
    /// A commit can be repeated after an error. With a fixed append id in the context that is always
    /// safe: the events are recorded once, and the first receipt is the answer. Other events under that
    /// id are refused: [`ErrorKind::AppendIdReused`](annals_core::ErrorKind::AppendIdReused).
    ///
    /// # Cancellation
    /// When the future is dropped, the events are appended whole or not at all.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](annals_core::ErrorKind::Conflict) with every aggregate that others wrote;
    /// [`ErrorKind::Unknown`](annals_core::ErrorKind::Unknown) when the outcome is unknown after all
    /// resends; [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) when an aggregate is there
    /// twice, or was loaded from another store; [`ErrorKind::Undecodable`](annals_core::ErrorKind::Undecodable) when
    /// one was loaded without events that its codec skipped, unless its repository
    /// [decides all the same](crate::Repository::deciding_despite_skipped); or as encoding and the store have it.
    pub async fn commit(&self, context: &Context) -> Result<Option<Receipt>, Error> {
        for member in &self.members {
            self.writer
                .check_store(member.store(), member.stream(), "commit")?;
        }
        if !self.members.iter().any(|member| member.is_changed()) {
            return Ok(None);
        }
        let (mut append, stamp) = self.writer.begin(context);
        for member in &self.members {
            append = member.add_to(append, &stamp)?;
        }
        let mut attempts = Attempts::first(&self.writer);
        let receipt = attempts.send(&self.writer, &append.build()?).await?;
        Ok(Some(receipt))
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let streams = self.members.iter().map(|member| member.stream());
        f.debug_struct("Transaction")
            .field("writer", &self.writer)
            .field("streams", &streams.collect::<Vec<&StreamId>>())
            .finish()
    }
}

impl<A: Aggregate> Member for Loaded<A> {
    fn stream(&self) -> &StreamId {
        self.stream()
    }

    fn store(&self) -> &Arc<dyn EventStore> {
        self.store()
    }

    fn is_changed(&self) -> bool {
        !self.uncommitted().is_empty()
    }

    fn add_to(&self, append: AppendBuilder, stamp: &Stamp) -> Result<AppendBuilder, Error> {
        self.add_to(append, stamp)
    }
}
