//! The core of UmaDB, without its gRPC server: a stream is a tag, an expectation a condition on it.
//!
//! Settings: zero-filled pages and no page cache, as its server starts; reads through the memory map, which is
//! the faster of its two. Its own append and commit are called by the batching writer, which saves it the
//! thread of its server.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use rustc_hash::FxHashMap;
use umadb_core::common::Position;
use umadb_core::db::{is_integrity_error, process_append_request, read_conditional};
use umadb_core::mvcc::{Mvcc, StorageOptions, Writer};
use umadb_core::pager::ReadMethod;
use umadb_dcb::{DcbAppendCondition, DcbEvent, DcbQuery, DcbQueryItem};

use crate::batcher::{Batcher, Engine};
use crate::event::{self, EVENT_TYPE, Line, METADATA_NAME, Seen};
use crate::subject::{Answer, Guard, Import, NewAppend, Subject};

/// How many events a replay asks for at a time.
const PAGE_EVENTS: u32 = 1000;

/// UmaDB's core as a subject.
pub struct Uma {
    mvcc: Arc<Mvcc>,
    writer: Batcher<UmaWriter>,
}

struct UmaWriter {
    mvcc: Arc<Mvcc>,
    writer: Writer,
}

impl Subject for Uma {
    const IMPORT: Import = Import {
        events: 1000,
        in_flight: 8,
    };

    fn open(dir: &Path) -> Result<Self> {
        let options = StorageOptions::default()
            .db_path(dir)
            .read_method(ReadMethod::Mmap);
        let mvcc = Arc::new(Mvcc::new(false, options)?);
        let writer = UmaWriter {
            writer: mvcc.writer()?,
            mvcc: Arc::clone(&mvcc),
        };
        Ok(Self {
            mvcc,
            writer: Batcher::new(writer),
        })
    }

    async fn append(&self, append: NewAppend) -> Result<Answer> {
        self.writer.append(append).await
    }

    fn read_stream(&self, order: u64, mut see: impl FnMut(Seen<'_>)) -> Result<()> {
        let query = query(DcbQueryItem::new().tags([event::stream(order)]));
        self.read(query, None, None, &mut see)?;
        Ok(())
    }

    fn read_all(&self, mut see: impl FnMut(Seen<'_>)) -> Result<()> {
        let mut start = None;
        while let Some(last) = self.read(DcbQuery::new(), start, Some(PAGE_EVENTS), &mut see)? {
            start = Some(Position(last + 1));
        }
        Ok(())
    }

    fn head(&self) -> Result<u64> {
        Ok(self.mvcc.reader()?.next_position.0.saturating_sub(1))
    }

    fn close(self) -> Result<()> {
        drop(self.writer.into_engine()?);
        Ok(())
    }
}

impl Uma {
    fn read(
        &self,
        query: DcbQuery,
        start: Option<Position>,
        limit: Option<u32>,
        see: &mut impl FnMut(Seen<'_>),
    ) -> Result<Option<u64>> {
        let reader = self.mvcc.reader()?;
        let events = read_conditional(
            self.mvcc.as_ref(),
            &FxHashMap::default(),
            reader.events_tree_root_id,
            reader.tags_tree_root_id,
            query,
            start,
            false,
            limit,
            false,
            None,
        )?;
        for event in &events {
            see(Seen {
                event_type: &event.event.event_type,
                payload: &event.event.data,
            });
        }
        Ok(events.last().map(|event| event.position))
    }
}

impl Engine for UmaWriter {
    fn commit(&mut self, batch: &[NewAppend]) -> Result<Vec<Answer>> {
        self.writer.reset(&self.mvcc)?;
        let mut answers = Vec::with_capacity(batch.len());
        for append in batch {
            let events = append.lines.iter().map(dcb_event).collect();
            let result = process_append_request(
                events,
                condition(append),
                None,
                self.mvcc.as_ref(),
                &mut self.writer,
                None,
            );
            answers.push(match result {
                Ok(position) => Answer::Recorded(position),
                Err(error) if is_integrity_error(&error) => Answer::Refused,
                Err(error) => return Err(error.into()),
            });
        }
        if answers.iter().any(|answer| *answer != Answer::Refused) {
            self.mvcc.commit(&mut self.writer)?;
        }
        Ok(answers)
    }
}

fn condition(append: &NewAppend) -> Option<DcbAppendCondition> {
    let (item, after) = match append.guard {
        Guard::None => return None,
        Guard::Stream(known) => {
            let item = DcbQueryItem::new().tags([append.lines[0].stream()]);
            (item, known.position)
        }
        Guard::Customer { customer, after } => {
            let item = DcbQueryItem::new()
                .types([EVENT_TYPE])
                .tags([event::customer(customer)]);
            (item, after)
        }
    };
    Some(DcbAppendCondition::new(query(item)).after(Some(after)))
}

fn query(item: DcbQueryItem) -> DcbQuery {
    DcbQuery::new().item(item)
}

/// The stream is a tag, or in W10 the two tags are all it has.
fn dcb_event(line: &Line) -> DcbEvent {
    let tags = line.tags().map_or_else(|| vec![line.stream()], Vec::from);
    DcbEvent {
        event_type: EVENT_TYPE.to_owned(),
        tags,
        data: line.payload().to_vec(),
        uuid: None,
        metadata: vec![(METADATA_NAME.to_owned(), line.metadata_value())],
    }
}
