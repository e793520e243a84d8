//! One store over several.

use annals_core::{
    Append, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, ErrorKind, EventOrdering,
    EventStore, Page, PolicyChange, Position, ReadRequest, Receipt, StreamHead, StreamId,
};
use async_trait::async_trait;
use futures_util::future::{select_all, try_join_all};

use crate::builder::PartitionedBuilder;
use crate::heads::Heads;
use crate::places::{self, Bounds, Places, place};
use crate::routing::Router;

/// One store over several, its partitions: each stream is in one of them, by the hash of its
/// [partition key](StreamId::partition_key).
///
/// What an append writes, checks and is conditional on lies in one partition, or it is refused as
/// [`ErrorKind::Unsupported`] with what to do; see [the crate](crate) for what holds where. Events carry the
/// [number of their partition](Position::partition) in their position, cursors a place for each partition. A store of a
/// single partition is that partition, with all that it offers.
///
/// # Cancellation
/// As the partitions have it: an append is whole in one of them.
#[derive(Debug)]
pub struct Partitioned<S> {
    pub(crate) stores: Vec<S>,
    pub(crate) router: Router,
    pub(crate) offered: Capabilities,
    pub(crate) heads: Heads,
}

impl<S> Partitioned<S> {
    /// A store over these, in this order: whenever they are opened again it is the same.
    pub fn over(stores: impl IntoIterator<Item = S>) -> PartitionedBuilder<S> {
        PartitionedBuilder::over(stores)
    }

    /// The partitions, in order: for what is done with each by itself, as backups are. An append to one directly can put
    /// a stream where it is not looked for.
    pub fn partitions(&self) -> &[S] {
        &self.stores
    }

    /// The number of the partition that holds a stream, from 0.
    pub fn partition_of(&self, stream: &StreamId) -> usize {
        self.router.of_stream(stream)
    }

    /// The only partition, where there is one: it answers for itself.
    pub(crate) fn single(&self) -> Option<&S> {
        match &*self.stores {
            [single] => Some(single),
            _ => None,
        }
    }

    /// The partition of this number.
    #[expect(
        clippy::expect_used,
        reason = "a router gives numbers of partitions that there are"
    )]
    pub(crate) fn partition(&self, number: usize) -> &S {
        let partition = self.stores.get(number);
        partition.expect("as many stores as the router has partitions")
    }

    pub(crate) fn count(&self) -> usize {
        self.stores.len()
    }
}

impl<S: EventStore> Partitioned<S> {
    /// The head of each partition.
    async fn heads(&self, consistency: &ConsistencyLevel) -> Result<Places, Error> {
        let session = match consistency {
            ConsistencyLevel::Session(cursor) => Some(Places::of(cursor, self.count())?),
            _ => None,
        };
        let heads = self.stores.iter().enumerate().map(|(number, partition)| {
            let consistency = match &session {
                Some(places) => ConsistencyLevel::Session(Cursor::at(places.at(number))),
                None => consistency.clone(),
            };
            async move { place(&partition.head(consistency).await?) }
        });
        let places: Places = try_join_all(heads).await?.into_iter().collect();
        self.heads.heard_all(&places);
        Ok(places)
    }

    /// Refuses places that are ahead of the partitions, all but the one that looks at its own. A place that was heard of
    /// is not asked for.
    pub(crate) async fn check_not_ahead(
        &self,
        places: &Places,
        except: Option<usize>,
    ) -> Result<(), Error> {
        for (number, place_in) in places.iter() {
            if Some(number) == except || place_in <= self.heads.at(number) {
                continue;
            }
            let head = self
                .partition(number)
                .head(ConsistencyLevel::Strong)
                .await?;
            let head = place(&head)?;
            self.heads.heard(number, head);
            if place_in > head {
                return Err(ahead(number, place_in, head));
            }
        }
        Ok(())
    }

    /// The append as its partition takes it.
    async fn routed(&self, append: Append, partition: usize) -> Result<Append, Error> {
        if let Err(ahead) = self.check_conditions(&append, partition).await {
            // An append that is recorded is answered by its receipt, whatever it asks for by now.
            let recorded = self.partition(partition).receipt(&append.id()).await?;
            if recorded.is_none() {
                return Err(ahead);
            }
        }
        append.map_cursors(|after| {
            let places = Places::of(after, self.count());
            Ok(Cursor::at(
                places.map_or(Position::START, |it| it.at(partition)),
            ))
        })
    }

