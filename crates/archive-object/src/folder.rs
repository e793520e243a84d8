//! The folder of a log in an object store.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use annals_log::vfs::VfsFile;
use annals_log::{Archive, Pace};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{
    MultipartUpload, ObjectStore, ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions,
    PutPayload,
};
use tokio::sync::Mutex;

use crate::ahead::Ahead;
use crate::calls::{Attempt, Calls};
use crate::failure::is_unsupported;
use crate::object::Object;

/// All objects with a prefix. There is no folder beside its objects, and nothing of it when there are none.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) calls: Calls,
    pub(crate) ahead: Arc<Ahead>,
    pub(crate) path: Path,
}

/// An upload in parts; the parts go one after the other.
type Upload = Arc<Mutex<Box<dyn MultipartUpload>>>;

impl Folder {
    fn at(&self, name: &str) -> Path {
        self.path.clone().join(name)
    }

    fn meta(&self, name: &str) -> io::Result<object_store::ObjectMeta> {
        Object::meta(&self.store, &self.calls, &self.at(name))
    }

    /// Refuses a name that is taken, as the store itself does where it can.
    fn check_free(&self, name: &str) -> io::Result<()> {
        match self.meta(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    /// Puts a whole object where there is none.
    fn put_whole(&self, name: &str, bytes: &Bytes) -> io::Result<()> {
        let put = |mode: PutMode| {
            let (store, path, bytes) = (Arc::clone(&self.store), self.at(name), bytes.clone());
            self.calls.call(move || {
                let (store, path) = (Arc::clone(&store), path.clone());
                let (payload, mode) = (PutPayload::from_bytes(bytes.clone()), mode.clone());
                async move {
                    let options = PutOptions::from(mode);
                    match store.put_opts(&path, payload, options).await {
                        Err(error) if is_unsupported(&error) => Attempt::Done(false),
                        put => Attempt::of(put.map(|_| true)),
                    }
                }
            })
        };
        if put(PutMode::Create)? {
            return Ok(());
        }
        self.check_free(name)?;
        if put(PutMode::Overwrite)? {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the store takes no objects",
        ))
    }

    /// Begins an upload in parts; `None` where the store has none.
    fn begin(&self, name: &str) -> io::Result<Option<Upload>> {
        let (store, path) = (Arc::clone(&self.store), self.at(name));
        self.calls.call(move || {
            let (store, path) = (Arc::clone(&store), path.clone());
            async move {
                let options = PutMultipartOptions::default();
                match store.put_multipart_opts(&path, options).await {
                    Err(error) if is_unsupported(&error) => Attempt::Done(None),
                    begun => Attempt::of(begun.map(|upload| Some(Arc::new(Mutex::new(upload))))),
                }
            }
        })
    }

    /// Uploads all parts; a part that fails for good ends the upload, which is begun anew then.
    fn put_parts(
        &self,
        name: &str,
        upload: &Upload,
        (file, bytes): (&dyn VfsFile, u64),
        pace: &mut Pace<'_>,
    ) -> io::Result<Attempt<ControlFlow<()>>> {
        let mut at = 0;
        while at < bytes {
            let part = self.read_part(file, at, bytes)?;
            at += part.len() as u64;
            let (part_bytes, shared) = (part.len() as u64, Arc::clone(upload));
            let put = async move {
                let part = shared.lock().await.put_part(part.into());
                part.await
            };
            match self.calls.once(put)? {
                Attempt::Done(()) => {}
                Attempt::Again(error) => return Ok(Attempt::Again(error)),
                Attempt::Failed(error) => return Ok(Attempt::Failed(error)),
            }
            if pace(part_bytes).is_break() {
                return Ok(Attempt::Done(ControlFlow::Break(())));
            }
        }
        self.check_free(name)?;
        let shared = Arc::clone(upload);
        let complete = async move { shared.lock().await.complete().await };
        Ok(match self.calls.once(complete)? {
            Attempt::Done(_) => Attempt::Done(ControlFlow::Continue(())),
            Attempt::Again(error) => Attempt::Again(error),
            Attempt::Failed(error) => Attempt::Failed(error),
        })
    }

    fn read_part(&self, file: &dyn VfsFile, at: u64, bytes: u64) -> io::Result<Bytes> {
        let wanted = (bytes - at).min(self.calls.settings().part_bytes as u64);
        let mut part = vec![0; usize::try_from(wanted).unwrap_or(0)];
        let mut read = 0;
        while let Some(rest) = part.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, at + read as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => read += more,
            }
        }
        Ok(part.into())
    }

    /// Gives up the parts that were uploaded; what can't be removed stays unseen, and is told.
    fn abort(&self, name: &str, upload: Upload) {
        let path = self.at(name);
        let abort = async move { upload.lock().await.abort().await };
        let aborted = self.calls.once(abort).and_then(Attempt::result);
        if let Err(error) = aborted {
            tracing::warn!(
                %error,
                path = %path,
                "parts of an upload stay in the store, unseen, until a rule of the bucket removes them"
            );
        }
    }

    fn put_in_parts(
        &self,
        name: &str,
        (file, bytes): (&dyn VfsFile, u64),
        pace: &mut Pace<'_>,
    ) -> io::Result<ControlFlow<()>> {
        let mut attempts_left = self.calls.settings().attempts_max;
        loop {
            attempts_left = attempts_left.saturating_sub(1);
            // A name that is taken costs no upload; it is looked for again before it is given.
            self.check_free(name)?;
            let Some(upload) = self.begin(name)? else {
                return self.put_at_once(name, (file, bytes), pace);
            };
            let put = self.put_parts(name, &upload, (file, bytes), pace);
            if matches!(put, Ok(Attempt::Done(ControlFlow::Continue(())))) {
                return Ok(ControlFlow::Continue(()));
            }
            self.abort(name, upload);
            match put? {
                Attempt::Again(error) if attempts_left > 0 => {
                    tracing::debug!(%error, "uploaded again");
                }
                ended => return ended.result(),
            }
        }
    }

    /// Puts a file by one request: what is no longer than a part, or all where the store takes no parts.
    fn put_at_once(
        &self,
        name: &str,
        (file, bytes): (&dyn VfsFile, u64),
        pace: &mut Pace<'_>,
    ) -> io::Result<ControlFlow<()>> {
        let mut whole = Vec::new();
        while (whole.len() as u64) < bytes {
            let part = self.read_part(file, whole.len() as u64, bytes)?;
            whole.extend_from_slice(&part);
            if pace(part.len() as u64).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.put_whole(name, &whole.into())?;
        Ok(ControlFlow::Continue(()))
    }
}

