//! What is seen of a store at a look, and how it went before.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use annals_core::{ConsistencyLevel, EventStore, Position, ReadRequest, Timestamp};
use futures_executor::block_on;
use serde::Serialize;

use super::metrics::{Activity, Application};
use crate::commands::projections::{Reader, readers};
use crate::failure::Result;
use crate::output::time::now;
use crate::select::{each_event, first_event};
use crate::store_at::StoreAddress;
use crate::survey::StoreFiles;

/// How many of the newest events tell what is hot.
const NEWEST: usize = 5000;
/// How many streams and types are shown.
const SHOWN: usize = 10;
/// How many looks are remembered.
const LOOKS_MAX: usize = 240;
/// How often readers are looked at: every so many looks, as that reads what they recorded.
const READERS_EVERY: u64 = 5;

/// What is shown.
pub(super) struct Board {
    address: StoreAddress,
    store: Arc<dyn EventStore>,
    /// How many positions a repair gave up.
    pub(super) lost: u64,
    looks: u64,
    pub(super) at: Timestamp,
    pub(super) head: Position,
    pub(super) newest_at: Option<Timestamp>,
    /// Events a second, over the last ten seconds and over the last minute.
    pub(super) rates: (f64, f64),
    /// Events a second at each look, the newest last.
    pub(super) trail: VecDeque<u64>,
    pub(super) streams: Vec<Hot>,
    pub(super) types: Vec<Hot>,
    /// Of how many events these are.
    pub(super) newest: usize,
    pub(super) files: StoreFiles,
    pub(super) readers: Vec<Followed>,
    application: Option<Application>,
    /// What the application tells, where it was asked.
    pub(super) activity: Option<Activity>,
}

/// A stream or a type, and how many of the newest events it has.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Hot {
    pub(super) name: String,
    pub(super) events: u64,
    pub(super) bytes: u64,
}

/// A reader, and how its lag went since it was looked at before.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Followed {
    #[serde(flatten)]
    pub(super) reader: Reader,
    /// By how many events its lag grew; less than 0 where it catches up.
    pub(super) lag_change: i64,
}

#[derive(Serialize)]
pub(super) struct BoardJson<'a> {
    at: String,
    store: String,
    head: u64,
    lost_positions: u64,
    newest_appended_at: Option<String>,
    events_per_second_10s: f64,
    events_per_second_60s: f64,
    newest_events: usize,
    streams: &'a [Hot],
    types: &'a [Hot],
    segment_files: u64,
    segment_bytes: u64,
    index_files: u64,
    index_bytes: u64,
    all_bytes: u64,
    readers: &'a [Followed],
    /// Only where the application was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<Activity>,
}

impl Board {
    /// A store, and where its application tells its metrics.
    pub(super) fn open(address: &StoreAddress, metrics: Option<&str>) -> Result<Self> {
        Ok(Self {
            address: address.clone(),
            store: address.past_lost().to_read()?,
            lost: address.losses()?.events(),
            looks: 0,
            at: Timestamp::EPOCH,
            head: Position::START,
            newest_at: None,
            rates: (0.0, 0.0),
            trail: VecDeque::new(),
            streams: Vec::new(),
            types: Vec::new(),
            newest: 0,
            files: StoreFiles::default(),
            readers: Vec::new(),
            application: metrics.map(Application::new),
            activity: None,
        })
    }

    /// The store, as it is called.
    pub(super) fn name(&self) -> String {
        self.address.to_string()
    }

