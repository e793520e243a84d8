//! Going through all that a store recorded, and looking at its files.

use std::fs;
use std::io;
use std::path::Path;

use annals_core::HistoryEntry;
use annals_store_log::StoreHistory;

use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::output::progress::Step;

/// Hands over everything that a store recorded, in order.
pub(crate) fn each_entry(
    name: &'static str,
    history: &mut StoreHistory,
    mut take: impl FnMut(HistoryEntry) -> Result,
) -> Result {
    let step = Step::begin(name, history.head().value());
    loop {
        let entries = history.next_entries()?;
        if entries.is_empty() {
            step.end();
            return Ok(());
        }
        step.advance(entries.len() as u64);
        for entry in entries {
            take(entry)?;
        }
        interrupt::check("nothing was changed; run it again")?;
    }
}

/// How many files there are, and how much room they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
}

/// What the files of a store take, by what is in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreFiles {
    pub(crate) segments: Files,
    pub(crate) index: Files,
    pub(crate) snapshots: Files,
    pub(crate) quarantine: Files,
    pub(crate) all: Files,
}

impl Files {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

impl StoreFiles {
    /// Looks at the files of a store. One that goes meanwhile is left out.
    pub(crate) fn of(directory: &Path) -> Result<Self> {
        let mut files = Self::default();
        visit(directory, &mut |path, bytes| {
            files.all.add(bytes);
            let place = path.strip_prefix(directory).unwrap_or(path);
            let is_in = |folder: &str| place.starts_with(folder);
            if is_in("log/quarantine") {
                files.quarantine.add(bytes);
            } else if is_in("log") && path.extension().is_some_and(|it| it == "segment") {
                files.segments.add(bytes);
            } else if is_in("index") {
                files.index.add(bytes);
            } else if place.to_string_lossy().starts_with("snapshots.") {
                files.snapshots.add(bytes);
            }
        })
        .map_err(|error| Failure::file("look at the files in", directory, &error))?;
        Ok(files)
    }
}

fn visit(directory: &Path, found: &mut dyn FnMut(&Path, u64)) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => visit(&entry.path(), found)?,
            Ok(metadata) => found(&entry.path(), metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
