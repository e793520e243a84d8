//! Readers beside the writer, and files that are not what this binary knows.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use annals_log::vfs::Watched;
use annals_log::{
    Durability, ErrorKind, Follower, Kind, Log, LogSettings, Parts, ReadMode, RecordAt, verify,
};

fn settings(durability: Durability) -> LogSettings {
    let mut settings = LogSettings::default();
    settings.segment_bytes = LogSettings::SEGMENT_BYTES_MIN;
    settings.durability = durability;
    settings
}

fn append(log: &mut Log, body: &[u8]) -> RecordAt {
    log.reserve(body.len() + 8, || 5).unwrap();
    let mut frame = log.frame();
    let at = frame.push(Kind::Numbered, |buffer| buffer.extend_from_slice(body));
    frame.write().unwrap();
    at
}

#[test]
fn a_follower_sees_what_is_synced_across_rotations_and_openings() {
    for (reads, durability) in [
        (ReadMode::Map, Durability::Sync),
        (ReadMode::Pread, Durability::Sync),
        (ReadMode::Map, Durability::Process),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = Log::create(&Parts::os(), &path, settings(durability), 1).unwrap();
        let mut follower = Follower::open(&Parts::os(), &path, reads).unwrap();
        assert_eq!(follower.log_id(), log.id());
        let mut places = Vec::new();
        for round in 0..60_u64 {
            let body = vec![round.to_le_bytes()[0]; 1000];
            places.push(append(&mut log, &body));
            let unsynced = follower.refresh().unwrap();
            assert_eq!(unsynced.last_number(), round, "{durability:?}");
            log.sync().unwrap();
            let view = follower.refresh().unwrap();
            assert_eq!(view.end(), log.view().end());
            let mut scratch = Vec::new();
            for (number, at) in places.iter().enumerate() {
                let record = view.record(*at, &mut scratch).unwrap();
                assert_eq!(usize::from(record.body[0]), number);
            }
            if round == 30 {
                drop(log);
                log = Log::open(&Parts::os(), &path, settings(durability))
                    .unwrap()
                    .0;
            }
        }
        let view = follower.view();
        let mut scan = view.scan(view.start());
        let mut count = 0;
        while let Some(record) = scan.next_record().unwrap() {
            count += 1;
            assert_eq!(record.number, Some(count));
        }
        assert_eq!(count, 60);
        assert_eq!(view.segment(2).unwrap().context(), 5);
    }
}

#[test]
fn a_watch_tells_when_to_look() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut log = Log::create(&Parts::os(), &path, settings(Durability::Sync), 1).unwrap();
    let mut follower = Follower::open(&Parts::os(), &path, ReadMode::Map).unwrap();
    let mut watch = follower.watch().unwrap();
    append(&mut log, b"news");
    log.sync().unwrap();
    assert_eq!(
        watch.wait(Duration::from_mins(1)).unwrap(),
        Watched::Changed
    );
    assert_eq!(follower.refresh().unwrap().last_number(), 1);
}

#[test]
fn a_log_in_use_is_verified_up_to_what_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut log = Log::create(&Parts::os(), &path, settings(Durability::Sync), 1).unwrap();
    for _ in 0..40 {
        append(&mut log, &[1; 900]);
    }
    log.sync().unwrap();
    append(&mut log, b"not synced");
    let look = || {
        let mut files = 0;
        let found = verify(&Parts::os(), &path, &mut |_| files += 1).unwrap();
        assert_eq!(files, found.segments);
        found
    };
    let found = look();
    assert!(found.in_use && found.is_whole(), "{found:?}");
    assert_eq!((found.records, found.next_number), (40, 41));
    log.close().unwrap();
    let found = look();
    assert!(
        !found.in_use && found.is_whole() && found.unfinished.is_empty(),
        "{found:?}"
    );
    assert_eq!((found.records, found.next_number), (41, 42));
}

/// Puts another version into a block and its checksum right.
fn make_newer(path: &Path, length: usize) {
    let mut bytes = fs::read(path).unwrap();
    let length = length.min(bytes.len());
    bytes[8] = 5;
    let checksum = crc32c::crc32c(&bytes[..length - 4]);
    bytes[length - 4..length].copy_from_slice(&checksum.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_newer_format_is_refused_by_its_version() {
    let files = [
        ("MANIFEST", usize::MAX),
        ("WATERMARK", 512),
        ("00000000000000000001.segment", 4096),
    ];
    for (file, length) in files {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = Log::create(&Parts::os(), &path, settings(Durability::Sync), 1).unwrap();
        log.close().unwrap();
        make_newer(&path.join(file), length);
        let error = Log::open(&Parts::os(), &path, settings(Durability::Sync)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NewerFormat, "{file}");
        assert!(error.to_string().contains("format 5"), "{error}");
    }
}
