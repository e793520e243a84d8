//! What every file system does, on each of them; then what only the operating system's has.

use std::path::PathBuf;

use super::*;

/// A file system, a directory of it, and what keeps that alive.
struct Place {
    vfs: Box<dyn Vfs>,
    root: PathBuf,
    _directory: Option<tempfile::TempDir>,
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Arc<dyn VfsFile> {
        let file = self
            .vfs
            .open(&self.path(name), Access::Create)
            .expect("a new name");
        assert_eq!(file.write_at(bytes, 0).expect("room"), bytes.len());
        file
    }

    fn content(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = self.vfs.open(&self.path(name), Access::Read)?;
        let length = usize::try_from(file.length()?).expect("small");
        // Longer than the file, so that the read has to stop by itself.
        let mut bytes = vec![0; length + 3];
        let read = file.read_at(&mut bytes, 0)?;
        assert_eq!(read, length);
        bytes.truncate(read);
        Ok(bytes)
    }
}

fn os() -> Place {
    let directory = tempfile::tempdir().expect("a temporary directory");
    Place {
        vfs: Box::new(OsVfs),
        root: directory.path().to_owned(),
        _directory: Some(directory),
    }
}

#[cfg(feature = "sim")]
fn sim() -> Place {
    let root = PathBuf::from("/sim/store");
    let vfs = sim::SimFs::new();
    vfs.create_dir_all(&root).expect("a new file system");
    Place {
        vfs: Box::new(vfs),
        root,
        _directory: None,
    }
}

/// Runs a case on every file system.
fn on_each(case: impl Fn(&Place)) {
    case(&os());
    #[cfg(feature = "sim")]
    case(&sim());
}

#[track_caller]
fn refused<T>(result: io::Result<T>, kind: io::ErrorKind) {
    assert_eq!(result.map(drop).map_err(|error| error.kind()), Err(kind));
}

#[test]
fn bytes_are_read_where_they_were_written() {
    on_each(|place| {
        let file = place.create("a", b"0123456789");
        file.write_at(b"AB", 4).expect("room");
        file.write_at(b"far", 10_000).expect("room");
        assert_eq!(file.length().expect("open"), 10_003);
        let mut buffer = [9; 8];
        for (offset, expected) in [
            (2, &b"23AB6789"[..]),
            (6, b"6789\0\0\0\0"),
            (9_998, b"\0\0far"),
            (10_003, b""),
            (20_000, b""),
        ] {
            let read = file.read_at(&mut buffer, offset).expect("readable");
            assert_eq!(buffer.get(..read), Some(expected), "at {offset}");
        }
        assert_eq!(file.read_at(&mut [], 3).expect("readable"), 0);
    });
}

#[test]
fn a_cut_forgets_and_a_hole_reads_as_zeros() {
    on_each(|place| {
        let file = place.create("a", &[7; 9000]);
        file.set_length(5).expect("room");
        assert_eq!(place.content("a").expect("there"), [7; 5]);
        file.set_length(8).expect("room");
        assert_eq!(place.content("a").expect("there"), [7, 7, 7, 7, 7, 0, 0, 0]);
        file.set_length(9000).expect("room");
        let bytes = place.content("a").expect("there");
        assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), 5);
    });
}

#[test]
fn a_name_is_taken_renamed_and_removed() {
    on_each(|place| {
        place.create("b", b"old").sync_all().expect("a disk");
        let file = place.create("a", b"new");
        refused(
            place.vfs.open(&place.path("a"), Access::Create),
            io::ErrorKind::AlreadyExists,
        );
        file.sync_data().expect("a disk");
        place
            .vfs
            .rename(&place.path("a"), &place.path("b"))
            .expect("both there");
        place.vfs.sync_directory(&place.root).expect("there");
        assert_eq!(place.content("b").expect("there"), b"new");
        assert_eq!(place.vfs.names(&place.root).expect("there"), ["b"]);
        // The handle is of the file, whatever its name.
        file.write_at(b"N", 0).expect("open");
        assert_eq!(place.content("b").expect("there"), b"New");
        place.vfs.remove(&place.path("b")).expect("there");
        assert_eq!(file.length().expect("open"), 3);
        assert_eq!(place.vfs.names(&place.root).expect("there"), [""; 0]);
    });
}

