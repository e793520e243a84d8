//! Writing a store as text.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write};
use std::path::Path;

use annals_core::{HistoryEntry, Position};
use annals_store_log::{StoreHistory, is_lost};

use super::Format;
use super::line::Line;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::output::progress::Step;

/// Where an export goes on: after this event, and after so many of the policies that follow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct From {
    pub(crate) after: Position,
    pub(crate) policies: u64,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exported {
    pub(crate) events: u64,
    pub(crate) policies: u64,
    pub(crate) position: Position,
}

/// Writes what a store recorded after a place, and that it is whole.
pub(crate) fn write(
    history: &mut StoreHistory,
    format: Format,
    from: From,
    out: &mut dyn Write,
    failed: &dyn Fn(&io::Error) -> Failure,
) -> Result<Exported> {
    let step = Step::begin("exporting", history.head().value());
    let mut exported = Exported {
        position: from.after,
        ..Exported::default()
    };
    let mut passing = Passing {
        from,
        at: Position::START,
    };
    let mut lost = None;
    loop {
        let entries = match history.next_entries() {
            Ok(entries) if entries.is_empty() => break,
            Ok(entries) => entries,
            // Behind the place where the export begins, also where it was no event.
            Err(error) if is_lost(&error) && passing.at >= from.after => return Err(error.into()),
            Err(error) if is_lost(&error) && history.skip_lost() => {
                lost = Some(error);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        step.advance(entries.len() as u64);
        for entry in entries.iter().filter(|entry| passing.leaves(entry)) {
            // What was lost before the place where the export begins is no part of it; a gap is.
            if !exported.is_followed_by(entry)
                && let Some(error) = lost.take()
            {
                return Err(error.into());
            }
            let line = format.encode(&Line::of(entry))?;
            put(out, &line, failed)?;
            exported.note(entry);
        }
        interrupt::check(
            "what was written is whole but for its end; --output FILE --resume goes on",
        )?;
    }
    if let Some(error) = lost.filter(|_| exported.position < history.head()) {
        return Err(error.into());
    }
    put(out, &format.encode(&Line::End(exported.position))?, failed)?;
    out.flush().map_err(|error| failed(&error))?;
    step.end();
    Ok(exported)
}

fn put(out: &mut dyn Write, line: &str, failed: &dyn Fn(&io::Error) -> Failure) -> Result {
    let written = out
        .write_all(line.as_bytes())
        .and_then(|()| out.write_all(b"\n"));
    written.map_err(|error| failed(&error))
}

/// What was written before, which is passed over.
struct Passing {
    from: From,
    /// The last event that was met.
    at: Position,
}

impl Passing {
    /// Whether an entry is still to be written.
    fn leaves(&mut self, entry: &HistoryEntry) -> bool {
        if let HistoryEntry::Event { event, .. } = entry {
            self.at = event.position();
            return self.at > self.from.after;
        }
        if self.at > self.from.after {
            return true;
        }
        if self.at < self.from.after {
            return false;
        }
        let is_written = self.from.policies > 0;
        self.from.policies = self.from.policies.saturating_sub(1);
        !is_written
    }
}

impl Exported {
    /// Whether nothing is missing between what was written and this entry.
    fn is_followed_by(&self, entry: &HistoryEntry) -> bool {
        match entry {
            HistoryEntry::Event { event, .. } => event.position() == self.position.next(),
            _ => true,
        }
    }

    fn note(&mut self, entry: &HistoryEntry) {
        if let HistoryEntry::Event { event, .. } = entry {
            self.events += 1;
            self.position = event.position();
        } else {
            self.policies += 1;
        }
    }
}

/// A file that an export goes on in: everything behind its last whole append is cut off. Its form, and where it goes on.
pub(crate) fn resume(path: &Path) -> Result<(File, Format, From)> {
    let failed = |error: &io::Error| Failure::file("read", path, error);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| failed(&error))?;
    let mut reader = BufReader::with_capacity(1 << 20, &file);
    let mut whole = Whole::default();
    let mut text = Vec::new();
    loop {
        text.clear();
        let read = reader
            .read_until(b'\n', &mut text)
            .map_err(|error| failed(&error))?;
        if read == 0 || !whole.take(&text) {
            break;
        }
    }
    let Some(format) = whole.format else {
        let message = format!("{} is no export that can be gone on with", path.display());
        return Err(Failure::refused(message).hint("name a new file"));
    };
    let mut file = file;
    file.set_len(whole.bytes).map_err(|error| failed(&error))?;
    io::Seek::seek(&mut file, io::SeekFrom::End(0)).map_err(|error| failed(&error))?;
    Ok((file, format, whole.from))
}

/// The part of a file up to its last whole append.
#[derive(Default)]
struct Whole {
    format: Option<Format>,
    bytes: u64,
    from: From,
    /// What was read after that.
    read: u64,
    /// How many events of an append are still to come.
    open: u32,
}

impl Whole {
    /// Takes a line; `false` where the file is not what an export writes from here on.
    fn take(&mut self, text: &[u8]) -> bool {
        let Some(line) = text
            .strip_suffix(b"\n")
            .and_then(|text| std::str::from_utf8(text).ok())
        else {
            return false;
        };
        let format = self.format.unwrap_or_else(|| Format::of(line));
        self.read += text.len() as u64;
        match format.decode(line) {
            Ok(Line::Begin(after)) if self.format.is_none() => {
                self.format = Some(format);
                self.from.after = after;
            }
            Ok(Line::Event(event)) if self.format.is_some() => {
                self.open = event
                    .append
                    .map_or(self.open, |(_, events)| events)
                    .saturating_sub(1);
                let Some(position) = event.position else {
                    return false;
                };
                if self.open > 0 {
                    return true;
                }
                self.from = From {
                    after: position,
                    policies: 0,
                };
            }
            Ok(Line::Policy(..)) if self.format.is_some() => self.from.policies += 1,
            _ => return false,
        }
        self.bytes = self.read;
        true
    }
}

/// A new file for an export; refused where there is one.
pub(crate) fn create(path: &Path) -> Result<File> {
    File::create_new(path).map_err(|error| {
        let failure = Failure::file("make", path, &error);
        if error.kind() == io::ErrorKind::AlreadyExists {
            return failure.hint("name a new file, or go on in this one with --resume");
        }
        failure
    })
}

/// Writes through a buffer, and makes what was written durable.
pub(crate) fn to_file(
    path: &Path,
    file: File,
    write: impl FnOnce(&mut dyn Write) -> Result<Exported>,
) -> Result<Exported> {
    let mut buffer = BufWriter::with_capacity(1 << 20, file);
    let written = write(&mut buffer);
    let synced = buffer.flush().and_then(|()| buffer.get_ref().sync_all());
    let exported = written?;
    synced.map_err(|error| Failure::file("write", path, &error))?;
    Ok(exported)
}
