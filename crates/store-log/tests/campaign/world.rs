//! A store at work on a simulated disk, and beside it the state that it should be in.

use std::sync::Arc;
use std::time::Duration;

use annals_core::{
    Append, Clock, ConsistencyLevel, Error, ErrorKind, EventStore, Expected, ManualClock, Outcome,
    PolicyChange, Position, Receipt, StreamHead, Timestamp,
};
use annals_log::Parts;
use annals_log::vfs::sim::SimFs;
use annals_log::vfs::{SeededRng, Vfs};
use annals_store_log::{Durability, LogStore, LogStoreBuilder, Maintenance, ReadMode, Settings};
use futures_executor::block_on;
use futures_util::future::join_all;

use crate::draw::Draw;
use crate::reference::{Change, Reads, Reference};
use crate::{Counters, Violation};

pub(crate) const DIRECTORY: &str = "/store";

/// How many queries are asked when everything is held against the reference.
const QUERIES: usize = 10;

/// A store at work.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) disk: SimFs,
    pub(crate) clock: ManualClock,
    pub(crate) durability: Durability,
    pub(crate) draw: Draw,
    pub(crate) reference: Reference,
    /// Whether calls to the disk may fail, so that an answer may say so.
    pub(crate) is_faulty: bool,
    /// Whether the disk keeps a copy of itself after each call.
    pub(crate) is_recorded: bool,
    pub(crate) store: Option<LogStore>,
    /// What is of unknown fate, and when it was sent.
    pending: Vec<(Timestamp, Change)>,
    sent: Vec<Append>,
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Append,
    /// An append of one event, whatever is drawn.
    Single,
    Batch,
    /// Some appends, each of them twice.
    Repeats,
    Retry,
    Policy,
    Wait,
    Close,
    Kill,
    PowerLoss,
}

pub(crate) fn settings(durability: Durability) -> Settings {
    let mut settings = Settings::default();
    settings.durability = durability;
    settings.reads = ReadMode::Pread;
    settings.maintenance = Maintenance::Inline;
    settings.segment_bytes = 16 * 1024;
    settings.index_bytes_max = 16 * 1024;
    settings
}

/// A store on this file system, whose random numbers follow from `seed`.
pub(crate) fn builder(vfs: Arc<dyn Vfs>, seed: u64, clock: &ManualClock) -> LogStoreBuilder {
    let rng = Arc::new(SeededRng::new(seed));
    LogStore::builder(DIRECTORY)
        .clock(Arc::new(clock.clone()))
        .parts(Parts {
            vfs,
            rng,
            ..Parts::os()
        })
        .settings(settings(Durability::Sync))
}

pub(crate) fn open(
    disk: &SimFs,
    clock: &ManualClock,
    durability: Durability,
) -> Result<LogStore, Error> {
    builder(Arc::new(disk.clone()), disk.calls() + 77, clock)
        .settings(settings(durability))
        .open()
}

pub(crate) fn began() -> Timestamp {
    Timestamp::from_seconds(1_700_000_000)
}

impl World {
    /// A new store.
    pub(crate) fn create(seed: u64, durability: Durability) -> Self {
        let disk = SimFs::new();
        let clock = ManualClock::at(began());
        let store = builder(Arc::new(disk.clone()), seed, &clock).settings(settings(durability));
        Self {
            disk,
            durability,
            draw: Draw::new(seed),
            reference: Reference::new(clock.now()),
            clock,
            is_faulty: false,
            is_recorded: false,
            store: Some(store.create().unwrap()),
            pending: Vec::new(),
            sent: Vec::new(),
        }
    }

    pub(crate) fn next_step(&self) -> Step {
        match self.draw.rng.below(40) {
            0..18 => Step::Append,
            18..24 => Step::Batch,
            24..27 => Step::Retry,
            27..31 => Step::Policy,
            31..34 => Step::Wait,
            34..37 => Step::Close,
            37 => Step::Kill,
            _ => Step::PowerLoss,
        }
    }