    /// Looks at the store.
    pub(super) fn look(&mut self) -> Result {
        let (before, head_before) = (self.at, self.head);
        self.at = now();
        let head = block_on(self.store.head(ConsistencyLevel::Strong))?;
        self.head = head.position().unwrap_or_default();
        self.rates = (
            self.rate(Duration::from_secs(10))?,
            self.rate(Duration::from_mins(1))?,
        );
        self.look_at_newest()?;
        if self.looks > 0 {
            let rate = per_second(self.head.since(head_before), self.at.since(before));
            self.note_rate(rate);
        }
        self.files = StoreFiles::of(self.address.directory())?;
        if self.looks.is_multiple_of(READERS_EVERY) {
            self.look_at_readers()?;
        }
        if let Some(application) = &mut self.application {
            self.activity = Some(application.look(self.at)?);
        }
        self.looks += 1;
        Ok(())
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is neither negative nor that great"
    )]
    fn note_rate(&mut self, rate: f64) {
        if self.trail.len() >= LOOKS_MAX {
            self.trail.pop_front();
        }
        self.trail.push_back(rate.round() as u64);
    }

    /// Events a second over so long a time, by when they were appended.
    fn rate(&self, over: Duration) -> Result<f64> {
        let micros = i64::try_from(over.as_micros()).unwrap_or(i64::MAX);
        let from = Timestamp::from_micros(self.at.as_micros().saturating_sub(micros));
        let before = ReadRequest::all().backward().appended_before(from);
        let last = first_event(&*self.store, before)?;
        let last = last.map_or(Position::START, |event| event.position());
        Ok(per_second(self.head.since(last), over))
    }

    /// Counts streams and types of the newest events.
    fn look_at_newest(&mut self) -> Result {
        let newest = ReadRequest::all().backward().events_max(NEWEST);
        let (mut streams, mut types) = (HashMap::new(), HashMap::new());
        let (mut seen, mut newest_at) = (0, None);
        each_event(&*self.store, newest, |event| {
            newest_at.get_or_insert(event.appended_at());
            let bytes = event.payload().len() as u64;
            count(&mut streams, event.stream().as_str(), bytes);
            count(&mut types, event.event_type().as_str(), bytes);
            seen += 1;
            Ok(if seen == NEWEST {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        self.newest = seen;
        self.newest_at = newest_at;
        self.streams = hottest(streams);
        self.types = hottest(types);
        Ok(())
    }

    fn look_at_readers(&mut self) -> Result {
        let before: BTreeMap<String, u64> = self
            .readers
            .iter()
            .filter_map(|followed| Some((followed.reader.name.clone(), followed.reader.lag?)))
            .collect();
        let readers = readers(&self.address, &*self.store)?.into_iter();
        self.readers = readers
            .map(|reader| {
                let old = before
                    .get(&reader.name)
                    .copied()
                    .or(reader.lag)
                    .unwrap_or_default();
                let lag_change = reader
                    .lag
                    .unwrap_or(old)
                    .cast_signed()
                    .saturating_sub(old.cast_signed());
                Followed { reader, lag_change }
            })
            .collect();
        Ok(())
    }

    pub(super) fn json(&self) -> BoardJson<'_> {
        BoardJson {
            at: self.at.to_string(),
            store: self.name(),
            head: self.head.value(),
            lost_positions: self.lost,
            newest_appended_at: self.newest_at.map(|time| time.to_string()),
            events_per_second_10s: self.rates.0,
            events_per_second_60s: self.rates.1,
            newest_events: self.newest,
            streams: &self.streams,
            types: &self.types,
            segment_files: self.files.segments.count,
            segment_bytes: self.files.segments.bytes,
            index_files: self.files.index.count,
            index_bytes: self.files.index.bytes,
            all_bytes: self.files.all.bytes,
            readers: &self.readers,
            application: self.activity,
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "it is shown with one digit behind the point"
)]
fn per_second(events: u64, over: Duration) -> f64 {
    let seconds = over.as_secs_f64();
    if seconds > 0.0 {
        events as f64 / seconds
    } else {
        0.0
    }
}

fn count(counts: &mut HashMap<String, Hot>, name: &str, bytes: u64) {
    let hot = match counts.get_mut(name) {
        Some(hot) => hot,
        None => counts.entry(name.to_owned()).or_insert_with(|| Hot {
            name: name.to_owned(),
            events: 0,
            bytes: 0,
        }),
    };
    hot.events += 1;
    hot.bytes += bytes;
}

/// Those with the most events, the hottest first.
fn hottest(counts: HashMap<String, Hot>) -> Vec<Hot> {
    let mut all: Vec<Hot> = counts.into_values().collect();
    all.sort_by(|a, b| b.events.cmp(&a.events).then_with(|| a.name.cmp(&b.name)));
    all.truncate(SHOWN);
    all
}
