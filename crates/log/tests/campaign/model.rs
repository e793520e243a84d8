//! The plain model of a log, and what a log on a disk is held against.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use annals_log::vfs::SeededRng;
use annals_log::vfs::sim::SimFs;
use annals_log::{
    Archives, Compression, Durability, Error, Kind, Log, LogSettings, Parts, RecordAt, Recovery,
    Rewritten, View,
};

use crate::Violation;

pub(crate) const DIRECTORY: &str = "/store/log";
/// Where segments are moved to.
pub(crate) const ARCHIVE: &str = "/cold";

/// A frame that was written, record by record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) records: Vec<Record>,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) at: RecordAt,
    pub(crate) number: Option<u64>,
    pub(crate) body: Vec<u8>,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = &self.body[..self.body.len().min(4)];
        write!(
            f,
            "{:?} at {} {}B {start:?}",
            self.number,
            self.at,
            self.body.len()
        )
    }
}

/// What a log should hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// All that was written and not rejected, in order, without what was reclaimed.
    pub(crate) frames: Vec<Frame>,
    /// The same with what is being reclaimed: a log that a crash leaves has all of it or nothing.
    pub(crate) unreclaimed: Option<Vec<Frame>>,
    /// How many of them a power loss must leave.
    pub(crate) durable: usize,
    /// How many of them readers may see.
    pub(crate) served: usize,
}

pub(crate) fn parts(disk: &SimFs, seed: u64) -> Parts {
    Parts {
        vfs: Arc::new(disk.clone()),
        rng: Arc::new(SeededRng::new(seed)),
        archives: Archives::default(),
    }
}

pub(crate) fn settings(durability: Durability) -> LogSettings {
    let mut settings = LogSettings::default();
    settings.segment_bytes = LogSettings::SEGMENT_BYTES_MIN;
    settings.durability = durability;
    settings
}

pub(crate) fn open(disk: &SimFs, durability: Durability) -> Result<(Log, Recovery), Error> {
    let parts = parts(disk, disk.calls() + 77);
    Log::open(&parts, Path::new(DIRECTORY), settings(durability))
}

/// Appends a frame of these records and gives it as the model has it.
pub(crate) fn append(log: &mut Log, bodies: &[(Kind, Vec<u8>)]) -> Result<Frame, (Error, Frame)> {
    let bytes = bodies.iter().map(|(_, body)| body.len() + 8).sum();
    let context = log.place().next_number;
    if let Err(error) = log.reserve(bytes, || context) {
        return Err((
            error,
            Frame {
                records: Vec::new(),
            },
        ));
    }
    let mut builder = log.frame();
    let mut frame = Frame {
        records: Vec::new(),
    };
    for (kind, body) in bodies {
        let number = (*kind == Kind::Numbered).then(|| builder.next_number());
        let at = builder.push(*kind, |buffer| buffer.extend_from_slice(body));
        let body = body.clone();
        frame.records.push(Record { at, number, body });
    }
    match builder.write() {
        Ok(_) => Ok(frame),
        Err(error) => Err((error, frame)),
    }
}

/// Compresses a segment in small blocks and goes over to it.
pub(crate) fn compress(log: &mut Log, segment: u32) -> Result<(), Error> {
    let written = log.view().compress(segment, &small_blocks(), &mut go_on)?;
    adopt(log, written.unwrap())
}

/// Undoes that.
pub(crate) fn decompress(log: &mut Log, segment: u32) -> Result<(), Error> {
    let written = log.view().decompress(segment, &mut go_on)?;
    adopt(log, written.unwrap())
}

/// Moves a segment to an archive.
pub(crate) fn archive(log: &mut Log, segment: u32) -> Result<(), Error> {
    let key = log.archive_key()?;
    let written = log.view().archive(segment, ARCHIVE, key, &mut go_on)?;
    adopt(log, written.unwrap())
}

/// Brings it back.
pub(crate) fn restore(log: &mut Log, segment: u32) -> Result<(), Error> {
    let written = log.view().restore(segment, &mut go_on)?;
    adopt(log, written.unwrap())?;
    log.release_archive()
}

/// Takes from every other numbered record of a segment all but its first byte, for good.
pub(crate) fn reclaim(log: &mut Log, segment: u32) -> Result<(), Error> {
    let view = log.view();
    let written = view.reclaim(
        segment,
        &small_blocks(),
        &mut |_, body| emptied(body),
        &mut go_on,
    )?;
    adopt(log, written.unwrap())
}

