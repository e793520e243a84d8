//! A whole log in a damaged directory.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use annals_log::vfs::SeededRng;
use annals_log::vfs::sim::{Operation, SimFs};
use annals_log::{
    Error, Follower, Kind, Log, LogSettings, Parts, ReadMode, VerifySettings, View, fuzzing,
    repair, verify, verify_with,
};

use super::edits;

const DIRECTORY: &str = "/log";

/// What a log of so few kilobytes takes at most, in calls and in bytes read.
const CALLS_MAX: u64 = 20_000;
const READ_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The first byte tells how the log was left, and whether the checksums are put right after the damage; the
/// rest is the damage.
pub(super) fn check(input: &[u8]) {
    let Some((mode, damage)) = input.split_first() else {
        return;
    };
    let [closed, killed] = bases();
    let base = if mode & 1 == 0 { closed } else { killed };
    let disk = base.restart();
    let files = files(&disk);
    for (which, edit) in edits::by_file(damage) {
        let Some(path) = files.get(which % files.len()) else {
            continue;
        };
        let bytes = edits::edited(disk.disk().read(path).unwrap_or_default(), edit);
        disk.disk().write(path, &bytes).ok();
    }
    if mode & 2 != 0 {
        for path in &files {
            seal(&disk, path);
        }
    }
    look(&disk.restart());
    write(&disk.restart());
    if mode & 4 != 0 {
        let disk = disk.restart();
        if repair(&parts(&disk), DIRECTORY.as_ref(), &mut |_| {}).is_ok() {
            write(&disk);
        }
        bounded(&disk);
    }
}

/// Damage that leads somewhere.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let edits: [&[u8]; 7] = [
        &[],
        &[0, 0x10, 0, 0, 9, 0, 0],
        &[2, 0x08, 0x10, 3, 0xff, 0xff, 0],
        &[2, 0x2c, 0x10, 3, 0, 0, 0x7f],
        &[1, 0x30, 0, 2, 0, 0, 0],
        &[4, 0x0c, 0, 2, 0, 0, 0],
        &[3, 0, 0x20, 4, 0, 0, 0],
    ];
    let modes = 0..8_u8;
    let all = modes.flat_map(|mode| edits.map(|edit| [&[mode], edit].concat()));
    all.collect()
}

/// Frames, the footer of a sealed segment among them.
pub(super) fn frames() -> Vec<Vec<u8>> {
    let segments = read(|path| path.ends_with("00000000000000000001.segment"));
    let frames = segments.iter().filter_map(|bytes| bytes.get(4096..));
    let starts =
        frames.flat_map(|frames| (0..frames.len()).step_by(8).map(|at| frames.split_at(at).1));
    let frames = starts.filter(|frames| frames.starts_with(b"ANFR"));
    frames
        .map(|frames| frames.iter().copied().take(640).collect())
        .collect()
}

/// Segment headers.
pub(super) fn headers() -> Vec<Vec<u8>> {
    let segments = read(|path| path.extension().is_some_and(|it| it == "segment"));
    segments
        .into_iter()
        .map(|bytes| bytes.into_iter().take(80).collect())
        .collect()
}

/// Pieces of segments that begin with a frame, behind the length of what is open before them.
pub(super) fn blocks() -> Vec<Vec<u8>> {
    let frames = frames().into_iter();
    frames
        .map(|frame| [[0; 4].as_slice(), frame.as_slice()].concat())
        .collect()
}

/// Manifests.
pub(super) fn manifests() -> Vec<Vec<u8>> {
    read(|path| path.ends_with("MANIFEST"))
}

/// Slots of watermarks.
pub(super) fn watermarks() -> Vec<Vec<u8>> {
    let files = read(|path| path.ends_with("WATERMARK"));
    files
        .into_iter()
        .map(|bytes| bytes.into_iter().take(512).collect())
        .collect()
}

fn read(choose: impl Fn(&Path) -> bool) -> Vec<Vec<u8>> {
    let [disk, _] = bases();
    let paths = files(disk).into_iter().filter(|path| choose(path));
    paths
        .filter_map(|path| disk.disk().read(path).ok())
        .collect()
}

/// Whoever reads only: verification and a follower.
fn look(disk: &SimFs) {
    let parts = parts(disk);
    verify(&parts, DIRECTORY.as_ref(), &mut |_| {}).ok();
    let thorough = VerifySettings::THOROUGH;
    verify_with(&parts, DIRECTORY.as_ref(), thorough, &mut |_| {}).ok();
    if let Ok(mut follower) = Follower::open(&parts, DIRECTORY.as_ref(), ReadMode::Pread)
        && let Ok(view) = follower.refresh()
    {
        scan(&view).ok();
    }
    bounded(disk);
}