    /// Takes the step; every answer must be what the reference gives, or tell of a fault.
    pub(crate) fn step(&mut self, step: Step, counters: &mut Counters) -> Result<(), Violation> {
        match step {
            Step::Append => {
                let append = self.append();
                self.submit(vec![append], counters)
            }
            Step::Single => {
                let append = self.draw.one_event("single", Expected::Any);
                self.sent.push(append.clone());
                self.submit(vec![append], counters)
            }
            Step::Batch => {
                let mut appends: Vec<Append> =
                    (0..2 + self.draw.below(3)).map(|_| self.append()).collect();
                if self.draw.one_in(3) {
                    appends.push(appends[0].clone());
                }
                self.submit(appends, counters)
            }
            Step::Repeats => {
                let appends = (0..3).map(|_| self.append());
                let appends = appends
                    .flat_map(|append| [append.clone(), append])
                    .collect();
                self.submit(appends, counters)
            }
            Step::Retry => match self.sent.len() {
                0 => Ok(()),
                sent => {
                    let append = self.sent[self.draw.below(sent)].clone();
                    counters.count("retry");
                    self.submit(vec![append], counters)
                }
            },
            Step::Policy => self.change_policy(counters),
            Step::Wait => {
                self.clock
                    .advance(Duration::from_secs(self.draw.rng.below(20)));
                Ok(())
            }
            Step::Close => self.close(counters),
            Step::Kill => {
                counters.count("killed and opened");
                self.start_on(self.disk.restart(), false, counters)
            }
            Step::PowerLoss => self.lose_power(counters),
        }
    }

    /// An append as the draw has it, after the state of the reference.
    pub(crate) fn append(&mut self) -> Append {
        let reference = &self.reference;
        let append = self
            .draw
            .append(|stream| reference.version(stream), reference.head);
        self.sent.push(append.clone());
        append
    }

    /// Sends appends at the same time, and holds every answer against the reference.
    pub(crate) fn submit(
        &mut self,
        appends: Vec<Append>,
        counters: &mut Counters,
    ) -> Result<(), Violation> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let answers = block_on(join_all(
            appends.iter().map(|append| store.append(append.clone())),
        ));
        let (mut recorded, mut repeated, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for (append, answer) in appends.into_iter().zip(answers) {
            match answer {
                Ok(receipt) if receipt.is_duplicate() => repeated.push((append, receipt)),
                Ok(receipt) => recorded.push((append, receipt)),
                Err(error) if is_refusal(&error) => refused.push((append, error)),
                Err(error) => self.failed(Change::Append(append), &error, counters)?,
            }
        }
        recorded.sort_by_key(|(_, receipt)| receipt.first_position);
        self.check_refused(&recorded, &refused, counters)?;
        counters.add("appends recorded", recorded.len() as u64);
        counters.add("answered again", repeated.len() as u64);
        for (append, receipt) in recorded.into_iter().chain(repeated) {
            let expected = self.reference.append(&append, self.clock.now());
            let expected =
                expected.map_err(|error| format!("recorded {receipt:?}, expected {error:?}"))?;
            if receipt != expected {
                return Err(format!("the receipt is {receipt:?}, expected {expected:?}"));
            }
        }
        Ok(())
    }

    /// Every conflict is that of some moment between these appends.
    fn check_refused(
        &self,
        recorded: &[(Append, Receipt)],
        refused: &[(Append, Error)],
        counters: &mut Counters,
    ) -> Result<(), Violation> {
        for (append, error) in refused {
            counters.count("conflict");
            let mut expected = Vec::new();
            let is_justified = (0..=recorded.len()).any(|before| {
                let mut reference = self.reference.after(self.reference.changes());
                for (earlier, _) in &recorded[..before] {
                    drop(reference.append(earlier, self.clock.now()));
                }
                let answer = reference.append(append, self.clock.now());
                let reason = answer.as_ref().err();
                let agrees = reason.is_some_and(|reason| {
                    reason.kind() == error.kind() && reason.conflict() == error.conflict()
                });
                expected.push(answer);
                agrees
            });
            if !is_justified {
                return Err(format!(
                    "the conflict is {error:?}, expected one of {expected:?}"
                ));
            }
        }
        Ok(())
    }

