//! A log to archive segments of, and stores that count and fail.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::{ControlFlow, Range};
use std::path::{Path as FilePath, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annals_archive_object::{ObjectArchives, Settings};
use annals_log::{
    Archives, Compression, Error, Kind, Log, LogSettings, Parts, ReadMode, RecordAt, View,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, Result, UploadPart,
};

/// Where the archives of these tests are.
pub(crate) const COLD: &str = "test://cold/shop";

/// A log on a disk, and all that was written to it.
pub(crate) struct Written {
    _directory: tempfile::TempDir,
    pub(crate) path: PathBuf,
    pub(crate) log: Log,
    pub(crate) records: Vec<(RecordAt, Vec<u8>)>,
}

pub(crate) fn settings(segment_bytes: u32) -> LogSettings {
    let mut settings = LogSettings::default();
    settings.segment_bytes = segment_bytes;
    settings.reads = ReadMode::Pread;
    settings
}

/// Limits under which a test meets its faults soon.
pub(crate) fn limits() -> Settings {
    let mut limits = Settings::default();
    limits.attempt_timeout = Duration::from_millis(200);
    limits.attempts_max = 1;
    limits.part_bytes = 20_000;
    limits
}

/// What opens archives in this store, under [`COLD`].
pub(crate) fn parts(store: Arc<dyn ObjectStore>, limits: Settings) -> Parts {
    let archives = ObjectArchives::default()
        .store("test://cold", store)
        .settings(limits);
    Parts {
        archives: Archives::default().opened_by(Arc::new(archives)),
        ..Parts::os()
    }
}

pub(crate) fn go_on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Text that does not shrink to nothing when it is compressed.
fn body(number: u64, bytes: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{:04x} is ", state & 0xffff)
    });
    words.flat_map(String::into_bytes).take(bytes).collect()
}

impl Written {
    /// A log of at least so many segments.
    pub(crate) fn new(parts: &Parts, segment_bytes: u32, segments: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = Log::create(parts, &path, settings(segment_bytes), 1).unwrap();
        let mut records = Vec::new();
        let frame_bytes = (segment_bytes as usize / 8).min(100_000);
        for round in 0_u64.. {
            if log.segment().id > segments {
                break;
            }
            let bodies: Vec<Vec<u8>> = (0..10)
                .map(|at| body(round * 10 + at, frame_bytes / 11))
                .collect();
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
        Self {
            _directory: directory,
            path,
            log,
            records,
        }
    }

    /// The same log, opened otherwise.
    pub(crate) fn reopened(self, parts: &Parts, segment_bytes: u32) -> Self {
        self.log.close().unwrap();
        let (log, _) = Log::open(parts, &self.path, settings(segment_bytes)).unwrap();
        Self { log, ..self }
    }

    pub(crate) fn archive(&mut self, segment: u32) -> std::result::Result<(), Error> {
        self.archive_to(segment, COLD)
    }

    pub(crate) fn archive_to(&mut self, segment: u32, to: &str) -> std::result::Result<(), Error> {
        let key = self.log.archive_key()?;
        let copied = self.log.view().archive(segment, to, key, &mut go_on)?;
        let copied = copied.unwrap();
        self.log.adopt(&copied)?;
        copied.remove_replaced()
    }

    pub(crate) fn restore(&mut self, segment: u32) -> std::result::Result<(), Error> {
        let restored = self.log.view().restore(segment, &mut go_on)?.unwrap();
        self.log.adopt(&restored)?;
        restored.remove_replaced()?;
        self.log.release_archive()
    }

    pub(crate) fn compress(&mut self, segment: u32) {
        let view = self.log.view();
        let written = view.compress(segment, &Compression::default(), &mut go_on);
        let written = written.unwrap().unwrap();
        self.log.adopt(&written).unwrap();
        drop(view);
        written.remove_replaced().unwrap();
    }
}

/// Every record, by its place and by a scan, in both directions.
pub(crate) fn check(view: &View, records: &[(RecordAt, Vec<u8>)]) {
    let (mut scratch, mut reader) = (Vec::new(), view.reader());
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

/// The names of all objects of a store.
pub(crate) fn names(store: &Arc<dyn ObjectStore>) -> Vec<String> {
    let paths = names_under(store, "");
    let names = paths.iter().map(|path| path.filename().unwrap().to_owned());
    names.collect()
}

/// Those of objects in whose whole name this stands, in order.
pub(crate) fn names_under(store: &Arc<dyn ObjectStore>, part: &str) -> Vec<Path> {
    let (store, part) = (Arc::clone(store), part.to_owned());
    on_a_runtime(async move {
        let mut paths = Vec::new();
        let mut objects = store.list(None);
        while let Some(object) = objects.next().await {
            paths.push(object.unwrap().location);
        }
        paths.retain(|path| path.as_ref().contains(&part));
        paths.sort();
        paths
    })
}

/// Rewrites the bytes of the only object whose name ends so.
pub(crate) fn overwrite(
    store: &Arc<dyn ObjectStore>,
    name: &'static str,
    change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>> + Send + 'static,
) {
    let store = Arc::clone(store);
    on_a_runtime(async move {
        let mut objects = store.list(None);
        while let Some(object) = objects.next().await {
            let path = object.unwrap().location;
            if path.filename() != Some(name) {
                continue;
            }
            let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
            match change(bytes.to_vec()) {
                Some(changed) => drop(store.put(&path, changed.into()).await.unwrap()),
                None => store.delete(&path).await.unwrap(),
            }
            return;
        }
        panic!("no object {name}");
    });
}

pub(crate) fn on_a_runtime<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> T {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(future)
    };
    std::thread::spawn(run).join().unwrap()
}

/// A store in a directory, which syncs what it writes.
pub(crate) fn local(directory: &FilePath) -> Arc<dyn ObjectStore> {
    let store = object_store::local::LocalFileSystem::new_with_prefix(directory);
    Arc::new(store.unwrap().with_fsync(true))
}

pub(crate) fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails, and nothing was done.
    Refused,
    /// It is done, and the answer is lost.
    AnswerLost,
    /// No answer comes, and nothing was done.
    Silent,
    /// What is read ends early, and says so nowhere.
    Cut,
    /// What is read has a bit flipped.
    Flipped,
    /// Somebody else puts an object of the name first.
    Overtaken,
}

