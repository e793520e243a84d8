//! Segments in compressed form: what is read, what is refused, what others see.

#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::collections::HashSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use annals_log::{
    Compression, ErrorKind, Follower, Kind, Log, LogSettings, Parts, ReadMode, RecordAt,
    Verification, VerifySettings, View, fork, repair, verify, verify_with,
};

/// A log on a disk, and all that was written to it.
struct Written {
    _directory: tempfile::TempDir,
    path: PathBuf,
    log: Log,
    records: Vec<(RecordAt, Vec<u8>)>,
    notes: HashSet<RecordAt>,
}

fn settings(reads: ReadMode) -> LogSettings {
    let mut settings = LogSettings::default();
    settings.segment_bytes = 64 * 1024;
    settings.reads = reads;
    settings
}

/// Bodies of all sizes, in frames of one to thirty records, over several segments.
fn written(reads: ReadMode) -> Written {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut log = Log::create(&Parts::os(), &path, settings(reads), 1).unwrap();
    let (mut records, mut notes) = (Vec::new(), HashSet::new());
    for round in 0..120_usize {
        let bodies: Vec<_> = (0..=round % 30).map(|at| body(round, at)).collect();
        let bytes = bodies.iter().map(|body| body.len() + 8).sum();
        log.reserve(bytes, || 7).unwrap();
        let mut frame = log.frame();
        for (at, body) in bodies.into_iter().enumerate() {
            let kind = if at % 5 == 3 {
                Kind::Note
            } else {
                Kind::Numbered
            };
            let at = frame.push(kind, |out| out.extend_from_slice(&body));
            records.push((at, body));
            if kind == Kind::Note {
                notes.insert(at);
            }
        }
        frame.write().unwrap();
        log.sync().unwrap();
    }
    assert!(log.segment().id > 4);
    Written {
        _directory: directory,
        path,
        log,
        records,
        notes,
    }
}

fn body(round: usize, at: usize) -> Vec<u8> {
    let length = if round == 60 {
        30_000
    } else {
        (round * 37 + at * 11) % 700
    };
    format!("{{\"round\":{round},\"at\":{at},\"text\":\"")
        .bytes()
        .cycle()
        .take(length)
        .collect()
}

fn small_blocks() -> Compression {
    let mut compression = Compression::default();
    compression.block_bytes = 8 * 1024;
    compression.dictionary_bytes_max = 4 * 1024;
    compression
}

fn go_on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn compress(log: &mut Log, segment: u32) {
    let written = log.view().compress(segment, &small_blocks(), &mut go_on);
    let written = written.unwrap().unwrap();
    assert!(written.bytes_after < written.bytes_before);
    log.adopt(&written).unwrap();
    written.remove_replaced().unwrap();
}

/// Every record, by its place, by a reader that goes forward and backward, and by a scan.
fn check(view: &View, records: &[(RecordAt, Vec<u8>)]) {
    let (mut scratch, mut reader) = (Vec::new(), view.reader());
    for (at, body) in records {
        assert!(view.record(*at, &mut scratch).unwrap().body == body);
    }
    for (at, body) in records.iter().chain(records.iter().rev()) {
        assert!(reader.record(*at, &mut scratch).unwrap().body == body);
        assert_eq!(
            reader.context(*at),
            view.segment(at.segment()).unwrap().context()
        );
    }
    let mut scan = view.scan(view.start());
    for (at, body) in records {
        let record = scan.next_record().unwrap().unwrap();
        assert!((record.at, record.body) == (*at, &**body));
    }
    assert!(scan.next_record().unwrap().is_none());
}

