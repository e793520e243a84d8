//! Places of a partitioned store, and of the logs that it is made of.

use annals_core::{
    Conflict, ConsistencyLevel, Cursor, Error, ErrorKind, FailedCheck, Position, ReadRequest,
    Receipt,
};

/// One place for each partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places(Vec<Position>);

impl Places {
    pub(crate) fn all_at(position: Position, partitions: usize) -> Self {
        Self(vec![position; partitions])
    }

    /// The places of a cursor.
    ///
    /// # Errors
    /// [`ErrorKind::CursorAhead`] for a cursor of another number of partitions: it is of another store.
    pub(crate) fn of(cursor: &Cursor, partitions: usize) -> Result<Self, Error> {
        if *cursor == Cursor::START {
            return Ok(Self::all_at(Position::START, partitions));
        }
        if cursor.partitions() == partitions {
            return Ok(Self(cursor.positions().to_vec()));
        }
        let message = "cursor is of a store with another number of partitions; \
                       a reader of that store begins anew in this one";
        Err(Error::new(ErrorKind::CursorAhead, message)
            .with("partitions", partitions)
            .with("cursor", cursor))
    }

    pub(crate) fn at(&self, partition: usize) -> Position {
        self.0.get(partition).copied().unwrap_or_default()
    }

    pub(crate) fn set(&mut self, partition: usize, place: Position) {
        if let Some(old) = self.0.get_mut(partition) {
            *old = place;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, Position)> {
        self.0.iter().copied().enumerate()
    }

    pub(crate) fn into_cursor(self) -> Cursor {
        Cursor::partitioned(self.0)
    }
}

impl FromIterator<Position> for Places {
    fn from_iter<I: IntoIterator<Item = Position>>(places: I) -> Self {
        Self(places.into_iter().collect())
    }
}

/// The cursors of a request, partition by partition.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub(crate) after: Places,
    pub(crate) until: Option<Places>,
    pub(crate) session: Option<Places>,
}

impl Bounds {
    pub(crate) fn of(request: &ReadRequest, partitions: usize) -> Result<Self, Error> {
        let places =
            |cursor: &Cursor| Places::of(cursor, partitions).map_err(|error| error.during("read"));
        let session = match &request.consistency {
            ConsistencyLevel::Session(cursor) => Some(places(cursor)?),
            _ => None,
        };
        Ok(Self {
            after: places(&request.after)?,
            until: request.until.as_ref().map(places).transpose()?,
            session,
        })
    }

    /// Where the request ends in a partition.
    pub(crate) fn until(&self, partition: usize) -> Position {
        let until = self.until.as_ref();
        until.map_or(Position::MAX, |until| until.at(partition))
    }
}

/// The place that the log of a partition gave.
///
/// # Errors
/// [`ErrorKind::Corrupt`] for a cursor of several partitions, which a single log has none of.
pub(crate) fn place(cursor: &Cursor) -> Result<Position, Error> {
    cursor.position().ok_or_else(|| {
        let message = "a partition gave a cursor of several partitions; each is a single log";
        Error::new(ErrorKind::Corrupt, message).with("cursor", cursor)
    })
}

/// The receipt in the terms of the whole store.
pub(crate) fn receipt_of(
    mut receipt: Receipt,
    partition: usize,
    partitions: usize,
) -> Result<Receipt, Error> {
    let mut places = Places::all_at(Position::START, partitions);
    places.set(partition, place(&receipt.cursor)?);
    receipt.cursor = places.into_cursor();
    receipt.first_position = position_of(receipt.first_position, partition);
    receipt.last_position = position_of(receipt.last_position, partition);
    Ok(receipt)
}

/// The error in the terms of the whole store; `after` has the cursor of each condition as the caller gave it.
pub(crate) fn error_of(error: Error, partition: usize, after: &[Cursor]) -> Error {
    error.map_conflict(|conflict| conflict_of(conflict, partition, after))
}

fn conflict_of(conflict: Conflict, partition: usize, given: &[Cursor]) -> Conflict {
    let all = |positions: &mut Vec<Position>| {
        for position in positions {
            *position = position_of(*position, partition);
        }
    };
    conflict.map(|failure| match failure {
        FailedCheck::Stream { positions, .. } => all(positions),
        FailedCheck::Condition {
            index,
            after,
            positions,
            ..
        } => {
            all(positions);
            if let Some(given) = given.get(*index) {
                *after = given.clone();
            }
        }
        FailedCheck::EventId { position, .. } => *position = position_of(*position, partition),
        _ => {}
    })
}

/// The position in the whole store. One of a log that is too long for a partition stays as it is: it is told of an
/// append that was recorded, and refused where its event is read.
fn position_of(position: Position, partition: usize) -> Position {
    let partition = u16::try_from(partition).ok();
    partition
        .and_then(|partition| position.in_partition(partition))
        .unwrap_or(position)
}
