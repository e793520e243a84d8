//! tephra: a stream is a tag, an expectation a condition on it.
//!
//! Settings: segments of 256 MiB as its documentation shows, the default writer. 64 writers are threads that
//! block, which it takes faster than tasks that await; reads run on the caller's thread.

use std::path::Path;

use anyhow::Result;
use tephra::{
    AppendCondition, AppendError, Event, EventType, Position, Query, QueryItem, SegmentConfig,
    SegmentSet, Tag, Tags, WriteCoordinator, WriteHandle, WriterConfig,
};

use crate::event::{self, EVENT_TYPE, Line, Seen};
use crate::subject::{Answer, Concurrency, Guard, Import, NewAppend, Subject};

const SEGMENT_BYTES: usize = 256 << 20;

/// tephra as a subject.
pub struct Tephra {
    coordinator: WriteCoordinator,
    handle: WriteHandle,
    event_type: EventType,
}

impl Subject for Tephra {
    const CONCURRENCY: Concurrency = Concurrency::Threads;
    const IMPORT: Import = Import {
        events: 1000,
        in_flight: 8,
    };

    fn open(dir: &Path) -> Result<Self> {
        let set = SegmentSet::open(dir, SegmentConfig::new(SEGMENT_BYTES))?;
        let (coordinator, handle) = WriteCoordinator::start(set, WriterConfig::default())?;
        Ok(Self {
            coordinator,
            handle,
            event_type: EventType::new(EVENT_TYPE)?,
        })
    }

    async fn append(&self, append: NewAppend) -> Result<Answer> {
        let (events, condition) = self.form(&append)?;
        answer(self.handle.append_async(events, condition).await)
    }

    fn append_blocking(&self, append: NewAppend) -> Result<Answer> {
        let (events, condition) = self.form(&append)?;
        answer(self.handle.append(events, condition))
    }

    fn read_stream(&self, order: u64, see: impl FnMut(Seen<'_>)) -> Result<()> {
        let tag = Tag::new(event::stream(order))?;
        let query = Query::item(QueryItem::with_tags(Tags::new([tag])?));
        self.read(&query, see)
    }

    fn read_all(&self, see: impl FnMut(Seen<'_>)) -> Result<()> {
        self.read(&Query::all(), see)
    }

    fn head(&self) -> Result<u64> {
        Ok(self.handle.head().get())
    }

    fn close(self) -> Result<()> {
        drop(self.handle);
        drop(self.coordinator.shutdown());
        Ok(())
    }
}

impl Tephra {
    fn form(&self, append: &NewAppend) -> Result<(Vec<Event>, Option<AppendCondition>)> {
        let events = append.lines.iter().map(|line| self.event(line));
        let events = events.collect::<Result<_>>()?;
        let condition = match append.guard {
            Guard::None => None,
            Guard::Stream(known) => {
                let tag = Tag::new(append.lines[0].stream())?;
                let query = Query::item(QueryItem::with_tags(Tags::new([tag])?));
                Some(AppendCondition::new(query).after(Position::new(known.position)))
            }
            Guard::Customer { customer, after } => {
                let tags = Tags::new([Tag::new(event::customer(customer))?])?;
                let query = Query::item(QueryItem::new(vec![self.event_type.clone()], tags));
                Some(AppendCondition::new(query).after(Position::new(after)))
            }
        };
        Ok((events, condition))
    }

    /// The stream is a tag, or in W10 the two tags are all it has; metadata stands before the payload.
    fn event(&self, line: &Line) -> Result<Event> {
        let tags = match line.tags() {
            Some([one, other]) => Tags::new([Tag::new(one)?, Tag::new(other)?])?,
            None => Tags::new([Tag::new(line.stream())?])?,
        };
        let metadata = line.metadata();
        let mut data = Vec::with_capacity(1 + metadata.len() + event::PAYLOAD_BYTES);
        data.push(u8::try_from(metadata.len())?);
        data.extend_from_slice(metadata.as_bytes());
        data.extend_from_slice(&line.payload());
        Ok(Event::new(&self.event_type, &tags, &data)?)
    }

    fn read(&self, query: &Query, mut see: impl FnMut(Seen<'_>)) -> Result<()> {
        let mut reads = self.handle.read(query, Position::ZERO, None);
        while let Some(item) = reads.next() {
            let event = item?.event;
            let data = event.data();
            see(Seen {
                event_type: event.event_type(),
                payload: &data[1 + usize::from(data[0])..],
            });
        }
        Ok(())
    }
}

fn answer(result: Result<tephra::PositionRange, AppendError>) -> Result<Answer> {
    match result {
        Ok(positions) => Ok(Answer::Recorded(positions.last.get())),
        Err(AppendError::Conflict { .. }) => Ok(Answer::Refused),
        Err(error) => Err(error.into()),
    }
}
