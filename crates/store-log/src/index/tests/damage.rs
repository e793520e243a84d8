//! Damaged, cut, foreign and hostile run files.

use std::path::PathBuf;
use std::sync::Arc;

use annals_log::LogId;
use annals_log::vfs::sim::SimFs;
use annals_log::vfs::{SeededRng, Vfs};

use super::super::{Result, Run, RunErrorKind, RunReads};
use super::model::{History, LOG_ID, Model, Step, TAGS, TYPES, compare};
use super::{KINDS, directory, path};

/// How long a header is, and how much of the body one checksum covers.
const HEADER_BYTES: usize = 4096;
const BLOCK_BYTES: usize = 16 * 1024;

struct Written {
    fs: SimFs,
    path: PathBuf,
    bytes: Vec<u8>,
    model: Model,
}

/// A small run with something of everything in it.
fn written() -> Written {
    let fs = SimFs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(fs.clone());
    let mut steps: Vec<Step> = (0..40)
        .map(|n| Step::Event {
            stream: n % 3,
            event_type: n % 2,
            tags: vec![n % TAGS.len(), n % 3],
            append: n % TYPES.len() == 0,
            bytes: 300,
        })
        .collect();
    steps.insert(
        20,
        Step::Policy {
            stream: 1,
            version: 3,
        },
    );
    steps.insert(30, Step::Lost(1));
    let (memtable, model) = History::new(&steps).pieces(&[]).remove(0);
    let run = directory(&vfs, &path())
        .flush(&memtable, KINDS, model.upto())
        .unwrap();
    let path = run.path().to_path_buf();
    let bytes = fs.disk().read(&path).unwrap();
    Written {
        fs,
        path,
        bytes,
        model,
    }
}

impl Written {
    fn open(&self) -> Result<Run> {
        Run::open(&self.fs, &self.path, LOG_ID, RunReads::Map)
    }

    fn put(&self, bytes: &[u8]) {
        let disk = self.fs.disk();
        disk.set_length(&self.path, 0).unwrap();
        disk.write(&self.path, bytes).unwrap();
    }

    /// Whether the damage was found when the file was opened or asked.
    fn is_detected(&self) -> bool {
        match self.open() {
            Err(error) => {
                assert_eq!(error.kind(), RunErrorKind::Damaged, "{error}");
                true
            }
            Ok(run) => match run.check() {
                Err(error) => {
                    assert_eq!(error.kind(), RunErrorKind::Damaged, "{error}");
                    true
                }
                Ok(()) => false,
            },
        }
    }
}

#[test]
fn no_flip_changes_an_answer_in_silence() {
    let written = written();
    assert_eq!(compare(&written.open().unwrap(), &written.model), Ok(()));
    for index in 0..written.bytes.len() {
        let mut bytes = written.bytes.clone();
        bytes[index] ^= 1 << (index % 8);
        written.put(&bytes);
        assert!(written.is_detected(), "byte {index} was flipped unseen");
        if index % 17 == 0
            && let Ok(run) = written.open()
        {
            let answers = compare(&run, &written.model);
            let silent = answers
                .as_ref()
                .is_err_and(|text| !text.starts_with("error: "));
            assert!(!silent, "byte {index}: {answers:?}");
        }
    }
}

#[test]
fn no_cut_is_unseen() {
    let written = written();
    for length in (0..written.bytes.len()).step_by(7) {
        written.put(&written.bytes[..length]);
        assert!(written.is_detected(), "unseen at {length} bytes");
    }
    written.put(&[written.bytes.as_slice(), &[0]].concat());
    assert!(written.is_detected());
}

#[test]
fn another_log_and_a_newer_format_are_told_apart() {
    let written = written();
    let other = LogId::from_bytes([9; 16]);
    let kind = |log_id| {
        Run::open(&written.fs, &written.path, log_id, RunReads::Map)
            .unwrap_err()
            .kind()
    };
    assert_eq!(kind(other), RunErrorKind::Foreign);
    let mut bytes = written.bytes.clone();
    bytes[8] = 2;
    seal(&mut bytes);
    written.put(&bytes);
    assert_eq!(kind(LOG_ID), RunErrorKind::NewerFormat);
    assert_eq!(kind(other), RunErrorKind::NewerFormat);
}

/// Makes all checksums match the bytes, as who means harm would.
fn seal(bytes: &mut [u8]) {
    let number = |bytes: &[u8], at: usize| -> usize {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
            .try_into()
            .unwrap_or(usize::MAX)
    };
    let body_end = number(bytes, 64);
    if (HEADER_BYTES..bytes.len()).contains(&body_end) {
        let sums: Vec<u8> = bytes[HEADER_BYTES..body_end]
            .chunks(BLOCK_BYTES)
            .flat_map(|block| crc32c::crc32c(block).to_le_bytes())
            .collect();
        let end = bytes.len().min(body_end + sums.len());
        bytes[body_end..end].copy_from_slice(&sums[..end - body_end]);
        let sum = crc32c::crc32c(&bytes[body_end..]);
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    }
    let sum = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
    bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
}

/// Bytes that were changed on purpose, checksums included, give wrong answers or errors; never a panic.
#[test]
fn hostile_bytes_do_no_harm() {
    let seed = std::env::var("ANNALS_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    println!("ANNALS_SEED={seed}");
    let rng = SeededRng::new(seed);
    let written = written();
    let vfs: Arc<dyn Vfs> = Arc::new(written.fs.clone());
    let (mut opened, mut merged) = (0, 0);
    for _ in 0..4_000 {
        let mut bytes = written.bytes.clone();
        for _ in 0..=rng.below(3) {
            let in_header = rng.below(4) == 0;
            let (start, count) = if in_header {
                (16, 400)
            } else {
                (4096, bytes.len() as u64 - 4100)
            };
            let index = usize::try_from(start + rng.below(count)).unwrap();
            bytes[index] = [0, 0xff, 0x7f, 0x80, rng.bits().to_le_bytes()[0]]
                [usize::try_from(rng.below(5)).unwrap()];
        }
        seal(&mut bytes);
        written.put(&bytes);
        let Ok(run) = written.open() else {
            continue;
        };
        opened += 1;
        compare(&run, &written.model).ok();
        merged += u32::from(directory(&vfs, &path()).merge(&[Arc::new(run)]).is_ok());
    }
    assert!(
        opened > 1_000 && merged > 500,
        "{opened} opened, {merged} merged"
    );
}

#[test]
fn a_file_that_can_not_be_read_is_not_damaged() {
    let written = written();
    written.fs.disk().remove(&written.path).unwrap();
    assert_eq!(written.open().unwrap_err().kind(), RunErrorKind::Io);
}
