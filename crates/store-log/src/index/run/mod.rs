//! A part of an index in a file that never changes (docs/format/index.md).

mod bytes;
mod containers;
mod dictionary;
mod header;
mod ids;
mod merge;
mod output;
mod postings;
mod records;
mod source;
mod stream;
mod write;

use std::ops::RangeInclusive;
use std::path::Path;

use annals_core::{Direction, StreamPolicy};
use annals_log::vfs::{Access, Vfs};
use annals_log::{LogId, Place, RecordAt};

use self::header::{HEADER_BYTES, Header, SectionName};
use self::postings::{Order, Postings};
use self::records::Places;
use self::source::{SectionView, Source};
use self::stream::StreamValue;
use super::bounds::prefix;
use super::hash::{Hasher, tag};
use super::{
    APPEND_ID, LOST, Ordinals, Part, Result, RunError, RunErrorKind, STREAM, StreamEnd, Term,
    policy,
};

pub(crate) use containers::{Long, LongCursor};
pub(crate) use header::POSITIONS_MAX;
pub(crate) use merge::merge;
pub(crate) use source::RunReads;
pub(crate) use write::write;

/// A part of an index in a file that never changes.
///
/// Opening it reads its header and its checksums; everything else is read, and held against a checksum, when
/// a question leads there.
#[derive(Debug)]
pub(crate) struct Run {
    header: Header,
    hasher: Hasher,
    source: Source,
}

impl Run {
    /// Opens the run in this file, which is of the log with this id.
    pub(crate) fn open(vfs: &dyn Vfs, path: &Path, log_id: LogId, reads: RunReads) -> Result<Self> {
        let failed = |error| RunError::io(path, "can't be opened", error);
        let file = vfs.open(path, Access::Read).map_err(failed)?;
        let length = file.length().map_err(failed)?;
        let head = length.min(HEADER_BYTES as u64);
        let head = source::read(file.as_ref(), 0, head).map_err(failed)?;
        let header = Header::decode(&head, length)
            .map_err(|(kind, what)| RunError::new(kind, path, what))?;
        if header.log_id != log_id {
            let what = "it is of another log";
            return Err(RunError::new(RunErrorKind::Foreign, path, what));
        }
        let source = Source::open(path, file, &header, reads)?;
        Ok(Self {
            hasher: Hasher::new(log_id),
            header,
            source,
        })
    }

    /// Where in the log a reader goes on who knows this run and all before it.
    pub(crate) fn upto(&self) -> Place {
        self.header.upto
    }

    /// The kinds of events as of the end of the run, in the bytes that its writer was given.
    pub(crate) fn kinds(&self) -> Result<&[u8]> {
        let kinds = self.section(SectionName::Kinds);
        kinds.bytes(
            0,
            usize::try_from(kinds.section().length).unwrap_or(usize::MAX),
        )
    }

    /// Its file.
    pub(crate) fn path(&self) -> &Path {
        self.source.path()
    }

    /// Holds every byte of the file against its checksum.
    pub(crate) fn check(&self) -> Result<()> {
        self.source.check_all()
    }

    fn section(&self, name: SectionName) -> SectionView<'_> {
        self.source.section(self.header.section(name))
    }

    /// What `parse` makes of what the run knows of a stream.
    fn stream<'a, T>(
        &'a self,
        stream: &str,
        parse: impl FnOnce(SectionView<'a>, &'a [u8]) -> Result<T>,
    ) -> Result<Option<T>> {
        let streams = self.section(SectionName::Streams);
        let hash = self.hasher.text(STREAM, stream.as_bytes());
        let value = dictionary::find(&streams, hash, None, stream)?;
        value.map(|value| parse(streams, value)).transpose()
    }

    fn term(&self, term: Term<'_>) -> Result<Option<Postings<'_>>> {
        let terms = self.section(SectionName::Terms);
        let (kind, text) = term.key();
        let hash = self.hasher.text(kind, text.as_bytes());
        let Some(mut value) = dictionary::find(&terms, hash, Some(kind), text)? else {
            return Ok(None);
        };
        let head = Postings::take_head(&mut value);
        let head = head.ok_or_else(|| terms.damaged("a term is cut"))?;
        Postings::parse(terms, head, value).map(Some)
    }

    fn position(&self, ordinal: u32) -> u64 {
        self.header.first.saturating_add(ordinal.into())
    }
}

impl Part for Run {
    fn first(&self) -> u64 {
        self.header.first
    }

    fn last(&self) -> u64 {
        self.header.last
    }

