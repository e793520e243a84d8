//! Looking, damaging, counting.

use super::*;

#[test]
fn damage_is_done_to_one_copy() {
    let (fs, _) = with_a(b"abc");
    fs.disk().write("/b", b"second").expect("new");
    let check = |damage: &dyn Fn(&Disk<'_>) -> io::Result<()>, expected: &[(&str, &[u8])]| {
        let copy = fs.restart();
        damage(&copy.disk()).expect("there");
        let paths = copy.disk().paths();
        let found: Vec<_> = paths
            .iter()
            .map(|path| {
                (
                    path.to_string_lossy(),
                    copy.disk().read(path).expect("listed"),
                )
            })
            .collect();
        let found: Vec<_> = found
            .iter()
            .map(|(path, bytes)| (&**path, &**bytes))
            .collect();
        assert_eq!(found, expected);
        assert!(copy.is_settled());
    };
    let b: (&str, &[u8]) = ("/b", b"second");
    check(&|disk| disk.flip_bit(A, 0), &[(A, b"`bc"), b]);
    check(&|disk| disk.flip_bit(A, 23), &[(A, b"ab\xe3"), b]);
    check(&|disk| disk.flip_bit(A, 24), &[(A, b"abc"), b]);
    check(&|disk| disk.set_length(A, 1), &[(A, b"a"), b]);
    check(&|disk| disk.write_at(A, b"XY", 2), &[(A, b"abXY"), b]);
    check(&|disk| disk.write(A, b"new"), &[(A, b"new"), b]);
    check(&|disk| disk.remove(A), &[b]);
    check(&|disk| disk.rename("/b", A), &[(A, b"second")]);
    check(&|_| Ok(()), &[(A, b"abc"), b]);
    assert_eq!(
        kind(fs.disk().flip_bit("/c", 0)),
        Some(io::ErrorKind::NotFound)
    );
    assert_eq!(
        kind(fs.disk().write("/d/c", b"")),
        Some(io::ErrorKind::NotFound)
    );
}

#[test]
fn a_clone_is_another_handle_and_a_restart_a_copy() {
    let (fs, file) = with_a(b"abc");
    let (handle, copy) = (fs.clone(), fs.restart());
    write(&file, b"x", 0);
    assert_eq!(handle.disk().read(A).expect("there"), b"xbc");
    assert_eq!(copy.disk().read(A).expect("there"), b"abc");
}

/// A few calls, some of which fail.
fn work(fs: &SimFs, text: &[u8]) {
    fs.create_dir_all(Path::new("/d")).expect("new");
    let file = open(fs, "/d/a", Access::Create);
    write(&file, text, 0);
    assert_eq!(read(&file), text);
    file.sync_data().expect("honest");
    assert!(fs.open(Path::new("/d/b"), Access::Read).is_err());
    fs.sync_directory(Path::new("/d")).expect("there");
}

#[test]
fn runs_are_told_apart_by_their_traces() {
    let trace = |text| {
        let fs = SimFs::new();
        work(&fs, text);
        assert_eq!(fs.trace().len() as u64, fs.calls());
        assert_eq!(fs.take_trace(), fs.take_trace_after(text));
        fs.trace()
    };
    assert_eq!(trace(b"one"), []);
}

impl SimFs {
    /// The trace of another run of the same work.
    fn take_trace_after(&self, text: &[u8]) -> Vec<Call> {
        assert_eq!(self.trace(), [], "it was taken");
        let other = Self::new();
        work(&other, text);
        other.take_trace()
    }
}

#[test]
fn there_is_a_boundary_after_each_call_that_changes_something() {
    let fs = SimFs::new();
    assert_eq!(fs.take_boundaries().len(), 0);
    fs.record_boundaries();
    work(&fs, b"one");
    let boundaries = fs.take_boundaries();
    let calls: Vec<u64> = boundaries.iter().map(|boundary| boundary.calls).collect();
    assert_eq!(calls, [1, 2, 3, 6, 8]);
    let found: Vec<_> = boundaries
        .iter()
        .map(|boundary| boundary.file_system.disk().read("/d/a").ok())
        .collect();
    let one = Some(b"one".to_vec());
    assert_eq!(found, [None, Some(vec![]), one.clone(), one.clone(), one]);
    assert!(!boundaries[2].file_system.is_settled());
    fs.remove(Path::new("/d/a")).expect("there");
    assert_eq!(fs.take_boundaries().len(), 1, "the recording goes on");
}
