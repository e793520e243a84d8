//! Reads a segment's frames through a window of bounded memory, checking each.

use std::io;
use std::sync::Arc;

use crate::files::read_full;
use crate::format::Seed;
use crate::format::frame::{FRAME_HEADER_BYTES, Footer, FrameHeader, FrameKind, check_body};
use crate::format::is_zero;
use crate::place::Tip;
use crate::vfs::VfsFile;

/// How much is read at once; a frame that is longer is read whole.
const WINDOW_BYTES: u32 = 256 * 1024;

/// The frames of one segment's file.
#[derive(Debug)]
pub(crate) struct FrameReader {
    file: Arc<dyn VfsFile>,
    seed: Seed,
    /// Nothing is read from here on.
    limit: u32,
    window: Vec<u8>,
    window_at: u32,
}

/// What stands at an offset.
#[derive(Debug)]
pub(crate) enum FrameRead {
    /// A frame that is whole and belongs there.
    Whole(Frame),
    /// Something else, or nothing.
    Bad,
}

/// A whole frame. Its bytes are had by [`FrameReader::body`] until the next one is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) offset: u32,
    pub(crate) header: FrameHeader,
    /// Header, body and padding.
    pub(crate) bytes: u32,
    pub(crate) numbered: u32,
    pub(crate) footer: Option<Footer>,
    header_chain: [u8; FRAME_HEADER_BYTES as usize],
}

impl FrameReader {
    pub(crate) fn new(file: Arc<dyn VfsFile>, seed: Seed, limit: u32) -> Self {
        Self {
            file,
            seed,
            limit,
            window: Vec::new(),
            window_at: 0,
        }
    }

    /// The frame at this offset, checked to the last byte.
    pub(crate) fn frame(&mut self, offset: u32) -> io::Result<FrameRead> {
        let seed = self.seed;
        let Some(start) = self.bytes(offset, FRAME_HEADER_BYTES)? else {
            return Ok(FrameRead::Bad);
        };
        let Some(header_chain) = start.first_chunk().copied() else {
            return Ok(FrameRead::Bad);
        };
        let header = FrameHeader::parse(start, seed, offset);
        let Some((header, bytes)) = header.and_then(|h| Some((h, h.frame_bytes()?))) else {
            return Ok(FrameRead::Bad);
        };
        let Some(whole) = self.bytes(offset, bytes)? else {
            return Ok(FrameRead::Bad);
        };
        let body = whole.get(FRAME_HEADER_BYTES as usize..).unwrap_or_default();
        let mut frame = Frame {
            offset,
            header,
            bytes,
            numbered: 0,
            footer: None,
            header_chain,
        };
        if header.kind == FrameKind::Footer {
            frame.footer = Footer::parse(&header, body);
            let whole = frame.footer.is_some_and(|footer| footer.end == offset);
            return Ok(if whole {
                FrameRead::Whole(frame)
            } else {
                FrameRead::Bad
            });
        }
        Ok(match check_body(&header, body, seed, offset) {
            Some(summary) => {
                frame.numbered = summary.numbered;
                FrameRead::Whole(frame)
            }
            None => FrameRead::Bad,
        })
    }

    /// The body of a frame that was just read.
    pub(crate) fn body(&self, frame: &Frame) -> &[u8] {
        let start = (frame.offset - self.window_at + FRAME_HEADER_BYTES) as usize;
        self.window
            .get(start..)
            .and_then(|rest| rest.get(..frame.header.body_bytes as usize))
            .unwrap_or_default()
    }

    /// The header of a frame at or after this offset that is whole, whatever its body; the first one for
    /// which `wanted` holds.
    pub(crate) fn find_header(
        &mut self,
        from: u32,
        mut wanted: impl FnMut(u32, &FrameHeader) -> bool,
    ) -> io::Result<Option<(u32, FrameHeader)>> {
        let seed = self.seed;
        let mut at = from.next_multiple_of(8);
        while let Some(ahead) = self.ahead(at)? {
            let mut passed = 0;
            while let Some(bytes) = ahead.get(passed as usize..)
                && bytes.len() >= FRAME_HEADER_BYTES as usize
            {
                let place = at.saturating_add(passed);
                if FrameHeader::may_begin(bytes)
                    && let Some(header) = FrameHeader::parse(bytes, seed, place)
                    && wanted(place, &header)
                {
                    return Ok(Some((place, header)));
                }
                passed += 8;
            }
            at = at.saturating_add(passed);
        }
        Ok(None)
    }

    /// Where the last byte stands that is not zero, from this offset to the limit; its end.
    pub(crate) fn end_of_residue(&mut self, from: u32) -> io::Result<Option<u32>> {
        let (mut at, mut end) = (from, None);
        while at < self.limit {
            let bytes = (self.limit - at).min(WINDOW_BYTES);
            let Some(chunk) = self.bytes(at, bytes)? else {
                break;
            };
            if !is_zero(chunk) {
                let last = chunk.iter().rposition(|byte| *byte != 0).unwrap_or(0);
                end = u32::try_from(last + 1).ok().map(|last| at + last);
            }
            at += bytes;
        }
        Ok(end)
    }

    /// What the window has from this offset on, a header's length at least; `None` past the limit or the end of
    /// the file.
    fn ahead(&mut self, offset: u32) -> io::Result<Option<&[u8]>> {
        if self.bytes(offset, FRAME_HEADER_BYTES)?.is_none() {
            return Ok(None);
        }
        let start = (offset - self.window_at) as usize;
        Ok(self.window.get(start..))
    }

    /// The bytes there; `None` when they reach past the limit or the end of the file.
    pub(crate) fn bytes(&mut self, offset: u32, count: u32) -> io::Result<Option<&[u8]>> {
        let Some(end) = offset.checked_add(count).filter(|end| *end <= self.limit) else {
            return Ok(None);
        };
        let window_end = u64::from(self.window_at) + self.window.len() as u64;
        if offset < self.window_at || u64::from(end) > window_end {
            let wanted = count.max(WINDOW_BYTES).min(self.limit - offset);
            self.window.resize(wanted as usize, 0);
            self.window_at = offset;
            let read = read_full(&*self.file, &mut self.window, u64::from(offset))?;
            self.window.truncate(read);
        }
        let start = (offset - self.window_at) as usize;
        let bytes = self
            .window
            .get(start..)
            .and_then(|rest| rest.get(..count as usize));
        Ok(bytes)
    }
}

impl Frame {
    /// The tip after this frame, when it follows the tip before.
    pub(crate) fn follow(&self, tip: &Tip) -> Option<Tip> {
        let numbers = self.header.first_number == tip.next_number;
        (numbers && self.offset == tip.offset).then(|| Tip {
            offset: tip.offset + self.bytes,
            next_number: tip.next_number + u64::from(self.numbered),
            digest: FrameHeader::chain(tip.digest, &self.header_chain),
            frames: tip.frames + 1,
            records: tip.records + u64::from(self.header.records),
        })
    }

    /// Whether this is the footer that belongs at this tip.
    pub(crate) fn ends(&self, tip: &Tip) -> bool {
        self.footer == Some(footer_at(tip))
    }
}

/// The footer that belongs at this tip.
pub(crate) fn footer_at(tip: &Tip) -> Footer {
    Footer {
        next_number: tip.next_number,
        frames: tip.frames,
        records: tip.records,
        end: tip.offset,
        digest: tip.digest,
    }
}
