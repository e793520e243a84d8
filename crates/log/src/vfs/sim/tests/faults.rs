//! What goes wrong on plan.

use super::*;

#[test]
fn a_failed_sync_lies_twice() {
    let (fs, file) = with_a(b"old");
    write(&file, b"new", 0);
    fs.fail_at(fs.calls(), Fault::FailedSync(Reached::Nothing));
    assert!(file.sync_data().is_err());
    assert_eq!(read(&file), b"new", "the page cache shows it");
    file.sync_data().expect("the second sync lies");
    assert_eq!(read(&open(&fs.restart(), A, Access::Read)), b"new");
    assert_eq!(crashes(&fs, A), BTreeSet::from([Some(b"old".to_vec())]));

    let other = fs.restart();
    let again = open(&other, A, Access::Write);
    again.forget_cached(0..3).expect("known");
    assert_eq!(read(&again), b"old", "past the page cache");
    let other = fs.restart();
    other.drop_caches();
    assert_eq!(other.disk().read(A).expect("there"), b"old");

    // Written again and synced, it is real.
    write(&file, b"new", 0);
    file.sync_data().expect("honest");
    assert_eq!(crashes(&fs, A), BTreeSet::from([Some(b"new".to_vec())]));
}

#[test]
fn after_a_failed_sync_only_what_is_written_again_is_synced() {
    let (fs, file) = with_a(&[1; 1024]);
    write(&file, &[2; 1024], 0);
    fs.fail_at(fs.calls(), Fault::Io(IoFault::Device));
    assert_eq!(kind(file.sync_all()), Some(io::ErrorKind::Other));
    write(&file, &[3; 10], 0);
    // A page with a write that is pending is not dropped.
    file.forget_cached(0..1024).expect("known");
    let seen = [vec![3; 10], vec![2; 1014]].concat();
    assert_eq!(read(&file), seen);
    file.sync_all().expect("honest");
    let durable = [vec![3; 10], vec![2; 502], vec![1; 512]].concat();
    assert_eq!(crashes(&fs, A), BTreeSet::from([Some(durable.clone())]));
    file.forget_cached(0..1024).expect("known");
    assert_eq!(read(&file), durable);
}

#[test]
fn what_was_cut_does_not_come_back_past_the_page_cache() {
    let (fs, file) = with_a(&[1; 9000]);
    write(&file, &[2; 9000], 0);
    fs.fail_at(fs.calls(), Fault::FailedSync(Reached::Nothing));
    assert!(file.sync_data().is_err());
    file.set_length(5000).expect("room");
    file.forget_cached(0..9000).expect("known");
    file.set_length(9000).expect("room");
    // The page of the cut is not clean, the one before it is, and the one behind it is gone.
    let expected = [vec![1; 4096], vec![2; 904], vec![0; 4000]].concat();
    assert_eq!(read(&file), expected);
}

#[test]
fn a_failed_sync_may_have_written_some_or_all() {
    let mut found = BTreeSet::new();
    for reached in (0..50)
        .map(|seed| Reached::Some { seed })
        .chain([Reached::Nothing, Reached::Everything])
    {
        let (fs, file) = with_a(&[1; 1024]);
        write(&file, &[2; 1024], 0);
        fs.fail_at(fs.calls(), Fault::FailedSync(reached));
        assert!(file.sync_data().is_err());
        let durable = fs.disk().read_durable(A).expect("there");
        assert_eq!(fs.crash(0).disk().read(A).expect("there"), durable);
        found.insert((durable[0], durable[512]));
    }
    assert_eq!(found, BTreeSet::from([(1, 1), (1, 2), (2, 1), (2, 2)]));
}

#[test]
fn a_failed_sync_of_a_longer_file_leaves_its_length_open() {
    let (fs, file) = with_a(b"");
    write(&file, b"new", 0);
    fs.fail_at(fs.calls(), Fault::FailedSync(Reached::Nothing));
    assert!(file.sync_data().is_err());
    let either = BTreeSet::from([Some(vec![]), Some(vec![0; 3])]);
    assert_eq!(every(&fs, A), either);
    file.sync_data().expect("lies of the data");
    assert_eq!(every(&fs, A), BTreeSet::from([Some(vec![0; 3])]));
}

#[test]
fn a_lying_sync_makes_nothing_durable() {
    let (fs, file) = with_a(b"old");
    write(&file, b"new", 0);
    let created = Path::new("/b");
    fs.open(created, Access::Create).expect("new");
    fs.fail_from(fs.calls(), Fault::LyingSync);
    file.sync_data().expect("a lie");
    file.sync_all().expect("a lie");
    fs.sync_directory(Path::new("/")).expect("a lie");
    assert_eq!(every(&fs, A).len(), 2);
    assert_eq!(every(&fs, "/b").len(), 2);
    fs.clear_faults();
    file.sync_data().expect("honest");
    fs.sync_directory(Path::new("/")).expect("honest");
    assert!(fs.is_settled());
}

