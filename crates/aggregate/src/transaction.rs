//! Several aggregates in one append.

use std::fmt;
use std::sync::Arc;

use annals_core::{Aggregate, AppendBuilder, Clock, Error, EventStore, Ids, Receipt, StreamId};

use crate::writer::{Stamp, Writer};
use crate::{Context, Loaded};

/// The uncommitted events of several aggregates, of any types, to be appended in one atomic step.
///
/// Every aggregate must still have the version that was loaded: those without uncommitted events too,
/// as the decision may rest on them. After a conflict load all of them and decide again; for two
/// aggregates [`Repository::execute_both`](crate::Repository::execute_both) does that by itself.
///
/// All aggregates are of the store that the transaction appends to.
#[must_use = "nothing is appended before `commit`"]
pub struct Transaction {
    writer: Writer,
    members: Vec<Box<dyn Member>>,
}

/// A loaded aggregate of some type.
trait Member: Send + Sync {
    fn stream(&self) -> &StreamId;

    fn is_changed(&self) -> bool;

    fn add_to(&self, append: AppendBuilder, stamp: &Stamp) -> Result<AppendBuilder, Error>;
}

impl Transaction {
    /// Nothing yet, to be appended to this store; with the machine's clock, random append ids and 10
    /// attempts. See [`Repository::transaction`](crate::Repository::transaction).
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
    /// attempts; [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) when an aggregate is there
    /// twice; or as encoding and the store have it.
    pub async fn commit(&self, context: &Context) -> Result<Option<Receipt>, Error> {
        if !self.members.iter().any(|member| member.is_changed()) {
            return Ok(None);
        }
        let (mut append, stamp) = self.writer.begin(context);
        for member in &self.members {
            append = member.add_to(append, &stamp)?;
        }
        self.writer.send(&append.build()?).await.map(Some)
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

    fn is_changed(&self) -> bool {
        !self.uncommitted().is_empty()
    }

    fn add_to(&self, append: AppendBuilder, stamp: &Stamp) -> Result<AppendBuilder, Error> {
        self.add_to(append, stamp)
    }
}
