//! Why a command has no answer: what is told, and what the program exits with.

use std::error::Error as _;
use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;
use std::process::ExitCode;

use annals_core::{Error, ErrorKind, FailedCheck, Version};
use annals_store_log::is_lost;

/// What the program exits with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Failed,
    Usage,
    NotFound,
    Damage,
    Refused,
    Unknown,
    Interrupted,
    /// Whoever read the answer has enough: no failure.
    PipeClosed,
}

/// Why a command has no answer, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// Whether the same may go well a moment later.
    pub(crate) is_passing: bool,
}

/// What a command gives.
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

impl Exit {
    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::PipeClosed => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Damage => 4,
            Self::Refused => 5,
            Self::Unknown => 6,
            Self::Interrupted => 130,
        }
    }

    /// The word for it in JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::PipeClosed => "pipe-closed",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not-found",
            Self::Damage => "damage",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Interrupted => "interrupted",
        }
    }

    fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid | ErrorKind::CursorAhead => Self::Usage,
            ErrorKind::Conflict | ErrorKind::AppendIdReused | ErrorKind::Refused => Self::Refused,
            ErrorKind::Corrupt => Self::Damage,
            ErrorKind::Unknown => Self::Unknown,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
            is_passing: false,
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, message)
    }

    /// The same with what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with what to do next, where nothing is said of it yet.
    pub(crate) fn or_hint(self, hint: impl FnOnce() -> String) -> Self {
        if self.hint.is_some() {
            return self;
        }
        self.hint(hint())
    }

    /// The same as a failure after which it is not tried again.
    pub(crate) fn lasting(mut self) -> Self {
        self.is_passing = false;
        self
    }

    /// A file could not be used so.
    pub(crate) fn file(what: &str, path: &Path, error: &io::Error) -> Self {
        let message = format!("can't {what} {}: {error}", path.display());
        let failure = Self::new(exit_of_io(error), message);
        match io_hint(error) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    /// The answer could not be written.
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::PipeClosed, "");
        }
        let failure = Self::new(
            Exit::Failed,
            format!("the answer can't be written: {error}"),
        );
        match io_hint(error) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                let _ = write!(message, ": {text}");
            }
            source = cause.source();
        }
        let mut failure = Self::new(Exit::of(error.kind()), message);
        failure.is_passing = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Overloaded);
        match hint_for(&error) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<annals_codec::Error> for Failure {
    fn from(error: annals_codec::Error) -> Self {
        let mut message = error.to_string();
        if let Some(source) = error.source() {
            let _ = write!(message, ": {source}");
        }
        Self::new(Exit::Failed, message)
    }
}

fn exit_of_io(error: &io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::NotFound => Exit::NotFound,
        io::ErrorKind::AlreadyExists => Exit::Refused,
        _ => Exit::Failed,
    }
}

/// What to do about an error of the file system.
fn io_hint(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free space on that disk, then run the same command again")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("the medium can't be written; copy the store to one that can, or only read it")
        }
        io::ErrorKind::PermissionDenied => {
            Some("run as the user who owns it, or give yourself the permission")
        }
        _ => None,
    }
}

/// What to do about an error of a store.
fn hint_for(error: &Error) -> Option<String> {
    if let Some(conflict) = error.conflict() {
        return conflict.failures().iter().find_map(conflict_hint);
    }
    general_hint(error).map(str::to_owned)
}

/// What to do about a check that does not hold.
fn conflict_hint(failed: &FailedCheck) -> Option<String> {
    match failed {
        FailedCheck::Stream { stream, actual, .. } if *actual == Version::ABSENT => Some(format!(
            "{stream} has no event yet: look whether its name is right, or expect `no-stream`"
        )),
        FailedCheck::Stream { stream, actual, .. } => Some(format!(
            "see what is there with `annals history {stream}`; if it still applies, expect version {actual}"
        )),
        FailedCheck::Closed { stream } => Some(format!(
            "{stream} takes no event any more, whatever is expected; append to another stream"
        )),
        _ => None,
    }
}

fn general_hint(error: &Error) -> Option<&'static str> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>()
            && let Some(hint) = io_hint(cause)
        {
            return Some(hint);
        }
        source = cause.source();
    }
    if is_lost(error) {
        return Some(
            "restore a backup where there is one; `annals read`, `find`, `export` and others go past what is lost with --skip-lost",
        );
    }
    match error.kind() {
        ErrorKind::NoSpace => Some("free space on the disk of the store; nothing was written"),
        ErrorKind::Corrupt => Some(
            "see all damage with `annals verify`, then restore a backup, or `annals repair` gives up what is damaged",
        ),
        ErrorKind::CursorAhead => {
            Some("`annals stats --quick` tells where the store ends; ask for what is before that")
        }
        ErrorKind::Unknown => {
            Some("run the same command with the same append id again: it is recorded once")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_read_only_one_say_what_to_do() {
        for (kind, hint) in [
            (io::ErrorKind::StorageFull, "free space"),
            (io::ErrorKind::ReadOnlyFilesystem, "only read it"),
        ] {
            let io = io::Error::from(kind);
            let failure = Failure::file("write", Path::new("f"), &io);
            assert!(failure.hint.unwrap().contains(hint));
            let store = Error::new(ErrorKind::Unavailable, "open").caused_by(io);
            assert!(Failure::from(store).hint.unwrap().contains(hint));
        }
    }
}