#[test]
fn what_is_not_there_is_not_found() {
    on_each(|place| {
        let (absent, other) = (place.path("absent"), place.path("other"));
        let vfs = &place.vfs;
        refused(vfs.open(&absent, Access::Read), io::ErrorKind::NotFound);
        refused(vfs.open(&absent, Access::Write), io::ErrorKind::NotFound);
        refused(vfs.rename(&absent, &other), io::ErrorKind::NotFound);
        refused(vfs.remove(&absent), io::ErrorKind::NotFound);
        refused(vfs.names(&absent), io::ErrorKind::NotFound);
        refused(vfs.sync_directory(&absent), io::ErrorKind::NotFound);
        refused(vfs.watch(&absent), io::ErrorKind::NotFound);
        let orphan = absent.join("file");
        refused(vfs.open(&orphan, Access::Create), io::ErrorKind::NotFound);
        refused(vfs.lock(&orphan, "test"), io::ErrorKind::NotFound);
    });
}

#[test]
fn directories_are_made_with_their_parents_and_listed_in_order() {
    on_each(|place| {
        let deep = place.path("x/y");
        place.vfs.create_dir_all(&deep).expect("room");
        place.vfs.create_dir_all(&deep).expect("already there");
        for name in ["x/y/2", "x/y/10", "x/y/1"] {
            place.create(name, b"");
        }
        assert_eq!(place.vfs.names(&deep).expect("there"), ["1", "10", "2"]);
        assert_eq!(place.vfs.names(&place.root).expect("there"), ["x"]);
    });
}

#[test]
fn a_file_that_was_opened_to_read_is_not_written() {
    on_each(|place| {
        place.create("a", b"kept");
        let file = place
            .vfs
            .open(&place.path("a"), Access::Read)
            .expect("there");
        assert!(file.write_at(b"lost", 0).is_err());
        assert!(file.set_length(0).is_err());
        assert_eq!(place.content("a").expect("there"), b"kept");
    });
}

#[test]
fn a_second_lock_is_refused_with_the_holders_name() {
    on_each(|place| {
        let path = place.path("LOCK");
        let held = place.vfs.lock(&path, "the first").expect("free");
        let error = place.vfs.lock(&path, "the second").expect_err("held");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let expected = format!("held by process {}, the first", std::process::id());
        assert_eq!(error.to_string(), expected);
        drop(held);
        let again = place.vfs.lock(&path, "the third").expect("free again");
        let error = place.vfs.lock(&path, "the fourth").expect_err("held");
        assert!(error.to_string().ends_with("the third"), "{error}");
        drop(again);
        assert_eq!(place.content("LOCK").expect("stays"), b"");
    });
}

#[test]
fn a_lock_file_that_a_dead_process_left_names_nobody() {
    on_each(|place| {
        let stale = "process 1, that ended long ago and had quite a long name";
        place.create("LOCK", stale.as_bytes());
        let path = place.path("LOCK");
        let _held = place.vfs.lock(&path, "us").expect("free");
        let error = place.vfs.lock(&path, "them").expect_err("held");
        let holder = format!("process {}, us", std::process::id());
        assert_eq!(error.to_string(), format!("held by {holder}"));
        assert_eq!(place.content("LOCK").expect("there"), holder.as_bytes());
    });
}

#[test]
fn a_watch_tells_of_each_change_once() {
    on_each(|place| {
        let file = place.create("a", b"1");
        let mut watch = place.vfs.watch(&place.path("a")).expect("there");
        let mut wait = || watch.wait(Duration::ZERO).expect("watched");
        assert_eq!(wait(), Watched::TimedOut);
        file.write_at(b"2", 0).expect("open");
        file.write_at(b"34", 0).expect("open");
        assert_eq!(wait(), Watched::Changed);
        assert_eq!(wait(), Watched::TimedOut);
        file.set_length(1).expect("open");
        assert_eq!(wait(), Watched::Changed);
    });
}

