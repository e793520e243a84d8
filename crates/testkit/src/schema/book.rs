//! The directory of one category: its list of files, which are only ever added.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::{ENVIRONMENT_VARIABLE, Mode};
use crate::report::Report;

const LAYOUT: &str = "annals schema ledger 1";
const LIST: &str = "ledger.txt";

/// The files of a category.
pub(super) struct Book {
    directory: PathBuf,
    mode: Mode,
    /// Checksums of the files, by their paths.
    files: BTreeMap<String, u64>,
    /// What is to be written once all of it holds.
    added: BTreeMap<String, String>,
}

impl Book {
    /// Reads the list; an absent one is begun where the mode allows.
    pub(super) fn open(directory: PathBuf, mode: Mode) -> Result<Self, Report> {
        let list = directory.join(LIST);
        let text = match fs::read_to_string(&list) {
            Ok(text) => text.replace("\r\n", "\n"),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Self::begin(directory, mode);
            }
            Err(error) => return Err(unreadable(&list, &error)),
        };
        let mut lines = text.lines();
        let layout = lines.next().unwrap_or_default();
        if layout != LAYOUT {
            return Err(Report::new(
                "the schema ledger has a layout that this version does not know",
            )
            .text("directory", &shown(&directory))
            .text_difference(LAYOUT, layout)
            .text(
                "what to do",
                "use the version of annals-testkit that wrote it, or restore the list",
            ));
        }
        let files: Option<BTreeMap<String, u64>> = lines.map(listed).collect();
        let files = files.ok_or_else(|| {
            Report::new("the list of the schema ledger is damaged")
                .text("file", &shown(&list))
                .text(
                    "what to do",
                    "restore it from version control; after a merge keep the lines of both sides",
                )
        })?;
        Ok(Self {
            directory,
            mode,
            files,
            added: BTreeMap::new(),
        })
    }

    fn begin(directory: PathBuf, mode: Mode) -> Result<Self, Report> {
        if mode == Mode::Check {
            return Err(Report::new("there is no schema ledger")
                .text("directory", &shown(&directory))
                .text("what to do", &write_and_commit()));
        }
        let is_empty = match fs::read_dir(&directory) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => return Err(unreadable(&directory, &error)),
        };
        if !is_empty {
            return Err(
                Report::new("the directory for the schema ledger holds something else")
                    .text("directory", &shown(&directory))
                    .text("missing", LIST)
                    .text(
                        "what to do",
                        "restore the list from version control, or name another directory",
                    ),
            );
        }
        Ok(Self {
            directory,
            mode,
            files: BTreeMap::new(),
            added: BTreeMap::new(),
        })
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// The paths of the files, in order.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    pub(super) fn holds(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// The text of a listed file, once it is known to be what was written.
    pub(super) fn read(&self, path: &str) -> Result<String, Report> {
        if let Some(text) = self.added.get(path) {
            return Ok(text.clone());
        }
        let file = self.directory.join(path);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text.replace("\r\n", "\n"),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Report::new("a file of the schema ledger was deleted")
                    .text("file", &shown(&file))
                    .text(
                        "what to do",
                        "restore it from version control: events of that version may be in a store for good",
                    ));
            }
            Err(error) => return Err(unreadable(&file, &error)),
        };
        if self.files.get(path) == Some(&checksum(&text)) {
            return Ok(text);
        }
        Err(Report::new("a file of the schema ledger was changed")
            .text("file", &shown(&file))
            .text(
                "what to do",
                "restore it from version control: what was recorded does not change",
            ))
    }

    /// Adds a file; never over another one. It is written by [`save`](Self::save).
    pub(super) fn add(&mut self, path: String, text: String) -> Result<(), Report> {
        let file = self.directory.join(&path);
        if file.exists() {
            return Err(Report::new("the list of the schema ledger does not name a file that is there")
                .text("file", &shown(&file))
                .text(
                    "what to do",
                    "restore the list from version control, or remove the file if it was never committed",
                ));
        }
        self.files.insert(path.clone(), checksum(&text));
        self.added.insert(path, text);
        Ok(())
    }

    /// Writes what was added, and the list.
    pub(super) fn save(&self) -> Result<(), Report> {
        if self.added.is_empty() {
            return Ok(());
        }
        for (path, text) in &self.added {
            let file = self.directory.join(path);
            write_new(&file, text).map_err(|error| unwritable(&file, &error))?;
        }
        let mut text = format!("{LAYOUT}\n");
        for (path, checksum) in &self.files {
            let _ = writeln!(text, "{checksum:016x} {path}");
        }
        let list = self.directory.join(LIST);
        replace(&list, &text).map_err(|error| unwritable(&list, &error))
    }
}

fn write_new(file: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::File::create_new(file)?.write_all(text.as_bytes())
}

/// Replaces a file by one that is whole: whoever reads meanwhile finds the old text or the new one.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    let mut written = fs::File::create(&new)?;
    written.write_all(text.as_bytes())?;
    written.sync_all()?;
    fs::rename(&new, file)
}

fn listed(line: &str) -> Option<(String, u64)> {
    let (checksum, path) = line.split_once(' ')?;
    Some((path.to_owned(), u64::from_str_radix(checksum, 16).ok()?))
}

/// FNV-1a of 64 bits (Fowler, Noll and Vo): it is to notice an edit, not an attack.
fn checksum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// What to do where something has to be written.
pub(super) fn write_and_commit() -> String {
    format!("run this test with {ENVIRONMENT_VARIABLE}=write, look at what it wrote, and commit it")
}

fn unreadable(path: &Path, error: &io::Error) -> Report {
    Report::new("the schema ledger can't be read")
        .text("path", &shown(path))
        .error(error)
}

fn unwritable(path: &Path, error: &io::Error) -> Report {
    let fix = format!(
        "write the ledger where the directory can be written, and commit it; elsewhere run the test without \
         {ENVIRONMENT_VARIABLE}"
    );
    Report::new("the schema ledger can't be written")
        .text("path", &shown(path))
        .error(error)
        .text("what to do", &fix)
}

pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}
