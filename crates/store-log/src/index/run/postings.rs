//! Sets of ordinals as values of a dictionary: a short one as a list in the value, a long one elsewhere in
//! the section.

use std::ops::Range;

use super::super::varint::{put, take, take_u32};
use super::super::{Ordinals, Result};
use super::containers::{Long, LongWriter, long_bytes};
use super::output::Output;
use super::source::SectionView;
use super::stream::StreamVersions;

/// A set of ordinals of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Postings<'a> {
    /// How many ordinals.
    pub(crate) count: u32,
    newest: u32,
    body: Body<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Body<'a> {
    /// The steps down from the newest, each less one.
    List(&'a [u8]),
    Long(Long<'a>),
}

/// The most ordinals of a list.
const LIST_MAX: usize = 1024;
/// The longest list that stands in the value itself, in bytes.
const INLINE_BYTES_MAX: usize = 256;

/// The set is elsewhere in the section.
const ELSEWHERE: u64 = 1;
/// The versions have more than one stretch.
const STRETCHED: u64 = 2;

impl<'a> Postings<'a> {
    /// Takes the front of a value.
    pub(crate) fn take_head(value: &mut &'a [u8]) -> Option<Head> {
        let head = take(value)?;
        Some(Head {
            count: u32::try_from(head >> 2).ok()?,
            elsewhere: head & ELSEWHERE != 0,
            stretched: head & STRETCHED != 0,
        })
    }

    /// The set that the rest of the value is.
    pub(crate) fn parse(section: SectionView<'a>, head: Head, mut value: &'a [u8]) -> Result<Self> {
        let bad = || section.damaged("a set is cut");
        let newest = take_u32(&mut value).ok_or_else(bad)?;
        if !head.elsewhere {
            let body = Body::List(value);
            return Ok(Self {
                count: head.count,
                newest,
                body,
            });
        }
        let start = take(&mut value).ok_or_else(bad)?;
        let length = take(&mut value).ok_or_else(bad)?;
        let containers = take_u32(&mut value).ok_or_else(bad)?;
        let body = if containers == 0 {
            Body::List(section.bytes(start, usize::try_from(length).unwrap_or(usize::MAX))?)
        } else {
            Body::Long(Long::new(section, (start, length), containers, head.count)?)
        };
        Ok(Self {
            count: head.count,
            newest,
            body,
        })
    }

    /// The highest ordinal.
    pub(crate) fn newest(&self) -> u32 {
        self.newest
    }

    /// The whole set.
    pub(crate) fn ordinals(&self) -> Result<Ordinals<'a>> {
        match self.body {
            Body::Long(long) => Ok(Ordinals::long(long)),
            Body::List(_) => {
                let mut list = Vec::new();
                self.read(0..self.count, |ordinal| {
                    list.push(ordinal);
                    Ok(())
                })?;
                list.reverse();
                Ok(Ordinals::list(list))
            }
        }
    }

    /// In which order ordinals are read.
    pub(crate) fn order(&self) -> Order {
        match self.body {
            Body::List(_) => Order::Descending,
            Body::Long(_) => Order::Ascending,
        }
    }

    /// Gives those ordinals that have so many before them.
    pub(crate) fn read(
        &self,
        ranks: Range<u32>,
        mut each: impl FnMut(u32) -> Result<()>,
    ) -> Result<()> {
        match self.body {
            Body::List(steps) => read_list(self.newest, steps, self.count, &ranks, &mut each),
            Body::Long(long) => read_long(&long, &ranks, &mut each),
        }
    }
}

/// The front of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    /// How many ordinals the set has.
    pub(crate) count: u32,
    elsewhere: bool,
    /// Whether the events' versions have more than one stretch.
    pub(crate) stretched: bool,
}

/// In which order ordinals are read: a list begins with the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
}

