//! Samples of a segment: what compressing it would save, and a dictionary for it.

use std::io;
use std::sync::Arc;

use zstd::bulk::Compressor;

use super::{Compression, Edit};
use crate::format::compressed::{edit_records, strip};
use crate::format::frame::{FRAME_HEADER_BYTES, FrameKind};
use crate::format::manifest::SealedEnd;
use crate::format::segment::HEADER_BYTES;
use crate::reader::{FrameRead, FrameReader};
use crate::segments::Segment;
use crate::vfs::VfsFile;

/// How many places of a segment are looked at.
const SAMPLES: u32 = 24;
/// How long the pieces are that a dictionary is trained on, in bytes.
const PIECE_BYTES: usize = 2 * 1024;

/// Blocks from places all over the segment, edited and stripped as they would be compressed.
pub(super) fn take(
    file: &Arc<dyn VfsFile>,
    segment: &Segment,
    end: &SealedEnd,
    compression: &Compression,
    edit: &mut Edit<'_>,
) -> io::Result<Vec<Vec<u8>>> {
    let mut reader = FrameReader::new(Arc::clone(file), segment.seed, end.offset);
    let frames = end.offset.saturating_sub(HEADER_BYTES);
    let (mut samples, mut done) = (Vec::new(), HEADER_BYTES);
    for sample in 0..SAMPLES {
        let skipped = u64::from(frames) * u64::from(sample) / u64::from(SAMPLES);
        let from = HEADER_BYTES + u32::try_from(skipped).unwrap_or(0);
        let found =
            reader.find_header(from.max(done), |_, header| header.kind == FrameKind::Data)?;
        let Some((at, _)) = found else {
            break;
        };
        let (block, next) = frames_from(&mut reader, at, compression.block_bytes, edit)?;
        done = next;
        samples.extend(block);
    }
    Ok(samples)
}

/// The frames from an offset on, up to about so many bytes, edited and stripped; and where they end.
fn frames_from(
    reader: &mut FrameReader,
    start: u32,
    block_bytes: u32,
    edit: &mut Edit<'_>,
) -> io::Result<(Option<Vec<u8>>, u32)> {
    let (mut block, mut at) = (Vec::new(), start);
    while block.len() < block_bytes as usize {
        let FrameRead::Whole(frame) = reader.frame(at)? else {
            break;
        };
        let bytes = reader.bytes(at, frame.bytes)?.unwrap_or_default();
        let frame_at = block.len();
        block.extend_from_slice(bytes);
        let edited = block
            .get_mut(frame_at..)
            .and_then(|it| edit_records(it, edit));
        if edited.is_none() {
            block.truncate(frame_at);
            break;
        }
        at = at.saturating_add(frame.bytes);
    }
    let stripped = strip(&mut block, start, 0);
    block.truncate(block_bytes as usize);
    let is_some = stripped.is_some() && block.len() > FRAME_HEADER_BYTES as usize;
    Ok((is_some.then_some(block), at.max(start + 8)))
}

/// How many bytes samples have, and how many when they are compressed.
pub(super) fn compressed(
    samples: &[Vec<u8>],
    compression: &Compression,
    dictionary: Option<&[u8]>,
) -> io::Result<(u64, u64)> {
    let dictionary = dictionary.unwrap_or_default();
    let mut compressor = Compressor::with_dictionary(compression.level, dictionary)?;
    let (mut plain, mut stored) = (0, 0);
    for sample in samples {
        plain += sample.len() as u64;
        stored += compressor.compress(sample)?.len() as u64;
    }
    Ok((plain, stored))
}

/// A dictionary for the segment, where it saves more than it takes.
pub(super) fn dictionary(
    samples: &[Vec<u8>],
    segment_bytes: u32,
    compression: &Compression,
) -> io::Result<Option<Vec<u8>>> {
    if compression.dictionary_bytes_max == 0 {
        return Ok(None);
    }
    // It is judged by samples that it was not trained on.
    let (trained, judged): (Vec<_>, Vec<_>) =
        samples.iter().enumerate().partition(|(at, _)| at % 3 != 0);
    let pieces: Vec<&[u8]> = trained
        .iter()
        .flat_map(|(_, sample)| sample.chunks(PIECE_BYTES))
        .collect();
    let judged: Vec<_> = judged
        .into_iter()
        .map(|(_, sample)| sample.clone())
        .collect();
    let bytes_max = compression.dictionary_bytes_max as usize;
    // Too few samples are an error of the trainer, and no reason to go without compression.
    let Ok(dictionary) = zstd::dict::from_samples(&pieces, bytes_max) else {
        return Ok(None);
    };
    let (plain, without) = compressed(&judged, compression, None)?;
    let (_, with) = compressed(&judged, compression, Some(&dictionary))?;
    let saved = without.saturating_sub(with) * u64::from(segment_bytes) / plain.max(1);
    Ok((saved > 2 * dictionary.len() as u64).then_some(dictionary))
}
