//! Segments in an archive: what is read, what is refused, what others see.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use annals_log::vfs::{MappedFile, VfsFile};
use annals_log::{
    Archive, ArchivedSegments, Archives, Compression, DamageKind, Error, ErrorKind, Follower, Kind,
    Log, LogSettings, OpenArchive, Pace, Parts, ReadMode, RecordAt, VerifySettings, View, fork,
    repair, verify, verify_with,
};

/// A log on a disk, all that was written to it, and a place for an archive.
struct Written {
    _directory: tempfile::TempDir,
    path: PathBuf,
    cold: PathBuf,
    log: Log,
    records: Vec<(RecordAt, Vec<u8>)>,
}

fn settings(reads: ReadMode) -> LogSettings {
    let mut settings = LogSettings::default();
    settings.segment_bytes = 64 * 1024;
    settings.reads = reads;
    settings
}

fn written(reads: ReadMode) -> Written {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let cold = directory.path().join("far/cold");
    let mut log = Log::create(&Parts::os(), &path, settings(reads), 1).unwrap();
    let mut records = Vec::new();
    for round in 0..80_usize {
        let bodies: Vec<Vec<u8>> = (0..=round % 20).map(|at| body(round, at)).collect();
        let bytes = bodies.iter().map(|body| body.len() + 8).sum();
        log.reserve(bytes, || 7).unwrap();
        let mut frame = log.frame();
        for body in bodies {
            let at = frame.push(Kind::Numbered, |out| out.extend_from_slice(&body));
            records.push((at, body));
        }
        frame.write().unwrap();
        log.sync().unwrap();
    }
    assert!(log.segment().id > 4);
    Written {
        _directory: directory,
        path,
        cold,
        log,
        records,
    }
}

fn body(round: usize, at: usize) -> Vec<u8> {
    let text = format!("{{\"round\":{round},\"at\":{at}}}");
    text.bytes()
        .cycle()
        .take((round * 37 + at * 11) % 900)
        .collect()
}

fn go_on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Goes on so many times.
fn broken_off_after(calls: u32) -> impl FnMut(u64) -> ControlFlow<()> {
    let mut left = calls;
    move |_| match left.checked_sub(1) {
        None => ControlFlow::Break(()),
        Some(fewer) => {
            left = fewer;
            ControlFlow::Continue(())
        }
    }
}

impl Written {
    fn cold(&self) -> String {
        self.cold.to_str().unwrap().to_owned()
    }

    fn archive(&mut self, segment: u32) -> Result<(), Error> {
        let (key, cold) = (self.log.archive_key()?, self.cold());
        let copied = self.log.view().archive(segment, &cold, key, &mut go_on)?;
        let copied = copied.unwrap();
        assert!(copied.bytes_before > 0 && copied.bytes_after == 0);
        self.log.adopt(&copied)?;
        copied.remove_replaced()
    }

    fn restore(&mut self, segment: u32) -> Result<(), Error> {
        let restored = self.log.view().restore(segment, &mut go_on)?.unwrap();
        self.log.adopt(&restored)?;
        restored.remove_replaced()?;
        self.log.release_archive()
    }

    fn compress(&mut self, segment: u32) {
        let view = self.log.view();
        let written = view.compress(segment, &Compression::default(), &mut go_on);
        let written = written.unwrap().unwrap();
        self.log.adopt(&written).unwrap();
        drop(view);
        written.remove_replaced().unwrap();
    }

    /// The only folder in the archive.
    fn folder(&self) -> PathBuf {
        let mut entries = fs::read_dir(&self.cold).unwrap();
        entries.next().unwrap().unwrap().path()
    }

