//! A file apart from its names: what the disk holds, what readers see, and what lies between.

use std::ops::Range;

use super::image::{Image, PAGE, Page, bytes_of, patched, pieces, sectors};
use crate::vfs::SeededRng;

/// How many contents of the same bytes are pending at once; older ones are as good as never written.
const CONTENTS_MAX: usize = 8;

/// How many pending changes are looked at for contents of the same bytes.
const LOOK_BACK: usize = 64;

/// The state of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    durable: Image,
    /// What readers see: the page cache.
    cache: Image,
    /// What the disk does not have for certain, oldest first.
    pending: Vec<Pending>,
    /// Whether some page of the cache is clean and yet differs from the disk's, after a failed sync.
    lost: bool,
    /// Grows with every change that readers see.
    version: u64,
}

/// A change that is not durable.
#[derive(Clone, Debug)]
pub(super) enum Pending {
    /// These bytes of the page were written, and the page was so afterwards.
    Write {
        page: usize,
        bytes: Range<usize>,
        content: Page,
    },
    /// The length became this.
    Length(u64),
}

/// What a sync that reports an error left on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reached {
    /// None of the data that it was to write.
    Nothing,
    /// Some sectors of it, chosen by the seed.
    Some {
        /// Which sectors.
        seed: u64,
    },
    /// All of it.
    Everything,
}

impl Inode {
    /// A file that is durable with this content.
    pub(super) fn durable(image: Image) -> Self {
        Self {
            cache: image.clone(),
            durable: image,
            ..Self::default()
        }
    }

    /// Replaces all of it, durable at once.
    pub(super) fn replace(&mut self, image: Image) {
        let version = self.version + 1;
        *self = Self {
            version,
            ..Self::durable(image)
        };
    }

    /// What readers see.
    pub(super) fn cache(&self) -> &Image {
        &self.cache
    }

    /// What the disk has for certain, were it asked now.
    pub(super) fn on_disk(&self) -> &Image {
        &self.durable
    }

    /// What the disk does not have for certain.
    pub(super) fn pending(&self) -> &[Pending] {
        &self.pending
    }

    /// Whether the disk has exactly what readers see.
    pub(super) fn is_settled(&self) -> bool {
        self.pending.is_empty() && !self.lost
    }

    /// A number that changes with what readers see.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Writes into the cache.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let mut rest = bytes;
        for piece in pieces(offset, bytes.len()) {
            let (part, after) = rest.split_at(piece.bytes.len());
            rest = after;
            let before = self.cache.page(piece.page);
            let content = patched(&before, &piece.bytes, part);
            // Zeros over a hole change nothing but the length.
            if before.is_some() || content.is_some() {
                self.cache.set_page(piece.page, content.clone());
                self.drop_oldest_like(piece.page, &piece.bytes);
                self.pending.push(Pending::Write {
                    page: piece.page,
                    bytes: piece.bytes,
                    content,
                });
            }
        }
        let end = offset.saturating_add(bytes.len() as u64);
        self.set_length(end.max(self.cache.length()));
        self.version += 1;
    }

    /// Makes room where the same bytes were written often and never synced, as a watermark is. A later write of
    /// them stands for the sectors of the one that is dropped, so that no crash gets an illegal image.
    fn drop_oldest_like(&mut self, page: usize, bytes: &Range<usize>) {
        let like = |change: &Pending| match change {
            Pending::Write {
                page: written,
                bytes: range,
                ..
            } => *written == page && range == bytes,
            Pending::Length(_) => false,
        };
        let first = self.pending.len().saturating_sub(LOOK_BACK);
        let recent = self.pending.get(first..).unwrap_or_default();
        let mut alike = recent.iter().enumerate().filter(|(_, change)| like(change));
        if let (Some((oldest, _)), rest) = (alike.next(), alike.count())
            && rest + 2 > CONTENTS_MAX
        {
            self.pending.remove(first + oldest);
        }
    }

    /// Sets the length in the cache.
    pub(super) fn set_length(&mut self, length: u64) {
        if length != self.cache.length() {
            self.cache.set_length(length);
            self.pending.push(Pending::Length(length));
            self.version += 1;
        }
    }

    /// Makes what is pending durable, and nothing else: not what an earlier sync lost.
    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            match change {
                Pending::Length(length) => self.durable.set_length(length),
                Pending::Write { page, content, .. } if !self.lost => {
                    self.durable.set_page(page, content);
                }
                Pending::Write {
                    page,
                    bytes,
                    content,
                } => {
                    for sector in sectors(&bytes) {
                        let old = self.durable.page(page);
                        let new = patched(&old, &sector, bytes_of(&content, &sector));
                        self.durable.set_page(page, new);
                    }
                }
            }
        }
    }

    /// A sync that failed: so much of the data is on the disk, and the cache takes all of its pages for clean.
    pub(super) fn fail_sync(&mut self, reached: Reached) {
        let chance = match reached {
            Reached::Some { seed } => Some(SeededRng::new(seed)),
            Reached::Nothing | Reached::Everything => None,
        };
        for change in std::mem::take(&mut self.pending) {
            let Pending::Write {
                page,
                bytes,
                content,
            } = change
            else {
                // Lengths go through the journal, which did not fail.
                self.pending.push(change);
                continue;
            };
            self.lost = true;
            for sector in sectors(&bytes) {
                let lucky = chance.as_ref().is_some_and(|rng| rng.below(2) == 0);
                if lucky || reached == Reached::Everything {
                    let old = self.durable.page(page);
                    let new = patched(&old, &sector, bytes_of(&content, &sector));
                    self.durable.set_page(page, new);
                }
            }
        }
    }

    /// Drops the clean pages of the range from the cache, so that readers see the disk's.
    pub(super) fn forget(&mut self, range: &Range<u64>) {
        if !self.lost || range.is_empty() {
            return;
        }
        let first = pieces(range.start, 1).next().map_or(0, |piece| piece.page);
        let last = pieces(range.end - 1, 1)
            .next()
            .map_or(0, |piece| piece.page);
        let last = last.min(self.cache.pages().max(self.durable.pages()));
        for page in first..=last {
            if self.is_clean(page) {
                self.cache.set_page(page, self.durable.page(page));
                self.version += 1;
            }
        }
    }

    /// Whether nothing is pending for the page: no write, and no cut that the disk may not have seen.
    fn is_clean(&self, page: usize) -> bool {
        let end = (page as u64 + 1) * PAGE as u64;
        !self.pending.iter().any(|change| match change {
            Pending::Write { page: written, .. } => *written == page,
            Pending::Length(length) => *length < end.min(self.durable.length()),
        })
    }
}
