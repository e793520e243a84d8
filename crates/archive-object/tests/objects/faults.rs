//! A fault at every request of a move, of reads and of the way back: nothing is lost, and what was to be done is done when
//! the store is well again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use annals_log::{Error, ErrorKind, verify};
use object_store::ObjectStore;

use crate::SEGMENT_BYTES;
use crate::support::{Fault, Lying, Written, check, go_on, limits, memory, names, parts};

/// A move to the archive, a read of all records there, and the way back.
fn there_and_back(it: &mut Written) -> Result<(), Error> {
    it.archive(2)?;
    let view = it.log.view();
    let mut scratch = Vec::new();
    for (at, body) in &it.records {
        assert!(view.record(*at, &mut scratch)?.body == body);
    }
    it.restore(2)
}

/// Has one request after the other go wrong; how many there are.
fn campaign(fault: Fault, attempts_max: u32, part_bytes: usize) -> u64 {
    let lying = Lying::new(memory());
    let store = Arc::clone(&lying) as Arc<dyn ObjectStore>;
    let mut limits = limits();
    limits.attempts_max = attempts_max;
    limits.part_bytes = part_bytes;
    let parts = parts(Arc::clone(&store), limits);
    let mut it = Written::new(&parts, SEGMENT_BYTES, 3);
    it.compress(1);
    it.archive(1).unwrap();
    for request in 0.. {
        lying.fail(fault, request..request + 1);
        let done = there_and_back(&mut it);
        let was_reached = lying.faults.requests.load(Ordering::Relaxed) > request;
        lying.heal();
        let met_abort = lying.faults.met_abort.load(Ordering::Relaxed);
        let left_open = lying.uploads_left_open();
        assert!(left_open == 0 || met_abort, "{fault:?} at {request}");
        let again = attempts_max > 1 && fault != Fault::Flipped;
        if let Err(error) = &done {
            // With a second attempt one fault is none, but for an upload, of which a part can't be put again.
            assert!(!again, "{fault:?} at {request}: {error}");
            // What was changed on the way is told where it is read, and read again.
            let kinds = [ErrorKind::Io, ErrorKind::Corrupt];
            let is_known = if fault == Fault::Flipped {
                kinds.contains(&error.kind())
            } else {
                error.kind() == ErrorKind::Io
            };
            assert!(is_known, "{fault:?} at {request}: {error}");
        }
        // Nothing is lost, and what was to be done can be.
        check(&it.log.view(), &it.records);
        let found = verify(&parts, &it.path, &mut |_| {}).unwrap();
        assert!(found.is_whole(), "{fault:?} at {request}: {found:?}");
        if it
            .log
            .view()
            .segments()
            .any(|segment| segment.id() == 2 && segment.archive().is_some())
        {
            it.restore(2).unwrap();
        }
        there_and_back(&mut it).unwrap();
        check(&it.log.view(), &it.records);
        assert_eq!(names(&store), ["00000000000000000001.compressed"]);
        if !was_reached {
            return request;
        }
    }
    0
}

#[test]
fn a_fault_at_any_request_loses_nothing() {
    for fault in [
        Fault::Refused,
        Fault::AnswerLost,
        Fault::Cut,
        Fault::Flipped,
    ] {
        for part_bytes in [20_000, 1024 * 1024] {
            for attempts_max in [1, 2] {
                let requests = campaign(fault, attempts_max, part_bytes);
                assert!(requests > 8, "{requests} requests");
            }
        }
    }
}

#[test]
fn a_store_that_never_answers_is_not_waited_for() {
    let requests = campaign(Fault::Silent, 1, 1024 * 1024);
    assert!(requests > 8, "{requests} requests");
}

#[test]
fn an_upload_whose_abort_fails_is_all_that_stays_open() {
    let lying = Lying::new(memory());
    let mut it = Written::new(
        &parts(Arc::clone(&lying) as Arc<dyn ObjectStore>, limits()),
        SEGMENT_BYTES,
        3,
    );
    let mut left_open = 0;
    for request in 0..8 {
        // The abort that follows goes wrong as well.
        lying.fail(Fault::Refused, request..request + 2);
        let moved = it.archive(1);
        lying.heal();
        if moved.is_err() && lying.faults.met_abort.load(Ordering::Relaxed) {
            left_open += lying.uploads_left_open();
        }
        assert_eq!(lying.uploads_left_open(), 0, "at {request}");
        if moved.is_ok() {
            it.restore(1).unwrap();
        }
    }
    // After each part, and instead of completion.
    assert!(left_open > 1, "{left_open} uploads");
    it.archive(1).unwrap();
    check(&it.log.view(), &it.records);
}

#[test]
fn a_move_that_is_broken_off_leaves_what_is_whole_and_no_part() {
    for part_bytes in [20_000, 1024 * 1024] {
        let lying = Lying::new(memory());
        let store = Arc::clone(&lying) as Arc<dyn ObjectStore>;
        let mut limits = limits();
        limits.part_bytes = part_bytes;
        let parts = parts(Arc::clone(&store), limits);
        let mut it = Written::new(&parts, SEGMENT_BYTES, 3);
        let key = it.log.archive_key().unwrap();
        for calls in 0.. {
            let mut left = calls;
            let copied = it
                .log
                .view()
                .archive(1, crate::support::COLD, key, &mut |bytes| {
                    left -= 1;
                    if left < 0 {
                        return std::ops::ControlFlow::Break(());
                    }
                    go_on(bytes)
                });
            assert_eq!(lying.uploads_left_open(), 0, "after {calls}");
            // What is whole stays: somebody else may count on it.
            let there = names(&store);
            let is_whole = calls >= if part_bytes > 20_000 { 1 } else { 4 };
            let expected = ["00000000000000000001.segment"];
            assert_eq!(there, expected[usize::from(!is_whole)..], "after {calls}");
            if let Some(copied) = copied.unwrap() {
                assert!(calls > 1);
                copied.discard();
                assert_eq!(names(&store), expected);
                break;
            }
        }
        // It is taken over, and no part of it is put again.
        lying.faults.parts.store(0, Ordering::Relaxed);
        it.archive(1).unwrap();
        assert_eq!(lying.faults.parts.load(Ordering::Relaxed), 0);
        check(&it.log.view(), &it.records);
    }
}
