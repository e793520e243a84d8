//! The bytes of a file, shared page by page between all the states that have them in common.

use std::ops::Range;
use std::sync::Arc;

/// The unit of sharing, in bytes; a page cache's too.
pub(super) const PAGE: usize = 4096;

/// The unit that a disk writes, in bytes.
pub(super) const SECTOR: usize = 512;

/// The content of one page; none is all zeros.
pub(super) type Page = Option<Arc<[u8; PAGE]>>;

/// A sequence of bytes. A clone copies no byte, and a write copies the pages that it touches.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    /// Pages after the last are all zeros.
    pages: Vec<Page>,
    length: u64,
}

/// A part of a page: of which, and from where to where in it.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) page: usize,
    pub(super) bytes: Range<usize>,
}

impl Image {
    /// An image of these bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut image = Self::default();
        image.write(bytes, 0);
        image.length = bytes.len() as u64;
        image
    }

    /// Its length, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// How many pages are not known to be zeros: the first pages, up to the last such.
    pub(super) fn pages(&self) -> usize {
        self.pages.len()
    }

    /// A page, which may be beyond the end.
    pub(super) fn page(&self, page: usize) -> Page {
        self.pages.get(page).cloned().flatten()
    }

    /// Replaces a page and leaves the length alone.
    pub(super) fn set_page(&mut self, page: usize, content: Page) {
        if let Some(slot) = self.pages.get_mut(page) {
            *slot = content;
        } else if content.is_some() {
            self.pages.resize(page, None);
            self.pages.push(content);
        }
    }

    /// Fills the buffer from this offset, up to the end of the file; tells how far.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let mut rest = buffer.get_mut(..wanted).unwrap_or_default();
        for piece in pieces(offset, wanted) {
            let (part, after) = rest.split_at_mut(piece.bytes.len());
            copy(part, bytes_of(&self.page(piece.page), &piece.bytes));
            rest = after;
        }
        wanted
    }

    /// The whole content.
    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.length).unwrap_or(usize::MAX)];
        self.read(&mut bytes, 0);
        bytes
    }

    /// Overwrites bytes and leaves the length alone.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let mut rest = bytes;
        for piece in pieces(offset, bytes.len()) {
            let (part, after) = rest.split_at(piece.bytes.len());
            self.set_page(
                piece.page,
                patched(&self.page(piece.page), &piece.bytes, part),
            );
            rest = after;
        }
    }

    /// Sets the length; what is cut off reads as zeros ever after.
    pub(super) fn set_length(&mut self, length: u64) {
        if length < self.length {
            self.clear_from(length);
        }
        self.length = length;
    }

    /// Ends the image here, whether or not something was kept beyond its end.
    pub(super) fn end_at(&mut self, length: u64) {
        self.clear_from(length);
        self.length = length;
    }

    /// Makes zeros of all bytes from this offset on, beyond the end too.
    pub(super) fn clear_from(&mut self, offset: u64) {
        let Some(first) = pieces(offset, 1).next() else {
            return;
        };
        self.pages.truncate(first.page + 1);
        if let Some(page @ Some(_)) = self.pages.get_mut(first.page) {
            let zeros = [0; PAGE];
            let range = first.bytes.start..PAGE;
            let content = patched(page, &range, zeros.get(range.clone()).unwrap_or_default());
            *page = content.filter(|_| range.start > 0);
        }
    }
}

/// The parts of pages that a range of bytes covers, in order.
pub(super) fn pieces(offset: u64, length: usize) -> impl Iterator<Item = Piece> {
    // An offset that memory can't have is beyond every page that is kept.
    let start = usize::try_from(offset).unwrap_or(usize::MAX - PAGE);
    let end = start.saturating_add(length);
    let mut begin = start;
    std::iter::from_fn(move || {
        let page = begin / PAGE;
        let stop = end.min((page + 1).saturating_mul(PAGE));
        let bytes = begin % PAGE..stop.checked_sub(page * PAGE)?;
        begin = stop;
        (!bytes.is_empty()).then_some(Piece { page, bytes })
    })
}

/// The sectors of a page that a range of its bytes touches, in order.
pub(super) fn sectors(bytes: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
    let numbers = bytes.start / SECTOR..bytes.end.div_ceil(SECTOR);
    numbers.map(|number| number * SECTOR..(number + 1) * SECTOR)
}

/// A range of a page's bytes.
pub(super) fn bytes_of<'a>(page: &'a Page, range: &Range<usize>) -> &'a [u8] {
    static ZEROS: [u8; PAGE] = [0; PAGE];
    let bytes = page.as_deref().unwrap_or(&ZEROS);
    bytes.get(range.clone()).unwrap_or_default()
}

/// The page with these bytes in that range.
pub(super) fn patched(page: &Page, range: &Range<usize>, bytes: &[u8]) -> Page {
    let is_zero = bytes.iter().all(|byte| *byte == 0);
    if is_zero && (page.is_none() || range.len() == PAGE) {
        return None;
    }
    let mut content = page.as_deref().copied().unwrap_or([0; PAGE]);
    copy(content.get_mut(range.clone()).unwrap_or_default(), bytes);
    Some(Arc::new(content))
}

/// Copies between slices of one length; a difference, which no caller makes, copies nothing.
pub(super) fn copy(to: &mut [u8], from: &[u8]) {
    debug_assert_eq!(to.len(), from.len(), "a piece and its bytes");
    if to.len() == from.len() {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::SeededRng;

    #[test]
    fn an_image_is_like_a_vector() {
        for seed in 0..300 {
            check_against_a_vector(seed);
        }
    }

    fn check_against_a_vector(seed: u64) {
        let rng = SeededRng::new(seed);
        let below = |bound: usize| usize::try_from(rng.below(bound as u64)).expect("small");
        let (mut image, mut model) = (Image::default(), Vec::new());
        for _ in 0..20 {
            let offset = below(3 * PAGE);
            if below(3) == 0 {
                image.set_length(offset as u64);
                model.resize(offset, 0);
            } else {
                // Every second one is zeros, which pages are left out for.
                let byte = u8::try_from(below(2) * below(256)).expect("small");
                let bytes = vec![byte; below(2 * PAGE)];
                let end = offset + bytes.len();
                model.resize(model.len().max(end), 0);
                model[offset..end].copy_from_slice(&bytes);
                image.write(&bytes, offset as u64);
                image.set_length(image.length().max(end as u64));
            }
            let before = image.clone();
            assert_eq!(image.to_vec(), model, "seed {seed}");
            image.write(&[1], 0);
            assert_eq!(before.to_vec(), model, "a clone is apart, seed {seed}");
            image = before;
        }
    }
}
