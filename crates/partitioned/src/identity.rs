//! What is recorded in each partition: which one it is, of how many, of which store.

use annals_core::{
    Checkpoint, CheckpointName, CheckpointSave, CheckpointStore, ConsistencyLevel, Cursor, Error,
    ErrorKind, EventStore, Ids, Position,
};
use futures_util::future::try_join_all;

use crate::places::place;

/// The checkpoint that holds it. A checkpoint, as an event would take a place in the log; its cursor is a list of numbers
/// that no log gave.
const NAME: CheckpointName = CheckpointName::from_static("annals.partition");

/// How streams are brought to partitions: by [`partition_of`](crate::partition_of).
const SCHEME: u64 = 1;

/// Which partition of which store this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    /// Tells one partitioned store from another.
    store: u128,
    partitions: usize,
    number: usize,
}

/// Holds the stores to what was recorded in them when they became partitions, or records it where they are new.
///
/// The first partition is recorded first, and names the store: whoever opens at the same time, or after a crash half
/// through, goes on from there.
///
/// # Errors
/// [`ErrorKind::Invalid`] for stores in another order or number than before, or of several partitioned stores, and for
/// events of before.
pub(crate) async fn check<S>(stores: &[S], ids: &dyn Ids) -> Result<(), Error>
where
    S: EventStore + CheckpointStore,
{
    let found = try_join_all(stores.iter().map(load)).await?;
    if let [single] = &*found {
        return single.map_or(Ok(()), |identity| identity.check_is(identity.store, 1, 0));
    }
    let Some((first, others)) = found.split_first() else {
        return Ok(());
    };
    let store = match first {
        Some(identity) => identity.store,
        None if others.iter().any(Option::is_some) => return Err(first_is_missing()),
        None => ids.event_id().number(),
    };
    let mut known = Identity {
        store,
        partitions: stores.len(),
        number: 0,
    };
    for (number, (partition, found)) in stores.iter().zip(found).enumerate() {
        known.number = number;
        known.store = known.claim(partition, found).await?.store;
    }
    Ok(())
}

/// Refuses the name under which it is recorded.
pub(crate) fn check_name(name: &CheckpointName) -> Result<(), Error> {
    if *name != NAME {
        return Ok(());
    }
    let message = "checkpoint of this name says which partition a store is; take another name";
    Err(Error::new(ErrorKind::Invalid, message).with("name", name))
}

impl Identity {
    /// Sees that this partition is recorded as the one that it is, and gives what is recorded. The first partition may
    /// have been recorded by somebody else meanwhile, who named the store.
    async fn claim<S>(self, partition: &S, found: Option<Self>) -> Result<Self, Error>
    where
        S: EventStore + CheckpointStore,
    {
        let found = match found {
            Some(found) => found,
            None => self.record(partition).await?,
        };
        let store = if self.number == 0 {
            found.store
        } else {
            self.store
        };
        found.check_is(store, self.partitions, self.number)?;
        Ok(found)
    }

    /// Records it where there are no events yet; what somebody else recorded meanwhile is what counts.
    async fn record<S: EventStore + CheckpointStore>(self, partition: &S) -> Result<Self, Error> {
        let head = partition.head(ConsistencyLevel::Strong).await?;
        if head != Cursor::START {
            return Err(used(self, &head));
        }
        let save = CheckpointSave {
            name: NAME,
            cursor: self.to_cursor(),
            expected_revision: 0,
        };
        match partition.save_checkpoint(save).await {
            Ok(_) => Ok(self),
            Err(error) if error.kind() == ErrorKind::Conflict => {
                load(partition).await?.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    fn check_is(self, store: u128, partitions: usize, number: usize) -> Result<(), Error> {
        let expected = Self {
            store,
            partitions,
            number,
        };
        if self == expected {
            return Ok(());
        }
        let message = if self.partitions != partitions {
            "store is a partition of another number of them; open all of them, and no others"
        } else if self.store != store {
            "store is a partition of another partitioned store than the first one"
        } else {
            "store is another partition; give the stores in the order in which they were first opened"
        };
        Err(Error::new(ErrorKind::Invalid, message)
            .during("open")
            .with("given as", Named(number, partitions))
            .with("recorded as", Named(self.number, self.partitions)))
    }

    fn to_cursor(self) -> Cursor {
        let [high, low] = [self.store >> 64, self.store].map(low_half);
        let numbers = [
            SCHEME,
            count(self.partitions),
            count(self.number),
            high,
            low,
        ];
        Cursor::partitioned(numbers.map(Position::new))
    }

    fn of_cursor(cursor: &Cursor) -> Result<Self, Error> {
        let numbers: Vec<u64> = cursor.positions().iter().map(|it| it.value()).collect();
        let [scheme, partitions, number, high, low] = *numbers else {
            return Err(unreadable(cursor));
        };
        let sizes = (usize::try_from(partitions), usize::try_from(number));
        let (Ok(partitions), Ok(number), SCHEME) = (sizes.0, sizes.1, scheme) else {
            return Err(unreadable(cursor));
        };
        Ok(Self {
            store: (u128::from(high) << 64) | u128::from(low),
            partitions,
            number,
        })
    }
}

async fn load<S: CheckpointStore>(partition: &S) -> Result<Option<Identity>, Error> {
    let found: Option<Checkpoint> = partition.load_checkpoint(&NAME).await?;
    let found = found.map(|checkpoint| Identity::of_cursor(&checkpoint.cursor));
    found.transpose()
}

/// The head of a store.
pub(crate) async fn head_of<S: EventStore>(partition: &S) -> Result<Position, Error> {
    place(&partition.head(ConsistencyLevel::Strong).await?)
}

/// A partition by its number, from 0.
struct Named(usize, usize);

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "partition {} of {}", self.0, self.1)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half is what is asked for"
)]
const fn low_half(number: u128) -> u64 {
    number as u64
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn first_is_missing() -> Error {
    let message = "first store is no partition yet, though others are; \
                   give the stores in the order in which they were first opened";
    Error::new(ErrorKind::Invalid, message).during("open")
}

fn used(identity: Identity, head: &Cursor) -> Error {
    let message = "store holds events, but not which partition it is; \
                   begin with empty stores, and copy the history into them";
    Error::new(ErrorKind::Invalid, message)
        .during("open")
        .with("given as", Named(identity.number, identity.partitions))
        .with("head", head)
}

fn unreadable(cursor: &Cursor) -> Error {
    let message = "what is recorded of a partition is of a later release, or damaged";
    Error::new(ErrorKind::Corrupt, message)
        .during("open")
        .with("recorded", cursor)
}