/// What is left of a body that is reclaimed; whether something is taken from it.
pub(crate) fn emptied(body: &mut [u8]) -> bool {
    match body {
        [first, rest @ ..] if first.is_multiple_of(2) => {
            let is_changed = rest.iter().any(|byte| *byte != 0);
            rest.fill(0);
            is_changed
        }
        _ => false,
    }
}

impl Model {
    /// Takes from the records of a segment what a reclaim takes.
    pub(crate) fn reclaim(&mut self, segment: u32) {
        let records = self.frames.iter_mut().flat_map(|frame| &mut frame.records);
        for record in records {
            if record.at.segment() == segment && record.number.is_some() {
                emptied(&mut record.body);
            }
        }
    }
}

fn small_blocks() -> Compression {
    let mut compression = Compression::default();
    compression.block_bytes = Compression::BLOCK_BYTES_MIN;
    compression.dictionary_bytes_max = 512;
    compression
}

fn adopt(log: &mut Log, written: Rewritten) -> Result<(), Error> {
    log.adopt(&written)?;
    written.remove_replaced()
}

fn go_on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Every record of a view, read both by scan and by its place.
pub(crate) fn contents(view: &View) -> Result<Vec<Record>, Error> {
    contents_where(view, |by_scan, by_place| by_scan == by_place)
}

/// The same for an older view, one of whose segments may be reclaimed by now: a file that was opened before says
/// what it said.
pub(crate) fn older_contents(view: &View) -> Result<Vec<Record>, Error> {
    contents_where(view, |by_scan, by_place| {
        let mut reclaimed = by_place.to_vec();
        emptied(&mut reclaimed);
        by_scan == by_place || by_scan == reclaimed
    })
}

fn contents_where(view: &View, agree: impl Fn(&[u8], &[u8]) -> bool) -> Result<Vec<Record>, Error> {
    let mut scan = view.scan(view.start());
    let (mut records, mut scratch) = (Vec::new(), Vec::new());
    while let Some(scanned) = scan.next_record()? {
        records.push(Record {
            at: scanned.at,
            number: scanned.number,
            body: scanned.body.to_vec(),
        });
        let record = view.record(scanned.at, &mut scratch)?;
        assert!(agree(scanned.body, record.body), "a scan and a look agree");
    }
    Ok(records)
}

/// Holds records against a model: they are the first frames of it, whole; tells how many frames.
pub(crate) fn whole_frames(records: &[Record], model: &Model) -> Result<usize, Violation> {
    let found = first_frames(records, &model.frames);
    match &model.unreclaimed {
        Some(frames) => found.or_else(|_| first_frames(records, frames)),
        None => found,
    }
}

fn first_frames(records: &[Record], frames: &[Frame]) -> Result<usize, Violation> {
    let mut rest = records;
    for (count, frame) in frames.iter().enumerate() {
        if rest.is_empty() {
            return Ok(count);
        }
        let same = rest.iter().zip(&frame.records).all(|(a, b)| a == b);
        if !same {
            return Err(format!(
                "frame {count} is {:?}, found {rest:?}",
                frame.records
            ));
        }
        let Some(after) = rest.get(frame.records.len()..) else {
            return Err(format!("frame {count} is there in part: {rest:?}"));
        };
        rest = after;
    }
    if rest.is_empty() {
        return Ok(frames.len());
    }
    Err(format!("nobody wrote {rest:?}"))
}

/// Opens the disk's log and holds it against the model: at least `durable` frames, and only such as
/// were written.
pub(crate) fn check(
    disk: &SimFs,
    model: &Model,
    durable: usize,
    durability: Durability,
) -> Result<(Log, Recovery, usize), Violation> {
    let (log, recovery) =
        open(disk, durability).map_err(|error| format!("no opening: {error:?}"))?;
    let records = contents(&log.view()).map_err(|error| format!("no reading: {error:?}"))?;
    let frames = whole_frames(&records, model)?;
    if frames < durable {
        return Err(format!(
            "lost: {frames} frames of {durable} acknowledged ones; {recovery:?}"
        ));
    }
    if log.place() != log.view().end() {
        return Err("the writer doesn't stand at the end of what is served".to_owned());
    }
    Ok((log, recovery, frames))
}
