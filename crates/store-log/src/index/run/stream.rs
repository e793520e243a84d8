//! What a run knows of a stream.

use super::super::Result;
use super::super::varint::{put, take, take_u32};
use super::super::versions::{Stretch, Versions};
use super::postings::Postings;
use super::source::SectionView;

/// A stream's versions and ordinals in a run.
#[derive(Clone, Debug)]
pub(crate) struct StreamValue<'a> {
    pub(crate) versions: StreamVersions,
    pub(crate) postings: Postings<'a>,
}

/// The versions of a stream's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamVersions {
    pub(crate) first: u64,
    pub(crate) stretches: Vec<Stretch>,
}

impl<'a> StreamValue<'a> {
    /// The stream that this value of the section is.
    pub(crate) fn parse(section: SectionView<'a>, mut value: &'a [u8]) -> Result<Self> {
        let bad = || section.damaged("a stream is cut");
        let head = Postings::take_head(&mut value).ok_or_else(bad)?;
        let versions = StreamVersions::take(&mut value, head.stretched).ok_or_else(bad)?;
        let postings = Postings::parse(section, head, value)?;
        Ok(Self { versions, postings })
    }

    /// Version and ordinal of the last event of the stream that this value of the section is.
    pub(crate) fn head(section: SectionView<'a>, mut value: &'a [u8]) -> Result<(u64, u32)> {
        let bad = || section.damaged("a stream is cut");
        let head = Postings::take_head(&mut value).ok_or_else(bad)?;
        let versions = StreamVersions::take(&mut value, head.stretched).ok_or_else(bad)?;
        let newest = take_u32(&mut value).ok_or_else(bad)?;
        Ok((versions.of(head.count).head(), newest))
    }

    /// The versions.
    pub(crate) fn versions(&self) -> Versions<'_> {
        self.versions.of(self.postings.count)
    }
}

impl StreamVersions {
    /// The versions of so many events.
    fn of(&self, count: u32) -> Versions<'_> {
        Versions {
            first: self.first,
            count,
            stretches: &self.stretches,
        }
    }

    /// Appends the versions.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.first);
        if self.stretches.is_empty() {
            return;
        }
        put(out, self.stretches.len() as u64);
        for stretch in &self.stretches {
            put(out, stretch.index.into());
            put(out, stretch.version);
        }
    }

    /// Adds the versions of `count` events, `before` of which stand here already.
    pub(crate) fn extend(&mut self, before: u32, later: &Self) {
        let head = self.of(before).head();
        if before == 0 {
            self.first = later.first;
        } else if head.checked_add(1) != Some(later.first) {
            self.stretches.push(Stretch {
                index: before,
                version: later.first,
            });
        }
        let moved = later.stretches.iter().map(|stretch| Stretch {
            index: stretch.index.saturating_add(before),
            version: stretch.version,
        });
        self.stretches.extend(moved);
    }

    fn take(value: &mut &[u8], stretched: bool) -> Option<Self> {
        let mut versions = Self {
            first: take(value)?,
            stretches: Vec::new(),
        };
        let count = if stretched { take(value)? } else { 0 };
        for _ in 0..count {
            versions.stretches.push(Stretch {
                index: take_u32(value)?,
                version: take(value)?,
            });
        }
        Some(versions)
    }
}