    /// Refuses conditions whose cursors are ahead of the other partitions; this one looks at its own.
    async fn check_conditions(&self, append: &Append, partition: usize) -> Result<(), Error> {
        for condition in append.conditions() {
            let places = Places::of(&condition.after, self.count())?;
            self.check_not_ahead(&places, Some(partition)).await?;
        }
        Ok(())
    }

    fn receipt_of(&self, receipt: Receipt, partition: usize) -> Result<Receipt, Error> {
        self.heads.heard(partition, place(&receipt.cursor)?);
        places::receipt_of(receipt, partition, self.count())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: EventStore> EventStore for Partitioned<S> {
    fn capabilities(&self) -> Capabilities {
        self.offered
    }

    async fn append(&self, append: Append) -> Result<Receipt, Error> {
        if let Some(single) = self.single() {
            return single.append(append).await;
        }
        let number = self.router.of_append(&append)?;
        let conditions = append.conditions().iter();
        let given: Vec<Cursor> = conditions.map(|it| it.after.clone()).collect();
        let append = self.routed(append, number).await?;
        match self.partition(number).append(append).await {
            Ok(receipt) => self.receipt_of(receipt, number),
            Err(error) => Err(places::error_of(error, number, &given)),
        }
    }

    /// Asks every partition, as an id alone tells none.
    async fn receipt(&self, id: &AppendId) -> Result<Option<Receipt>, Error> {
        if let Some(single) = self.single() {
            return single.receipt(id).await;
        }
        let found = try_join_all(self.stores.iter().map(|partition| partition.receipt(id))).await?;
        let found = found.into_iter().enumerate();
        let mut found = found.filter_map(|(number, receipt)| Some((number, receipt?)));
        match (found.next(), found.next()) {
            (Some((number, receipt)), None) => self.receipt_of(receipt, number).map(Some),
            (None, _) => Ok(None),
            (Some((first, _)), Some((second, _))) => Err(reused(id, first, second)),
        }
    }

    async fn read(&self, request: ReadRequest) -> Result<Page, Error> {
        if let Some(single) = self.single() {
            return single.read(request).await;
        }
        request.validate()?;
        let bounds = Bounds::of(&request, self.count())?;
        match self.router.of_selection(&request.selection) {
            Some(number) => self.read_one(&request, &bounds, number).await,
            None if request.ordering == EventOrdering::Total => Err(unordered()),
            None => self.read_merged(&request, &bounds).await,
        }
    }

    async fn head(&self, consistency: ConsistencyLevel) -> Result<Cursor, Error> {
        if let Some(single) = self.single() {
            return single.head(consistency).await;
        }
        Ok(self.heads(&consistency).await?.into_cursor())
    }

    async fn stream_head(&self, stream: &StreamId) -> Result<StreamHead, Error> {
        let number = self.router.of_stream(stream);
        self.partition(number).stream_head(stream).await
    }

    async fn change_stream_policy(&self, change: PolicyChange) -> Result<StreamHead, Error> {
        let number = self.router.of_stream(&change.stream);
        let head = self.partition(number).change_stream_policy(change).await;
        head.map_err(|error| places::error_of(error, number, &[]))
    }

    async fn changed_since(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        if let Some(single) = self.single() {
            return single.changed_since(cursor).await;
        }
        let places = Places::of(cursor, self.count())?;
        self.check_not_ahead(&places, None).await?;
        let cursors: Vec<Cursor> = places.iter().map(|(_, place)| Cursor::at(place)).collect();
        let changes = self.stores.iter().zip(&cursors);
        let changes = changes.map(|(partition, cursor)| partition.changed_since(cursor));
        let (woken, number, _) = select_all(changes).await;
        self.heads.heard(number, place(&woken?)?);
        let heads = self.heads(&ConsistencyLevel::Strong).await?;
        Ok(heads.into_cursor())
    }
}

fn ahead(number: usize, place: Position, head: Position) -> Error {
    let message =
        "cursor is ahead of a partition: it is of another store, or the partition lost events";
    Error::new(ErrorKind::CursorAhead, message)
        .with("partition", number)
        .with("cursor", place)
        .with("head", head)
}

fn reused(id: &AppendId, first: usize, second: usize) -> Error {
    let message = "append id stands for appends of several partitions; give each append its own";
    Error::new(ErrorKind::AppendIdReused, message)
        .during("receipt")
        .with("append", id)
        .with("partitions", format!("{first} and {second}"))
}

fn unordered() -> Error {
    let message = "events of several partitions have no total order; \
                   ask for `EventOrdering::PerStream`, for one stream, or for criteria that name a partition key";
    Error::new(ErrorKind::Unsupported, message).during("read")
}
