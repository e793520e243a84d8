//! What a store holds, and what the code makes of it: a report to read before an upcaster is removed, or a
//! release goes out.
//!
//! ```
//! use annals_codec::coverage::{Coverage, CoverageReport};
//! use annals_codec::EventCodec;
//! use annals_core::{Error, Event, EventStore, ReadRequest};
//!
//! async fn look<A: Event, B: Event>(
//!     store: &dyn EventStore,
//!     accounts: &dyn EventCodec<A>,
//!     journals: &dyn EventCodec<B>,
//! ) -> Result<CoverageReport, Error> {
//!     let coverage = Coverage::new().with(accounts).with(journals);
//!     coverage.report(store, ReadRequest::all()).await
//! }
//! ```
//!
//! It reads every event once and decodes it. Who wants to tell of the progress, or to stop early, reads the pages
//! and gives their events to a [`Survey`]. Memory is bounded by [`SCHEMAS_MAX`], whatever the store holds.

use std::collections::BTreeMap;
use std::fmt;

use annals_core::{Category, Error, Event, EventStore, ReadRequest, RecordedEvent};
use serde::Serialize;

use crate::{Decoded, ErrorKind, EventCodec, EventCodecExt, Evolution, Plan, Schema};

/// How many schemas a report tells apart: 4,096. Events of further ones are counted together.
pub const SCHEMAS_MAX: usize = 4096;

/// A look at a store through the codecs of an application, each for the category of its events.
#[derive(Default)]
pub struct Coverage<'a> {
    readers: Vec<Box<dyn Reader + 'a>>,
}

/// A look at a store that goes on: what was seen so far. Made by [`Coverage::survey`].
pub struct Survey<'a> {
    readers: &'a [Box<dyn Reader + 'a>],
    totals: CoverageReport,
    rows: Vec<Row<'a>>,
    places: BTreeMap<Key, usize>,
    /// The row of the last event: the next one is often of the same.
    last: usize,
}

/// What was seen of one schema, and who reads it.
struct Row<'a> {
    reader: Option<&'a dyn Reader>,
    seen: SchemaCoverage,
}

/// What a store holds, and what became of it. Serialises to JSON and the like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CoverageReport {
    /// How many events were looked at.
    pub events: u64,
    /// The position of the first.
    pub first_position: Option<u64>,
    /// The position of the last.
    pub last_position: Option<u64>,
    /// How many decode.
    pub decoded: u64,
    /// How many a policy hands over as they are, as the code does not know them.
    pub handed_over: u64,
    /// How many a policy passes over.
    pub skipped: u64,
    /// How many do not decode.
    pub failed: u64,
    /// How many are of a category for which no codec was given.
    pub unread: u64,
    /// What occurs, by category, type, version and form.
    pub schemas: Vec<SchemaCoverage>,
    /// How many events are of schemas beyond [`SCHEMAS_MAX`]; they count above.
    pub events_of_other_schemas: u64,
}

/// The events of one category, type, version and form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SchemaCoverage {
    /// The category of the streams.
    pub category: String,
    /// The recorded name.
    pub event_type: String,
    /// The recorded version.
    pub schema_version: u32,
    /// The form of the bytes.
    pub content_type: String,
    /// What the code knows of it.
    pub standing: Standing,
    /// The upcasters that run, in order, as `deposited v1 -> deposited v2`.
    pub upcasters: Vec<String>,
    /// How many events.
    pub events: u64,
    /// The position of the first.
    pub first_position: u64,
    /// The position of the last.
    pub last_position: u64,
    /// How many decode.
    pub decoded: u64,
    /// How many events of the application they read as; more than that, or less, after splits and drops.
    pub decoded_as: u64,
    /// How many a policy hands over as they are, as the code does not know them.
    pub handed_over: u64,
    /// How many a policy passes over.
    pub skipped: u64,
    /// How many do not decode.
    pub failed: u64,
    /// The first that does not.
    pub first_failure: Option<CoverageFailure>,
}

/// An event that does not decode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CoverageFailure {
    /// Its position.
    pub position: u64,
    /// Why, in words that hold none of its payload.
    pub error: String,
}

/// What the code knows of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Standing {
    /// It is what the code writes now.
    Current,
    /// It is older; upcasters run where the codec was given with its [`Evolution`].
    Old,
    /// It is newer than the code.
    Future,
    /// The code does not know the type.
    UnknownType,
    /// No codec was given for its category.
    Unread,
}

/// One codec, its type of events forgotten.
trait Reader: Send + Sync {
    fn category(&self) -> &Category;
    fn plan(&self, schema: &Schema) -> Plan;
    /// How many events it reads as.
    fn read(&self, recorded: &RecordedEvent) -> Result<Decoded<()>, crate::Error>;
}

struct CodecReader<'a, E> {
    codec: &'a dyn EventCodec<E>,
    evolution: Option<&'a Evolution<E>>,
    category: Category,
}