#[test]
fn a_waiting_watch_is_woken() {
    let place = os();
    let file = place.create("a", b"1");
    let mut watch = place.vfs.watch(&place.path("a")).expect("there");
    let waiter = std::thread::spawn(move || watch.wait(Duration::from_mins(1)));
    file.write_at(b"2", 0).expect("open");
    let outcome = waiter.join().expect("no panic").expect("watched");
    assert_eq!(outcome, Watched::Changed);
}

#[cfg(unix)]
#[test]
fn a_map_shows_what_is_written_later() {
    let place = os();
    let file = place.create("a", b"first");
    let map = file.map(1 << 20).expect("mappable").expect("unix has maps");
    assert_eq!(map.bytes(0..5), Some(&b"first"[..]));
    assert_eq!(map.bytes(1..1), Some(&b""[..]));
    assert_eq!(map.bytes(0..6), None, "beyond the file");
    file.write_at(b"later", 100_000).expect("room");
    assert_eq!(map.bytes(100_000..100_005), Some(&b"later"[..]));
    assert_eq!(map.bytes(100_000..100_006), None, "beyond the file");
    file.set_length(2 << 20).expect("room");
    assert_eq!(map.bytes((1 << 20) - 1..1 << 20), Some(&[0][..]));
    assert_eq!(map.bytes(1 << 20..(1 << 20) + 1), None, "beyond the map");
    #[expect(clippy::reversed_empty_ranges, reason = "what a caller may get wrong")]
    let backwards = map.bytes(5..3);
    assert_eq!(backwards, None);
    map.release(0..1 << 21);
    assert_eq!(map.bytes(0..5), Some(&b"first"[..]));
    assert!(map.is_resident(0..5));
}

#[cfg(unix)]
#[test]
fn nothing_of_a_file_is_no_map() {
    let place = os();
    assert!(place.create("a", b"x").map(0).expect("no error").is_none());
}

/// Holds where the temporary directory is on a disk: a file system in memory has no cache to forget.
#[cfg(target_os = "linux")]
#[test]
fn forgotten_pages_are_not_resident() {
    const TMPFS: u64 = 0x0102_1994;
    let place = os();
    let file_system = rustix::fs::statfs(&place.root).expect("there");
    if u64::try_from(file_system.f_type) == Ok(TMPFS) {
        return;
    }
    // Longer than two of the largest units that a cache drops; a hole, so that nothing waits for a disk.
    let length = 20 << 20;
    let file = place.create("a", b"begin");
    file.write_at(b"end", length - 3).expect("room");
    file.sync_all().expect("a disk");
    let map = file.map(length).expect("mappable").expect("unix has maps");
    let end = usize::try_from(length).expect("small");
    let read_all = || {
        map.bytes(0..end)
            .map(|bytes| bytes.iter().filter(|byte| **byte != 0).count())
    };
    assert_eq!(read_all(), Some(8));
    assert!(map.is_resident(0..end));

    map.release(0..end);
    file.forget_cached(length..length).expect("a file");
    assert!(map.is_resident(0..end), "an empty range is nothing");
    file.forget_cached(length - 2..length - 1).expect("a file");
    assert!(!map.is_resident(end - 1..end), "the page of the range");
    assert!(!map.is_resident(0..end), "not all of it");
    assert!(map.is_resident(0..5), "what is far from the range");
    file.forget_cached(0..u64::MAX).expect("a file");
    assert!(!map.is_resident(0..5));
    assert_eq!(read_all(), Some(8));

    // Written in one go, the last page may share its place in the cache with many before it.
    let bytes = vec![5; 600 * 4096];
    let file = place.create("b", &bytes);
    file.sync_all().expect("a disk");
    let map = file.map(bytes.len() as u64).expect("mappable");
    let map = map.expect("unix has maps");
    let last = bytes.len() - 1;
    file.forget_cached(last as u64..bytes.len() as u64)
        .expect("a file");
    assert!(!map.is_resident(last..bytes.len()));
}
