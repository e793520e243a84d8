//! The error of the engine, sorted by what the caller does next.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What comes back from the engine.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong in a log, and what to do about it. One pointer wide.
pub struct Error(Box<Inner>);

/// What the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call or a setting breaks a rule: correct it. Nothing was written.
    Invalid,
    /// There is no log in the directory, or no record at the place.
    NotFound,
    /// The directory holds a log already.
    AlreadyExists,
    /// Another process, named in the message, writes to the log.
    Locked,
    /// A file is of a format after this binary's: use a newer one.
    NewerFormat,
    /// A file is damaged: see [`Error::damage`]; verify, then repair or restore.
    Corrupt,
    /// The disk is full: free space and try again. Nothing was written, the log goes on.
    NoSpace,
    /// An earlier failure stopped the writer: open the log again. Nothing was written.
    Poisoned,
    /// It can't be told whether what was written is durable. The writer is stopped; open the log again
    /// and look.
    Unknown,
    /// The file system refused: see the source. Nothing was written.
    Io,
}

/// What is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// What is wrong there.
    pub kind: DamageKind,
    /// The numbers of the records concerned, as far as they can be told.
    pub numbers: Option<Range<u64>>,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DamageKind {
    /// The file is not there.
    Missing,
    /// The file doesn't belong there.
    Unexpected,
    /// The file is of another log.
    Foreign,
    /// The file is shorter than what was known to be durable.
    Truncated,
    /// The manifest is not what was written.
    Manifest,
    /// No slot of the watermark is what was written.
    Watermark,
    /// The segment's header is not what was written.
    SegmentHeader,
    /// A frame is not what was written.
    Frame,
    /// A record is not what was written.
    Record,
    /// A block of a compressed segment, its table or its dictionary is not what was written.
    Block,
    /// The footer of a sealed segment is not what was written.
    Footer,
    /// Whole pieces don't fit together: numbers or digests don't follow each other.
    Chain,
    /// Bytes stand where only zeros may.
    Residue,
    /// The range was given up by a repair.
    Lost,
    /// The file in the archive is not the one that was archived.
    Archive,
}

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    path: Option<PathBuf>,
    damage: Option<Damage>,
    source: Option<io::Error>,
}

impl Error {
    #[cold]
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            path: None,
            damage: None,
            source: None,
        }))
    }

    #[cold]
    pub(crate) fn corrupt(damage: Damage) -> Self {
        let message = match damage.kind {
            DamageKind::Lost => {
                "a repair gave this part of the log up; restore a copy, or read on behind it"
            }
            _ => "the log is damaged; verify it, then repair it or restore a copy",
        };
        let mut error = Self::new(ErrorKind::Corrupt, message);
        error.0.damage = Some(damage);
        error
    }

    /// An I/O error that left nothing behind.
    #[cold]
    pub(crate) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        let kind = if is_no_space(&source) {
            ErrorKind::NoSpace
        } else {
            ErrorKind::Io
        };
        Self::new(kind, operation).at(path).caused_by(source)
    }

    #[cold]
    pub(crate) fn unknown(operation: &'static str, path: &Path, source: io::Error) -> Self {
        let message =
            format!("{operation}: what is durable is unknown; open the log again and look");
        Self::new(ErrorKind::Unknown, message)
            .at(path)
            .caused_by(source)
    }

    /// The same, where something was written before and may be durable or not.
    pub(crate) fn into_unknown(mut self) -> Self {
        self.0.kind = ErrorKind::Unknown;
        self
    }

    pub(crate) fn at(mut self, path: &Path) -> Self {
        self.0.path = Some(path.to_owned());
        self
    }

    pub(crate) fn caused_by(mut self, source: io::Error) -> Self {
        self.0.source = Some(source);
        self
    }

    /// What the caller does next.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What kind of I/O error it was caused by.
    pub(crate) fn io_kind(&self) -> Option<io::ErrorKind> {
        self.0.source.as_ref().map(io::Error::kind)
    }

    /// What is damaged, when something is.
    pub fn damage(&self) -> Option<&Damage> {
        self.0.damage.as_ref()
    }

    /// The file or directory concerned.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(path) = &self.0.path {
            write!(f, " ({})", path.display())?;
        }
        match &self.0.damage {
            Some(damage) => write!(f, ": {damage}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.0.source.as_ref()?;
        Some(source)
    }
}

impl Damage {
    pub(crate) fn new(file: &Path, offset: impl Into<u64>, kind: DamageKind) -> Self {
        Self {
            file: file.to_owned(),
            offset: offset.into(),
            kind,
            numbers: None,
        }
    }

    pub(crate) fn of_numbers(mut self, numbers: Range<u64>) -> Self {
        self.numbers = Some(numbers);
        self
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at offset {}: {}",
            self.file.display(),
            self.offset,
            self.kind
        )?;
        match &self.numbers {
            Some(numbers) if numbers.is_empty() => f.write_str(", no numbered records"),
            Some(numbers) if numbers.end - numbers.start == 1 => {
                write!(f, ", number {}", numbers.start)
            }
            Some(numbers) => write!(f, ", numbers {} to {}", numbers.start, numbers.end - 1),
            None => Ok(()),
        }
    }
}

impl fmt::Display for DamageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the file is missing",
            Self::Unexpected => "the file does not belong to the log",
            Self::Foreign => "the file belongs to another log",
            Self::Truncated => "the file is cut short",
            Self::Manifest => "the manifest is damaged",
            Self::Watermark => "both slots of the watermark are damaged",
            Self::SegmentHeader => "the header of the segment is damaged",
            Self::Frame => "a frame is damaged",
            Self::Record => "a record is damaged",
            Self::Block => "a compressed block is damaged",
            Self::Footer => "the footer of the segment is damaged",
            Self::Chain => "what stands there does not follow what stands before",
            Self::Residue => "bytes stand where only zeros may",
            Self::Lost => "a repair gave the range up",
            Self::Archive => "the file is not the one that was archived",
        })
    }
}

/// Whether the error says that there is no room, for this user or at all.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::WriteZero
    )
}
