//! From runs to one run that covers them all, reading and writing from front to back.

use std::path::Path;
use std::sync::Arc;

use annals_log::vfs::VfsFile;

use super::super::bounds::Bounds;
use super::super::hash::Hasher;
use super::super::{Result, STREAM};
use super::Run;
use super::dictionary::{DictionaryWriter, Records};
use super::header::{Header, POSITIONS_MAX, Section, SectionName};
use super::ids::{Ids, IdsWriter};
use super::output::Output;
use super::postings::{Order, Postings, PostingsWriter};
use super::records::{Places, RecordsWriter};
use super::source::SectionView;
use super::stream::{StreamValue, StreamVersions};
use super::write::opaque;

/// Writes to this new file the run that answers as these runs do, each of which begins where the one before
/// ends; durable afterwards, if the file's name is.
///
/// Memory is bounded by the longest single set of the runs, at a bit an event, and not by their size.
///
/// # Panics
/// When there is no run, the runs don't follow each other, or have too many positions together.
pub(crate) fn merge(path: &Path, file: Arc<dyn VfsFile>, runs: &[Arc<Run>]) -> Result<()> {
    let (Some(oldest), Some(newest)) = (runs.first(), runs.last()) else {
        unreachable!("a merge is planned of runs");
    };
    let (first, last) = (oldest.header.first, newest.header.last);
    for (run, next) in runs.iter().zip(runs.iter().skip(1)) {
        assert_eq!(
            run.header.last + 1,
            next.header.first,
            "runs are merged in order"
        );
    }
    assert!(
        last - first < POSITIONS_MAX,
        "a merge is planned within the limit of a run"
    );
    let merge = Merge {
        runs,
        hasher: oldest.hasher,
        positions: last - first + 1,
    };
    let mut out = Output::new(path, file);
    let sections = [
        merge.records(&mut out)?,
        merge.ids(&mut out, SectionName::EventIds)?,
        merge.ids(&mut out, SectionName::AppendIds)?,
        merge.streams(&mut out)?,
        merge.terms(&mut out)?,
        merge.policies(&mut out)?,
        opaque(&mut out, newest.kinds()?)?,
    ];
    let mut header = Header {
        log_id: newest.header.log_id,
        first,
        last,
        upto: newest.header.upto,
        event_ids: merge.bounds(|header| header.event_ids),
        append_ids: merge.bounds(|header| header.append_ids),
        sections,
        body_end: 0,
        file_length: 0,
        checksums_checksum: 0,
    };
    out.finish(&mut header)
}

/// How many positions are read before the memory behind them is let go of.
const RELEASE_POSITIONS: u64 = 1 << 18;
/// How many keys tell how many there will be.
const SAMPLE_KEYS: u64 = 4096;

#[derive(Debug)]
struct Merge<'a> {
    runs: &'a [Arc<Run>],
    hasher: Hasher,
    positions: u64,
}

impl<'a> Merge<'a> {
    fn bounds(&self, of: impl Fn(&Header) -> Bounds) -> Bounds {
        let bounds = self.runs.iter().map(|run| of(&run.header));
        bounds.fold(Bounds::NONE, Bounds::joined)
    }

    /// How far the ordinals of this run move.
    fn shift(&self, run: &Run) -> u32 {
        let first = self.runs.first().map_or(0, |run| run.header.first);
        u32::try_from(run.header.first.saturating_sub(first)).unwrap_or(u32::MAX)
    }

    fn records(&self, out: &mut Output) -> Result<Section> {
        let mut writer = RecordsWriter::new(out);
        for run in self.runs {
            let records = run.section(SectionName::Records);
            let mut places = Places::new(records);
            for ordinal in 0..run.header.positions() {
                if ordinal.is_multiple_of(RELEASE_POSITIONS) {
                    records.release(0, records.section().length);
                }
                let ordinal = u32::try_from(ordinal).unwrap_or(u32::MAX);
                writer.push(out, places.find(ordinal)?)?;
            }
            records.release(0, records.section().length);
        }
        writer.finish(out)
    }

