//! Clients that do whatever they may at the same time.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use annals_core::{
    Append, AppendBuilder, Capabilities, ConsistencyLevel, Cursor, Error, EventStore, Expected,
    ManualClock, NewEvent, ReadRequest, RecordedEvent, StreamId, Timestamp, Version,
};
use futures_util::FutureExt;
use proptest::prelude::RngExt;
use proptest::test_runner::TestRng;

use super::forgetful::Forgetful;
use super::recorder::Recorder;
use crate::backend::Backend;
use crate::bench::Bench;
use crate::failure::{Failure, Verdict};
use crate::names::{append_id, category, criteria, event_id, stream, typed};
use crate::pages;
use crate::report::Report;
use crate::run::{guarded, open, side_by_side, single, skipped};
use crate::seed::Seed;

const NAME: &str = "history.is_consistent";

/// Few, so that clients meet; the last is not of the category that is read.
const STREAMS: [&str; 4] = ["s-0", "s-1", "s-2", "sx-1"];

/// How many violations of one history are told.
const VIOLATIONS_MAX: usize = 5;

/// How much is done to a store while a history is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistorySettings {
    histories: u64,
    clients: usize,
    operations: usize,
}

impl HistorySettings {
    /// How many histories to record, each on a fresh store: 10 unless set.
    #[must_use]
    pub fn histories(mut self, count: u64) -> Self {
        self.histories = count;
        self
    }

    /// How many clients act at the same time, each on a thread of its own: 4 unless set.
    #[must_use]
    pub fn clients(mut self, count: usize) -> Self {
        self.clients = count;
        self
    }

    /// How many operations each client does: 200 unless set.
    #[must_use]
    pub fn operations(mut self, count: usize) -> Self {
        self.operations = count;
        self
    }
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self {
            histories: 10,
            clients: 4,
            operations: 200,
        }
    }
}

/// Lets clients act on fresh stores at the same time, records what they are told, and checks every
/// [history](crate::History) against the log that its store ended with.
///
/// A failure tells the seed, which repeats what the clients do (`ANNALS_SEED`); how their threads take
/// turns is another thing each time.
pub fn check_histories(backend: impl Backend, settings: HistorySettings) -> Report {
    let backend: Arc<dyn Backend> = Arc::new(backend);
    match open(&backend, NAME) {
        Ok(probe) if !probe.capabilities().total_order => skipped(
            NAME,
            "not offered: one order of all events, which is the witness",
        ),
        Ok(_) => single(NAME, check(&backend, settings, Seed::choose())),
        Err(failure) => single(NAME, Err(failure)),
    }
}

fn check(backend: &Arc<dyn Backend>, settings: HistorySettings, seed: Seed) -> Verdict {
    let numbers = (0..settings.histories).collect();
    let one = |number: u64| {
        let run = record(Arc::clone(backend), settings, seed, number);
        guarded(backend, NAME, run)
            .map_err(|failure| Failure::new(format!("history {number}: {failure}\n{seed}")))
    };
    let verdicts = side_by_side(backend.cases_at_once(), numbers, one);
    verdicts.into_iter().collect()
}

/// Records one history and judges it.
async fn record(
    backend: Arc<dyn Backend>,
    settings: HistorySettings,
    seed: Seed,
    number: u64,
) -> Verdict {
    let bench = Bench::open(backend).await?;
    let store = Forgetful::new(Arc::clone(bench.store()));
    let recorder = Arc::new(Recorder::new(store));
    let shared = Arc::new(Mutex::new(Vec::new()));
    let clients = bench.race(settings.clients, |client, bench| {
        let mut client = Client {
            number: client,
            store: Arc::clone(&recorder),
            capabilities: *bench.capabilities(),
            clock: bench.clock().clone(),
            rng: seed.rng(number << 16 | client as u64),
            shared: Arc::clone(&shared),
            seen: Cursor::START,
            met: None,
            appends: 0,
        };
        async move {
            for _ in 0..settings.operations {
                client.act().await?;
            }
            Ok(())
        }
    });
    clients.await?;
    let log = pages::read(&**bench.store(), ReadRequest::all()).await?;
    let violations = recorder.history().check(&log);
    if violations.is_empty() {
        return Ok(());
    }
    let count = violations.len();
    let lines: Vec<String> = violations
        .iter()
        .take(VIOLATIONS_MAX)
        .map(|violation| format!("\n  {violation}"))
        .collect();
    Err(Failure::new(format!(
        "{count} violations{}",
        lines.concat()
    )))
}

/// One of the clients, and what it remembers.
struct Client {
    number: usize,
    store: Arc<Recorder<Forgetful>>,
    capabilities: Capabilities,
    clock: ManualClock,
    rng: TestRng,
    /// Appends of all clients, for all to send again.
    shared: Arc<Mutex<Vec<Append>>>,
    /// Up to where it has read.
    seen: Cursor,
    /// When an event was recorded that it met lately.
    met: Option<Timestamp>,
    appends: usize,
}

