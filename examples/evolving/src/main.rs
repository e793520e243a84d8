//! A parcel of 2023, read by the code of today, and the coverage of the store that holds it.

use std::io::{self, Write};
use std::sync::Arc;

use annals::codec::coverage::Coverage;
use annals::prelude::*;
use anyhow::Result;
use evolving::parcel::Parcel;

/// A history as the first release recorded it.
const HISTORY: [(&str, &str); 7] = [
    ("registered", r#"{"weight":1200}"#),
    ("addressed", r#"{"name":"Ada Lovelace"}"#),
    ("viewed", r#"{"by":"Ben"}"#),
    ("moved", r#"{"from":"Rome","to":"Oslo"}"#),
    ("damaged", r#"{"how":"wet"}"#),
    ("lost", "{}"),
    ("handed-over", r#"{"signature":"A. L."}"#),
];

fn main() -> Result<()> {
    futures_executor::block_on(tell(&mut io::stdout().lock()))
}

async fn tell(out: &mut impl Write) -> Result<()> {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let mut events = Vec::new();
    for (event_type, payload) in HISTORY {
        let event_type = EventType::parse(event_type)?;
        events.push(NewEvent::new(event_type, ContentType::JSON, payload)?);
    }
    let append = Append::builder(UuidIds::default().append_id())
        .write(StreamId::parse("parcel-1")?, Expected::NoStream, events)
        .build()?;
    store.append(append).await?;

    let codec = evolving::codec()?;
    let parcels = Repository::<Parcel>::new(store.clone(), codec.clone());
    let parcel = parcels.load("1").await?.into_state();
    writeln!(out, "{parcel:#?}")?;

    // ANCHOR: coverage
    let coverage = Coverage::new().with_evolution(&codec, codec.evolution());
    let report = coverage.report(&*store, ReadRequest::all()).await?;
    for schema in report.schemas {
        let upcasters = schema.upcasters.join(", ");
        let (event_type, version) = (schema.event_type, schema.schema_version);
        writeln!(
            out,
            "{} x {event_type} v{version}: {upcasters}",
            schema.events
        )?;
    }
    // ANCHOR_END: coverage
    Ok(())
}