/// Whoever writes: what it appended it also reads.
fn write(disk: &SimFs) {
    let parts = parts(disk);
    let opened = Log::open(&parts, DIRECTORY.as_ref(), settings());
    if let Ok((mut log, _)) = opened {
        scan(&log.view()).ok();
        append(&mut log).ok();
        log.close().ok();
    }
    bounded(disk);
}

fn append(log: &mut Log) -> Result<(), Error> {
    log.reserve(40, || 0)?;
    let mut frame = log.frame();
    let at = frame.push(Kind::Numbered, |body| body.extend_from_slice(b"appended"));
    frame.write()?;
    let view = log.sync()?;
    let mut scratch = Vec::new();
    let record = view.record(at, &mut scratch)?;
    assert_eq!(record.body, b"appended");
    Ok(())
}

/// Reads all records, by scan and by place; numbers go up.
fn scan(view: &View) -> Result<(), Error> {
    let mut scan = view.scan(view.start());
    let (mut newest, mut scratch) = (0, Vec::new());
    while let Some(record) = scan.next_record()? {
        if let Some(number) = record.number {
            assert!(number > newest, "{number} after {newest}");
            newest = number;
        }
        view.record(record.at, &mut scratch)?;
    }
    Ok(())
}

fn bounded(disk: &SimFs) {
    let trace = disk.take_trace();
    assert!(trace.len() as u64 <= CALLS_MAX, "{} calls", trace.len());
    let bytes: u64 = trace
        .iter()
        .map(|call| match call.operation {
            Operation::Read { bytes, .. } | Operation::Write { bytes, .. } => bytes,
            _ => 0,
        })
        .sum();
    assert!(bytes <= READ_BYTES_MAX, "{bytes} bytes are asked for");
}

fn seal(disk: &SimFs, path: &Path) {
    let mut bytes = disk.disk().read(path).unwrap_or_default();
    if path.ends_with("WATERMARK") {
        for slot in [0, 4096] {
            fuzzing::seal_block(bytes.get_mut(slot..slot + 512).unwrap_or_default());
        }
    } else if path.ends_with("MANIFEST") {
        fuzzing::seal_block(&mut bytes);
    } else {
        fuzzing::seal_frames(&mut bytes);
    }
    disk.disk().write(path, &bytes).ok();
}

/// A log of three segments: closed, and killed.
fn bases() -> &'static [SimFs; 2] {
    static BASES: OnceLock<[SimFs; 2]> = OnceLock::new();
    BASES.get_or_init(|| {
        let (killed, log) = base();
        drop(log);
        killed.settle();
        let (closed, log) = base();
        log.close().ok();
        closed.settle();
        [closed, killed]
    })
}

#[expect(clippy::expect_used, reason = "nothing fails in memory")]
fn base() -> (SimFs, Log) {
    let disk = SimFs::new();
    let created = Log::create(&parts(&disk), DIRECTORY.as_ref(), settings(), 7);
    let mut log = created.expect("an empty disk takes a log");
    for round in 0..6 {
        for length in [3, 200, 490] {
            append_bytes(&mut log, length).expect("room in memory");
        }
        if round % 2 == 1 && round < 5 {
            log.reserve(15_000, || 8).expect("room in memory");
        }
    }
    (disk, log)
}

fn append_bytes(log: &mut Log, length: usize) -> Result<(), Error> {
    log.reserve(length + 100, || 0)?;
    let mut frame = log.frame();
    frame.push(Kind::Note, |body| body.push(1));
    frame.push(Kind::Numbered, |body| body.resize(body.len() + length, 5));
    frame.write()?;
    log.sync().map(drop)
}

fn settings() -> LogSettings {
    let mut settings = LogSettings::default();
    settings.segment_bytes = LogSettings::SEGMENT_BYTES_MIN;
    settings
}

fn parts(disk: &SimFs) -> Parts {
    Parts {
        vfs: Arc::new(disk.clone()),
        rng: Arc::new(SeededRng::new(1)),
        ..Parts::os()
    }
}

/// All but the lock.
fn files(disk: &SimFs) -> Vec<PathBuf> {
    let paths = disk.disk().paths().into_iter();
    paths.filter(|path| !path.ends_with("LOCK")).collect()
}