impl Client {
    /// Does one thing. Whatever the store answers is for the checker to judge.
    async fn act(&mut self) -> Verdict {
        match self.below(22) {
            0..9 => {
                let append = self.append()?;
                self.remember(&append);
                drop(self.store.append(append).await);
            }
            9 => {
                let append = self.append()?;
                self.remember(&append);
                drop(pin!(self.store.append(append)).as_mut().now_or_never());
            }
            10 | 11 => {
                if let Some(append) = self.known_append() {
                    drop(self.store.append(append).await);
                }
            }
            12 => {
                if let Some(append) = self.known_append() {
                    let other = Append::builder(append.id());
                    let other = self.write_one(other, "s-0", Expected::Any).build()?;
                    drop(self.store.append(other).await);
                }
            }
            13..18 => self.read().await?,
            18 => {
                let stream = self.stream();
                drop(self.store.stream_head(&stream).await);
            }
            19 => {
                if let Some(append) = self.known_append() {
                    drop(self.store.receipt(&append.id()).await);
                }
            }
            20 => drop(self.clock.advance(Duration::from_secs(1))),
            _ => {
                let head = self.store.head(ConsistencyLevel::Strong).await?;
                if head != Cursor::START {
                    drop(self.store.changed_since(&Cursor::START).await);
                }
            }
        }
        Ok(())
    }

    /// Reads a page or a few, and goes on from there the next time.
    async fn read(&mut self) -> Verdict {
        let request = match self.below(6) {
            0 | 1 => ReadRequest::all(),
            2 => ReadRequest::stream(self.stream()),
            3 => ReadRequest::category(category("s")),
            _ => ReadRequest::matching(criteria(&[(&["hot"], &["t:1"])])),
        };
        let backward = self.capabilities.backward_reads && self.below(4) == 0;
        let mut request = request.events_max(1 + self.below(20));
        if backward {
            request = request.backward();
        } else if self.below(4) > 0 {
            request = request.after(self.seen.clone());
        }
        match self.below(8) {
            0 => request.appended_from = self.met,
            1 => request.appended_before = self.met,
            _ => {}
        }
        for _ in 0..3 {
            let all = matches!(request.selection, annals_core::Selection::All);
            let whole = all && !backward && request.appended_from.is_none();
            let Ok(page) = self.store.read(request).await else {
                return Ok(());
            };
            let met = page.events.first().map(RecordedEvent::appended_at);
            self.met = met.or(self.met);
            if whole {
                self.seen = page.cursor;
            }
            match page.next {
                Some(next) => request = next,
                None => break,
            }
        }
        Ok(())
    }

    /// An append of events that nobody else appends.
    fn append(&mut self) -> Result<Append, Error> {
        let id = append_id(&format!("append-{}-{}", self.number, self.appends));
        let mut names = STREAMS.to_vec();
        let mut append = Append::builder(id);
        let writes = if self.capabilities.multi_stream_appends {
            1 + self.below(4) / 2
        } else {
            1
        };
        for _ in 0..writes {
            let name = names.swap_remove(self.below(names.len()));
            let expected = self.expected();
            append = self.write_one(append, name, expected);
        }
        if self.capabilities.stream_checks && self.below(8) == 0 {
            let name = names.swap_remove(self.below(names.len()));
            append = append.check(stream(name), self.expected());
        }
        if self.capabilities.conditions && self.below(4) == 0 {
            let tag = if self.below(2) == 0 { "t:1" } else { "t:2" };
            append = append.unless(criteria(&[(&["hot"], &[tag])]), self.seen.clone());
        }
        self.appends += 1;
        append.build()
    }

    fn write_one(
        &mut self,
        append: AppendBuilder,
        name: &str,
        expected: Expected,
    ) -> AppendBuilder {
        let count = 1 + self.below(3);
        let events: Vec<NewEvent> = (0..count).map(|number| self.event(name, number)).collect();
        append.write(stream(name), expected, events)
    }

    fn event(&mut self, name: &str, number: usize) -> NewEvent {
        let kind = if self.below(3) == 0 { "hot" } else { "cold" };
        let tag = if self.below(2) == 0 { "t:1" } else { "t:2" };
        let nonce: u32 = self.rng.random();
        let label = format!("{}.{}.{name}.{number}.{nonce}", self.number, self.appends);
        let event = typed(kind, &[tag], &label);
        if self.capabilities.unique_event_ids && self.below(20) == 0 {
            // Few numbers for each stream, so that clients meet; no number twice in an append.
            let of_stream: u64 = name.bytes().map(u64::from).sum();
            let id = 1000 * of_stream + (10 * self.below(20) + number) as u64;
            return event.with_id(event_id(id));
        }
        event
    }

    /// What is expected of a stream: mostly what holds, now and then a guess.
    fn expected(&mut self) -> Expected {
        match self.below(8) {
            0..5 => Expected::Any,
            5 => Expected::StreamExists,
            6 => Expected::NoStream,
            _ => {
                let guess = self.seen.position().unwrap_or_default().value() / 4;
                Expected::Exactly(Version::new(guess + self.below(3) as u64))
            }
        }
    }

    fn stream(&mut self) -> StreamId {
        stream(STREAMS.get(self.below(STREAMS.len())).unwrap_or(&"s-0"))
    }

    fn remember(&self, append: &Append) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.push(append.clone());
    }

    fn known_append(&mut self) -> Option<Append> {
        let back = self.below(8);
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let index = shared.len().checked_sub(1 + back)?;
        shared.get(index).cloned()
    }

    /// A random number below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        self.rng.random_range(0..bound)
    }
}
