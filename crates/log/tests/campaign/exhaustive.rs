//! Every small log, every boundary of its operations, every image that a power loss may leave there (T2).

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use annals_log::planted::{Bug, plant};
use annals_log::vfs::SeededRng;
use annals_log::vfs::sim::SimFs;
use annals_log::{Durability, Kind, Log, LogSettings};

use crate::crash::image_survives;
use crate::damage::scale;
use crate::model::{self, DIRECTORY, Model, append};
use crate::workload::bytes;
use crate::{Counters, Violation};

/// The most images that one moment may have; more would be left out, and are a failure.
const IMAGES_MAX: u64 = 1 << 16;

/// What a sector holds, and a disk writes whole.
const SECTOR: u32 = 512;

/// The lengths of the bodies of a frame: with one of 456, 464 or 472 bytes a frame ends 8 bytes before
/// a border of sectors, at it, or 8 bytes behind it, when it begins at one.
type Lengths = &'static [u64];

const LENGTHS: [Lengths; 5] = [&[0], &[456], &[464], &[472], &[431, 8, 9]];
const MORE_LENGTHS: [Lengths; 6] = [&[0], &[456], &[464], &[472], &[431, 8, 9], &[430, 10, 980]];

/// How an append is followed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Nothing,
    Sync,
}

/// What a log is like before the first append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Empty,
    /// Two of the longer frames don't fit the segment any more.
    NearlyFull,
}

/// What is done last, when the appends are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Idle,
    Close,
}

type Append = (Lengths, Then);

/// What is gone through.
#[derive(Clone, Copy, Debug)]
struct Scope {
    start: Start,
    lengths: &'static [Lengths],
    appends_max: usize,
    /// How many appends a log has at most whose recovery is interrupted everywhere too.
    recovered_appends_max: usize,
}

/// A log, and what it should hold.
struct State {
    disk: SimFs,
    log: Log,
    model: Model,
}

impl State {
    /// The log after these appends.
    fn after(start: Start, appends: &[Append]) -> Result<Self, Violation> {
        let disk = SimFs::new();
        let settings = model::settings(Durability::Sync);
        let log = Log::create(&model::parts(&disk, 1), DIRECTORY.as_ref(), settings, 7);
        let log = log.map_err(|error| format!("{error:?}"))?;
        let model = Model::default();
        let mut state = Self { disk, log, model };
        if start == Start::NearlyFull {
            let taken = u64::from(LogSettings::SEGMENT_BYTES_MIN - 4096 - 120 - 48 - 700);
            state.append(&[taken])?;
            state.sync()?;
        }
        for (lengths, then) in appends {
            state.append(lengths)?;
            if *then == Then::Sync {
                state.sync()?;
            }
        }
        Ok(state)
    }

    /// Appends a frame; bodies differ from one frame to the next.
    fn append(&mut self, lengths: &[u64]) -> Result<(), Violation> {
        let rng = SeededRng::new(self.model.frames.len() as u64);
        let bodies = lengths.iter().enumerate().map(|(at, length)| {
            let kind = if at == 1 { Kind::Note } else { Kind::Numbered };
            (kind, bytes(&rng, *length))
        });
        let bodies: Vec<_> = bodies.collect();
        let before = self.log.segment().id;
        let frame = append(&mut self.log, &bodies).map_err(|(error, _)| format!("{error:?}"))?;
        if self.log.segment().id != before {
            self.model.durable = self.model.frames.len();
        }
        self.model.frames.push(frame);
        self.check_served()
    }

    fn sync(&mut self) -> Result<(), Violation> {
        self.log.sync().map_err(|error| format!("{error:?}"))?;
        self.model.durable = self.model.frames.len();
        self.check_served()
    }

    /// Readers see what is durable, and nothing else.
    fn check_served(&self) -> Result<(), Violation> {
        let served = self.model.frames.iter().take(self.model.durable);
        let records = served.flat_map(|frame| &frame.records);
        let expected = records.filter_map(|record| record.number).max();
        let seen = self.log.view().last_number();
        if seen == expected.unwrap_or(0) {
            return Ok(());
        }
        Err(format!(
            "{seen} numbers are served, {expected:?} are durable"
        ))
    }
}