impl Archive for Folder {
    fn put(
        &self,
        name: &str,
        file: &dyn VfsFile,
        bytes: u64,
        pace: &mut Pace<'_>,
    ) -> io::Result<ControlFlow<()>> {
        if bytes <= self.calls.settings().part_bytes as u64 {
            self.put_at_once(name, (file, bytes), pace)
        } else {
            self.put_in_parts(name, (file, bytes), pace)
        }
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn VfsFile>> {
        let meta = match self.meta(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A bucket or a prefix that is another has nothing of the log: what is missing there is not lost.
                if self.names()?.is_empty() {
                    let message =
                        "nothing of this log is there: it is another place, or all was removed";
                    return Err(io::Error::other(message));
                }
                return Err(error);
            }
            found => found?,
        };
        let (store, calls) = (Arc::clone(&self.store), self.calls.clone());
        let object = Object::new(store, calls, Arc::clone(&self.ahead), meta);
        Ok(Arc::new(object))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let (store, path) = (Arc::clone(&self.store), self.path.clone());
        let found = self.calls.call(move || {
            let objects = store.list(Some(&path));
            let listed = objects.map_ok(|object| object.location).try_collect();
            async move { Attempt::<Vec<Path>>::of(listed.await) }
        });
        let found = match found {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // There is no bucket; a folder that has nothing yet is listed as empty.
                return Err(io::Error::other(error));
            }
            found => found?,
        };
        let names = found.iter().filter_map(|location| {
            let mut below = location.prefix_match(&self.path)?;
            let name = below.next()?;
            below.next().is_none().then(|| name.as_ref().to_owned())
        });
        Ok(names.collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (store, path) = (Arc::clone(&self.store), self.at(name));
        let removed = self.calls.call(move || {
            let (store, path) = (Arc::clone(&store), path.clone());
            async move { Attempt::of(store.delete(&path).await) }
        });
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}