    fn change_policy(&mut self, counters: &mut Counters) -> Result<(), Violation> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let reference = &self.reference;
        let change = self.draw.policy(|stream| reference.version(stream));
        let found = block_on(store.change_stream_policy(change.clone()));
        match found {
            Err(error) if error.kind() != ErrorKind::Conflict => {
                self.failed(Change::Policy(change), &error, counters)
            }
            found => self.judge_policy(&change, &found, counters),
        }
    }

    fn judge_policy(
        &mut self,
        change: &PolicyChange,
        found: &Result<StreamHead, Error>,
        counters: &mut Counters,
    ) -> Result<(), Violation> {
        let expected = self.reference.change_policy(change, self.clock.now());
        counters.count("policy");
        let agrees = match (found, &expected) {
            (Ok(found), Ok(expected)) => found == expected,
            (Err(found), Err(expected)) => found.conflict() == expected.conflict(),
            _ => false,
        };
        if agrees {
            return Ok(());
        }
        Err(format!(
            "{change:?} is answered {found:?}, expected {expected:?}"
        ))
    }

    /// An answer that tells of a fault.
    fn failed(
        &mut self,
        change: Change,
        error: &Error,
        counters: &mut Counters,
    ) -> Result<(), Violation> {
        if !self.is_faulty {
            return Err(format!("{error:?} without a fault"));
        }
        match (error.outcome(), error.kind()) {
            (Outcome::Unknown, _) => {
                counters.count("unknown");
                self.pending.push((self.clock.now(), change));
                Ok(())
            }
            (_, ErrorKind::NoSpace) => {
                counters.count("no space");
                Ok(())
            }
            (_, ErrorKind::Unavailable) => {
                counters.count("unavailable");
                Ok(())
            }
            _ => Err(format!("{error:?} is no answer to a fault")),
        }
    }

    /// Whether something is of unknown fate.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The appends of unknown fate.
    pub(crate) fn pending_appends(&self) -> Vec<Append> {
        let pending = self.pending.iter().filter_map(|(_, change)| match change {
            Change::Append(append) => Some(append.clone()),
            Change::Policy(_) => None,
        });
        pending.collect()
    }

    fn close(&mut self, counters: &mut Counters) -> Result<(), Violation> {
        if let Some(store) = self.store.take() {
            let closed = store.close();
            if let (Err(error), false) = (closed, self.is_faulty) {
                return Err(format!("closing: {error:?}"));
            }
        }
        counters.count("closed and opened");
        match open(&self.disk, &self.clock, self.durability) {
            Ok(store) => self.take_over(store, false, counters),
            Err(error) if self.is_faulty && error.kind() != ErrorKind::Corrupt => Ok(()),
            Err(error) => Err(format!("no opening: {error:?}")),
        }
    }

    fn lose_power(&mut self, counters: &mut Counters) -> Result<(), Violation> {
        let mut image = self.disk.crash(self.draw.rng.bits());
        counters.count("power lost and opened");
        while self.draw.one_in(3) {
            image.power_off_after(self.draw.rng.below(80));
            drop(open(&image, &self.clock, self.durability));
            image = image.crash(self.draw.rng.bits());
            counters.count("power lost in recovery");
        }
        self.start_on(image, true, counters)
    }

    /// Goes on with this disk, as after a kill or a loss of power.
    pub(crate) fn start_on(
        &mut self,
        disk: SimFs,
        power_was_lost: bool,
        counters: &mut Counters,
    ) -> Result<(), Violation> {
        if self.is_recorded {
            disk.record_boundaries();
        }
        let store = open(&disk, &self.clock, self.durability)
            .map_err(|error| format!("no opening: {error:?}"))?;
        self.store = None;
        self.disk = disk;
        self.take_over(store, power_was_lost, counters)
    }

    /// Goes on with a store that was just opened: what was acknowledged is there, and of what was of unknown
    /// fate each is there whole or not at all.
    fn take_over(
        &mut self,
        store: LogStore,
        power_was_lost: bool,
        counters: &mut Counters,
    ) -> Result<(), Violation> {
        if power_was_lost && self.durability == Durability::Process {
            self.set_back(&store, counters)?;
        }
        let Ok(found) = Found::of(&store, &self.pending) else {
            if self.is_faulty {
                return Ok(());
            }
            return Err("the store can't be read".to_owned());
        };
        let pending = std::mem::take(&mut self.pending);
        self.settle(&found, &pending, counters)
            .map_err(|violation| format!("of unknown fate were {pending:?}: {violation}"))?;
        let reads = if self.is_faulty {
            Reads::MayFail
        } else {
            Reads::Succeed
        };
        self.reference
            .check(&store, self.clock.now(), &self.draw, QUERIES, reads)
            .map_err(|violation| format!("after opening: {violation}"))?;
        self.store = Some(store);
        for (_, change) in pending {
            if let (Change::Append(append), true) = (change, self.draw.one_in(2)) {
                self.submit(vec![append], counters)?;
            }
        }
        Ok(())
    }

    /// Takes up what is there of what was of unknown fate.
    fn settle(
        &mut self,
        found: &Found,
        pending: &[(Timestamp, Change)],
        counters: &mut Counters,
    ) -> Result<(), Violation> {
        for receipt in &found.receipts {
            let sent = pending.iter().find_map(|(time, change)| match change {
                Change::Append(append) => {
                    (append.id() == receipt.append_id).then_some((time, append))
                }
                Change::Policy(_) => None,
            });
            if let Some((time, append)) = sent {
                counters.count("unknown, and recorded");
                let expected = self.reference.append(append, *time);
                let expected = expected.map_err(|error| format!("recorded against {error:?}"))?;
                if *receipt != expected.as_duplicate() {
                    return Err(format!("the receipt is {receipt:?}, expected {expected:?}"));
                }
            }
        }
        for (time, change) in pending {
            if let Change::Policy(change) = change {
                let head = found.heads.iter().find(|head| head.stream == change.stream);
                if head != Some(&self.reference.stream_head(&change.stream)) {
                    counters.count("unknown, and recorded");
                    drop(self.reference.change_policy(change, *time));
                }
            }
        }
        Ok(())
    }

    /// Without a sync, a loss of power takes the newest changes: sets the reference back to those that are left.
    fn set_back(&mut self, store: &LogStore, counters: &mut Counters) -> Result<(), Violation> {
        let head =
            block_on(store.head(ConsistencyLevel::Strong)).map_err(|error| format!("{error:?}"))?;
        let head = head.position().unwrap_or(Position::START);
        let mut violation = "more is there than was sent".to_owned();
        for changes in (0..=self.reference.changes()).rev() {
            let reference = self.reference.after(changes);
            if reference.head < head {
                return Err(violation);
            }
            if reference.head > head {
                counters.count("newest gone");
                continue;
            }
            match reference.check(store, self.clock.now(), &self.draw, 1, Reads::Succeed) {
                Ok(()) => {
                    self.reference = reference;
                    return Ok(());
                }
                Err(error) => violation = error,
            }
        }
        Err(violation)
    }

    /// Holds the store against the reference, if it is open.
    pub(crate) fn check(&self, queries: usize, reads: Reads) -> Result<(), Violation> {
        match &self.store {
            Some(store) => {
                self.reference
                    .check(store, self.clock.now(), &self.draw, queries, reads)
            }
            None => Ok(()),
        }
    }
}

/// What a store that was just opened tells of what was of unknown fate.
struct Found {
    /// Of the appends that are recorded, in their order.
    receipts: Vec<Receipt>,
    heads: Vec<StreamHead>,
}

impl Found {
    fn of(store: &LogStore, pending: &[(Timestamp, Change)]) -> Result<Self, Error> {
        let (mut receipts, mut heads) = (Vec::new(), Vec::new());
        for (_, change) in pending {
            match change {
                Change::Append(append) => receipts.extend(block_on(store.receipt(&append.id()))?),
                Change::Policy(change) => heads.push(block_on(store.stream_head(&change.stream))?),
            }
        }
        receipts.sort_by_key(|receipt| receipt.first_position);
        receipts.dedup();
        Ok(Self { receipts, heads })
    }
}

/// Whether the store refuses an append by what it holds. A cursor is ahead where a loss of power took the
/// newest.
fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Conflict | ErrorKind::CursorAhead)
}