#[test]
fn an_error_happens_once_at_its_call_or_for_good() {
    let (fs, file) = with_a(b"old");
    fs.fail_at(fs.calls() + 1, Fault::Io(IoFault::Device));
    write(&file, b"one", 0);
    assert_eq!(kind(file.write_at(b"two", 0)), Some(io::ErrorKind::Other));
    assert_eq!(read(&file), b"one");
    write(&file, b"two", 0);
    fs.fail_from(fs.calls(), Fault::Io(IoFault::Device));
    for _ in 0..3 {
        assert_eq!(kind(file.length()), Some(io::ErrorKind::Other));
        assert_eq!(kind(fs.remove(Path::new(A))), Some(io::ErrorKind::Other));
    }
    fs.clear_faults();
    assert_eq!(read(&file), b"two");
}

#[test]
fn errors_of_writing_leave_reads_alone() {
    for fault in IoFault::ALL {
        let (fs, file) = with_a(b"old");
        fs.fail_from(fs.calls(), Fault::Io(fault));
        let expected = Some(fault.error().kind());
        assert_eq!(kind(file.write_at(b"x", 0)), expected, "{fault:?}");
        assert_eq!(kind(file.set_length(9)), expected, "{fault:?}");
        assert_eq!(kind(file.sync_data()), expected, "{fault:?}");
        let created = fs.open(Path::new("/b"), Access::Create);
        assert_eq!(kind(created), expected, "{fault:?}");
        let reads = matches!(fault, IoFault::NoSpace | IoFault::Quota | IoFault::ReadOnly);
        assert_eq!(file.read_at(&mut [0], 0).is_ok(), reads, "{fault:?}");
        assert_eq!(file.length().is_ok(), reads, "{fault:?}");
    }
}

#[test]
fn a_late_error_has_done_its_work() {
    let (fs, file) = with_a(b"old");
    fs.fail_from(fs.calls(), Fault::LateIo(IoFault::Device));
    assert!(file.write_at(b"new", 0).is_err());
    assert!(file.sync_data().is_err());
    assert!(fs.rename(Path::new(A), Path::new("/b")).is_err());
    assert!(fs.sync_directory(Path::new("/")).is_err());
    assert_eq!(every(&fs, "/b"), BTreeSet::from([Some(b"new".to_vec())]));
}

#[test]
fn a_short_write_says_so() {
    let (fs, file) = with_a(b"old");
    fs.fail_at(fs.calls(), Fault::ShortWrite);
    assert_eq!(file.write_at(b"12345", 0).expect("short"), 2);
    assert_eq!(read(&file), b"12d");
    write(&file, b"12345", 0);
}

#[test]
fn space_ends_at_the_capacity() {
    let (fs, file) = with_a(b"12345");
    let other = open(&fs, "/b", Access::Create);
    fs.set_capacity(Some(10));
    assert_eq!(other.write_at(b"abcdefgh", 0).expect("short"), 5);
    let full = Some(io::ErrorKind::StorageFull);
    assert_eq!(kind(other.write_at(b"f", 5)), full);
    assert_eq!(kind(other.write_at(b"f", 100)), full);
    assert_eq!(kind(file.set_length(6)), full);
    write(&file, b"54321", 0);
    assert_eq!(file.write_at(b"xyz", 4).expect("short"), 1);
    other.set_length(0).expect("less");
    write(&file, b"678", 5);
    assert_eq!(read(&file), b"5432x678");
}

#[test]
fn a_flipped_bit_is_seen_and_not_stored() {
    let (fs, file) = with_a(b"abc");
    fs.flip_on_read(A, 8).expect("there");
    assert_eq!(read(&file), b"acc");
    let mut byte = [0];
    file.read_at(&mut byte, 1).expect("open");
    assert_eq!(byte, *b"c");
    file.read_at(&mut byte, 2).expect("open");
    assert_eq!(byte, *b"c");
    assert_eq!(read(&open(&fs.crash(1), A, Access::Read)), b"acc");
    assert_eq!(fs.disk().read(A).expect("there"), b"abc");
}

#[test]
fn without_power_no_call_changes_anything() {
    let (fs, file) = with_a(b"old");
    fs.power_off_after(1);
    write(&file, b"new", 0);
    assert!(file.sync_data().is_err());
    assert!(file.write_at(b"xxx", 0).is_err());
    assert!(fs.create_dir_all(Path::new("/d")).is_err());
    assert!(file.read_at(&mut [0], 0).is_err());
    let either = BTreeSet::from([Some(b"old".to_vec()), Some(b"new".to_vec())]);
    assert_eq!(every(&fs, A), either);
    // The next machine has power again.
    let after = fs.crash(1);
    write(&open(&after, A, Access::Write), b"go on", 0);
}

#[test]
fn a_lock_goes_with_the_process() {
    let fs = SimFs::new();
    let path = Path::new("/LOCK");
    let held = fs.lock(path, "one").expect("free");
    assert_eq!(kind(fs.lock(path, "two")), Some(io::ErrorKind::WouldBlock));
    fs.restart().lock(path, "after a kill").expect("free");
    fs.crash(0).lock(path, "after a crash").expect("free");
    drop(held);
    fs.lock(path, "three").expect("free");
}
