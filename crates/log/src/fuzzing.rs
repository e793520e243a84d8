//! The parsers of the files, for fuzz bodies: each takes any bytes, and panics when a promise is broken.
//!
//! Chance never meets a checksum, so every body also looks at its bytes with their checksums put right.

use crate::format::Seed;
use crate::format::compressed::{
    BlockEntry, COMPRESSED_HEADER_BYTES, CompressedHeader, restore, strip,
};
use crate::format::frame::{
    FRAME_HEADER_BYTES, Footer, FrameHeader, FrameKind, RECORD_HEADER_BYTES, RawRecord, check_body,
};
use crate::format::manifest::Manifest;
use crate::format::segment::{HEADER_BYTES, SegmentHeader};
use crate::format::watermark::{SLOT_BYTES, Slot};

/// A segment's header that parses is encoded as it was.
pub fn segment_header(input: &[u8]) {
    let mut block = input.to_vec();
    block.resize(HEADER_BYTES as usize, 0);
    for _ in 0..2 {
        if let Ok(header) = SegmentHeader::parse(&block) {
            assert_eq!(header.encode(), block);
            header.digest();
        }
        seal_block(&mut block);
    }
    assert!(SegmentHeader::parse(input.get(..4095).unwrap_or(input)).is_err());
}

/// A compressed segment's header that parses is encoded as it was; what is restored of a block is restored
/// again from what is stripped of it.
pub fn compressed(input: &[u8]) {
    let mut block = input.to_vec();
    block.resize(COMPRESSED_HEADER_BYTES as usize, 0);
    for _ in 0..2 {
        if let Ok(header) = CompressedHeader::parse(&block) {
            assert_eq!(header.encode(), block);
        }
        seal_block(&mut block);
    }
    if let Ok(entries) = BlockEntry::parse_all(input) {
        let mut table = Vec::new();
        for entry in &entries {
            entry.encode(&mut table);
        }
        assert!(input.starts_with(&table));
    }
    let Some((open_bytes, rest)) = input.split_first_chunk() else {
        return;
    };
    let (open_bytes, seed) = (u32::from_le_bytes(*open_bytes), Seed::new(7));
    let mut restored = rest.to_vec();
    if restore(&mut restored, HEADER_BYTES, open_bytes, seed).is_some() {
        let mut again = restored.clone();
        assert!(strip(&mut again, HEADER_BYTES, open_bytes).is_some());
        assert!(restore(&mut again, HEADER_BYTES, open_bytes, seed).is_some());
        assert_eq!(again, restored);
    }
}

/// A slot of the watermark that parses is encoded as it was.
pub fn watermark_slot(input: &[u8]) {
    let mut block = input.to_vec();
    block.resize(SLOT_BYTES, 0);
    for _ in 0..2 {
        for at in [0, 4096] {
            if let Ok(slot) = Slot::parse(&block, at) {
                assert_eq!(slot.encode(at), block);
            }
        }
        seal_block(&mut block);
    }
}

/// A manifest that parses is encoded as it was.
pub fn manifest(input: &[u8]) {
    let mut block = input.to_vec();
    for _ in 0..2 {
        if let Ok(manifest) = Manifest::parse(&block) {
            assert_eq!(manifest.encode(), block);
        }
        seal_block(&mut block);
    }
}

/// A frame whose header parses is encoded as it was; a body is whole or not.
pub fn frame(input: &[u8]) {
    let mut bytes = vec![0; HEADER_BYTES as usize];
    bytes.extend_from_slice(input);
    for _ in 0..2 {
        let frame = bytes.get(HEADER_BYTES as usize..).unwrap_or_default();
        check_frame(frame, Seed::new(0), HEADER_BYTES);
        seal_frames(&mut bytes);
    }
}

/// Puts the checksum at the end of a block right, so that the fields before it are looked at.
pub fn seal_block(block: &mut [u8]) {
    if let Some((body, checksum)) = block.split_last_chunk_mut::<4>() {
        *checksum = crc32c::crc32c(body).to_le_bytes();
    }
}

