//! annals: one store, which shares its transactions among whoever appends.

use annals_core::{
    Append, ContentType, CorrelationId, Cursor, EventStore as _, EventType, Expected, Ids as _,
    Metadata, NewEvent, Position, ReadRequest, StreamId, UuidIds, Version,
};
use annals_store_postgres::PostgresStore;
use anyhow::{Context, Result};

use crate::event::{self, EVENT_TYPE, Line};
use crate::subject::Subject;

const LINE_ADDED: EventType = EventType::from_static(EVENT_TYPE);

/// Not one that the name of the user leads others to.
const SCHEMA: &str = "log_of_annals";

/// A store with its default settings.
#[derive(Debug)]
pub struct Annals {
    store: PostgresStore,
    ids: UuidIds,
}

impl Subject for Annals {
    type Known = ();

    async fn open(url: &str) -> Result<Self> {
        Ok(Self {
            store: PostgresStore::builder(url)
                .schema(SCHEMA)
                .open_or_create()
                .await?,
            ids: UuidIds::default(),
        })
    }

    async fn append(&self, _: usize, lines: &[Line], before: u64, (): &mut ()) -> Result<()> {
        let order = lines.first().context("no lines")?.order;
        let stream = StreamId::parse(&event::stream(order))?;
        let events: Result<Vec<NewEvent>> = lines.iter().map(new_event).collect();
        let append = Append::builder(self.ids.append_id())
            .write(stream, Expected::Exactly(Version::new(before)), events?)
            .build()?;
        self.store.append(append).await?;
        Ok(())
    }

    async fn page(&self, after: i64, events: i64) -> Result<(u64, i64)> {
        let after = Cursor::at(Position::new(u64::try_from(after)?));
        let request = ReadRequest::all()
            .after(after)
            .events_max(usize::try_from(events)?);
        let page = self.store.read(request).await?;
        let last = match (&page.next, page.events.last()) {
            (Some(_), Some(last)) => i64::try_from(last.position().value())?,
            _ => 0,
        };
        Ok((page.events.len() as u64, last))
    }

    async fn stream(&self, order: u64) -> Result<u64> {
        let stream = StreamId::parse(&event::stream(order))?;
        let page = self.store.read(ReadRequest::stream(stream)).await?;
        Ok(page.events.len() as u64)
    }
}

fn new_event(line: &Line) -> Result<NewEvent> {
    let correlation = CorrelationId::parse(&line.metadata_value())?;
    let metadata = Metadata::EMPTY.with_correlation_id(correlation)?;
    let event = NewEvent::new(LINE_ADDED, ContentType::JSON, line.payload().to_vec())?;
    Ok(event.with_metadata(metadata))
}