/// Goes through a scope; each image of a moment is looked at once, however often it comes.
struct Search<'a> {
    scope: Scope,
    seen: HashSet<u64>,
    rng: SeededRng,
    counters: &'a mut Counters,
}

impl Search<'_> {
    /// The log after these appends, each way in which it ends, and every longer one.
    fn go(&mut self, appends: &mut Vec<Append>) -> Result<(), Violation> {
        for last in [Last::Idle, Last::Close] {
            self.end(appends, last)
                .map_err(|violation| format!("{appends:?}, {last:?}: {violation}"))?;
        }
        if appends.len() == self.scope.appends_max {
            return Ok(());
        }
        for lengths in self.scope.lengths {
            for then in [Then::Nothing, Then::Sync] {
                self.step(appends, lengths, then).map_err(|violation| {
                    format!("{appends:?}, {lengths:?}, {then:?}: {violation}")
                })?;
                appends.push((lengths, then));
                self.go(appends)?;
                appends.pop();
            }
        }
        Ok(())
    }

    /// One more append, and what follows it up, with the power lost at each boundary of the two.
    fn step(&mut self, appends: &[Append], lengths: &[u64], then: Then) -> Result<(), Violation> {
        let mut state = State::after(self.scope.start, appends)?;
        let durable = state.model.durable;
        let place = state.log.place().at;
        state.disk.record_boundaries();
        state.append(lengths)?;
        if then == Then::Sync {
            state.sync()?;
        }
        self.note(place.offset(), &state);
        if state.log.segment().id != place.segment() {
            self.counters.count("rotation");
        }
        let depth = appends.len() + 1;
        self.lose_power(&state.disk, &state.model, durable, depth)
    }

    /// The end of a log, with the power lost at each boundary of it.
    fn end(&mut self, appends: &[Append], last: Last) -> Result<(), Violation> {
        let State {
            disk,
            mut log,
            mut model,
        } = State::after(self.scope.start, appends)?;
        let durable = model.durable;
        disk.record_boundaries();
        match last {
            Last::Idle => log.idle(),
            Last::Close => log.close(),
        }
        .map_err(|error| format!("{error:?}"))?;
        model.durable = model.frames.len();
        self.lose_power(&disk, &model, durable, appends.len())
    }

    /// Every image at every boundary that the disk has recorded, where `durable` frames must be there, and
    /// every image of now, where all that the model says must be there.
    fn lose_power(
        &mut self,
        disk: &SimFs,
        model: &Model,
        durable: usize,
        depth: usize,
    ) -> Result<(), Violation> {
        self.seen.clear();
        for boundary in disk.take_boundaries() {
            self.images(&boundary.file_system, model, durable, depth)
                .map_err(|violation| format!("call {}: {violation}", boundary.calls))?;
        }
        self.images(disk, model, model.durable, depth)
            .map_err(|violation| format!("at the end: {violation}"))
    }

    fn images(
        &mut self,
        disk: &SimFs,
        model: &Model,
        durable: usize,
        depth: usize,
    ) -> Result<(), Violation> {
        self.counters.count("boundary");
        self.kill(disk, model, durable)
            .map_err(|violation| format!("killed: {violation}"))?;
        for image in every_image(disk)? {
            self.counters.count("image");
            if !self.seen.insert(digest(&image, durable)) {
                continue;
            }
            self.counters.count("different image");
            if depth <= self.scope.recovered_appends_max {
                self.interrupt_recovery(&image, model, durable)
                    .map_err(|violation| format!("inside recovery: {violation}"))?;
            }
            let sync = Durability::Sync;
            image_survives(&image, model, durable, sync, &self.rng, self.counters)?;
        }
        Ok(())
    }

    /// Kills the process, opens the log, and then loses the power, with every image there: what was served stays.
    fn kill(&mut self, disk: &SimFs, model: &Model, durable: usize) -> Result<(), Violation> {
        let killed = disk.restart();
        let (log, _, frames) = model::check(&killed, model, durable, Durability::Sync)?;
        drop(log);
        let mut served = model.clone();
        served.frames.truncate(frames);
        for image in every_image(&killed)? {
            self.counters.count("killed, served, power lost");
            model::check(&image, &served, frames, Durability::Sync)?;
        }
        Ok(())
    }

    /// Loses the power again at every boundary of the recovery, with every image there.
    fn interrupt_recovery(
        &mut self,
        image: &SimFs,
        model: &Model,
        durable: usize,
    ) -> Result<(), Violation> {
        let image = image.restart();
        image.record_boundaries();
        let opened = model::open(&image, Durability::Sync);
        drop(opened.map_err(|error| format!("no opening: {error:?}"))?);
        for boundary in image.take_boundaries() {
            for image in every_image(&boundary.file_system)? {
                if self.seen.insert(digest(&image, durable)) {
                    self.counters.count("different image in recovery");
                    model::check(&image, model, durable, Durability::Sync)?;
                }
            }
        }
        Ok(())
    }

    /// Where frames end, and where their headers stand.
    fn note(&mut self, start: u32, state: &State) {
        let state = match state.log.place().at.offset() % SECTOR {
            0 => "a frame ends at a border",
            504 => "a frame ends before a border",
            8 => "a frame ends behind a border",
            _ => "a frame ends elsewhere",
        };
        self.counters.count(state);
        if start % SECTOR > SECTOR - 40 {
            self.counters.count("a header across a border");
        }
    }
}