fn read_list(
    newest: u32,
    mut steps: &[u8],
    count: u32,
    ranks: &Range<u32>,
    each: &mut impl FnMut(u32) -> Result<()>,
) -> Result<()> {
    let mut ordinal = newest;
    for rank in (ranks.start..count).rev() {
        if rank < ranks.end {
            each(ordinal)?;
        }
        let Some(step) = take_u32(&mut steps) else {
            break;
        };
        let Some(next) = ordinal
            .checked_sub(step)
            .and_then(|next| next.checked_sub(1))
        else {
            break;
        };
        ordinal = next;
    }
    Ok(())
}

fn read_long(
    long: &Long<'_>,
    ranks: &Range<u32>,
    each: &mut impl FnMut(u32) -> Result<()>,
) -> Result<()> {
    let mut left = ranks.end.min(long.count()).saturating_sub(ranks.start);
    if left == 0 {
        return Ok(());
    }
    let mut next = long.select(ranks.start)?;
    let mut cursor = long.cursor();
    while let Some(target) = next {
        let Some(ordinal) = cursor.seek(target, annals_core::Direction::Forward)? else {
            break;
        };
        each(ordinal)?;
        left -= 1;
        next = ordinal.checked_add(1).filter(|_| left > 0);
    }
    Ok(())
}

/// Writes sets of ordinals, one after the other.
#[derive(Debug, Default)]
pub(crate) struct PostingsWriter {
    list: Vec<u32>,
    is_long: bool,
    long: LongWriter,
    count: u32,
    newest: u32,
    steps: Vec<u8>,
}

impl PostingsWriter {
    /// Enters the next ordinal of the set.
    pub(crate) fn push(&mut self, out: &mut Output, ordinal: u32) -> Result<()> {
        self.count += 1;
        self.newest = ordinal;
        if self.is_long {
            return self.long.push(out, ordinal);
        }
        self.list.push(ordinal);
        if self.list.len() > LIST_MAX {
            self.lengthen(out)?;
        }
        Ok(())
    }

    /// Ends the set and appends it to a value, behind the versions of its events if it is a stream's.
    pub(crate) fn finish(
        &mut self,
        out: &mut Output,
        section_start: u64,
        versions: Option<&StreamVersions>,
        value: &mut Vec<u8>,
    ) -> Result<()> {
        let place = self.place(out)?;
        let is_stretched = versions.is_some_and(|versions| !versions.stretches.is_empty());
        let stretched = if is_stretched { STRETCHED } else { 0 };
        let elsewhere = if place.is_some() { ELSEWHERE } else { 0 };
        put(value, u64::from(self.count) << 2 | stretched | elsewhere);
        if let Some(versions) = versions {
            versions.encode(value);
        }
        put(value, self.newest.into());
        match place {
            None => value.extend_from_slice(&self.steps),
            Some(((start, length), containers)) => {
                put(value, start - section_start);
                put(value, length);
                put(value, containers.into());
            }
        }
        self.list.clear();
        self.is_long = false;
        self.count = 0;
        Ok(())
    }

    /// Writes the set elsewhere if it has to stand there; else leaves it in `steps`.
    fn place(&mut self, out: &mut Output) -> Result<Option<((u64, u64), u32)>> {
        if !self.is_long {
            self.take_steps();
            if self.steps.len() <= INLINE_BYTES_MAX {
                return Ok(None);
            }
            if self.steps.len() <= long_bytes(&self.list) {
                let start = out.offset();
                out.write(&self.steps)?;
                return Ok(Some(((start, self.steps.len() as u64), 0)));
            }
            self.lengthen(out)?;
        }
        self.long.finish(out).map(Some)
    }

    fn take_steps(&mut self) {
        self.steps.clear();
        let mut above = self.newest;
        for ordinal in self.list.iter().rev().skip(1) {
            put(
                &mut self.steps,
                u64::from(above.saturating_sub(*ordinal).saturating_sub(1)),
            );
            above = *ordinal;
        }
    }

    fn lengthen(&mut self, out: &mut Output) -> Result<()> {
        self.is_long = true;
        self.long.begin(out);
        for ordinal in std::mem::take(&mut self.list) {
            self.long.push(out, ordinal)?;
        }
        Ok(())
    }
}
