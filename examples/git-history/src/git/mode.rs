//! What a tree entry is.

use std::fmt;

use gix::objs::tree::{EntryKind, EntryMode};
use serde::{Deserialize, Serialize};

/// What a tree entry is, as `git ls-tree` names it. Written in octal, as git does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// A plain file.
    #[serde(rename = "100644")]
    File,
    /// A file that may be executed.
    #[serde(rename = "100755")]
    Executable,
    /// A symbolic link; the blob holds its target.
    #[serde(rename = "120000")]
    Symlink,
    /// A submodule; the id is that of a commit in another repository.
    #[serde(rename = "160000")]
    Submodule,
}

impl Mode {
    /// Reads the six octal digits that `git ls-tree` prints.
    pub fn from_octal(digits: &[u8]) -> Option<Self> {
        match digits {
            b"100644" => Some(Self::File),
            b"100755" => Some(Self::Executable),
            b"120000" => Some(Self::Symlink),
            b"160000" => Some(Self::Submodule),
            _ => None,
        }
    }

    /// The six octal digits that `git ls-tree` prints.
    pub fn as_octal(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Symlink => "120000",
            Self::Submodule => "160000",
        }
    }

    /// What the id names, in the words of `git ls-tree`: a `blob`, or a `commit` for a submodule.
    pub fn object_kind(self) -> &'static str {
        match self {
            Self::Submodule => "commit",
            Self::File | Self::Executable | Self::Symlink => "blob",
        }
    }

    /// The mode of a tree entry, `None` for a folder. Old trees hold odd modes, such as 100664: they are
    /// read as git reads them, by type and executable bit alone.
    pub(crate) fn of_entry(mode: EntryMode) -> Option<Self> {
        match mode.kind() {
            EntryKind::Tree => None,
            EntryKind::Blob => Some(Self::File),
            EntryKind::BlobExecutable => Some(Self::Executable),
            EntryKind::Link => Some(Self::Symlink),
            EntryKind::Commit => Some(Self::Submodule),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_octal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_digits_round_trip() {
        for mode in [Mode::File, Mode::Executable, Mode::Symlink, Mode::Submodule] {
            assert_eq!(Mode::from_octal(mode.as_octal().as_bytes()), Some(mode));
            assert_eq!(serde_json::to_string(&mode).unwrap(), format!("\"{mode}\""));
        }
        assert_eq!(Mode::from_octal(b"040000"), None);
    }

    #[test]
    fn an_old_mode_is_read_by_type_and_executable_bit() {
        let cases = [
            (0o100_664, Some(Mode::File)),
            (0o100_600, Some(Mode::File)),
            (0o100_775, Some(Mode::Executable)),
            (0o40_000, None),
        ];
        for (raw, mode) in cases {
            assert_eq!(
                Mode::of_entry(EntryMode::try_from(raw).unwrap()),
                mode,
                "{raw:o}"
            );
        }
    }
}