    fn stream_head(&self, stream: &str) -> Result<Option<StreamEnd>> {
        let head = self.stream(stream, StreamValue::head)?;
        Ok(head.map(|(version, ordinal)| StreamEnd {
            version,
            position: self.position(ordinal),
        }))
    }

    fn stream_positions(
        &self,
        stream: &str,
        versions: RangeInclusive<u64>,
        direction: Direction,
        limit: usize,
        out: &mut Vec<u64>,
    ) -> Result<()> {
        let Some(stream) = self.stream(stream, StreamValue::parse)? else {
            return Ok(());
        };
        let mut ranks = stream.versions().range(&versions);
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let start = out.len();
        match direction {
            Direction::Forward => ranks.end = ranks.end.min(ranks.start.saturating_add(limit)),
            Direction::Backward => ranks.start = ranks.start.max(ranks.end.saturating_sub(limit)),
        }
        stream.postings.read(ranks, |ordinal| {
            out.push(self.position(ordinal));
            Ok(())
        })?;
        let is_forward = stream.postings.order() == Order::Ascending;
        if is_forward != (direction == Direction::Forward) {
            out.get_mut(start..).unwrap_or_default().reverse();
        }
        Ok(())
    }

    fn policy(&self, stream: &str) -> Result<Option<StreamPolicy>> {
        if !self.has_policies() {
            return Ok(None);
        }
        let policies = self.section(SectionName::Policies);
        let hash = self.hasher.text(STREAM, stream.as_bytes());
        let value = dictionary::find(&policies, hash, None, stream)?;
        let parsed = value.map(|value| {
            policy::decode(value).ok_or_else(|| policies.damaged("a policy can't be read"))
        });
        parsed.transpose()
    }

    fn has_policies(&self) -> bool {
        self.header.section(SectionName::Policies).entries > 0
    }

    fn ordinals(&self, term: Term<'_>) -> Result<Ordinals<'_>> {
        let postings = self.term(term)?;
        postings.map_or(Ok(Ordinals::EMPTY), |postings| postings.ordinals())
    }

    fn newest(&self, term: Term<'_>) -> Result<Option<u64>> {
        let postings = self.term(term)?;
        Ok(postings.map(|postings| self.position(postings.newest())))
    }

    fn event_id(&self, id: u128, out: &mut Vec<u64>) -> Result<()> {
        if !self.header.event_ids.contain(id) {
            return Ok(());
        }
        let ids = self.section(SectionName::EventIds);
        let tag = tag(self.hasher.id(id));
        ids::find(&ids, self.header.positions(), tag, |ordinal| {
            out.push(self.header.first.saturating_add(ordinal));
        })
    }

    fn highest_event_id(&self) -> u128 {
        self.header.event_ids.highest
    }

    fn append_id(&self, id: &str, out: &mut Vec<u64>) -> Result<()> {
        if !self.header.append_ids.contain(prefix(id)) {
            return Ok(());
        }
        let ids = self.section(SectionName::AppendIds);
        let tag = tag(self.hasher.text(APPEND_ID, id.as_bytes()));
        ids::find(&ids, self.header.positions(), tag, |ordinal| {
            out.push(self.header.first.saturating_add(ordinal));
        })
    }

    fn missing_bytes(&self) -> usize {
        self.source.missing_bytes()
    }

    fn load(&self) {
        self.source.load();
    }

    fn record_at(&self, position: u64) -> Result<Option<RecordAt>> {
        if !(self.header.first..=self.header.last).contains(&position) {
            return Ok(None);
        }
        let ordinal = u32::try_from(position - self.header.first).unwrap_or(u32::MAX);
        let bits = Places::new(self.section(SectionName::Records)).find(ordinal)?;
        Ok((bits != LOST).then(|| RecordAt::from_bits(bits)))
    }

    fn records_at(&self, positions: &[u64], out: &mut Vec<Option<RecordAt>>) -> Result<()> {
        let mut places = Places::new(self.section(SectionName::Records));
        let range = self.header.first..=self.header.last;
        let ordinal = |position| u32::try_from(position - self.header.first).unwrap_or(u32::MAX);
        if positions.len() > 1 {
            let here = positions.iter().filter(|position| range.contains(position));
            places.fetch(here.map(|position| ordinal(*position)));
        }
        for position in positions {
            let bits = if range.contains(position) {
                places.find(ordinal(*position))?
            } else {
                LOST
            };
            out.push((bits != LOST).then(|| RecordAt::from_bits(bits)));
        }
        Ok(())
    }
}
