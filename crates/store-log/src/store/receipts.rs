//! Receipts of appends that were recorded, told from the log.

use annals_core::{
    Answer, Append, AppendId, Cursor, Error, ErrorKind, Position, Receipt, RecordedEvent,
    StreamReceipt, Timestamp, Version,
};

use super::error::{bad_record, corrupt};
use super::ids::{self, Ids};
use super::snapshot::Snapshot;
use crate::record::PageBuilder;

/// Where an append was recorded, for the caller to make a receipt of.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) first_position: Position,
    /// The version of the first event of its first stream.
    pub(crate) first_version: Version,
    /// The same of its other streams.
    pub(crate) more_versions: Vec<Version>,
    pub(crate) appended_at: Timestamp,
}

impl Placed {
    /// The receipt of the append.
    pub(crate) fn receipt(&self, append: &Append) -> Receipt {
        let events = append.event_count() as u64;
        let last_position = self.first_position.forward(events).previous();
        let versions = std::iter::once(&self.first_version).chain(&self.more_versions);
        let streams = append.writes().iter().zip(versions);
        let streams = streams.map(|(write, first_version)| StreamReceipt {
            stream: write.stream.clone(),
            first_version: *first_version,
            last_version: first_version.forward(write.events.len() as u64).previous(),
        });
        Receipt {
            append_id: append.id(),
            first_position: self.first_position,
            last_position,
            streams: streams.collect(),
            cursor: Cursor::at(last_position),
            appended_at: self.appended_at,
            answer: Answer::First,
        }
    }
}

/// The receipt of the append with this id, as the answer to a retry.
pub(crate) fn find(snapshot: &Snapshot, id: &AppendId, ids: Ids) -> Result<Option<Receipt>, Error> {
    let Some((first, count)) = ids::append(snapshot, id, ids)? else {
        return Ok(None);
    };
    let (recorded, _) = events(snapshot, first, count)?;
    receipt(id, &recorded).map(Some)
}

/// The answer to an append whose id may be known: the first receipt, if its content is the same.
pub(crate) fn answer_again(
    snapshot: &Snapshot,
    append: &Append,
    ids: Ids,
) -> Result<Option<Receipt>, Error> {
    let id = append.id();
    let Some((first, count)) = ids::append(snapshot, &id, ids)? else {
        return Ok(None);
    };
    let (recorded, reclaimed) = events(snapshot, first, count)?;
    let contents = recorded
        .iter()
        .zip(&reclaimed)
        .map(|(event, is_reclaimed)| {
            // Nothing can be said of what is gone.
            (!is_reclaimed).then(|| (event.stream(), event.content()))
        });
    if append.same_content(contents) && is_rest_the_same(append, &recorded, &reclaimed) {
        return receipt(&id, &recorded).map(Some);
    }
    Err(reused(&id, first))
}

/// Whether the events whose payloads are gone agree in all that is left.
fn is_rest_the_same(append: &Append, recorded: &[RecordedEvent], reclaimed: &[bool]) -> bool {
    let first = recorded.iter().zip(reclaimed);
    append
        .events()
        .zip(first)
        .all(|((stream, event), (first, is_reclaimed))| {
            let is_same = || first.content().same_content_but_payload(&event.content());
            !is_reclaimed || (stream == first.stream() && is_same())
        })
}

/// The id stands for other content.
pub(crate) fn reused(id: &AppendId, first: Position) -> Error {
    let message = "append id stands for other content; use a fresh id";
    Error::new(ErrorKind::AppendIdReused, message)
        .with("append_id", id)
        .with("first_position", first)
}

/// The events of an append, in order, and of each whether its payload was reclaimed.
fn events(
    snapshot: &Snapshot,
    first: Position,
    count: u32,
) -> Result<(Vec<RecordedEvent>, Vec<bool>), Error> {
    let mut page = PageBuilder::new(&snapshot.kinds, count as usize);
    let (mut scratch, mut reclaimed) = (Vec::new(), Vec::new());
    for position in (0..u64::from(count)).map(|index| first.forward(index)) {
        let pushed = snapshot.look(position, &mut scratch, |event| {
            reclaimed.push(event.is_reclaimed());
            page.push(event, position)
        })?;
        pushed.map_err(|bad| bad_record(bad, position))?;
    }
    Ok((page.finish(), reclaimed))
}

fn receipt(id: &AppendId, events: &[RecordedEvent]) -> Result<Receipt, Error> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return Err(corrupt("append of no event; verify the store"));
    };
    let mut streams: Vec<StreamReceipt> = Vec::new();
    for event in events {
        match streams.last_mut() {
            Some(written) if written.stream == *event.stream() => {
                written.last_version = event.version();
            }
            _ => streams.push(StreamReceipt {
                stream: event.stream().clone(),
                first_version: event.version(),
                last_version: event.version(),
            }),
        }
    }
    let appended_at: Timestamp = first.appended_at();
    Ok(Receipt {
        append_id: *id,
        first_position: first.position(),
        last_position: last.position(),
        streams,
        cursor: Cursor::at(last.position()),
        appended_at,
        answer: Answer::Duplicate,
    })
}
