//! Damage to every place of every file (T3), and what a repair makes of it.

use std::path::{Path, PathBuf};

use annals_log::vfs::SeededRng;
use annals_log::vfs::sim::SimFs;
use annals_log::{
    Durability, ErrorKind, Kind, Log, Parts, RecordAt, Verification, VerifySettings, repair,
    verify, verify_with,
};

use crate::model::{self, DIRECTORY, Model, Record, append, parts};
use crate::workload::bytes;
use crate::{Counters, Violation};

/// How the log was left before the damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Closed,
    Killed,
    /// Closed, with its sealed segments compressed and one of them reclaimed in part.
    Compressed,
    /// Closed, with its sealed segments in an archive, one of them compressed.
    Archived,
}

/// A change to the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Flip {
        file: PathBuf,
        bit: u64,
    },
    Cut {
        file: PathBuf,
        length: usize,
    },
    Zero {
        file: PathBuf,
        sector: usize,
    },
    Copy {
        from: (PathBuf, usize),
        to: (PathBuf, usize),
    },
    Swap {
        a: (PathBuf, usize),
        b: (PathBuf, usize),
    },
    Remove {
        file: PathBuf,
    },
    SwapFiles {
        a: PathBuf,
        b: PathBuf,
    },
    /// The file of another log in its place.
    Foreign {
        file: PathBuf,
    },
    Extra {
        id: u32,
    },
}

const SECTOR: usize = 512;

/// A log of three segments whose frames stand at the same offsets in each; what a compression was refused with,
/// as it is with a bug planted.
pub(crate) fn small_log(seed: u64, left: Left) -> Result<(SimFs, Model), annals_log::Error> {
    let disk = SimFs::new();
    let settings = model::settings(Durability::Sync);
    let mut log = Log::create(&parts(&disk, seed), DIRECTORY.as_ref(), settings, 7).unwrap();
    let rng = SeededRng::new(seed);
    let mut model = Model::default();
    for segment in 1..=3 {
        for lengths in [[40, 3, 200], [300, 700, 0], [504, 90, 1200]] {
            let bodies: Vec<_> = lengths
                .iter()
                .enumerate()
                .map(|(at, length)| {
                    let kind = if at == 1 { Kind::Note } else { Kind::Numbered };
                    (kind, bytes(&rng, *length))
                })
                .collect();
            model.frames.push(append(&mut log, &bodies).unwrap());
            log.sync().unwrap();
        }
        if segment < 3 {
            log.reserve(15_000, || 8).unwrap();
        }
    }
    assert_eq!(log.segment().id, 3);
    match left {
        Left::Closed => log.close().unwrap(),
        Left::Killed => drop(log),
        Left::Compressed => {
            model::compress(&mut log, 1)?;
            model::reclaim(&mut log, 2)?;
            model.reclaim(2);
            log.close().unwrap();
        }
        Left::Archived => {
            model::compress(&mut log, 1)?;
            model::archive(&mut log, 1)?;
            model::archive(&mut log, 2)?;
            log.close().unwrap();
        }
    }
    disk.settle();
    model.durable = model.frames.len();
    Ok((disk, model))
}

/// The log's own files: all but the lock.
pub(crate) fn files(disk: &SimFs) -> Vec<PathBuf> {
    let paths = disk.disk().paths().into_iter();
    paths.filter(|path| !path.ends_with("LOCK")).collect()
}

impl Change {
    /// Every change of a kind, each bit of each `bytes_step`-th byte flipped.
    pub(crate) fn all(disk: &SimFs, flips: impl Fn(&Path, u64) -> bool) -> Vec<Self> {
        let mut changes = Vec::new();
        let files = files(disk);
        for file in &files {
            let length = disk.disk().read(file).unwrap().len();
            let bits = (0..length as u64 * 8).filter(|bit| flips(file, *bit));
            changes.extend(bits.map(|bit| Self::Flip {
                file: file.clone(),
                bit,
            }));
            for length in (0..length).filter(|length| flips(file, *length as u64 * 8)) {
                changes.push(Self::Cut {
                    file: file.clone(),
                    length,
                });
            }
            let sectors = length / SECTOR;
            for a in 0..sectors {
                changes.push(Self::Zero {
                    file: file.clone(),
                    sector: a,
                });
                for b in (0..sectors).filter(|b| *b != a) {
                    let (from, to) = ((file.clone(), a), (file.clone(), b));
                    if a < b {
                        let (a, b) = (from.clone(), to.clone());
                        changes.push(Self::Swap { a, b });
                    }
                    changes.push(Self::Copy { from, to });
                }
                for other in files.iter().filter(|other| *other != file) {
                    let (from, to) = ((other.clone(), a), (file.clone(), a));
                    changes.push(Self::Copy {
                        from: from.clone(),
                        to: to.clone(),
                    });
                    changes.push(Self::Swap { a: from, b: to });
                }
            }
            changes.push(Self::Remove { file: file.clone() });
            changes.push(Self::Foreign { file: file.clone() });
            for other in files.iter().filter(|other| *other > file) {
                let (a, b) = (file.clone(), other.clone());
                changes.push(Self::SwapFiles { a, b });
            }
        }
        changes.extend([4, 5, 99].map(|id| Self::Extra { id }));
        changes
    }