    fn ids(&self, out: &mut Output, name: SectionName) -> Result<Section> {
        let mut count = 0;
        let mut inputs = Vec::new();
        for run in self.runs {
            let section = run.section(name);
            count += section.section().entries;
            let mut ids = Ids::new(section, run.header.positions());
            let next = ids.next()?;
            inputs.push((ids, next, self.shift(run)));
        }
        let mut writer = IdsWriter::new(out, count, self.positions);
        loop {
            let nearest = inputs
                .iter_mut()
                .filter(|(_, next, _)| next.is_some())
                .min_by_key(|(_, next, _)| next.map(|(tag, _)| tag));
            let Some((ids, next, shift)) = nearest else {
                return writer.finish(out);
            };
            if let Some((tag, ordinal)) = *next {
                writer.push(out, tag, ordinal.saturating_add(*shift))?;
            }
            *next = ids.next()?;
        }
    }

    fn streams(&self, out: &mut Output) -> Result<Section> {
        let mut keys = self.keys(SectionName::Streams)?;
        let mut writer = DictionaryWriter::new(out, self.count(SectionName::Streams)?);
        let mut postings = Joined::default();
        let mut value = Vec::new();
        while let Some((hash, key)) = keys.next()? {
            let mut versions = StreamVersions::default();
            for (run, section, bytes) in keys.values() {
                let stream = StreamValue::parse(section, bytes)?;
                versions.extend(postings.count, &stream.versions);
                postings.push(out, self.shift(run), &stream.postings)?;
            }
            value.clear();
            postings.finish(out, writer.start(), Some(&versions), &mut value)?;
            writer.push(out, hash, (None, key), &value)?;
        }
        writer.finish(out)
    }

    fn terms(&self, out: &mut Output) -> Result<Section> {
        let mut keys = self.keys(SectionName::Terms)?;
        let mut writer = DictionaryWriter::new(out, self.count(SectionName::Terms)?);
        let mut postings = Joined::default();
        let mut value = Vec::new();
        while let Some((hash, key)) = keys.next()? {
            for (run, section, mut bytes) in keys.values() {
                let head = Postings::take_head(&mut bytes);
                let head = head.ok_or_else(|| section.damaged("a term is cut"))?;
                let part = Postings::parse(section, head, bytes)?;
                postings.push(out, self.shift(run), &part)?;
            }
            value.clear();
            postings.finish(out, writer.start(), None, &mut value)?;
            writer.push(out, hash, (None, key), &value)?;
        }
        writer.finish(out)
    }

    fn policies(&self, out: &mut Output) -> Result<Section> {
        let mut keys = self.keys(SectionName::Policies)?;
        let mut writer = DictionaryWriter::new(out, self.count(SectionName::Policies)?);
        while let Some((hash, key)) = keys.next()? {
            if let Some((_, _, newest)) = keys.values().last() {
                writer.push(out, hash, (None, key), newest)?;
            }
        }
        writer.finish(out)
    }

    fn keys(&self, name: SectionName) -> Result<Keys<'a>> {
        Keys::new(self.runs, name, self.hasher)
    }

    /// About how many different keys the runs have, from the first of them.
    fn count(&self, name: SectionName) -> Result<u64> {
        let entries = || self.runs.iter().map(|run| run.header.section(name).entries);
        let mut keys = self.keys(name)?;
        let mut count = 0;
        while let Some((hash, _)) = keys.next()? {
            count += 1;
            if count == SAMPLE_KEYS {
                let all = (u128::from(count) << u64::BITS) / (u128::from(hash) + 1);
                let all = u64::try_from(all).unwrap_or(u64::MAX);
                let most = entries().sum();
                return Ok(all.clamp(entries().max().unwrap_or(0), most));
            }
        }
        Ok(count)
    }
}

