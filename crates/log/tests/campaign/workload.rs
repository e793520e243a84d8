//! Generated histories of a log, step by step.

use annals_log::vfs::SeededRng;
use annals_log::vfs::sim::SimFs;
use annals_log::{Durability, Kind, Log, Segment};

use crate::model::{self, Model, append};
use crate::{Counters, Violation};

/// A log at work on a simulated disk, and the model beside it.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) disk: SimFs,
    pub(crate) model: Model,
    pub(crate) durability: Durability,
    log: Option<Log>,
    rng: SeededRng,
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Append,
    Sync,
    Idle,
    Grow,
    /// Compresses a sealed segment, or undoes it, or reclaims some of it, or moves it to an archive and back.
    Rewrite,
    Close,
    Kill,
    PowerLoss,
}

impl Workload {
    /// A new log. The disk records its boundaries from before the creation on.
    pub(crate) fn create(seed: u64, durability: Durability) -> Self {
        let disk = SimFs::new();
        disk.record_boundaries();
        let parts = model::parts(&disk, seed);
        let path = model::DIRECTORY.as_ref();
        let log = Log::create(&parts, path, model::settings(durability), 7).unwrap();
        Self {
            disk,
            model: Model::default(),
            durability,
            log: Some(log),
            rng: SeededRng::new(seed),
        }
    }

    pub(crate) fn log(&mut self) -> &mut Log {
        self.log.as_mut().unwrap()
    }

    pub(crate) fn next_step(&self) -> Step {
        match self.rng.below(42) {
            0..20 => Step::Append,
            20..31 => Step::Sync,
            31..33 => Step::Idle,
            33..35 => Step::Grow,
            35 => Step::Close,
            36 | 37 => Step::Kill,
            38 | 39 => Step::PowerLoss,
            _ => Step::Rewrite,
        }
    }

    /// Takes the step. A frame stands in the model before a byte of it is written.
    pub(crate) fn step(&mut self, step: Step, counters: &mut Counters) -> Result<(), Violation> {
        match step {
            Step::Append => self.append(counters)?,
            Step::Sync => {
                self.log().sync().map_err(|error| format!("{error:?}"))?;
                self.model.served = self.model.frames.len();
                if self.durability == Durability::Sync {
                    self.all_is_durable();
                }
            }
            Step::Idle => {
                self.log().idle().map_err(|error| format!("{error:?}"))?;
                self.all_is_durable();
            }
            Step::Grow => {
                if let Some(growth) = self.log().growth() {
                    let growth = growth.run().map_err(|error| error.to_string())?;
                    self.log().grown(growth);
                    counters.count("growth ahead");
                }
            }
            Step::Rewrite => self.rewrite(counters)?,
            Step::Close => {
                let log = self.log.take().unwrap();
                log.close().map_err(|error| format!("{error:?}"))?;
                self.all_is_durable();
                self.reopen(self.model.frames.len())?;
                counters.count("closed and opened");
            }
            Step::Kill => {
                self.log = None;
                self.reopen(self.model.frames.len())?;
                self.all_is_durable();
                counters.count("killed and opened");
            }
            Step::PowerLoss => {
                self.log = None;
                self.disk = self.disk.crash(self.rng.bits());
                self.disk.record_boundaries();
                self.reopen(self.model.durable)?;
                self.all_is_durable();
                counters.count("power lost and opened");
            }
        }
        self.check_served()
    }

    fn append(&mut self, counters: &mut Counters) -> Result<(), Violation> {
        let records = 1 + self.rng.below(1 << self.rng.below(4));
        let bodies: Vec<_> = (0..records).map(|_| body(&self.rng)).collect();
        let before = self.log().segment().id;
        let frame = append(self.log(), &bodies).map_err(|(error, _)| format!("{error:?}"))?;
        if self.log().segment().id != before {
            counters.count("rotation");
            self.all_is_durable();
        }
        self.model.frames.push(frame);
        Ok(())
    }

    /// Brings a sealed segment into another form.
    fn rewrite(&mut self, counters: &mut Counters) -> Result<(), Violation> {
        let last = u64::from(self.log().segment().id);
        if last == 1 {
            return Ok(());
        }
        let segment = u32::try_from(1 + self.rng.below(last - 1)).unwrap();
        let view = self.log().view();
        let is_compressed = view.segment(segment).is_some_and(Segment::is_compressed);
        let is_reclaimed = view.segment(segment).is_some_and(Segment::is_reclaimed);
        let is_archived = view
            .segment(segment)
            .is_some_and(|it| it.archive().is_some());
        let rewritten = if is_archived {
            counters.count("segment restored");
            model::restore(self.log(), segment)
        } else if self.rng.below(3) == 0 {
            counters.count("segment archived");
            model::archive(self.log(), segment)
        } else if is_reclaimed || self.rng.below(3) == 0 {
            counters.count("segment reclaimed");
            self.model.reclaim(segment);
            model::reclaim(self.log(), segment)
        } else if is_compressed {
            counters.count("segment decompressed");
            model::decompress(self.log(), segment)
        } else {
            counters.count("segment compressed");
            model::compress(self.log(), segment)
        };
        rewritten.map_err(|error| format!("segment {segment}: {error:?}"))?;
        model::older_contents(&view).map_err(|error| format!("in an older view: {error:?}"))?;
        let now = self.log().view();
        model::contents(&now).map_err(|error| format!("{error:?}"))?;
        Ok(())
    }

    fn all_is_durable(&mut self) {
        self.model.durable = self.model.frames.len();
        self.model.served = self.model.frames.len();
    }

    fn reopen(&mut self, least: usize) -> Result<(), Violation> {
        let (log, _, frames) = model::check(&self.disk, &self.model, least, self.durability)?;
        self.model.frames.truncate(frames);
        self.log = Some(log);
        Ok(())
    }

    /// Readers see what is acknowledged and nothing else.
    fn check_served(&mut self) -> Result<(), Violation> {
        let served = self.model.served;
        let numbered = |frame: &model::Frame| {
            let records = frame.records.iter();
            records.filter(|record| record.number.is_some()).count() as u64
        };
        let expected: u64 = self.model.frames.iter().take(served).map(numbered).sum();
        let seen = self.log().view().last_number();
        if seen == expected {
            return Ok(());
        }
        Err(format!(
            "{seen} numbers are served, {expected} are acknowledged"
        ))
    }
}

/// A body whose length is around a boundary often enough.
pub(crate) fn body(rng: &SeededRng) -> (Kind, Vec<u8>) {
    let length = match rng.below(24) {
        0..4 => rng.below(9),
        4..10 => rng.below(120),
        10..16 => 440 + rng.below(90),
        16..19 => 960 + rng.below(80),
        19..22 => 4000 + rng.below(120),
        22 => rng.below(6000),
        _ => 15_000 + rng.below(8000),
    };
    let kind = match rng.below(4) {
        0 => Kind::Note,
        _ => Kind::Numbered,
    };
    (kind, bytes(rng, length))
}

pub(crate) fn bytes(rng: &SeededRng, length: u64) -> Vec<u8> {
    let start = rng.bits();
    (0..length)
        .map(|at| (start ^ at.wrapping_mul(0x9e37_79b9)).to_le_bytes()[1])
        .collect()
}