    /// Makes the change; `false` when it changes nothing.
    fn make(&self, disk: &SimFs, foreign: &SimFs) -> bool {
        let read = |file: &Path| disk.disk().read(file).unwrap();
        let sector = |(file, at): &(PathBuf, usize)| {
            let bytes = read(file);
            bytes
                .get(at * SECTOR..(at + 1) * SECTOR)
                .map(<[u8]>::to_vec)
        };
        let put = |(file, at): &(PathBuf, usize), bytes: &[u8]| {
            let offset = (at * SECTOR) as u64;
            disk.disk().write_at(file, bytes, offset).unwrap();
        };
        match self {
            Self::Flip { file, bit } => disk.disk().flip_bit(file, *bit).unwrap(),
            Self::Cut { file, length } => disk.disk().set_length(file, *length as u64).unwrap(),
            Self::Zero { file, sector: at } => {
                let place = (file.clone(), *at);
                if sector(&place).unwrap() == [0; SECTOR] {
                    return false;
                }
                put(&place, &[0; SECTOR]);
            }
            Self::Copy { from, to } => match (sector(from), sector(to)) {
                (Some(bytes), Some(old)) if bytes != old => put(to, &bytes),
                _ => return false,
            },
            Self::Swap { a, b } => match (sector(a), sector(b)) {
                (Some(left), Some(right)) if left != right => {
                    put(a, &right);
                    put(b, &left);
                }
                _ => return false,
            },
            Self::Remove { file } => disk.disk().remove(file).unwrap(),
            Self::Foreign { file } => {
                // The folder of another log in an archive has another name.
                let Ok(bytes) = foreign.disk().read(file) else {
                    return false;
                };
                disk.disk().write(file, &bytes).unwrap();
            }
            Self::SwapFiles { a, b } => {
                let (left, right) = (read(a), read(b));
                disk.disk().write(a, &right).unwrap();
                disk.disk().write(b, &left).unwrap();
            }
            Self::Extra { id } => {
                let name = |id| PathBuf::from(format!("{DIRECTORY}/{id:020}.segment"));
                let bytes = read(&name(3));
                disk.disk().write(name(*id), &bytes).unwrap();
            }
        }
        true
    }
}

impl Change {
    /// Whether it takes the watermark and the last segment at once: nothing tells then what there was.
    fn takes_all_knowledge(&self) -> bool {
        let ends =
            |file: &Path| file.ends_with("WATERMARK") || file.to_string_lossy().contains("3.");
        matches!(self, Self::SwapFiles { a, b } if ends(a) && ends(b))
    }
}

/// What became of a damaged log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Refused,
    ReadsFail,
    Harmless,
}

/// Makes the change, and holds what the log answers against the model: all that it gives is as it was,
/// and what it doesn't give is an error.
pub(crate) fn damaged(
    base: &SimFs,
    foreign: &SimFs,
    model: &Model,
    change: &Change,
    counters: &mut Counters,
) -> Result<(), Violation> {
    let disk = base.restart();
    if !change.make(&disk, foreign) {
        return Ok(());
    }
    counters.count("change");
    let found = look(&disk).map_err(|error| (error.kind(), error));
    let answer = match model::open(&disk.restart(), Durability::Sync) {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            if error.damage().is_none() {
                return Err(format!("it isn't said what is damaged: {error:?}"));
            }
            Answer::Refused
        }
        Err(error) => return Err(format!("not said to be damage: {error:?}")),
        Ok((mut log, _)) => {
            let answer = read_all(&log, model)?;
            take_back(&mut log, model)?;
            answer
        }
    };
    match (answer, found) {
        (Answer::Harmless, Ok(found)) => {
            counters.count("harmless");
            let listed = !found.damage.is_empty() || !found.unfinished.is_empty();
            // Zeros that are cut off behind an end were nothing.
            if !listed && !matches!(change, Change::Cut { .. }) {
                return Err("verify does not list it".to_owned());
            }
        }
        (_, Ok(found)) if found.damage.is_empty() => {
            return Err(format!("{answer:?}, but verify lists nothing"));
        }
        (Answer::Refused, Ok(_) | Err((ErrorKind::Corrupt, _))) => counters.count("refused"),
        (Answer::ReadsFail, Ok(_)) => counters.count("reads fail"),
        (answer, Err((_, error))) => return Err(format!("{answer:?}, verify: {error:?}")),
    }
    Ok(())
}