fn every_image(disk: &SimFs) -> Result<impl Iterator<Item = SimFs>, Violation> {
    disk.every_crash(IMAGES_MAX)
        .map_err(|error| error.to_string())
}

/// Tells images apart, and what is asked of them.
fn digest(image: &SimFs, durable: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    durable.hash(&mut hasher);
    for path in crate::damage::files(image) {
        path.hash(&mut hasher);
        image.disk().read(&path).unwrap().hash(&mut hasher);
    }
    hasher.finish()
}

fn search(scope: Scope, counters: &mut Counters) -> Result<(), Violation> {
    let mut search = Search {
        scope,
        seen: HashSet::new(),
        rng: SeededRng::new(1),
        counters,
    };
    search
        .go(&mut Vec::new())
        .map_err(|violation| format!("{:?}: {violation}", scope.start))
}

fn check(scope: Scope, required: &[&str]) {
    let mut counters = Counters::default();
    if let Err(violation) = search(scope, &mut counters) {
        panic!("{violation}");
    }
    println!("exhaustive, {:?}: {counters}", scope.start);
    counters.require(required);
}

const REACHED: [&str; 9] = [
    "killed, served, power lost",
    "a frame ends before a border",
    "a frame ends at a border",
    "a frame ends behind a border",
    "a header across a border",
    "tail cut",
    "tail rewritten",
    "opened after a close",
    "different image in recovery",
];

#[test]
fn every_log_of_a_few_appends_survives_every_crash() {
    let scope = Scope {
        start: Start::Empty,
        lengths: if scale() > 1 { &MORE_LENGTHS } else { &LENGTHS },
        appends_max: if scale() > 1 { 4 } else { 3 },
        recovered_appends_max: if scale() > 1 { 4 } else { 2 },
    };
    check(scope, &REACHED);
}

#[test]
fn every_log_of_a_few_appends_survives_every_crash_around_a_rotation() {
    let scope = Scope {
        start: Start::NearlyFull,
        lengths: &LENGTHS,
        appends_max: if scale() > 1 { 4 } else { 2 },
        recovered_appends_max: if scale() > 1 { 4 } else { 2 },
    };
    check(
        scope,
        &["rotation", "sealing undone", "tail cut", "tail rewritten"],
    );
}

#[test]
fn small_logs_are_enough_to_catch_bugs() {
    for bug in [
        Bug::AcknowledgedBeforeSync,
        Bug::ServedBeforeDurable,
        Bug::LastRecordDropped,
        Bug::TailNotRewritten,
        Bug::CutNotZeroed,
        Bug::CleanFlagKept,
        Bug::DurableUptoAhead,
        Bug::WatermarkAhead,
    ] {
        let _planted = plant(bug);
        let scope = Scope {
            start: Start::Empty,
            lengths: &LENGTHS,
            appends_max: 2,
            recovered_appends_max: 1,
        };
        match search(scope, &mut Counters::default()) {
            Ok(()) => panic!("not caught: {bug:?}"),
            Err(violation) => println!("{bug:?}: {violation:.150}"),
        }
    }
}