/// Puts the checksums of a segment's file right: of its header, its frames and their records, as far as
/// their lengths lead.
pub fn seal_frames(segment: &mut [u8]) {
    let Some((header, mut frames)) = segment.split_at_mut_checked(HEADER_BYTES as usize) else {
        return;
    };
    seal_block(header);
    let salt = header.get(40..48).and_then(|salt| salt.first_chunk());
    let seed = Seed::new(u64::from_le_bytes(salt.copied().unwrap_or_default()));
    let mut at = HEADER_BYTES;
    while let Some(taken) = seal_frame(frames, seed, at) {
        let Some((_, rest)) = frames.split_at_mut_checked(taken as usize) else {
            return;
        };
        (frames, at) = (rest, at.saturating_add(taken));
    }
}

/// Puts the checksums of the frame right that begins here; tells how long it is, if it is there whole.
fn seal_frame(frame: &mut [u8], seed: Seed, at: u32) -> Option<u32> {
    let (header, rest) = frame.split_first_chunk_mut::<{ FRAME_HEADER_BYTES as usize }>()?;
    if header.first_chunk() != Some(b"ANFR") {
        return None;
    }
    let body_bytes = u32::from_le_bytes(*header.get(8..)?.first_chunk()?);
    let is_footer = header.get(4) == Some(&3);
    let body = rest.get_mut(..body_bytes as usize);
    let is_there = body.is_some();
    if let Some(body) = body {
        let checksum = if is_footer {
            crc32c::crc32c(body)
        } else {
            seal_records(body, seed, at.checked_add(FRAME_HEADER_BYTES)?)
        };
        header
            .get_mut(32..36)?
            .copy_from_slice(&checksum.to_le_bytes());
    }
    let checksum = seed.checksum(at, header.get(..36)?);
    header
        .get_mut(36..)?
        .copy_from_slice(&checksum.to_le_bytes());
    let bytes = crate::format::frame::frame_bytes(body_bytes)?;
    is_there.then_some(bytes)
}

/// Puts the checksums of records right; gives that of the body.
fn seal_records(mut body: &mut [u8], seed: Seed, mut at: u32) -> u32 {
    let mut all = 0;
    loop {
        let Some(raw) = RawRecord::parse(body) else {
            return all;
        };
        let word = body.first_chunk().copied().unwrap_or_default();
        let checksum = seed.record(at, u32::from_le_bytes(word), raw.body);
        let bytes = RECORD_HEADER_BYTES + raw.body.len();
        let Some((record, rest)) = body.split_at_mut_checked(bytes) else {
            return all;
        };
        if let Some(field) = record.get_mut(4..RECORD_HEADER_BYTES) {
            field.copy_from_slice(&checksum.to_le_bytes());
        }
        all = crc32c::crc32c_append(all, &checksum.to_le_bytes());
        let taken = u32::try_from(bytes).unwrap_or(u32::MAX);
        (body, at) = (rest, at.saturating_add(taken));
    }
}

fn check_frame(frame: &[u8], seed: Seed, at: u32) {
    let Some(header) = FrameHeader::parse(frame, seed, at) else {
        return;
    };
    assert!(frame.starts_with(&header.encode(seed, at)));
    let body = frame.get(FRAME_HEADER_BYTES as usize..).unwrap_or_default();
    let rest = header
        .frame_bytes()
        .and_then(|bytes| body.get(..(bytes - FRAME_HEADER_BYTES) as usize));
    match (header.kind, rest) {
        (FrameKind::Footer, Some(rest)) => {
            if let Some(footer) = Footer::parse(&header, rest) {
                assert_eq!(Footer::parse(&header, rest), Some(footer));
            }
        }
        (_, Some(rest)) => {
            if let Some(summary) = check_body(&header, rest, seed, at) {
                assert!(summary.numbered <= header.records);
            }
        }
        (_, None) => {}
    }
}
