//! The log on the operating system's files: what is appended is read back, whatever is done between.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed unwrap is a failed test"
)]

use std::path::Path;

use annals_log::{
    Durability, ErrorKind, Kind, Log, LogSettings, Parts, Place, ReadMode, RecordAt, View,
};

type Written = Vec<(RecordAt, Kind, Vec<u8>)>;

fn settings(reads: ReadMode, durability: Durability) -> LogSettings {
    let mut settings = LogSettings::default();
    settings.segment_bytes = LogSettings::SEGMENT_BYTES_MIN;
    settings.reads = reads;
    settings.durability = durability;
    settings
}

fn append(log: &mut Log, records: &[(Kind, Vec<u8>)]) -> Written {
    let bytes = records.iter().map(|(_, body)| 8 + body.len()).sum();
    let context = 1000 + log.place().next_number;
    log.reserve(bytes, || context).unwrap();
    let mut frame = log.frame();
    let mut written = Vec::new();
    for (kind, body) in records {
        let at = frame.push(*kind, |buffer| buffer.extend_from_slice(body));
        written.push((at, *kind, body.clone()));
    }
    assert_eq!(frame.bytes(), bytes);
    frame.write().unwrap();
    written
}

/// Batches of various lengths, some longer than a segment.
fn batches() -> Vec<Vec<(Kind, Vec<u8>)>> {
    let lengths = [
        0, 1, 7, 8, 400, 511, 512, 513, 4000, 5000, 17_000, 3, 40_000, 2,
    ];
    let body = |length: usize, seed: usize| {
        (0..length)
            .map(|at| (at * 7 + seed).to_le_bytes()[0])
            .collect()
    };
    lengths
        .into_iter()
        .enumerate()
        .map(|(seed, length)| {
            vec![
                (Kind::Note, body(seed, seed)),
                (Kind::Numbered, body(length, seed)),
                (Kind::Numbered, body(length / 2, seed + 1)),
            ]
        })
        .collect()
}

fn check(view: &View, written: &Written) {
    let mut scratch = Vec::new();
    for (at, kind, body) in written {
        let record = view.record(*at, &mut scratch).unwrap();
        assert_eq!((record.kind, record.body), (*kind, &body[..]), "at {at}");
    }
    let mut reader = view.reader();
    reader.fetch(written.iter().map(|(at, ..)| *at));
    for (at, kind, body) in written.iter().rev().step_by(2).chain(written) {
        let record = reader.record(*at, &mut scratch).unwrap();
        assert_eq!((record.kind, record.body), (*kind, &body[..]), "at {at}");
        let context = view.segment(at.segment()).unwrap().context();
        assert_eq!(reader.context(*at), context);
    }
    let mut scan = view.scan(view.start());
    let mut number = 0;
    for (at, kind, body) in written {
        let scanned = scan.next_record().unwrap().expect("a record");
        let expected = (*kind == Kind::Numbered).then(|| {
            number += 1;
            number
        });
        assert_eq!((scanned.at, scanned.number), (*at, expected));
        assert_eq!(scanned.body, &body[..]);
    }
    assert!(scan.next_record().unwrap().is_none());
    assert_eq!(scan.place(), view.end());
    assert_eq!(view.last_number(), number);
}

fn create(directory: &Path, settings: LogSettings) -> Log {
    Log::create(&Parts::os(), directory, settings, 1).unwrap()
}

#[test]
fn what_is_appended_is_read_back_in_every_mode_and_after_every_end() {
    for reads in [ReadMode::Map, ReadMode::Pread] {
        for durability in [Durability::Sync, Durability::Process] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("some/log");
            let settings = settings(reads, durability);
            let mut log = create(&path, settings.clone());
            let mut written = Written::new();
            for (round, batch) in batches().into_iter().enumerate() {
                written.extend(append(&mut log, &batch));
                let view = log.sync().unwrap();
                check(&view, &written);
                if round % 3 == 1 {
                    log.idle().unwrap();
                }
                if round % 4 == 3 {
                    match round % 8 {
                        3 => log.close().unwrap(),
                        _ => drop(log),
                    }
                    let (opened, recovery) =
                        Log::open(&Parts::os(), &path, settings.clone()).unwrap();
                    assert_eq!(recovery.was_closed, round % 8 == 3);
                    assert_eq!(recovery.cut, None);
                    log = opened;
                    check(&log.view(), &written);
                }
            }
            assert!(log.segment().id > 3);
        }
    }
}

