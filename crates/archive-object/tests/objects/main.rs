//! Segments in object stores: the same answers, few requests, and nothing lost whatever a store does.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

mod faults;
mod locations;
mod runtimes;
#[cfg(feature = "aws")]
mod s3;
mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use annals_log::{DamageKind, ErrorKind, Follower, Log, ReadMode, verify};
use object_store::ObjectStore;

use self::support::{
    Fault, Lying, Plain, Written, check, go_on, limits, local, memory, names, overwrite, parts,
    settings,
};

const SEGMENT_BYTES: u32 = 64 * 1024;

#[test]
fn records_are_the_same_there_and_back() {
    let directory = tempfile::tempdir().unwrap();
    let stores = [
        memory(),
        local(directory.path()),
        Arc::new(Plain(memory())),
        Lying::new(memory()),
    ];
    for store in stores {
        let parts = parts(Arc::clone(&store), limits());
        let mut it = Written::new(&parts, SEGMENT_BYTES, 5);
        let before = it.log.view();
        it.compress(2);
        for segment in 1..4 {
            it.archive(segment).unwrap();
            check(&it.log.view(), &it.records);
        }
        check(&before, &it.records);
        assert_eq!(
            names(&store),
            [
                "00000000000000000001.segment",
                "00000000000000000002.compressed",
                "00000000000000000003.segment"
            ]
        );
        let found = verify(&parts, &it.path, &mut |_| {}).unwrap();
        assert!(found.is_whole(), "{found:?}");
        let follower = Follower::open(&parts, &it.path, ReadMode::Pread).unwrap();
        let mut it = it.reopened(&parts, SEGMENT_BYTES);
        check(&it.log.view(), &it.records);
        for segment in 1..4 {
            it.restore(segment).unwrap();
            check(&it.log.view(), &it.records);
            // Who began before reads what came back since.
            check(&follower.view(), &it.records);
        }
        assert!(names(&store).is_empty());
    }
}

#[test]
fn a_replay_asks_for_few_ranges() {
    for is_compressed in [false, true] {
        let lying = Lying::new(memory());
        let store = Arc::clone(&lying) as Arc<dyn ObjectStore>;
        let parts = parts(store, annals_archive_object::Settings::default());
        let mut it = Written::new(&parts, 16 * 1024 * 1024, 1);
        if is_compressed {
            it.compress(1);
        }
        it.archive(1).unwrap();
        let it = it.reopened(&parts, 16 * 1024 * 1024);
        let read = || lying.reads.swap(0, Ordering::Relaxed);
        read();
        check_forward(&it);
        let forward = read();
        // 64 pieces of 256 KiB, or as many blocks.
        assert!((2..=14).contains(&forward), "{forward} requests");

        let it = it.reopened(&parts, 16 * 1024 * 1024);
        let view = it.log.view();
        let (mut scratch, mut reader) = (Vec::new(), view.reader());
        read();
        for (at, body) in it.records.iter().rev() {
            assert!(reader.record(*at, &mut scratch).unwrap().body == body);
        }
        let backward = read();
        assert!((2..=16).contains(&backward), "{backward} requests");
    }
}

fn check_forward(it: &Written) {
    let view = it.log.view();
    let mut scan = view.scan(view.start());
    for (at, body) in &it.records {
        let record = scan.next_record().unwrap().unwrap();
        assert!((record.at, record.body) == (*at, &**body));
    }
}

