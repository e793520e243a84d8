//! Each lie is shown, and shown to end where it should.

mod crash;
mod disk;
mod faults;
mod generated;
mod names;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::*;

/// The file of most cases.
const A: &str = "/a";

/// A file system with a durable file of this content.
fn with_a(bytes: &[u8]) -> (SimFs, Arc<dyn VfsFile>) {
    let fs = SimFs::new();
    fs.disk().write(A, bytes).expect("a new file");
    let file = open(&fs, A, Access::Write);
    (fs, file)
}

#[track_caller]
fn open(fs: &SimFs, path: &str, access: Access) -> Arc<dyn VfsFile> {
    fs.open(Path::new(path), access).expect("it can be opened")
}

#[track_caller]
fn write(file: &Arc<dyn VfsFile>, bytes: &[u8], offset: u64) {
    assert_eq!(file.write_at(bytes, offset).expect("room"), bytes.len());
}

/// The content that a reader gets, by the file system's own calls.
#[track_caller]
fn read(file: &Arc<dyn VfsFile>) -> Vec<u8> {
    let length = file.length().expect("open");
    let mut bytes = vec![0; usize::try_from(length).expect("small")];
    assert_eq!(file.read_at(&mut bytes, 0).expect("open"), bytes.len());
    bytes
}

/// What stands at a path after crashes of many seeds; `None` for no file.
fn crashes(fs: &SimFs, path: &str) -> BTreeSet<Option<Vec<u8>>> {
    (0..500)
        .map(|seed| fs.crash(seed).disk().read(path).ok())
        .collect()
}

/// What stands at a path after every crash.
fn every(fs: &SimFs, path: &str) -> BTreeSet<Option<Vec<u8>>> {
    fs.every_crash(1 << 16)
        .expect("few")
        .map(|after| after.disk().read(path).ok())
        .collect()
}

#[track_caller]
fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.map(drop).map_err(|error| error.kind()).err()
}