/// The keys of some dictionaries in order, each once.
#[derive(Debug)]
struct Keys<'a> {
    hasher: Hasher,
    name: SectionName,
    inputs: Vec<Input<'a>>,
}

#[derive(Debug)]
struct Input<'a> {
    run: &'a Run,
    records: Records<'a>,
    /// Hash, key and value of its next record.
    next: Option<(u64, &'a [u8], &'a [u8])>,
    /// Its value of the key that is looked at.
    value: Option<&'a [u8]>,
}

impl<'a> Keys<'a> {
    fn new(runs: &'a [Arc<Run>], name: SectionName, hasher: Hasher) -> Result<Self> {
        let mut keys = Self {
            hasher,
            name,
            inputs: Vec::new(),
        };
        for run in runs {
            let mut records = Records::new(run.section(name));
            let next = hashed(hasher, name, records.next()?);
            keys.inputs.push(Input {
                run,
                records,
                next,
                value: None,
            });
        }
        Ok(keys)
    }

    /// The next key and its hash; [`values`](Self::values) are then those of this key.
    fn next(&mut self) -> Result<Option<(u64, &'a [u8])>> {
        let heads = self.inputs.iter().filter_map(|input| input.next);
        let Some((hash, key)) = heads.map(|(hash, key, _)| (hash, key)).min() else {
            return Ok(None);
        };
        for input in &mut self.inputs {
            input.value = None;
            if let Some((its_hash, its_key, value)) = input.next
                && its_hash == hash
                && its_key == key
            {
                input.value = Some(value);
                input.next = hashed(self.hasher, self.name, input.records.next()?);
            }
        }
        Ok(Some((hash, key)))
    }

    /// The values of the key, oldest run first.
    fn values(&self) -> impl Iterator<Item = (&'a Run, SectionView<'a>, &'a [u8])> {
        let inputs = self.inputs.iter();
        inputs.filter_map(|input| Some((input.run, input.records.section(), input.value?)))
    }
}

fn hashed<'a>(
    hasher: Hasher,
    name: SectionName,
    record: Option<(&'a [u8], &'a [u8])>,
) -> Option<(u64, &'a [u8], &'a [u8])> {
    let (key, value) = record?;
    let (kind, text) = match key.split_first() {
        Some((kind, text)) if name == SectionName::Terms => (*kind, text),
        _ => (STREAM, key),
    };
    Some((hasher.text(kind, text), key, value))
}

/// Sets of ordinals of runs put together.
#[derive(Debug, Default)]
struct Joined {
    writer: PostingsWriter,
    count: u32,
    /// Above all ordinals so far.
    next: u32,
    list: Vec<u32>,
}

impl Joined {
    fn push(&mut self, out: &mut Output, shift: u32, part: &Postings<'_>) -> Result<()> {
        let all = 0..part.count;
        if part.order() == Order::Ascending {
            return part.read(all, |ordinal| {
                self.push_one(out, ordinal.saturating_add(shift))
            });
        }
        let mut list = std::mem::take(&mut self.list);
        part.read(all, |ordinal| {
            list.push(ordinal.saturating_add(shift));
            Ok(())
        })?;
        for ordinal in list.drain(..).rev() {
            self.push_one(out, ordinal)?;
        }
        self.list = list;
        Ok(())
    }

    fn push_one(&mut self, out: &mut Output, ordinal: u32) -> Result<()> {
        if ordinal >= self.next {
            self.next = ordinal.saturating_add(1);
            self.count += 1;
            self.writer.push(out, ordinal)?;
        }
        Ok(())
    }

    fn finish(
        &mut self,
        out: &mut Output,
        section_start: u64,
        versions: Option<&StreamVersions>,
        value: &mut Vec<u8>,
    ) -> Result<()> {
        self.count = 0;
        self.next = 0;
        self.writer.finish(out, section_start, versions, value)
    }
}