/// Brings archived segments back: what comes back is as it was written.
fn take_back(log: &mut Log, model: &Model) -> Result<(), Violation> {
    let view = log.view();
    let archived = view.segments().filter(|it| it.archive().is_some());
    for segment in archived.map(annals_log::Segment::id) {
        match model::restore(log, segment) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Corrupt => continue,
            Err(error) => return Err(format!("segment {segment} doesn't come back: {error:?}")),
        }
        let (now, mut scratch) = (log.view(), Vec::new());
        let records = model.frames.iter().flat_map(|frame| &frame.records);
        for record in records.filter(|record| record.at.segment() == segment) {
            if let Err(error) = now.record(record.at, &mut scratch) {
                return Err(format!("damage came back from the archive: {error:?}"));
            }
        }
    }
    Ok(())
}

fn look(disk: &SimFs) -> Result<Verification, annals_log::Error> {
    let found = verify(&parts(disk, 5), DIRECTORY.as_ref(), &mut |_| {})?;
    let thorough = VerifySettings::THOROUGH;
    let thorough = verify_with(&parts(disk, 5), DIRECTORY.as_ref(), thorough, &mut |_| {})?;
    assert_eq!(found, thorough, "by decompressing no other damage is found");
    Ok(found)
}

/// Holds every read against the model: what is not as it was written is an error that tells of damage.
pub(crate) fn read_all(log: &Log, model: &Model) -> Result<Answer, Violation> {
    let view = log.view();
    let (mut answer, mut scratch) = (Answer::Harmless, Vec::new());
    let expected: Vec<&Record> = model
        .frames
        .iter()
        .flat_map(|frame| &frame.records)
        .collect();
    for record in &expected {
        match view.record(record.at, &mut scratch) {
            Ok(read) if read.body == record.body => {}
            Ok(_) => return Err(format!("another record is read for {record:?}")),
            Err(error) if error.kind() == ErrorKind::Corrupt => answer = Answer::ReadsFail,
            Err(error) => return Err(format!("{record:?} is gone: {error:?}")),
        }
    }
    let mut scan = view.scan(view.start());
    for record in &expected {
        match scan.next_record() {
            Ok(Some(read)) if (read.at, read.number) == (record.at, record.number) => {
                if read.body != record.body {
                    return Err(format!("another record is scanned for {record:?}"));
                }
            }
            Ok(other) => return Err(format!("{other:?} is scanned for {record:?}")),
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(Answer::ReadsFail),
            Err(error) => return Err(format!("{record:?} is gone: {error:?}")),
        }
    }
    match scan.next_record() {
        Ok(None) => Ok(answer),
        Ok(Some(more)) => Err(format!("nobody wrote {more:?}")),
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(Answer::ReadsFail),
        Err(error) => Err(format!("{error:?}")),
    }
}

/// Repairs the damaged log, and holds it against the model: what is not recorded as lost is as it was,
/// what is lost is an error, and appends go on with new numbers.
fn repaired(
    base: &SimFs,
    foreign: &SimFs,
    model: &Model,
    change: &Change,
    counters: &mut Counters,
) -> Result<(), Violation> {
    let disk = base.restart();
    if !change.make(&disk, foreign) {
        return Ok(());
    }
    let parts: Parts = parts(&disk, 9);
    let directory = Path::new(DIRECTORY);
    match repair(&parts, directory, &mut |_| {}) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            counters.count("beyond repair");
            return Ok(());
        }
        Err(error) => return Err(format!("no repair: {error:?}")),
    }
    let found = look(&disk).map_err(|error| format!("no verification: {error:?}"))?;
    if !found.damage.is_empty() {
        return Err(format!("after the repair: {:?}", found.damage));
    }
    let (mut log, _) = model::open(&disk, Durability::Sync)
        .map_err(|error| format!("no opening after the repair: {error:?}"))?;
    let Some(mut kept) = kept_records(&log, model, change, counters)? else {
        return Ok(());
    };
    scan_kept(&log, &kept)?;
    let before = log.place().next_number;
    let numbers = model.frames.iter().flat_map(|frame| &frame.records);
    let newest = numbers.filter_map(|record| record.number).max().unwrap();
    if before != newest + 1 {
        return Err(format!("the next number is {before} after {newest}"));
    }
    let frame =
        append(&mut log, &[(Kind::Numbered, vec![1; 50])]).map_err(|e| format!("{:?}", e.0))?;
    log.sync().map_err(|error| format!("{error:?}"))?;
    kept.extend(&frame.records);
    scan_kept(&log, &kept)?;
    log.close().map_err(|error| format!("{error:?}"))?;
    counters.count("repaired");
    Ok(())
}

