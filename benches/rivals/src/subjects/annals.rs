//! annals, over any of its embedded stores.

use std::fmt;
use std::path::Path;

use annals_core::{
    Append, ConsistencyLevel, ContentType, Criteria, CriteriaItem, Cursor, ErrorKind, EventStore,
    EventType, Expected, Ids, Metadata, NewEvent, Position, ReadRequest, StreamId, Tag, Tags,
    UuidIds, Version,
};
use annals_store_log::LogStore;
use annals_store_memory::MemoryStore;
use anyhow::{Context, Result};
use pollster::block_on;

use crate::event::{self, EVENT_TYPE, Line, METADATA_NAME, Seen, Tagged};
use crate::subject::{Answer, Guard, Import, NewAppend, Subject};

const LINE_ADDED: EventType = EventType::from_static(EVENT_TYPE);

/// A store of annals as a subject.
#[derive(Debug)]
pub struct Annals<B: Backend> {
    store: B::Store,
    ids: UuidIds,
}

/// How a store of annals is opened and closed.
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    type Store: EventStore + 'static;

    const DURABLE: bool;

    fn open(dir: &Path) -> Result<Self::Store>;
    fn close(store: Self::Store) -> Result<()>;
}

/// The embedded store, with its default settings.
#[derive(Debug)]
pub struct Log;

/// The memory store: not durable, and gone with the process.
#[derive(Debug)]
pub struct Memory;

impl Backend for Log {
    type Store = LogStore;

    const DURABLE: bool = true;

    fn open(dir: &Path) -> Result<LogStore> {
        Ok(LogStore::builder(dir).open_or_create()?)
    }

    fn close(store: LogStore) -> Result<()> {
        Ok(store.close()?)
    }
}

impl Backend for Memory {
    type Store = MemoryStore;

    const DURABLE: bool = false;

    fn open(_: &Path) -> Result<MemoryStore> {
        Ok(MemoryStore::new())
    }

    fn close(_: MemoryStore) -> Result<()> {
        Ok(())
    }
}

impl<B: Backend> Subject for Annals<B> {
    const IMPORT: Import = Import {
        events: 1000,
        in_flight: 4,
    };
    const DURABLE: bool = B::DURABLE;

    fn open(dir: &Path) -> Result<Self> {
        Ok(Self {
            store: B::open(dir)?,
            ids: UuidIds::default(),
        })
    }

    async fn append(&self, append: NewAppend) -> Result<Answer> {
        let append = self.form(&append)?;
        match self.store.append(append).await {
            Ok(receipt) => Ok(Answer::Recorded(receipt.last_position.value())),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(Answer::Refused),
            Err(error) => Err(error.into()),
        }
    }

    fn read_stream(&self, order: u64, see: impl FnMut(Seen<'_>)) -> Result<()> {
        let stream = StreamId::parse(&event::stream(order))?;
        self.read(ReadRequest::stream(stream), see)
    }

    fn read_all(&self, see: impl FnMut(Seen<'_>)) -> Result<()> {
        self.read(ReadRequest::all(), see)
    }

    fn head(&self) -> Result<u64> {
        let head = block_on(self.store.head(ConsistencyLevel::Strong))?;
        let position = head.position().context("the store is partitioned")?;
        Ok(position.value())
    }

    fn close(self) -> Result<()> {
        B::close(self.store)
    }
}

impl<B: Backend> Annals<B> {
    fn form(&self, append: &NewAppend) -> Result<Append> {
        let mut builder = Append::builder(self.ids.append_id());
        for lines in append.lines.chunk_by(|one, next| one.order == next.order) {
            let stream = StreamId::parse(&event::stream(lines[0].order))?;
            let mut events = Vec::with_capacity(lines.len());
            for line in lines {
                events.push(new_event(line)?);
            }
            builder = builder.write(stream, expected(append.guard), events);
        }
        if let Guard::Customer { customer, after } = append.guard {
            let tag = Tag::parse(&event::customer(customer))?;
            let item = CriteriaItem::new([LINE_ADDED], Tags::new([tag])?)?;
            let after = Cursor::at(Position::new(after));
            builder = builder.unless(Criteria::any_of([item])?, after);
        }
        Ok(builder.build()?)
    }

    fn read(&self, request: ReadRequest, mut see: impl FnMut(Seen<'_>)) -> Result<()> {
        let mut next = Some(request);
        while let Some(request) = next {
            let page = block_on(self.store.read(request))?;
            for event in &page.events {
                see(Seen {
                    event_type: event.event_type().as_str(),
                    payload: event.payload(),
                });
            }
            next = page.next;
        }
        Ok(())
    }
}

fn new_event(line: &Line) -> Result<NewEvent> {
    let metadata = Metadata::EMPTY.with_header(METADATA_NAME, &line.metadata_value())?;
    let event = NewEvent::new(LINE_ADDED, ContentType::JSON, line.payload().to_vec())?
        .with_metadata(metadata);
    if line.tagged == Tagged::No {
        return Ok(event);
    }
    let tags: Result<Vec<_>, _> = line
        .tags()
        .iter()
        .flatten()
        .map(|tag| Tag::parse(tag))
        .collect();
    Ok(event.with_tags(Tags::new(tags?)?))
}

fn expected(guard: Guard) -> Expected {
    match guard {
        Guard::Stream(known) => Expected::Exactly(Version::new(known.version)),
        Guard::None | Guard::Customer { .. } => Expected::Any,
    }
}