    fn format(&self) -> u8 {
        fs::read(self.path.join("MANIFEST")).unwrap()[8]
    }
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Every record, by its place, by a reader that goes forward and backward, and by a scan.
fn check(view: &View, records: &[(RecordAt, Vec<u8>)]) {
    let (mut scratch, mut reader) = (Vec::new(), view.reader());
    for (at, body) in records {
        assert!(view.record(*at, &mut scratch).unwrap().body == body);
    }
    for (at, body) in records.iter().chain(records.iter().rev()) {
        assert!(reader.record(*at, &mut scratch).unwrap().body == body);
    }
    let mut scan = view.scan(view.start());
    for (at, body) in records {
        let record = scan.next_record().unwrap().unwrap();
        assert!((record.at, record.body) == (*at, &**body));
    }
    assert!(scan.next_record().unwrap().is_none());
}

#[test]
fn records_keep_their_places_there_and_back() {
    for reads in [ReadMode::Map, ReadMode::Pread] {
        let mut it = written(reads);
        let before = it.log.view();
        it.compress(2);
        let local = names(&it.path);
        for segment in 1..4 {
            it.archive(segment).unwrap();
            check(&it.log.view(), &it.records);
        }
        check(&before, &it.records);
        assert_eq!(it.format(), 4);
        let segments = local.iter().filter(|name| name.contains('.'));
        let moved: Vec<_> = segments.take(3).cloned().collect();
        assert_eq!(names(&it.folder()), moved);
        assert!(names(&it.path).iter().all(|name| !moved.contains(name)));
        let found = verify(&Parts::os(), &it.path, &mut |_| {}).unwrap();
        assert!(found.is_whole(), "{found:?}");
        assert_eq!(found.records, it.records.len() as u64);

        it.log.close().unwrap();
        let (log, _) = Log::open(&Parts::os(), &it.path, settings(reads)).unwrap();
        it = Written { log, ..it };
        check(&it.log.view(), &it.records);
        for segment in 1..4 {
            it.restore(segment).unwrap();
            check(&it.log.view(), &it.records);
        }
        assert_eq!(names(&it.path), local);
        assert!(names(&it.folder()).is_empty());
        assert_eq!(it.format(), 2);
        let found = verify(&Parts::os(), &it.path, &mut |_| {}).unwrap();
        assert!(found.is_whole(), "{found:?}");
    }
}

#[test]
fn a_run_that_is_broken_off_leaves_what_there_was() {
    let mut it = written(ReadMode::Map);
    let (key, cold) = (it.log.archive_key().unwrap(), it.cold());
    let local = names(&it.path);
    for calls_before in 0..4 {
        let mut pace = broken_off_after(calls_before);
        let copied = it.log.view().archive(1, &cold, key, &mut pace).unwrap();
        // Once it is whole it stays, for a copy of the log's directory may have taken it over.
        let there = names(&it.folder());
        assert_eq!(there.is_empty(), calls_before == 0, "{there:?}");
        assert!(there.iter().all(|name| name.ends_with("1.segment")));
        if let Some(copied) = copied {
            assert!(calls_before > 1);
            copied.discard();
            assert_eq!(names(&it.folder()), there);
        }
        assert_eq!(names(&it.path), local);
    }
    it.archive(1).unwrap();
    let local = names(&it.path);
    for calls_before in 0..2 {
        let mut pace = broken_off_after(calls_before);
        assert!(it.log.view().restore(1, &mut pace).unwrap().is_none());
        assert_eq!(names(&it.path), local);
    }
    check(&it.log.view(), &it.records);
}

#[test]
fn what_a_crash_left_in_the_archive_is_removed_by_the_next_move() {
    let mut it = written(ReadMode::Map);
    let (key, cold) = (it.log.archive_key().unwrap(), it.cold());
    let copied = it.log.view().archive(1, &cold, key, &mut go_on);
    // The process ends here.
    drop(copied.unwrap().unwrap());
    fs::write(
        it.folder().join("00000000000000000003.segment.new"),
        b"half",
    )
    .unwrap();
    assert_eq!(names(&it.folder()).len(), 2);
    it.archive(2).unwrap();
    let whole = [
        "00000000000000000001.segment",
        "00000000000000000002.segment",
    ];
    assert_eq!(names(&it.folder()), whole);
    it.archive(1).unwrap();
    check(&it.log.view(), &it.records);
}

#[test]
fn what_is_in_the_folder_and_not_the_log_s_is_not_written_over() {
    let mut it = written(ReadMode::Map);
    let (key, cold) = (it.log.archive_key().unwrap(), it.cold());
    it.archive(1).unwrap();
    // As by a copy of the log's directory that was written to and archived.
    let theirs = it.folder().join("00000000000000000002.segment");
    fs::write(&theirs, b"theirs").unwrap();
    let error = it.archive(2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("another file"), "{error}");
    it.archive(3).unwrap();
    assert_eq!(fs::read(&theirs).unwrap(), b"theirs");

    // As long as a segment is there, nothing is swept; then everything is.
    it.log.view().sweep_archive(&cold, key).unwrap();
    assert_eq!(names(&it.folder()).len(), 3);
    it.restore(1).unwrap();
    it.restore(3).unwrap();
    it.log.view().sweep_archive(&cold, key).unwrap();
    assert!(names(&it.folder()).is_empty());
}

#[test]
fn a_copy_under_a_key_that_was_released_since_is_not_taken_over() {
    let mut it = written(ReadMode::Map);
    let (key, cold) = (it.log.archive_key().unwrap(), it.cold());
    let copied = it.log.view().archive(1, &cold, key, &mut go_on);
    let copied = copied.unwrap().unwrap();
    it.log.release_archive().unwrap();
    let error = it.log.adopt(&copied).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    copied.discard();
    check(&it.log.view(), &it.records);
}

#[test]
fn nothing_is_moved_to_where_the_archive_was() {
    let mut it = written(ReadMode::Map);
    it.archive(1).unwrap();
    // As a disk that is not mounted.
    let away = it.path.with_file_name("away");
    fs::rename(&it.cold, &away).unwrap();
    let error = it.archive(2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(!it.cold.exists());
    fs::rename(&away, &it.cold).unwrap();
    it.archive(2).unwrap();
    check(&it.log.view(), &it.records);
}

#[test]
fn what_can_t_be_archived_is_refused() {
    let mut it = written(ReadMode::Map);
    let last = it.log.segment().id;
    it.archive(1).unwrap();
    let (key, cold, view) = (it.log.archive_key().unwrap(), it.cold(), it.log.view());
    let refused = |segment, to: &str| {
        let error = view.archive(segment, to, key, &mut go_on).unwrap_err();
        (error.kind(), error.to_string())
    };
    for (segment, to, kind, says) in [
        (1, &*cold, ErrorKind::Invalid, "archived already"),
        (last, &cold, ErrorKind::Invalid, "written to"),
        (99, &cold, ErrorKind::NotFound, "no segment 99"),
        (2, "cold", ErrorKind::Invalid, "an absolute path or a URL"),
        (
            2,
            "s3://bucket/cold",
            ErrorKind::Io,
            "no archive can be opened",
        ),
    ] {
        let (found, message) = refused(segment, to);
        assert!(found == kind && message.contains(says), "{message}");
    }
    let error = view.compress(1, &Compression::default(), &mut go_on);
    let message = error.unwrap_err().to_string();
    assert!(message.contains("restore it first"), "{message}");
    let error = view.restore(2, &mut go_on).unwrap_err();
    assert!(error.to_string().contains("is not archived"), "{error}");
}

#[test]
fn a_log_opens_without_its_archive_and_reads_what_it_has() {
    for reads in [ReadMode::Map, ReadMode::Pread] {
        let mut it = written(reads);
        it.compress(1);
        it.archive(1).unwrap();
        it.archive(2).unwrap();
        it.log.close().unwrap();
        let away = it.cold.with_file_name("away");
        fs::rename(&it.cold, &away).unwrap();
        let (log, _) = Log::open(&Parts::os(), &it.path, settings(reads)).unwrap();
        let view = log.view();
        let mut scratch = Vec::new();
        for (at, body) in &it.records {
            let read = view.record(*at, &mut scratch);
            if at.segment() > 2 {
                assert!(read.unwrap().body == body);
                continue;
            }
            let error = read.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io);
            let message = error.to_string();
            let is_clear = message.contains(&format!("segment {}", at.segment()))
                && message.contains(it.cold.to_str().unwrap())
                && message.contains("tell where it is");
            assert!(is_clear, "{message}");
        }
        assert!(view.missing_bytes() == usize::MAX);
        view.load();
        // Nothing is said of what can't be looked at, and nothing is given up.
        drop(log);
        let error = verify(&Parts::os(), &it.path, &mut |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        let local = VerifySettings::default().archived(ArchivedSegments::Skip);
        let found = verify_with(&Parts::os(), &it.path, local, &mut |_| {});
        let found = found.unwrap();
        assert!(found.is_whole() && found.segments_skipped == 2, "{found:?}");
        let repaired = repair(&Parts::os(), &it.path, &mut |_| {}).unwrap();
        assert!(repaired.found.is_whole(), "{repaired:?}");

        // Who tells where it is by now reads all of it.
        let (from, to) = (it.cold.to_str().unwrap(), away.to_str().unwrap());
        let parts = Parts {
            archives: Archives::default().moved(from, to),
            ..Parts::os()
        };
        let (log, _) = Log::open(&parts, &it.path, settings(reads)).unwrap();
        check(&log.view(), &it.records);
        fs::rename(&away, &it.cold).unwrap();
        check(&view, &it.records);
    }
}

#[test]
fn a_flipped_bit_in_the_archive_is_told_and_never_taken_over() {
    for is_compressed in [false, true] {
        let mut it = written(ReadMode::Map);
        if is_compressed {
            it.compress(2);
        }
        it.archive(2).unwrap();
        let file = it.folder().join(&names(&it.folder())[0]);
        let whole = fs::read(&file).unwrap();
        for at in (0..whole.len()).step_by(997) {
            let mut bad = whole.clone();
            bad[at] ^= 0x10;
            fs::write(&file, &bad).unwrap();
            let view = Follower::open(&Parts::os(), &it.path, ReadMode::Map)
                .unwrap()
                .view();
            let mut scratch = Vec::new();
            for (place, body) in &it.records {
                match view.record(*place, &mut scratch) {
                    Ok(record) => assert!(record.body == body),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
                }
            }
            let error = it.log.view().restore(2, &mut go_on).unwrap_err();
            assert_eq!(error.damage().unwrap().kind, DamageKind::Archive, "{error}");
            let found = verify(&Parts::os(), &it.path, &mut |_| {}).unwrap();
            assert!(!found.damage.is_empty(), "byte {at}");
        }
        fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        let error = it.log.view().restore(2, &mut go_on).unwrap_err();
        assert_eq!(error.damage().unwrap().kind, DamageKind::Archive, "{error}");
        fs::remove_file(&file).unwrap();
        let error = it.log.view().restore(2, &mut go_on).unwrap_err();
        assert_eq!(error.damage().unwrap().kind, DamageKind::Missing, "{error}");
        fs::write(&file, &whole).unwrap();
        it.restore(2).unwrap();
        check(&it.log.view(), &it.records);
    }
}

#[test]
fn a_damaged_segment_is_not_archived() {
    let mut it = written(ReadMode::Map);
    let file = it.path.join("00000000000000000002.segment");
    let mut bytes = fs::read(&file).unwrap();
    bytes[9000] ^= 1;
    fs::write(&file, bytes).unwrap();
    let error = it.archive(2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(file.exists());
}

#[test]
fn a_follower_reads_what_is_moved_under_it() {
    for reads in [ReadMode::Map, ReadMode::Pread] {
        let mut it = written(reads);
        let open = || Follower::open(&Parts::os(), &it.path, reads).unwrap();
        let (warm, cold) = (open(), open());
        check(&warm.view(), &it.records);
        it.compress(1);
        (1..4).for_each(|segment| it.archive(segment).unwrap());
        let open = || Follower::open(&Parts::os(), &it.path, reads).unwrap();
        let (archived_warm, archived_cold) = (open(), open());
        for follower in [&warm, &cold, &archived_warm] {
            check(&follower.view(), &it.records);
        }
        (1..4).for_each(|segment| it.restore(segment).unwrap());
        for follower in [&warm, &cold, &archived_warm, &archived_cold] {
            check(&follower.view(), &it.records);
        }
    }
}

#[test]
fn a_fork_has_what_is_archived_and_no_archive() {
    let mut it = written(ReadMode::Map);
    it.compress(1);
    it.archive(1).unwrap();
    it.archive(2).unwrap();
    let to = it.path.with_file_name("fork");
    let parts = Parts::os();
    let forked = |to: &Path| {
        let settings = settings(ReadMode::Map);
        fork(
            &parts,
            &it.path,
            to,
            &settings,
            u64::MAX,
            &|_| true,
            &mut |_| {},
        )
    };
    let made = forked(&to).unwrap();
    assert_eq!(made.segments_copied, 2);
    let away = it.cold.with_file_name("away");
    fs::rename(&it.cold, &away).unwrap();
    let found = verify(&parts, &to, &mut |_| {}).unwrap();
    assert!(found.is_whole(), "{found:?}");
    let (fork, _) = Log::open(&parts, &to, settings(ReadMode::Map)).unwrap();
    check(&fork.view(), &it.records);
    assert_eq!(fs::read(to.join("MANIFEST")).unwrap()[8], 2);
    let error = forked(&it.path.with_file_name("another")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");

    // Both have folders of their own in one archive.
    fs::rename(&away, &it.cold).unwrap();
    let log = std::mem::replace(&mut it.log, fork);
    let path = std::mem::replace(&mut it.path, to);
    it.archive(2).unwrap();
    let folders = fs::read_dir(&it.cold).unwrap().count();
    assert_eq!(folders, 2);
    it.restore(2).unwrap();
    (it.log, it.path) = (log, path);
    check(&it.log.view(), &it.records);
    it.restore(2).unwrap();
    check(&it.log.view(), &it.records);
}

#[test]
fn a_lost_manifest_is_not_made_up_where_segments_are_archived() {
    let mut it = written(ReadMode::Map);
    it.archive(1).unwrap();
    it.log.close().unwrap();
    let local = names(&it.path);
    fs::write(it.path.join("MANIFEST"), b"nothing").unwrap();
    let error = repair(&Parts::os(), &it.path, &mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(names(&it.path), local);
}

/// An archive in memory, as an object store is one: files are there whole or not at all, and an open file is
/// gone when it is removed.
#[derive(Clone, Debug, Default)]
struct Objects {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// Whether reads end early, as those of a connection that breaks off.
    is_cut_off: Arc<AtomicBool>,
    put: Arc<Mutex<Outcome>>,
}

/// What comes of a put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Outcome {
    #[default]
    Done,
    AnswerLost,
    /// It is stopped, and was done.
    Stopped,
    /// Somebody else puts another file, and no answer comes.
    Overtaken,
    /// Somebody else puts another file over it.
    WrittenOver,
}

/// A folder or a file of it.
#[derive(Clone, Debug)]
struct Object {
    objects: Objects,
    name: String,
}

impl OpenArchive for Objects {
    fn open_archive(&self, location: &str, folder: &str) -> Option<io::Result<Arc<dyn Archive>>> {
        let place = location.strip_prefix("memory://")?;
        Some(Ok(Arc::new(Object {
            objects: self.clone(),
            name: format!("{place}/{folder}"),
        })))
    }
}

impl Object {
    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }
}

impl Archive for Object {
    fn put(
        &self,
        name: &str,
        file: &dyn VfsFile,
        bytes: u64,
        pace: &mut Pace<'_>,
    ) -> io::Result<ControlFlow<()>> {
        let mut object = vec![0; usize::try_from(bytes).unwrap()];
        assert_eq!(file.read_at(&mut object, 0)?, object.len());
        let outcome = *self.objects.put.lock().unwrap();
        if matches!(outcome, Outcome::Overtaken | Outcome::WrittenOver) {
            object = b"theirs".to_vec();
        }
        let mut files = self.objects.files.lock().unwrap();
        files.insert(self.at(name), object);
        match outcome {
            Outcome::Done | Outcome::WrittenOver => Ok(pace(bytes)),
            Outcome::Stopped => Ok(ControlFlow::Break(())),
            Outcome::AnswerLost | Outcome::Overtaken => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn VfsFile>> {
        let file = Self {
            objects: self.objects.clone(),
            name: self.at(name),
        };
        file.length()?;
        Ok(Arc::new(file))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let files = self.objects.files.lock().unwrap();
        let names = files
            .keys()
            .filter_map(|name| name.strip_prefix(&self.at("")));
        Ok(names.map(str::to_owned).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.objects.files.lock().unwrap().remove(&self.at(name));
        Ok(())
    }
}

impl VfsFile for Object {
    fn length(&self) -> io::Result<u64> {
        let files = self.objects.files.lock().unwrap();
        let file = files.get(&self.name).ok_or(io::ErrorKind::NotFound)?;
        Ok(file.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let files = self.objects.files.lock().unwrap();
        let file = files.get(&self.name).ok_or(io::ErrorKind::NotFound)?;
        let rest = &file[usize::try_from(offset).unwrap().min(file.len())..];
        if self.objects.is_cut_off.load(Ordering::Relaxed) && offset.is_multiple_of(3) {
            return Ok(0);
        }
        let bytes = rest.len().min(buffer.len()).min(100_000);
        buffer[..bytes].copy_from_slice(&rest[..bytes]);
        Ok(bytes)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_length(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn forget_cached(&self, _: Range<u64>) -> io::Result<()> {
        Ok(())
    }

    fn map(&self, _: u64) -> io::Result<Option<Arc<dyn MappedFile>>> {
        Err(io::Error::other("an archived file is not mapped"))
    }
}

#[test]
fn an_archive_can_be_more_than_a_directory() {
    for reads in [ReadMode::Map, ReadMode::Pread] {
        let objects = Objects::default();
        let parts = Parts {
            archives: Archives::default().opened_by(Arc::new(objects.clone())),
            ..Parts::os()
        };
        let it = written(reads);
        it.log.close().unwrap();
        let (log, _) = Log::open(&parts, &it.path, settings(reads)).unwrap();
        let cold = PathBuf::from("memory://cold");
        let mut it = Written { cold, log, ..it };
        it.compress(1);
        (1..4).for_each(|segment| it.archive(segment).unwrap());
        assert_eq!(objects.files.lock().unwrap().len(), 3);
        let follower = Follower::open(&parts, &it.path, reads).unwrap();
        let (old, mut scan) = (it.log.view(), follower.view().scan(follower.view().start()));
        check(&follower.view(), &it.records);
        assert!(verify(&parts, &it.path, &mut |_| {}).unwrap().is_whole());

        // What ends early is told, and is right again when all of it comes.
        let cold = Follower::open(&parts, &it.path, reads).unwrap().view();
        objects.is_cut_off.store(true, Ordering::Relaxed);
        let mut scratch = Vec::new();
        let error = cold.record(it.records[0].0, &mut scratch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        let error = it.log.view().restore(2, &mut go_on).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(verify(&parts, &it.path, &mut |_| {}).is_err());
        objects.is_cut_off.store(false, Ordering::Relaxed);
        check(&cold, &it.records);

        // Who has a file open that goes away reads the one that came back.
        for (at, body) in &it.records[..5] {
            let record = scan.next_record().unwrap().unwrap();
            assert!((record.at, record.body) == (*at, &**body));
        }
        (1..4).for_each(|segment| it.restore(segment).unwrap());
        assert!(objects.files.lock().unwrap().is_empty());
        for view in [&old, &cold, &follower.view(), &it.log.view()] {
            check(view, &it.records);
        }
        for (at, body) in &it.records[5..] {
            let record = scan.next_record().unwrap().unwrap();
            assert!((record.at, record.body) == (*at, &**body));
        }
    }
}

/// A log whose archive is in memory, and one of which it is the copy: a twin that has the same id and the same key.
fn twins(objects: &Objects) -> (Written, Written) {
    let parts = Parts {
        archives: Archives::default().opened_by(Arc::new(objects.clone())),
        ..Parts::os()
    };
    let mut it = written(ReadMode::Pread);
    it.log.archive_key().unwrap();
    it.log.close().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    fs::create_dir(&path).unwrap();
    for name in names(&it.path) {
        fs::copy(it.path.join(&name), path.join(&name)).unwrap();
    }
    let opened = |path: &Path| {
        Log::open(&parts, path, settings(ReadMode::Pread))
            .unwrap()
            .0
    };
    let cold = PathBuf::from("memory://cold");
    let twin = Written {
        _directory: directory,
        log: opened(&path),
        path,
        cold: cold.clone(),
        records: it.records.clone(),
    };
    let log = opened(&it.path);
    (Written { cold, log, ..it }, twin)
}

#[test]
fn what_a_twin_took_over_is_not_removed_by_a_move_that_failed() {
    for outcome in [Outcome::AnswerLost, Outcome::Stopped, Outcome::Done] {
        let objects = Objects::default();
        let (mut it, mut twin) = twins(&objects);
        twin.archive(1).unwrap();
        *objects.put.lock().unwrap() = outcome;
        let (key, cold) = (it.log.archive_key().unwrap(), it.cold());
        // The third is stopped while what was put is compared.
        let mut pace = broken_off_after(if outcome == Outcome::Done { 2 } else { 99 });
        let moved = it.log.view().archive(1, &cold, key, &mut pace);
        match outcome {
            Outcome::AnswerLost => assert_eq!(moved.unwrap_err().kind(), ErrorKind::Io),
            _ => assert!(moved.unwrap().is_none()),
        }
        check(&twin.log.view(), &twin.records);
        *objects.put.lock().unwrap() = Outcome::Done;
        it.log
            .view()
            .archive(1, &cold, key, &mut go_on)
            .unwrap()
            .unwrap()
            .discard();
        check(&twin.log.view(), &twin.records);
        it.archive(1).unwrap();
        check(&it.log.view(), &it.records);
    }
}

#[test]
fn what_somebody_else_put_stays_whatever_came_of_our_own() {
    for outcome in [Outcome::Overtaken, Outcome::WrittenOver] {
        let objects = Objects::default();
        let (mut it, _twin) = twins(&objects);
        *objects.put.lock().unwrap() = outcome;
        let error = it.archive(1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        *objects.put.lock().unwrap() = Outcome::Done;
        let error = it.archive(1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let files = objects.files.lock().unwrap();
        assert!(files.values().all(|file| file == b"theirs"));
        assert_eq!(files.len(), 1);
    }
}