type Key = (String, String, u32, String);

impl<'a> Coverage<'a> {
    /// A look without codecs: it tells what there is.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with the codec of an event type.
    #[must_use]
    pub fn with<E: Event>(self, codec: &'a dyn EventCodec<E>) -> Self {
        self.with_reader(codec, None)
    }

    /// The same with the codec of an event type, and the upcasters that it runs, which are named in the report.
    #[must_use]
    pub fn with_evolution<E: Event>(
        self,
        codec: &'a dyn EventCodec<E>,
        evolution: &'a Evolution<E>,
    ) -> Self {
        self.with_reader(codec, Some(evolution))
    }

    fn with_reader<E: Event>(
        mut self,
        codec: &'a dyn EventCodec<E>,
        evolution: Option<&'a Evolution<E>>,
    ) -> Self {
        self.readers.push(Box::new(CodecReader {
            codec,
            evolution,
            category: E::CATEGORY,
        }));
        self
    }

    /// Reads what the request selects, and reports.
    ///
    /// # Errors
    /// As the store has it. An event that does not decode is no error; the report tells of it.
    pub async fn report(
        &self,
        store: &dyn EventStore,
        request: ReadRequest,
    ) -> Result<CoverageReport, Error> {
        let mut survey = self.survey();
        let mut next = Some(request);
        while let Some(request) = next {
            let page = store.read(request).await?;
            for recorded in &page.events {
                survey.add(recorded);
            }
            next = page.next;
        }
        Ok(survey.report())
    }

    /// A look that has seen nothing yet, to be given the events page by page:
    ///
    /// ```
    /// use annals_codec::coverage::{Coverage, CoverageReport};
    /// use annals_core::{Error, EventStore, ReadRequest};
    ///
    /// async fn look(coverage: &Coverage<'_>, store: &dyn EventStore) -> Result<CoverageReport, Error> {
    ///     let mut survey = coverage.survey();
    ///     let mut next = Some(ReadRequest::all());
    ///     while let Some(request) = next {
    ///         let page = store.read(request).await?;
    ///         page.events.iter().for_each(|recorded| survey.add(recorded));
    ///         println!("{} events", survey.events());
    ///         next = page.next;
    ///     }
    ///     Ok(survey.report())
    /// }
    /// ```
    pub fn survey(&self) -> Survey<'_> {
        Survey {
            readers: &self.readers,
            totals: CoverageReport::default(),
            rows: Vec::new(),
            places: BTreeMap::new(),
            last: 0,
        }
    }
}

impl Survey<'_> {
    /// How many events were looked at.
    pub fn events(&self) -> u64 {
        self.totals.events
    }

    /// Looks at an event.
    pub fn add(&mut self, recorded: &RecordedEvent) {
        let position = recorded.position().value();
        let place = self.place(recorded);
        let row = place.and_then(|place| self.rows.get_mut(place));
        let reader = match &row {
            Some(row) => row.reader,
            None => reader_of(self.readers, recorded),
        };
        let read = reader.map(|reader| reader.read(recorded));
        self.totals.count(position, read.as_ref());
        match row {
            Some(row) => row.seen.count(position, read),
            None => self.totals.events_of_other_schemas += 1,
        }
    }

    /// What was seen so far.
    pub fn report(&self) -> CoverageReport {
        let rows = self.places.values();
        let rows = rows.filter_map(|place| self.rows.get(*place));
        CoverageReport {
            schemas: rows.map(|row| row.seen.clone()).collect(),
            ..self.totals.clone()
        }
    }

    /// The row of an event's schema; `None` for one beyond [`SCHEMAS_MAX`].
    fn place(&mut self, recorded: &RecordedEvent) -> Option<usize> {
        let last = self.rows.get(self.last);
        if last.is_some_and(|row| row.seen.is_of(recorded)) {
            return Some(self.last);
        }
        let key = (
            recorded.stream().category().to_string(),
            recorded.event_type().to_string(),
            recorded.schema_version().value(),
            recorded.content_type().to_string(),
        );
        if let Some(place) = self.places.get(&key) {
            self.last = *place;
            return Some(*place);
        }
        if self.rows.len() == SCHEMAS_MAX {
            return None;
        }
        let reader = reader_of(self.readers, recorded);
        let plan = reader.map(|reader| reader.plan(&schema_of(recorded)));
        let seen = SchemaCoverage::new(&key, recorded.position().value(), plan);
        self.rows.push(Row { reader, seen });
        self.last = self.rows.len() - 1;
        self.places.insert(key, self.last);
        Some(self.last)
    }
}