#[test]
fn what_was_changed_or_removed_in_the_store_is_damage() {
    const FILE: &str = "00000000000000000002.segment";
    let store = memory();
    let parts = parts(Arc::clone(&store), limits());
    let mut it = Written::new(&parts, SEGMENT_BYTES, 4);
    it.archive(1).unwrap();
    it.archive(2).unwrap();
    let damage = |it: &Written| {
        let follower = Follower::open(&parts, &it.path, ReadMode::Pread).unwrap();
        let (view, mut scratch) = (follower.view(), Vec::new());
        for (place, body) in &it.records {
            match view.record(*place, &mut scratch) {
                Ok(record) => assert!(record.body == body),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
            }
        }
        let found = verify(&parts, &it.path, &mut |_| {}).unwrap();
        assert!(!found.is_whole());
        let error = it.log.view().restore(2, &mut go_on).unwrap_err();
        error.damage().unwrap().kind
    };
    let whole = Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = Arc::clone(&whole);
    overwrite(&store, FILE, move |mut bytes| {
        kept.lock().unwrap().clone_from(&bytes);
        bytes[30_000] ^= 4;
        Some(bytes)
    });
    assert_eq!(damage(&it), DamageKind::Archive);
    overwrite(&store, FILE, |bytes| Some(bytes[..20_000].to_vec()));
    assert_eq!(damage(&it), DamageKind::Archive);
    let bytes = whole.lock().unwrap().clone();
    overwrite(&store, FILE, |_| Some(bytes));
    it.restore(2).unwrap();
    it.archive(2).unwrap();
    overwrite(&store, FILE, |_| None);
    assert_eq!(damage(&it), DamageKind::Missing);
}

#[test]
fn who_has_an_object_open_reads_on_where_it_was_put_again() {
    let store = memory();
    let parts = parts(Arc::clone(&store), limits());
    let mut it = Written::new(&parts, SEGMENT_BYTES, 4);
    it.archive(1).unwrap();
    let view = it.log.view();
    let mut scan = view.scan(view.start());
    let records = it.records.clone();
    for (at, body) in &records[..3] {
        let record = scan.next_record().unwrap().unwrap();
        assert!((record.at, record.body) == (*at, &**body));
    }
    // Brought back and moved again: whoever has the first one open goes on with the other.
    it.restore(1).unwrap();
    it.archive(1).unwrap();
    for (at, body) in &records[3..] {
        let record = scan.next_record().unwrap().unwrap();
        assert!((record.at, record.body) == (*at, &**body));
    }
    check(&view, &it.records);
}

#[test]
fn what_is_another_s_is_not_written_over() {
    for part_bytes in [20_000, 1024 * 1024] {
        let lying = Lying::new(memory());
        let store = Arc::clone(&lying) as Arc<dyn ObjectStore>;
        let mut limits = limits();
        limits.part_bytes = part_bytes;
        let parts = parts(Arc::clone(&store), limits);
        let mut it = Written::new(&parts, SEGMENT_BYTES, 4);
        it.archive(1).unwrap();
        // Between the look whether the name is free and the put.
        lying.fail(Fault::Overtaken, 0..u64::MAX);
        let refused = it.archive(2);
        lying.heal();
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("another file"), "{error}");
        assert_eq!(lying.uploads_left_open(), 0);
        overwrite(&store, "00000000000000000002.segment", |bytes| {
            assert_eq!(bytes, b"theirs");
            None
        });
        it.archive(2).unwrap();
        // And where it is there before.
        it.restore(2).unwrap();
        it.archive(2).unwrap();
        check(&it.log.view(), &it.records);
    }
}

#[test]
fn a_log_opens_and_appends_without_its_archive() {
    let lying = Lying::new(memory());
    let store = Arc::clone(&lying) as Arc<dyn ObjectStore>;
    let parts = parts(store, limits());
    let mut it = Written::new(&parts, SEGMENT_BYTES, 4);
    it.archive(1).unwrap();
    lying.fail(Fault::Refused, 0..u64::MAX);
    it.log.close().unwrap();
    let (log, _) = Log::open(&parts, &it.path, settings(SEGMENT_BYTES)).unwrap();
    let (view, mut scratch) = (log.view(), Vec::new());
    for (at, body) in &it.records {
        match view.record(*at, &mut scratch) {
            Ok(record) => assert!(at.segment() > 1 && record.body == body),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Io);
                assert!(at.segment() == 1);
                let said = error.to_string();
                for part in ["segment 1", support::COLD, "tell where it is"] {
                    assert!(said.contains(part), "{said}");
                }
                let cause = std::error::Error::source(&error).unwrap().to_string();
                assert!(cause.contains("the connection broke off"), "{cause}");
            }
        }
    }
    lying.heal();
    check(&view, &it.records);
}
