//! An object that is open to be read.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use annals_log::vfs::{MappedFile, VfsFile};
use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _};

use crate::ahead::Ahead;
use crate::calls::{Attempt, Calls};

/// One object, as it was when it was opened.
#[derive(Debug)]
pub(crate) struct Object {
    store: Arc<dyn ObjectStore>,
    calls: Calls,
    ahead: Arc<Ahead>,
    opening: u64,
    path: Path,
    bytes: u64,
    /// What tells it from another under its name, where the store has such.
    tag: Option<String>,
}

impl Object {
    /// Opens the object of which this is known.
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        calls: Calls,
        ahead: Arc<Ahead>,
        meta: ObjectMeta,
    ) -> Self {
        Self {
            store,
            calls,
            opening: ahead.next_opening(),
            ahead,
            path: meta.location,
            bytes: meta.size,
            // A weak tag matches nothing where the match has to be exact.
            tag: meta.e_tag.filter(|tag| !tag.starts_with("W/")),
        }
    }

    /// Asks for an object; who is not there is told at once.
    pub(crate) fn meta(
        store: &Arc<dyn ObjectStore>,
        calls: &Calls,
        path: &Path,
    ) -> io::Result<ObjectMeta> {
        let (store, path) = (Arc::clone(store), path.clone());
        calls.call(move || {
            let (store, path) = (Arc::clone(&store), path.clone());
            async move { Attempt::of(store.head(&path).await) }
        })
    }

    fn fetch(&self, range: Range<u64>) -> io::Result<Bytes> {
        let (store, path, tag) = (Arc::clone(&self.store), self.path.clone(), self.tag.clone());
        self.calls.call(move || {
            let (store, path, range) = (Arc::clone(&store), path.clone(), range.clone());
            let options = GetOptions {
                range: Some(GetRange::Bounded(range.clone())),
                if_match: tag.clone(),
                ..GetOptions::default()
            };
            async move { fetched(&*store, &path, options, range).await }
        })
    }
}

/// Reads one range, exactly.
async fn fetched(
    store: &dyn ObjectStore,
    path: &Path,
    options: GetOptions,
    range: Range<u64>,
) -> Attempt<Bytes> {
    let result = match store.get_opts(path, options).await {
        // Another one has its name by now: this one is gone.
        Err(error @ object_store::Error::Precondition { .. }) => {
            return Attempt::Failed(io::Error::new(io::ErrorKind::NotFound, error));
        }
        Err(error) => return Attempt::of(Err(error)),
        Ok(result) => result,
    };
    let given = result.range.clone();
    let bytes = match result.bytes().await {
        Err(error) => return Attempt::of(Err(error)),
        Ok(bytes) => bytes,
    };
    if given == range && bytes.len() as u64 == range.end - range.start {
        return Attempt::Done(bytes);
    }
    let message = format!(
        "the store gave {} bytes where {} were asked for",
        bytes.len(),
        range.end - range.start
    );
    Attempt::Again(io::Error::new(io::ErrorKind::UnexpectedEof, message))
}

impl Drop for Object {
    fn drop(&mut self) {
        self.ahead.forget(self.opening);
    }
}

impl VfsFile for Object {
    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
            let at = offset + read as u64;
            if at >= self.bytes {
                break;
            }
            let there = if let Some(known) = self.ahead.find(self.opening, at) {
                known
            } else {
                let asked = at..self.bytes.min(at + rest.len() as u64);
                let range = self.ahead.range(self.opening, asked, self.bytes);
                let start = range.start;
                let bytes = self.fetch(range)?;
                self.ahead.keep(self.opening, start, bytes.clone());
                bytes.slice(usize::try_from(at - start).unwrap_or(bytes.len())..)
            };
            let more = there.len().min(rest.len());
            if let (Some(to), Some(from)) = (rest.get_mut(..more), there.get(..more)) {
                to.copy_from_slice(from);
            }
            read += more;
        }
        Ok(read)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_length(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_all(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What was read ahead is forgotten, whatever the range.
    fn forget_cached(&self, _: Range<u64>) -> io::Result<()> {
        self.ahead.forget(self.opening);
        Ok(())
    }

    fn map(&self, _: u64) -> io::Result<Option<Arc<dyn MappedFile>>> {
        Ok(None)
    }
}