#[test]
fn a_reader_refuses_what_a_look_refuses() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut log = create(&path, settings(ReadMode::Map, Durability::Sync));
    let mut written = Written::new();
    for batch in batches().into_iter().take(4) {
        written.extend(append(&mut log, &batch));
    }
    let view = log.sync().unwrap();
    let names = std::fs::read_dir(&path).unwrap();
    let files = names.map(|entry| entry.unwrap().path());
    let segment = files.filter(|file| file.extension().is_some_and(|end| end == "segment"));
    let segment = segment.min().unwrap();
    let whole = std::fs::read(&segment).unwrap();
    let end = view.end().at;
    let mut refused = 0;
    for byte in 4096..end.offset() as usize {
        let mut bytes = whole.clone();
        bytes[byte] ^= 0x10;
        std::fs::write(&segment, &bytes).unwrap();
        let (mut one, mut other) = (Vec::new(), Vec::new());
        let mut reader = view.reader();
        for (at, ..) in &written {
            let look = view.record(*at, &mut one).map_err(|error| error.kind());
            let read = reader.record(*at, &mut other).map_err(|error| error.kind());
            assert_eq!(look, read, "byte {byte}, at {at}");
            refused += usize::from(read == Err(ErrorKind::Corrupt));
        }
    }
    assert!(refused > 100);
    std::fs::write(&segment, &whole).unwrap();
    let strange = [
        RecordAt::new(1, 0),
        RecordAt::new(1, 4096),
        RecordAt::new(1, end.offset()),
        RecordAt::new(1, u32::MAX),
        RecordAt::new(9, 4200),
    ];
    let mut reader = view.reader();
    reader.fetch(strange);
    for at in strange {
        let kind = reader.record(at, &mut Vec::new()).unwrap_err().kind();
        assert_eq!(kind, ErrorKind::NotFound, "at {at}");
    }
}

#[test]
fn a_view_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut log = create(&path, settings(ReadMode::Map, Durability::Sync));
    let mut views = vec![(log.view(), Written::new())];
    let mut written = Written::new();
    for batch in batches() {
        let new = append(&mut log, &batch);
        let error = log.view().record(new[0].0, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "not durable, not seen");
        written.extend(new);
        views.push((log.sync().unwrap(), written.clone()));
    }
    for (view, written) in &views {
        check(view, written);
    }
}

#[test]
fn scans_begin_at_places() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = create(
        &directory.path().join("log"),
        settings(ReadMode::Map, Durability::Sync),
    );
    let mut places: Vec<(Place, usize)> = Vec::new();
    let mut written = Written::new();
    for batch in batches() {
        places.push((log.place(), written.len()));
        written.extend(append(&mut log, &batch));
        log.sync().unwrap();
    }
    for (place, skipped) in places {
        let view = log.view();
        let mut scan = view.scan(place);
        for (at, _, body) in &written[skipped..] {
            let scanned = scan.next_record().unwrap().unwrap();
            assert_eq!((scanned.at, scanned.body), (*at, &body[..]));
        }
        assert!(scan.next_record().unwrap().is_none());
    }
}

#[test]
fn a_frame_that_is_dropped_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = create(
        &directory.path().join("log"),
        settings(ReadMode::Map, Durability::Sync),
    );
    let before = log.place();
    let mut frame = log.frame();
    frame.push(Kind::Numbered, |body| body.push(1));
    drop(frame);
    assert_eq!(log.frame().write().unwrap(), before);
    assert_eq!(log.sync().unwrap().end(), before);
}

#[test]
fn growth_runs_on_another_thread_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(ReadMode::Map, Durability::Sync);
    settings.segment_bytes = 4 << 20;
    let mut log = create(&directory.path().join("log"), settings);
    let mut written = Written::new();
    let (mut run, mut late) = (0, Vec::new());
    for round in 0..700 {
        written.extend(append(&mut log, &[(Kind::Numbered, vec![7; 5000])]));
        if let Some(growth) = log.growth() {
            if round % 2 == 0 {
                let growth = std::thread::spawn(|| growth.run().unwrap());
                log.grown(growth.join().unwrap());
                run += 1;
            } else {
                late.push(growth);
            }
        }
    }
    log.sync().unwrap();
    assert!(run > 0 && !late.is_empty());
    for growth in late {
        log.grown(growth.run().unwrap());
    }
    check(&log.view(), &written);
}

#[test]
fn what_cannot_be_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let settings = settings(ReadMode::Map, Durability::Sync);
    let kind = |result: Result<(Log, _), annals_log::Error>| result.unwrap_err().kind();
    let open = |settings| Log::open(&Parts::os(), &path, settings);
    assert_eq!(kind(open(settings.clone())), ErrorKind::NotFound);
    let mut odd = settings.clone();
    odd.segment_bytes += 1;
    assert_eq!(kind(open(odd)), ErrorKind::Invalid);

    let mut log = create(&path, settings.clone());
    let error = open(settings.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains("held by process"), "{error}");
    let create = Log::create(&Parts::os(), &path, settings.clone(), 0).unwrap_err();
    assert_eq!(create.kind(), ErrorKind::Locked);

    let mut frame = log.frame();
    frame.push(Kind::Numbered, |body| body.resize(60_000, 0));
    assert_eq!(frame.write().unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(
        log.reserve(usize::MAX, || 0).unwrap_err().kind(),
        ErrorKind::Invalid
    );
    let (view, mut scratch) = (log.view(), Vec::new());
    let beyond = view.record(RecordAt::new(9, 9), &mut scratch);
    assert!(beyond.is_err_and(|error| error.kind() == ErrorKind::NotFound));
    drop(log);
    let create = Log::create(&Parts::os(), &path, settings, 0).unwrap_err();
    assert_eq!(create.kind(), ErrorKind::AlreadyExists);
}