/// The records that a repaired log still has; every other one is recorded as lost. None when the damage took
/// what would tell them.
fn kept_records<'a>(
    log: &Log,
    model: &'a Model,
    change: &Change,
    counters: &mut Counters,
) -> Result<Option<Vec<&'a Record>>, Violation> {
    let (view, mut scratch) = (log.view(), Vec::new());
    let lost = |at: RecordAt| {
        let segment = view.segment(at.segment());
        segment.is_none_or(|segment| {
            let mut lost = segment.lost().iter();
            lost.any(|lost| lost.offsets.contains(&at.offset()))
        })
    };
    let mut kept = Vec::new();
    for record in model.frames.iter().flat_map(|frame| &frame.records) {
        match view.record(record.at, &mut scratch) {
            Ok(read) if read.body == record.body => kept.push(record),
            Err(error) if error.kind() == ErrorKind::Corrupt && lost(record.at) => {
                counters.count("record lost");
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if change.takes_all_knowledge() {
                    counters.count("more damage than can be told");
                    return Ok(None);
                }
                return Err(format!("{record:?} is a gap after the repair"));
            }
            other => return Err(format!("{record:?} after the repair: {other:?}")),
        }
    }
    Ok(Some(kept))
}

fn scan_kept(log: &Log, kept: &[&Record]) -> Result<(), Violation> {
    let view = log.view();
    let mut scan = view.scan(view.start());
    let mut kept = kept.iter();
    loop {
        match scan.next_record() {
            Ok(Some(read)) => {
                let same = kept.next().is_some_and(|record| {
                    (record.at, record.number) == (read.at, read.number) && record.body == read.body
                });
                if !same {
                    return Err(format!("scanned {:?} {:?}", read.at, read.number));
                }
            }
            Ok(None) if kept.next().is_none() => return Ok(()),
            Ok(None) => return Err("the scan is short".to_owned()),
            Err(error) => {
                if !scan.skip_lost() {
                    return Err(format!("scan after the repair: {error:?}"));
                }
            }
        }
    }
}

/// At the size of CI one bit of each so many bytes is flipped, at larger ones every bit.
fn flips(scale: u64, bytes: u64) -> impl Fn(&Path, u64) -> bool {
    move |_, bit| scale > 1 || (bit / 8 % bytes == 0 && bit % 8 == bit / 8 / bytes % 8)
}

pub(crate) fn scale() -> u64 {
    let scale = std::env::var("ANNALS_CAMPAIGN_SCALE").ok();
    scale.and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

fn all_changes(
    left: Left,
    flips: impl Fn(&Path, u64) -> bool,
    body: impl Fn(&SimFs, &SimFs, &Model, &Change, &mut Counters) -> Result<(), Violation>,
) -> Counters {
    let (base, model) = small_log(3, left).unwrap();
    let (foreign, _) = small_log(4, left).unwrap();
    let mut counters = Counters::default();
    for change in Change::all(&base, flips) {
        if let Err(violation) = body(&base, &foreign, &model, &change, &mut counters) {
            panic!("{left:?}, {change:?}: {violation}");
        }
    }
    println!("{left:?}: {counters}");
    counters
}

#[test]
fn no_damage_to_a_closed_log_is_silent() {
    let counters = all_changes(Left::Closed, flips(scale(), 1), damaged);
    counters.require(&["refused", "reads fail", "harmless"]);
}

#[test]
fn no_damage_to_a_killed_log_is_silent() {
    let counters = all_changes(Left::Killed, flips(scale(), 3), damaged);
    counters.require(&["refused", "reads fail", "harmless"]);
}

#[test]
fn no_damage_to_a_compressed_log_is_silent() {
    let counters = all_changes(Left::Compressed, flips(scale(), 1), damaged);
    counters.require(&["refused", "reads fail", "harmless"]);
}

#[test]
fn no_damage_to_an_archived_log_is_silent() {
    let counters = all_changes(Left::Archived, flips(scale(), 3), damaged);
    counters.require(&["refused", "reads fail", "harmless"]);
}

#[test]
fn a_repair_keeps_all_but_what_it_records_as_lost() {
    let sparse = |_: &Path, bit: u64| bit.is_multiple_of(8 * 61) || scale() > 10;
    for left in [Left::Closed, Left::Killed, Left::Compressed] {
        let counters = all_changes(left, sparse, repaired);
        counters.require(&["repaired", "record lost"]);
    }
}