/// Who reads an event: of the codecs for its category the one that knows its type, else the first.
fn reader_of<'a>(
    readers: &'a [Box<dyn Reader + 'a>],
    recorded: &RecordedEvent,
) -> Option<&'a dyn Reader> {
    let category = recorded.stream().category();
    let of_category = || {
        let readers = readers.iter().map(|reader| &**reader);
        readers.filter(|reader| *reader.category() == category)
    };
    let schema = schema_of(recorded);
    let knows = |reader: &&dyn Reader| reader.plan(&schema) != Plan::UnknownType;
    // A codec may know more than it was given with.
    let reads = |reader: &&dyn Reader| match reader.read(recorded) {
        Ok(decoded) => matches!(decoded, Decoded::One(()) | Decoded::Many(_)),
        Err(error) => error.kind() != ErrorKind::UnknownType,
    };
    let reader = of_category().find(knows);
    reader
        .or_else(|| of_category().find(reads))
        .or_else(|| of_category().next())
}

fn schema_of(recorded: &RecordedEvent) -> Schema {
    Schema::new(recorded.event_type().clone(), recorded.schema_version())
}

impl CoverageReport {
    /// Whether every event decodes, none is passed or handed over, and each has a codec.
    pub fn is_complete(&self) -> bool {
        self.decoded == self.events
    }

    fn count(&mut self, position: u64, read: Option<&Result<Decoded<()>, crate::Error>>) {
        self.events += 1;
        extend(&mut self.first_position, &mut self.last_position, position);
        *match read {
            None => &mut self.unread,
            Some(Err(_)) => &mut self.failed,
            Some(Ok(Decoded::Skipped(_))) => &mut self.skipped,
            Some(Ok(Decoded::HandedOver(()))) => &mut self.handed_over,
            Some(Ok(_)) => &mut self.decoded,
        } += 1;
    }
}

/// The lowest and the highest position so far: a request may read backward.
fn extend(first: &mut Option<u64>, last: &mut Option<u64>, position: u64) {
    *first = Some(first.map_or(position, |first| first.min(position)));
    *last = Some(last.map_or(position, |last| last.max(position)));
}

impl SchemaCoverage {
    fn new(key: &Key, position: u64, plan: Option<Plan>) -> Self {
        let (category, event_type, schema_version, content_type) = key.clone();
        let standing = match plan {
            None => Standing::Unread,
            Some(Plan::Current) => Standing::Current,
            Some(Plan::Steps(_)) => Standing::Old,
            Some(Plan::Future) => Standing::Future,
            Some(Plan::UnknownType) => Standing::UnknownType,
        };
        let upcasters = match plan {
            Some(Plan::Steps(steps)) => steps.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        Self {
            category,
            event_type,
            schema_version,
            content_type,
            standing,
            upcasters,
            events: 0,
            first_position: position,
            last_position: position,
            decoded: 0,
            decoded_as: 0,
            handed_over: 0,
            skipped: 0,
            failed: 0,
            first_failure: None,
        }
    }

    /// Whether an event is of this schema, told without a copy of its names.
    fn is_of(&self, recorded: &RecordedEvent) -> bool {
        self.schema_version == recorded.schema_version().value()
            && self.event_type == recorded.event_type().as_str()
            && self.content_type == recorded.content_type().as_str()
            && self.category == recorded.stream().category().as_str()
    }

    fn count(&mut self, position: u64, read: Option<Result<Decoded<()>, crate::Error>>) {
        self.events += 1;
        self.first_position = self.first_position.min(position);
        self.last_position = self.last_position.max(position);
        match read {
            None => {}
            Some(Ok(Decoded::Skipped(_))) => self.skipped += 1,
            Some(Ok(Decoded::HandedOver(()))) => self.handed_over += 1,
            Some(Ok(decoded)) => {
                self.decoded += 1;
                self.decoded_as += u64::try_from(decoded.as_slice().len()).unwrap_or(u64::MAX);
            }
            Some(Err(error)) => {
                self.failed += 1;
                self.first_failure.get_or_insert_with(|| CoverageFailure {
                    position,
                    error: error.to_string(),
                });
            }
        }
    }
}

impl<E: Event> Reader for CodecReader<'_, E> {
    fn category(&self) -> &Category {
        &self.category
    }

    fn plan(&self, schema: &Schema) -> Plan {
        if let Some(evolution) = self.evolution {
            return evolution.plan(schema);
        }
        let mut kinds = E::KINDS.iter();
        match kinds.find(|kind| *kind.event_type() == schema.event_type) {
            None => Plan::UnknownType,
            Some(kind) if schema.schema_version < kind.schema_version() => Plan::Steps(Vec::new()),
            Some(kind) if schema.schema_version > kind.schema_version() => Plan::Future,
            Some(_) => Plan::Current,
        }
    }

    fn read(&self, recorded: &RecordedEvent) -> Result<Decoded<()>, crate::Error> {
        Ok(self.codec.decode(recorded)?.map(drop))
    }
}

impl fmt::Debug for Coverage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let categories = self.readers.iter().map(|reader| reader.category());
        f.debug_list().entries(categories).finish()
    }
}

impl fmt::Debug for Survey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Survey")
            .field("events", &self.totals.events)
            .field("schemas", &self.rows.len())
            .finish_non_exhaustive()
    }
}