/// What is found, which is the same whether what is compressed is decompressed or not.
fn look(parts: &Parts, path: &Path) -> Verification {
    let found = verify(parts, path, &mut |_| {}).unwrap();
    let thorough = verify_with(parts, path, VerifySettings::THOROUGH, &mut |_| {});
    assert_eq!(found, thorough.unwrap());
    found
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn records_keep_their_places_and_an_undo_gives_the_plain_file_back() {
    for reads in [ReadMode::Map, ReadMode::Pread] {
        let mut it = written(reads);
        let last = it.log.segment().id;
        let before = it.log.view();
        let plain = it.path.join(format!("{:020}.segment", 2));
        let bytes = fs::read(&plain).unwrap();
        for segment in 1..last {
            compress(&mut it.log, segment);
            check(&it.log.view(), &it.records);
        }
        check(&before, &it.records);
        assert!(!plain.exists());
        let found = look(&Parts::os(), &it.path);
        assert!(
            found.is_whole() && found.records == it.records.len() as u64,
            "{found:?}"
        );

        it.log.close().unwrap();
        let (mut log, _) = Log::open(&Parts::os(), &it.path, settings(reads)).unwrap();
        check(&log.view(), &it.records);
        let written = log.view().decompress(2, &mut go_on).unwrap().unwrap();
        log.adopt(&written).unwrap();
        written.remove_replaced().unwrap();
        let restored = fs::read(&plain).unwrap();
        assert!(
            bytes.starts_with(&restored) && bytes[restored.len()..].iter().all(|byte| *byte == 0)
        );
        check(&log.view(), &it.records);
        drop(log);
        let (log, _) = Log::open(&Parts::os(), &it.path, settings(reads)).unwrap();
        check(&log.view(), &it.records);
        let found = look(&Parts::os(), &it.path);
        assert!(found.is_whole(), "{found:?}");
    }
}

#[test]
fn a_log_that_has_no_compressed_segment_any_more_is_of_the_first_format() {
    let mut it = written(ReadMode::Map);
    let format = || fs::read(it.path.join("MANIFEST")).unwrap()[8];
    assert_eq!(format(), 1);
    compress(&mut it.log, 1);
    assert_eq!(format(), 2);
    let written = it.log.view().decompress(1, &mut go_on).unwrap().unwrap();
    it.log.adopt(&written).unwrap();
    assert_eq!(format(), 1);
}

#[test]
fn a_follower_reads_what_was_compressed_and_undone_under_it() {
    for reads in [ReadMode::Map, ReadMode::Pread] {
        let mut it = written(reads);
        let last = it.log.segment().id;
        let open = || Follower::open(&Parts::os(), &it.path, reads).unwrap();
        // One that has opened the files, and one that has not.
        let (warm, cold) = (open(), open());
        check(&warm.view(), &it.records);
        (1..last).for_each(|segment| compress(&mut it.log, segment));
        let packed = open();
        check(&warm.view(), &it.records);
        check(&cold.view(), &it.records);
        for segment in 1..last {
            let written = it
                .log
                .view()
                .decompress(segment, &mut go_on)
                .unwrap()
                .unwrap();
            it.log.adopt(&written).unwrap();
            written.remove_replaced().unwrap();
        }
        check(&packed.view(), &it.records);
        check(&warm.view(), &it.records);
    }
}

#[test]
fn a_follower_lets_go_of_plain_files_after_a_while() {
    let mut it = written(ReadMode::Map);
    let mut follower = Follower::open(&Parts::os(), &it.path, ReadMode::Map).unwrap();
    compress(&mut it.log, 1);
    let is_compressed = |view: &View| view.segment(1).unwrap().is_compressed();
    let mut rounds = 0;
    while !is_compressed(&follower.refresh().unwrap()) {
        it.log.reserve(9, || 7).unwrap();
        let mut frame = it.log.frame();
        frame.push(Kind::Note, |out| out.push(1));
        frame.write().unwrap();
        it.log.sync().unwrap();
        rounds += 1;
        assert!(rounds < 1000);
    }
}

#[test]
fn what_is_broken_off_leaves_nothing_and_is_begun_anew() {
    let mut it = written(ReadMode::Map);
    let before = names(&it.path);
    let mut calls = 0;
    loop {
        let mut left = calls;
        let mut pace = |_| {
            left -= 1;
            if left < 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let written = it
            .log
            .view()
            .compress(1, &small_blocks(), &mut pace)
            .unwrap();
        let Some(written) = written else {
            assert_eq!(names(&it.path), before);
            calls += 1;
            continue;
        };
        it.log.adopt(&written).unwrap();
        written.remove_replaced().unwrap();
        break;
    }
    assert!(calls > 3);
    check(&it.log.view(), &it.records);
}

#[test]
fn what_a_crash_left_of_a_rewrite_is_removed_by_the_next_opening() {
    let mut it = written(ReadMode::Map);
    compress(&mut it.log, 1);
    let unused = it
        .log
        .view()
        .compress(2, &small_blocks(), &mut go_on)
        .unwrap()
        .unwrap();
    let replaced = it
        .log
        .view()
        .compress(3, &small_blocks(), &mut go_on)
        .unwrap()
        .unwrap();
    it.log.adopt(&replaced).unwrap();
    let left = |id: u32, form: &str| it.path.join(format!("{id:020}.{form}"));
    fs::write(left(4, "compressed.new"), b"half").unwrap();
    fs::write(left(1, "segment.new"), b"half").unwrap();
    let there = [left(2, "compressed"), left(3, "segment")];
    assert!(there.iter().all(|path| path.exists()));
    drop((unused, replaced, it.log));
    let found = look(&Parts::os(), &it.path);
    assert!(found.is_whole() && found.unfinished.len() == 4, "{found:?}");
    let (log, _) = Log::open(&Parts::os(), &it.path, settings(ReadMode::Map)).unwrap();
    check(&log.view(), &it.records);
    assert!(there.iter().all(|path| !path.exists()));
    assert!(names(&it.path).iter().all(|name| !name.contains(".new")));
}

#[test]
fn what_can_not_be_compressed_is_refused() {
    let mut it = written(ReadMode::Map);
    let last = it.log.segment().id;
    let refused = |log: &Log, segment, compression: &Compression| {
        log.view()
            .compress(segment, compression, &mut go_on)
            .unwrap_err()
            .kind()
    };
    compress(&mut it.log, 1);
    assert_eq!(refused(&it.log, 1, &small_blocks()), ErrorKind::Invalid);
    assert_eq!(refused(&it.log, last, &small_blocks()), ErrorKind::Invalid);
    assert_eq!(
        refused(&it.log, last + 1, &small_blocks()),
        ErrorKind::NotFound
    );
    let mut wild = small_blocks();
    wild.level = 20;
    assert_eq!(refused(&it.log, 2, &wild), ErrorKind::Invalid);
    let plain = it.log.view().decompress(2, &mut go_on).unwrap_err();
    assert_eq!(plain.kind(), ErrorKind::Invalid);
    // A form that was written before the segment changed.
    let one = it
        .log
        .view()
        .compress(2, &small_blocks(), &mut go_on)
        .unwrap()
        .unwrap();
    it.log.adopt(&one).unwrap();
    assert_eq!(it.log.adopt(&one).unwrap_err().kind(), ErrorKind::Invalid);
    one.remove_replaced().unwrap();
    check(&it.log.view(), &it.records);
}

#[test]
fn a_damaged_segment_is_not_compressed() {
    let it = written(ReadMode::Pread);
    let path = it.path.join(format!("{:020}.segment", 2));
    let mut bytes = fs::read(&path).unwrap();
    bytes[20_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = it
        .log
        .view()
        .compress(2, &small_blocks(), &mut go_on)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        !names(&it.path)
            .iter()
            .any(|name| name.contains("compressed"))
    );
}

#[test]
fn a_fork_shares_compressed_segments() {
    let mut it = written(ReadMode::Map);
    compress(&mut it.log, 1);
    compress(&mut it.log, 3);
    let to = it.path.with_extension("fork");
    let (parts, settings) = (Parts::os(), settings(ReadMode::Map));
    let made = fork(
        &parts,
        &it.path,
        &to,
        &settings,
        u64::MAX,
        &|_| true,
        &mut |_| {},
    )
    .unwrap();
    assert_eq!(made.last_number, it.log.view().last_number());
    let (log, _) = Log::open(&parts, &to, settings).unwrap();
    let shared: Vec<_> = it
        .records
        .iter()
        .filter(|(at, _)| at.segment() < log.segment().id)
        .cloned()
        .collect();
    let (view, mut scratch) = (log.view(), Vec::new());
    for (at, body) in &shared {
        assert!(view.record(*at, &mut scratch).unwrap().body == body);
    }
    assert!(view.segment(1).unwrap().is_compressed() && !view.segment(2).unwrap().is_compressed());
    let found = look(&parts, &to);
    assert!(found.is_whole(), "{found:?}");
}

#[test]
fn a_damaged_block_loses_its_records_and_no_others() {
    let mut it = written(ReadMode::Map);
    compress(&mut it.log, 2);
    it.log.close().unwrap();
    let path = it.path.join(format!("{:020}.compressed", 2));
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&path, bytes).unwrap();
    let (log, _) = Log::open(&Parts::os(), &it.path, settings(ReadMode::Map)).unwrap();
    let (view, mut scratch) = (log.view(), Vec::new());
    let mut failed = 0;
    for (at, body) in &it.records {
        match view.record(*at, &mut scratch) {
            Ok(record) => assert!(record.body == body),
            Err(error) => {
                let damage = error.damage().unwrap();
                assert!(damage.file == path && damage.numbers.is_some(), "{error:?}");
                failed += 1;
            }
        }
    }
    assert!(failed > 0 && failed < it.records.len() / 4, "{failed}");
    drop((view, log));
    let repaired = repair(&Parts::os(), &it.path, &mut |_| {}).unwrap();
    assert_eq!(repaired.quarantined.len(), 1);
    let found = look(&Parts::os(), &it.path);
    assert!(
        found.damage.is_empty() && found.lost.len() == 1,
        "{found:?}"
    );
    let (log, _) = Log::open(&Parts::os(), &it.path, settings(ReadMode::Map)).unwrap();
    let view = log.view();
    let readable = it.records.iter().filter(|(at, body)| {
        let record = view.record(*at, &mut scratch);
        record.is_ok_and(|record| record.body == body)
    });
    assert!(readable.count() >= it.records.len() - 2 * failed - 60);
}

/// Takes a segment's records of even length all but their first byte.
fn reclaim(it: &mut Written, segment: u32) {
    let view = it.log.view();
    let written = view.reclaim(
        segment,
        &small_blocks(),
        &mut |_, body| emptied(body),
        &mut go_on,
    );
    let written = written.unwrap().unwrap();
    it.log.adopt(&written).unwrap();
    written.remove_replaced().unwrap();
    for (at, body) in &mut it.records {
        if at.segment() == segment && !it.notes.contains(at) {
            emptied(body);
        }
    }
}

fn emptied(body: &mut [u8]) -> bool {
    let is_emptied = body.len().is_multiple_of(2);
    if let [_, rest @ ..] = body
        && is_emptied
    {
        rest.fill(0);
    }
    is_emptied
}

#[test]
fn what_is_reclaimed_is_gone_for_good_and_all_else_is_where_it_was() {
    for reads in [ReadMode::Map, ReadMode::Pread] {
        let mut it = written(reads);
        let unopened = Follower::open(&Parts::os(), &it.path, reads).unwrap();
        let bytes = |it: &Written| {
            let view = it.log.view();
            view.segment(2).unwrap().compressed_bytes()
        };
        compress(&mut it.log, 1);
        compress(&mut it.log, 2);
        let before = bytes(&it);
        for segment in [1, 2, 3, 2] {
            reclaim(&mut it, segment);
            check(&it.log.view(), &it.records);
        }
        assert!(bytes(&it) < before);
        assert_eq!(fs::read(it.path.join("MANIFEST")).unwrap()[8], 3);
        // Who looks for a form that is gone finds the one of now.
        check(&unopened.view(), &it.records);
        let undone = it.log.view().decompress(2, &mut go_on).unwrap_err();
        assert!(undone.to_string().contains("can't be undone"), "{undone}");
        let whole = |path: &Path| {
            let found = look(&Parts::os(), path);
            assert!(found.is_whole(), "{found:?}");
        };
        whole(&it.path);
        let forms: Vec<_> = names(&it.path)
            .into_iter()
            .filter(|name| name.contains("compressed"))
            .collect();
        let expected = [(1, 1), (2, 2), (3, 1)]
            .map(|(id, generation)| format!("{id:020}-{generation}.compressed"));
        assert_eq!(forms, expected);

        let to = it.path.with_extension("fork");
        let (parts, settings) = (Parts::os(), settings(reads));
        fork(
            &parts,
            &it.path,
            &to,
            &settings,
            u64::MAX,
            &|_| true,
            &mut |_| {},
        )
        .unwrap();
        whole(&to);
        it.log.close().unwrap();
        let (log, _) = Log::open(&parts, &it.path, settings).unwrap();
        check(&log.view(), &it.records);
        drop(log);
        // All that the manifest said is in the files as well.
        fs::write(it.path.join("MANIFEST"), b"gone").unwrap();
        let repaired = repair(&parts, &it.path, &mut |_| {}).unwrap();
        assert_eq!(repaired.found.damage.len(), 1, "{repaired:?}");
        whole(&it.path);
    }
}

#[test]
fn no_byte_of_what_was_reclaimed_is_left_in_a_file() {
    const SECRET: &[u8] = b"the name of a person that is to be forgotten";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let parts = Parts::os();
    let mut log = Log::create(&parts, &path, settings(ReadMode::Map), 1).unwrap();
    while log.segment().id < 3 {
        log.reserve(400, || 7).unwrap();
        let mut frame = log.frame();
        for at in 0..5_u8 {
            frame.push(Kind::Numbered, |out| {
                out.extend_from_slice(if at % 2 == 0 {
                    SECRET
                } else {
                    b"kept: a few words"
                });
            });
        }
        frame.write().unwrap();
        log.sync().unwrap();
    }
    let mut forget = |_: u64, body: &mut [u8]| {
        let is_secret = body == SECRET;
        if is_secret {
            body.fill(0);
        }
        is_secret
    };
    // Plain text would be seen in a block or a dictionary only by chance: all bytes that come out are looked at.
    let written = log
        .view()
        .reclaim(1, &small_blocks(), &mut forget, &mut go_on);
    let written = written.unwrap().unwrap();
    let name = path.join(format!("{:020}-1.compressed", 1));
    let bytes = fs::read(&name).unwrap();
    let is_in = |bytes: &[u8]| bytes.windows(12).any(|window| SECRET.starts_with(window));
    assert!(!is_in(&bytes));
    log.adopt(&written).unwrap();
    written.remove_replaced().unwrap();
    let mut scan = log.view().scan(log.view().start());
    let (mut emptied, mut kept) = (0, 0);
    while let Some(record) = scan.next_record().unwrap() {
        if record.at.segment() == 1 {
            assert!(!is_in(record.body));
            emptied += usize::from(record.body.iter().all(|byte| *byte == 0));
            kept += usize::from(record.body == b"kept: a few words");
        }
    }
    assert!(emptied > 100 && kept > 100, "{emptied} {kept}");
    assert!(!path.join(format!("{:020}.segment", 1)).exists());
}

#[test]
fn an_estimate_is_about_right() {
    let it = written(ReadMode::Map);
    let view = it.log.view();
    let estimate = view.estimate_compression(2, &small_blocks()).unwrap();
    let written = view
        .compress(2, &small_blocks(), &mut go_on)
        .unwrap()
        .unwrap();
    assert_eq!(estimate.plain_bytes, written.bytes_before);
    let (low, high) = (written.bytes_after / 2, written.bytes_after * 2);
    assert!(
        (low..high).contains(&estimate.compressed_bytes),
        "{estimate:?} {written:?}"
    );
    written.discard();
}
