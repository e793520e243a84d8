//! From a memtable to a run file.

use std::path::Path;
use std::sync::Arc;

use annals_log::Place;
use annals_log::vfs::VfsFile;

use super::super::{Memtable, Part, Result, policy};
use super::dictionary::DictionaryWriter;
use super::header::{Header, POSITIONS_MAX, Section};
use super::ids::IdsWriter;
use super::output::Output;
use super::postings::PostingsWriter;
use super::records::RecordsWriter;
use super::stream::StreamVersions;

/// Writes what is in the memtable to this new file as a run; durable afterwards, if the file's name is.
///
/// `upto` is where in the log a reader goes on who knows the memtable; `kinds` is kept as it is.
///
/// # Panics
/// When the memtable has no position, or more than a run can have.
pub(crate) fn write(
    path: &Path,
    file: Arc<dyn VfsFile>,
    memtable: &Memtable,
    kinds: &[u8],
    upto: Place,
) -> Result<()> {
    let positions = memtable.len() as u64;
    assert!(
        (1..=POSITIONS_MAX).contains(&positions),
        "a run has a position"
    );
    let mut out = Output::new(path, file);
    let sections = [
        records(&mut out, memtable)?,
        ids(&mut out, positions, &memtable.event_id_tags())?,
        ids(&mut out, positions, &memtable.append_id_tags())?,
        streams(&mut out, memtable)?,
        terms(&mut out, memtable)?,
        policies(&mut out, memtable)?,
        opaque(&mut out, kinds)?,
    ];
    let mut header = Header {
        log_id: memtable.log_id(),
        first: memtable.first(),
        last: memtable.last(),
        upto,
        event_ids: memtable.event_id_bounds(),
        append_ids: memtable.append_id_bounds(),
        sections,
        body_end: 0,
        file_length: 0,
        checksums_checksum: 0,
    };
    out.finish(&mut header)
}

/// Writes bytes that the index does not look into.
pub(super) fn opaque(out: &mut Output, bytes: &[u8]) -> Result<Section> {
    let start = out.offset();
    out.write(bytes)?;
    out.end_section(start, 0, &[])
}

fn records(out: &mut Output, memtable: &Memtable) -> Result<Section> {
    let mut writer = RecordsWriter::new(out);
    for record in memtable.records() {
        writer.push(out, *record)?;
    }
    writer.finish(out)
}

fn ids(out: &mut Output, positions: u64, tags: &[(u64, u32)]) -> Result<Section> {
    let mut writer = IdsWriter::new(out, tags.len() as u64, positions);
    for (tag, ordinal) in tags {
        writer.push(out, *tag, *ordinal)?;
    }
    writer.finish(out)
}

fn streams(out: &mut Output, memtable: &Memtable) -> Result<Section> {
    let hashes = memtable.stream_hashes();
    let mut writer = DictionaryWriter::new(out, hashes.len() as u64);
    let mut postings = PostingsWriter::default();
    let mut value = Vec::new();
    for (hash, number) in hashes {
        let Some((name, versions, ordinals)) = memtable.stream_at(number) else {
            continue;
        };
        for ordinal in ordinals {
            postings.push(out, *ordinal)?;
        }
        let versions = StreamVersions {
            first: versions.first,
            stretches: versions.stretches.to_vec(),
        };
        value.clear();
        postings.finish(out, writer.start(), Some(&versions), &mut value)?;
        writer.push(out, hash, (None, name), &value)?;
    }
    writer.finish(out)
}

fn terms(out: &mut Output, memtable: &Memtable) -> Result<Section> {
    let hashes = memtable.term_hashes();
    let mut writer = DictionaryWriter::new(out, hashes.len() as u64);
    let mut postings = PostingsWriter::default();
    let mut value = Vec::new();
    for (hash, number) in hashes {
        let Some((kind, text, ordinals)) = memtable.term_at(number) else {
            continue;
        };
        for ordinal in ordinals {
            postings.push(out, *ordinal)?;
        }
        value.clear();
        postings.finish(out, writer.start(), None, &mut value)?;
        writer.push(out, hash, (Some(kind), text), &value)?;
    }
    writer.finish(out)
}

fn policies(out: &mut Output, memtable: &Memtable) -> Result<Section> {
    let hashes = memtable.policy_hashes();
    let mut writer = DictionaryWriter::new(out, hashes.len() as u64);
    let mut value = Vec::new();
    for (hash, stream, policy) in hashes {
        value.clear();
        policy::encode(policy, &mut value);
        writer.push(out, hash, (None, stream.as_str().as_bytes()), &value)?;
    }
    writer.finish(out)
}
