//! Finding the end of a log that was not closed.
//!
//! A failed sync leaves pages in memory that look written and are not, so the tail is read past the
//! cache, written again as it was read, and synced, before anybody is served from it. What is cut is
//! overwritten with zeros in the same sync. Every step may be repeated after a crash.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Damage, DamageKind, Error, Result};
use crate::files::{write_full, write_zeros};
use crate::format::segment::HEADER_BYTES;
use crate::place::{RecordAt, Tip};
use crate::planted::{self, Bug};
use crate::reader::{FrameRead, FrameReader};
use crate::segments::Segment;
use crate::vfs::VfsFile;

/// How much of the tail is written again at once.
const REWRITE_BYTES: u32 = 256 * 1024;

/// What opening a log had to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Whether the log had been closed, so that nothing had to be looked at.
    pub was_closed: bool,
    /// The tail that was cut, which had been acknowledged to nobody.
    pub cut: Option<Cut>,
    /// How many bytes of whole frames were written again and synced.
    pub rewritten_bytes: u64,
    /// Whether a crash had interrupted the sealing of the segment, which was undone.
    pub sealing_undone: bool,
}

/// A torn tail that was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Where it began.
    pub at: RecordAt,
    /// How many bytes it had.
    pub bytes: u64,
}

/// The end that was found, and what it took.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) tip: Tip,
    pub(crate) recovery: Recovery,
}

/// Finds the end of the active segment, known to be durable up to `durable`, and makes it durable.
pub(crate) fn recover(
    path: &Path,
    segment: &Segment,
    file: &Arc<dyn VfsFile>,
    durable: Tip,
    length: u32,
) -> Result<Recovered> {
    let failed = |error| Error::io("the segment can't be recovered", path, error);
    file.forget_cached(u64::from(durable.offset)..u64::from(length))
        .map_err(failed)?;
    let mut reader = FrameReader::new(Arc::clone(file), segment.seed, length);
    let walk = walk(path, segment, &mut reader, durable)?;
    let end = walk.tip.offset;
    judge(path, &walk, &mut reader, durable)?;
    let residue = reader.end_of_residue(end).map_err(failed)?;
    let mut recovery = Recovery {
        sealing_undone: walk.footer == Footer::Whole,
        ..Recovery::default()
    };
    if let Some(residue) = residue.filter(|_| !recovery.sealing_undone) {
        let bytes = u64::from(residue - end);
        let at = RecordAt::new(segment.id(), end);
        recovery.cut = Some(Cut { at, bytes });
        tracing::warn!(
            path = %path.display(), segment = segment.id(), offset = end, bytes,
            "a torn tail was cut; nobody had been told that it was written"
        );
    }
    if !planted::is_active(Bug::TailNotRewritten) {
        recovery.rewritten_bytes =
            rewrite(&**file, &mut reader, durable.offset, end).map_err(failed)?;
    }
    if let Some(residue) = residue
        && !planted::is_active(Bug::CutNotZeroed)
    {
        write_zeros(&**file, u64::from(end)..u64::from(residue)).map_err(failed)?;
    }
    // Even where nothing was written here: zeros that were read may stand in memory alone.
    if !planted::is_active(Bug::TailNotRewritten) {
        file.sync_data().map_err(failed)?;
    }
    let mut tip = walk.tip;
    if planted::is_active(Bug::NumberReused) && tip.next_number > 1 && recovery.cut.is_some() {
        tip.next_number -= 1;
    }
    Ok(Recovered { tip, recovery })
}

/// How far the frames go.
struct Walk {
    tip: Tip,
    footer: Footer,
    /// Whether the durable end is a boundary of these frames, with everything before it as it was.
    met_durable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Footer {
    None,
    Whole,
}

/// Goes from frame to frame until one is not whole or doesn't follow.
fn walk(path: &Path, segment: &Segment, reader: &mut FrameReader, durable: Tip) -> Result<Walk> {
    let failed = |error| Error::io("the segment can't be read", path, error);
    let mut walk = Walk {
        tip: Tip::start(&segment.header),
        footer: Footer::None,
        met_durable: false,
    };
    loop {
        walk.met_durable |= walk.tip == durable;
        let FrameRead::Whole(frame) = reader.frame(walk.tip.offset).map_err(failed)? else {
            return Ok(walk);
        };
        if frame.footer.is_some() {
            if frame.ends(&walk.tip) {
                walk.footer = Footer::Whole;
            }
            return Ok(walk);
        }
        match frame.follow(&walk.tip) {
            Some(tip) => walk.tip = tip,
            None => return Ok(walk),
        }
    }
}

/// Whether what ended the walk is a torn tail, or damage to what was durable.
fn judge(path: &Path, walk: &Walk, reader: &mut FrameReader, durable: Tip) -> Result<()> {
    if planted::is_active(Bug::MiddleCut) {
        return Ok(());
    }
    let failed = |error| Error::io("the segment can't be read", path, error);
    let tip = &walk.tip;
    if tip.offset < durable.offset {
        let damage = Damage::new(path, tip.offset, DamageKind::Frame);
        return Err(Error::corrupt(damage.of_numbers(
            tip.next_number..durable.next_number.max(tip.next_number),
        )));
    }
    if !walk.met_durable {
        let damage = Damage::new(path, durable.offset, DamageKind::Chain);
        return Err(Error::corrupt(damage));
    }
    let from = tip.offset.saturating_add(8);
    let promised = |_, header: &crate::format::frame::FrameHeader| header.durable_upto > tip.offset;
    if let Some((_, header)) = reader.find_header(from, promised).map_err(failed)? {
        let damage = Damage::new(path, tip.offset, DamageKind::Frame);
        let numbers = tip.next_number..header.first_number.max(tip.next_number);
        return Err(Error::corrupt(damage.of_numbers(numbers)));
    }
    Ok(())
}

/// Writes the tail again as it was read.
fn rewrite(file: &dyn VfsFile, reader: &mut FrameReader, from: u32, end: u32) -> io::Result<u64> {
    let mut at = from.max(HEADER_BYTES);
    while at < end {
        let bytes = (end - at).min(REWRITE_BYTES);
        let Some(chunk) = reader.bytes(at, bytes)? else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        write_full(file, chunk, u64::from(at))?;
        at += bytes;
    }
    Ok(u64::from(end - from.min(end)))
}