/// A store that counts requests and has one of them, or all from it on, go wrong.
#[derive(Debug)]
pub(crate) struct Lying {
    inner: Arc<dyn ObjectStore>,
    pub(crate) reads: AtomicU64,
    pub(crate) faults: Arc<Faults>,
}

/// What goes wrong, and what was asked for.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) requests: AtomicU64,
    /// Parts of uploads that were asked to be put.
    pub(crate) parts: AtomicU64,
    fault: Mutex<Option<(Fault, Range<u64>)>>,
    /// Whether an abort went wrong.
    pub(crate) met_abort: AtomicBool,
    uploads: AtomicU64,
    open_uploads: Mutex<BTreeSet<u64>>,
}

impl Lying {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            reads: AtomicU64::new(0),
            faults: Arc::default(),
        })
    }

    /// Has the requests of these numbers from now on go wrong.
    pub(crate) fn fail(&self, fault: Fault, requests: Range<u64>) {
        self.faults.requests.store(0, Ordering::Relaxed);
        self.faults.met_abort.store(false, Ordering::Relaxed);
        *self.faults.fault.lock().unwrap() = Some((fault, requests));
    }

    pub(crate) fn heal(&self) {
        *self.faults.fault.lock().unwrap() = None;
    }

    /// How many uploads in parts were neither completed nor aborted; they are forgotten by this.
    pub(crate) fn uploads_left_open(&self) -> usize {
        std::mem::take(&mut *self.faults.open_uploads.lock().unwrap()).len()
    }

    /// Somebody else puts an object, where that is what goes wrong with the next request.
    async fn be_overtaken(&self, path: &Path) -> Result<()> {
        let is_overtaken = {
            let number = self.faults.requests.load(Ordering::Relaxed);
            let fault = self.faults.fault.lock().unwrap();
            fault.as_ref().is_some_and(|(fault, requests)| {
                *fault == Fault::Overtaken && requests.contains(&number)
            })
        };
        if is_overtaken {
            self.inner.put(path, Bytes::from("theirs").into()).await?;
        }
        Ok(())
    }
}

impl Faults {
    /// Counts a request; what goes wrong with it.
    fn next(&self) -> Option<Fault> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let fault = self.fault.lock().unwrap().clone();
        fault.and_then(|(fault, requests)| requests.contains(&number).then_some(fault))
    }

    /// Does something, or lets it go wrong.
    async fn answered<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        went(self.next(), request).await
    }
}

/// What becomes of a request of which this goes wrong.
async fn went<T>(fault: Option<Fault>, request: impl Future<Output = Result<T>>) -> Result<T> {
    match fault {
        Some(Fault::Refused) => Err(refused()),
        Some(Fault::AnswerLost) => {
            let _ = request.await;
            Err(refused())
        }
        Some(Fault::Silent) => std::future::pending().await,
        _ => request.await,
    }
}

