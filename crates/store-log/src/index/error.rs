//! Why a run could not be read or written.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The result of using an index.
pub(crate) type Result<T, E = RunError> = std::result::Result<T, E>;

/// Why a run could not be read or written. The log is not affected: a run is derived from it.
#[derive(Debug)]
pub(crate) struct RunError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: RunErrorKind,
    path: PathBuf,
    what: Cow<'static, str>,
    source: Option<io::Error>,
}

/// What to do about a run that could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RunErrorKind {
    /// Its bytes are not those that were written: drop it and build it again from the log.
    Damaged,
    /// It is of another log: it has no place in this directory.
    Foreign,
    /// A newer version of annals wrote it: take that version, or remove the file.
    NewerFormat,
    /// The file system refused.
    Io,
}

impl RunError {
    /// An error of this kind about this file; `what` is a lower-case fragment.
    pub(crate) fn new(kind: RunErrorKind, path: &Path, what: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            path: path.to_path_buf(),
            what: what.into(),
            source: None,
        }))
    }

    /// The file system's refusal to do `what`.
    pub(crate) fn io(path: &Path, what: &'static str, source: io::Error) -> Self {
        Self(Box::new(Inner {
            kind: RunErrorKind::Io,
            path: path.to_path_buf(),
            what: what.into(),
            source: Some(source),
        }))
    }

    /// What to do about it.
    pub(crate) fn kind(&self) -> RunErrorKind {
        self.0.kind
    }

    /// The file of the run.
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remedy = match self.0.kind {
            RunErrorKind::Damaged => "; it is built again from the log",
            RunErrorKind::Foreign => "; move it back to the store that it came from",
            RunErrorKind::NewerFormat => {
                "; open the store with the version of annals that wrote it"
            }
            RunErrorKind::Io => "",
        };
        write!(
            f,
            "index file {}: {}{remedy}",
            self.0.path.display(),
            self.0.what
        )
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}