/// An upload of such a store.
#[derive(Debug)]
struct LyingUpload {
    inner: Box<dyn MultipartUpload>,
    faults: Arc<Faults>,
    number: u64,
}

impl LyingUpload {
    fn new(inner: Box<dyn MultipartUpload>, faults: &Arc<Faults>) -> Self {
        let number = faults.uploads.fetch_add(1, Ordering::Relaxed);
        faults.open_uploads.lock().unwrap().insert(number);
        Self {
            inner,
            faults: Arc::clone(faults),
            number,
        }
    }
}

#[async_trait]
impl MultipartUpload for LyingUpload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        self.faults.parts.fetch_add(1, Ordering::Relaxed);
        let fault = self.faults.next();
        if matches!(fault, Some(Fault::Refused | Fault::Silent)) {
            return Box::pin(went(fault, std::future::pending()));
        }
        Box::pin(went(fault, self.inner.put_part(part)))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (inner, faults) = (&mut self.inner, Arc::clone(&self.faults));
        let completed = async {
            let put = inner.complete().await?;
            faults.open_uploads.lock().unwrap().remove(&self.number);
            Ok(put)
        };
        self.faults.answered(completed).await
    }

    async fn abort(&mut self) -> Result<()> {
        let fault = self.faults.next();
        self.faults
            .met_abort
            .fetch_or(fault.is_some(), Ordering::Relaxed);
        let (inner, faults) = (&mut self.inner, Arc::clone(&self.faults));
        let aborted = async {
            inner.abort().await?;
            faults.open_uploads.lock().unwrap().remove(&self.number);
            Ok(())
        };
        went(fault, aborted).await
    }
}

fn refused() -> object_store::Error {
    object_store::Error::Generic {
        store: "Lying",
        source: "the connection broke off".into(),
    }
}

impl fmt::Display for Lying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lying")
    }
}

#[async_trait]
impl ObjectStore for Lying {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.be_overtaken(path).await?;
        self.faults
            .answered(self.inner.put_opts(path, payload, options))
            .await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.be_overtaken(path).await?;
        let begun = self.inner.put_multipart_opts(path, options);
        let upload = self.faults.answered(begun).await?;
        Ok(Box::new(LyingUpload::new(upload, &self.faults)))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let is_head = options.head;
        let fault = self.faults.next();
        match fault {
            Some(Fault::Refused | Fault::AnswerLost) => return Err(refused()),
            Some(Fault::Silent) => return std::future::pending().await,
            _ => {}
        }
        let given = self.inner.get_opts(path, options).await?;
        if is_head || !matches!(fault, Some(Fault::Cut | Fault::Flipped)) {
            return Ok(given);
        }
        let (meta, range) = (given.meta.clone(), given.range.clone());
        let (attributes, extensions) = (given.attributes.clone(), given.extensions.clone());
        let mut bytes = given.bytes().await?.to_vec();
        if fault == Some(Fault::Cut) {
            bytes.truncate(bytes.len() / 2);
        } else if let Some(byte) = bytes.last_mut() {
            *byte ^= 0x40;
        }
        let payload = stream::once(async move { Ok(Bytes::from(bytes)) }).boxed();
        Ok(GetResult {
            payload: GetResultPayload::Stream(payload),
            meta,
            range,
            attributes,
            extensions,
        })
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.faults.next() {
            Some(Fault::Refused) => stream::once(async { Err(refused()) }).boxed(),
            Some(Fault::Silent) => stream::pending().boxed(),
            Some(Fault::AnswerLost) => {
                let removed = self.inner.delete_stream(paths);
                removed.map(|_| Err(refused())).boxed()
            }
            _ => self.inner.delete_stream(paths),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.faults.next() {
            Some(Fault::Refused | Fault::AnswerLost) => {
                stream::once(async { Err(refused()) }).boxed()
            }
            Some(Fault::Silent) => stream::pending().boxed(),
            _ => self.inner.list(prefix),
        }
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(path, ranges).await
    }
}

/// A store that takes no condition and no parts, as some servers.
#[derive(Debug)]
pub(crate) struct Plain(pub(crate) Arc<dyn ObjectStore>);

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plain")
    }
}

fn not_implemented(operation: &str) -> object_store::Error {
    object_store::Error::NotImplemented {
        operation: operation.to_owned(),
        implementer: "Plain".to_owned(),
    }
}

#[async_trait]
impl ObjectStore for Plain {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if options.mode != object_store::PutMode::Overwrite {
            return Err(not_implemented("put_opts"));
        }
        self.0.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(not_implemented("put_multipart_opts"))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}
