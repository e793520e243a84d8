//! The newest part of an index, in memory.

mod contents;
mod event_ids;
mod interner;
mod lists;
mod table;

use std::collections::HashMap;
use std::ops::RangeInclusive;

use annals_core::{Direction, StreamId, StreamPolicy};
use annals_log::{LogId, RecordAt};

use self::event_ids::EventIds;
use self::interner::Interner;
use self::lists::{List, Lists};
use self::table::Table;
use super::bounds::{Bounds, prefix};
use super::hash::{Hashed, Hasher};
use super::versions::{Stretch, Versions};
use super::{Entry, LOST, Ordinals, Part, Result, STREAM, StreamEnd, Term, category_of};

/// The newest part of an index: takes entries in the order of their positions and answers at once.
///
/// It is inserted into under a write lock and asked under read locks. An event takes about a hundred bytes.
#[derive(Clone, Debug)]
pub(crate) struct Memtable {
    log_id: LogId,
    first: u64,
    hasher: Hasher,
    /// For each ordinal the bits of its [`RecordAt`]; [`LOST`] where the log has lost the event.
    records: Vec<u64>,
    streams: Interner<Stream>,
    /// The later stretches of streams of which the log has lost events.
    stretches: HashMap<u32, Vec<Stretch>>,
    terms: Interner<List>,
    /// The number of the type that was entered last among the terms, and of the category.
    last_type: u32,
    last_category: u32,
    lists: Lists,
    event_ids: EventIds,
    append_ids: Table,
    append_id_bounds: Bounds,
    policies: HashMap<StreamId, StreamPolicy>,
}

/// What is known of a stream.
#[derive(Clone, Copy, Debug)]
struct Stream {
    first_version: u64,
    events: List,
    /// The number of its category among the terms.
    category: u32,
}

/// What the index has to know of one event whose stream is known, except its tags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewEntry<'a> {
    /// The number of its stream.
    pub(crate) stream: u32,
    /// Its version in the stream.
    pub(crate) version: u64,
    /// Its type.
    pub(crate) event_type: &'a str,
    /// Its id.
    pub(crate) event_id: u128,
    /// The id of the append of which it is the first event.
    pub(crate) append_id: Option<&'a str>,
    /// Where its record is.
    pub(crate) at: RecordAt,
}

/// What a policy takes in memory, beside the stream's name, in bytes.
const POLICY_BYTES: usize = 160;

impl Memtable {
    /// An empty memtable whose first event will have this position, for the log with this id.
    pub(crate) fn new(log_id: LogId, first: u64) -> Self {
        Self {
            log_id,
            first,
            hasher: Hasher::new(log_id),
            records: Vec::new(),
            streams: Interner::default(),
            stretches: HashMap::new(),
            terms: Interner::default(),
            last_type: 0,
            last_category: 0,
            lists: Lists::default(),
            event_ids: EventIds::default(),
            append_ids: Table::default(),
            append_id_bounds: Bounds::NONE,
            policies: HashMap::new(),
        }
    }

    /// Enters the event at the next position.
    ///
    /// # Panics
    /// When the memtable has [`EVENTS_MAX`](Self::EVENTS_MAX) events or more.
    pub(crate) fn insert<'t>(
        &mut self,
        entry: &Entry<'_>,
        tags: impl IntoIterator<Item = &'t str>,
    ) {
        let stream = Hashed {
            text: entry.stream,
            hash: self.hasher.stream(entry.stream),
        };
        let known = self.stream_number(stream);
        let stream = known.unwrap_or_else(|| self.add_stream(stream, entry.version));
        let hasher = self.hasher;
        let tags = tags.into_iter().map(|text| Hashed {
            text,
            hash: hasher.term(Term::Tag(text)),
        });
        let new = NewEntry {
            stream,
            version: entry.version,
            event_type: entry.event_type,
            event_id: entry.event_id,
            append_id: entry.append_id,
            at: entry.at,
        };
        self.insert_new(&new, tags);
    }

    /// Enters the event at the next position, in a stream that is there.
    ///
    /// # Panics
    /// When the memtable has [`EVENTS_MAX`](Self::EVENTS_MAX) events or more.
    pub(crate) fn insert_new<'t>(
        &mut self,
        entry: &NewEntry<'_>,
        tags: impl IntoIterator<Item = Hashed<'t>>,
    ) {
        let ordinal = self.next_ordinal();
        self.records.push(entry.at.to_bits());
        let category = self.enter_stream(entry, ordinal);
        self.enter_term(category, ordinal);
        let event_type = self.type_number(entry.event_type);
        self.enter_term(event_type, ordinal);
        for tag in tags {
            let tag = self.hashed_term_number(Term::Tag(tag.text), tag.hash);
            self.enter_term(tag, ordinal);
        }
        self.event_ids.insert(self.hasher, entry.event_id, ordinal);
        if let Some(id) = entry.append_id {
            self.append_id_bounds.include(prefix(id));
            self.append_ids.insert(self.hasher.append_id(id), ordinal);
        }
    }

    /// The number of a stream that has events here; it stays.
    pub(crate) fn stream_number(&self, stream: Hashed<'_>) -> Option<u32> {
        self.streams.find(stream.hash, STREAM, stream.text)
    }

    /// Takes in a stream that is not there yet, for an event of this version to follow; its number.
    pub(crate) fn add_stream(&mut self, stream: Hashed<'_>, first_version: u64) -> u32 {
        let category = self.category_number(category_of(stream.text));
        let value = Stream {
            first_version,
            events: List::default(),
            category,
        };
        self.streams.insert(stream.hash, STREAM, stream.text, value)
    }

    /// The last event of a stream up to this position.
    pub(crate) fn end_at(&self, stream: u32, position: u64) -> Option<StreamEnd> {
        let (mut versions, ordinals) = self.numbered_stream(stream)?;
        let later = ordinals.iter().rev();
        let later = later.take_while(|ordinal| self.position(**ordinal) > position);
        versions.count -= u32::try_from(later.count()).unwrap_or(versions.count);
        while let Some((last, rest)) = versions.stretches.split_last()
            && last.index >= versions.count
        {
            versions.stretches = rest;
        }
        let last = ordinals.get((versions.count as usize).checked_sub(1)?)?;
        Some(StreamEnd {
            version: versions.head(),
            position: self.position(*last),
        })
    }

    /// Passes over the next positions, whose events the log has lost.
    pub(crate) fn skip_lost(&mut self, count: usize) {
        let length = self.records.len().saturating_add(count);
        self.records.resize(length, LOST);
    }

    /// Notes the policy of a stream from here on.
    pub(crate) fn set_policy(&mut self, stream: &StreamId, policy: StreamPolicy) {
        self.policies.insert(stream.clone(), policy);
    }

    /// How many events a memtable can take. It is meant to be flushed far earlier.
    pub(crate) const EVENTS_MAX: u32 = Table::NUMBER_MAX;

    /// About how much memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let names: usize = self.policies.keys().map(|id| id.as_str().len()).sum();
        self.records.capacity() * size_of::<u64>()
            + self.streams.bytes()
            + self.terms.bytes()
            + self.lists.bytes()
            + self.event_ids.bytes()
            + self.append_ids.bytes()
            + self.policies.len() * POLICY_BYTES
            + names
    }

    /// How many positions it covers.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    fn next_ordinal(&self) -> u32 {
        let ordinal = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
        assert!(
            ordinal < Self::EVENTS_MAX,
            "a memtable is flushed before it is full"
        );
        ordinal
    }

    /// Enters the event in its stream; the number of the stream's category.
    fn enter_stream(&mut self, entry: &NewEntry<'_>, ordinal: u32) -> u32 {
        let number = entry.stream;
        let Some(stream) = self.streams.value_mut(number) else {
            return 0;
        };
        let expected = stream
            .first_version
            .saturating_add(stream.events.count.into());
        if expected != entry.version || self.stretches.contains_key(&number) {
            note_stretch(
                self.stretches.entry(number).or_default(),
                stream,
                entry.version,
            );
        }
        self.lists.push(&mut stream.events, ordinal);
        stream.category
    }

    fn enter_term(&mut self, number: u32, ordinal: u32) {
        if let Some(list) = self.terms.value_mut(number)
            && self.lists.get(list).last() != Some(&ordinal)
        {
            self.lists.push(list, ordinal);
        }
    }

    fn term_number(&mut self, term: Term<'_>) -> u32 {
        self.hashed_term_number(term, self.hasher.term(term))
    }

    fn hashed_term_number(&mut self, term: Term<'_>, hash: u64) -> u32 {
        let (kind, text) = term.key();
        let known = self.terms.find(hash, kind, text);
        known.unwrap_or_else(|| self.terms.insert(hash, kind, text, List::default()))
    }

    /// The number of a type, which mostly is that of the event before.
    fn type_number(&mut self, event_type: &str) -> u32 {
        let term = Term::Type(event_type);
        if !self.is_term(self.last_type, term) {
            self.last_type = self.term_number(term);
        }
        self.last_type
    }

    /// The number of a category, which mostly is that of the stream before.
    fn category_number(&mut self, category: &str) -> u32 {
        let term = Term::Category(category);
        if !self.is_term(self.last_category, term) {
            self.last_category = self.term_number(term);
        }
        self.last_category
    }

    fn is_term(&self, number: u32, term: Term<'_>) -> bool {
        let (kind, text) = term.key();
        self.terms.text(number) == Some((kind, text.as_bytes()))
    }

    fn term(&self, term: Term<'_>) -> &[u32] {
        let (kind, text) = term.key();
        let list = self
            .terms
            .find(self.hasher.term(term), kind, text)
            .and_then(|number| self.terms.value(number));
        list.map_or(&[], |list| self.lists.get(list))
    }

    fn stream(&self, stream: &str) -> Option<(Versions<'_>, &[u32])> {
        let hash = self.hasher.stream(stream);
        self.numbered_stream(self.streams.find(hash, STREAM, stream)?)
    }

    fn numbered_stream(&self, number: u32) -> Option<(Versions<'_>, &[u32])> {
        let stream = self.streams.value(number)?;
        let versions = Versions {
            first: stream.first_version,
            count: stream.events.count,
            stretches: self.stretches.get(&number).map_or(&[], Vec::as_slice),
        };
        Some((versions, self.lists.get(&stream.events)))
    }

    fn position(&self, ordinal: u32) -> u64 {
        self.first.saturating_add(ordinal.into())
    }
}

impl Part for Memtable {
    fn first(&self) -> u64 {
        self.first
    }

    fn last(&self) -> u64 {
        let count = self.records.len() as u64;
        self.first.saturating_add(count).saturating_sub(1)
    }

    fn stream_head(&self, stream: &str) -> Result<Option<StreamEnd>> {
        Ok(self.stream(stream).and_then(|(versions, ordinals)| {
            Some(StreamEnd {
                version: versions.head(),
                position: self.position(*ordinals.last()?),
            })
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
        let Some((has, ordinals)) = self.stream(stream) else {
            return Ok(());
        };
        let range = has.range(&versions);
        let chosen = ordinals
            .get(range.start as usize..range.end as usize)
            .unwrap_or_default();
        let positions = chosen.iter().map(|ordinal| self.position(*ordinal));
        match direction {
            Direction::Forward => out.extend(positions.take(limit)),
            Direction::Backward => out.extend(positions.rev().take(limit)),
        }
        Ok(())
    }

    fn policy(&self, stream: &str) -> Result<Option<StreamPolicy>> {
        Ok(self.policies.get(stream).cloned())
    }

    fn has_policies(&self) -> bool {
        !self.policies.is_empty()
    }

    fn ordinals(&self, term: Term<'_>) -> Result<Ordinals<'_>> {
        Ok(Ordinals::list(self.term(term)))
    }

    fn newest(&self, term: Term<'_>) -> Result<Option<u64>> {
        Ok(self
            .term(term)
            .last()
            .map(|ordinal| self.position(*ordinal)))
    }

    fn event_id(&self, id: u128, out: &mut Vec<u64>) -> Result<()> {
        let found = self.event_ids.find(self.hasher, id);
        out.extend(found.map(|ordinal| self.position(ordinal)));
        Ok(())
    }

    fn highest_event_id(&self) -> u128 {
        self.event_ids.bounds().highest
    }

    fn append_id(&self, id: &str, out: &mut Vec<u64>) -> Result<()> {
        if !self.append_id_bounds.contain(prefix(id)) {
            return Ok(());
        }
        let found = self.append_ids.find(self.hasher.append_id(id));
        out.extend(found.map(|ordinal| self.position(ordinal)));
        Ok(())
    }

    fn records_at(&self, positions: &[u64], out: &mut Vec<Option<RecordAt>>) -> Result<()> {
        for position in positions {
            out.push(self.record_at(*position)?);
        }
        Ok(())
    }

    fn missing_bytes(&self) -> usize {
        0
    }

    fn load(&self) {}

    fn record_at(&self, position: u64) -> Result<Option<RecordAt>> {
        let record = position
            .checked_sub(self.first)
            .and_then(|ordinal| usize::try_from(ordinal).ok())
            .and_then(|ordinal| self.records.get(ordinal));
        Ok(record
            .filter(|bits| **bits != LOST)
            .map(|bits| RecordAt::from_bits(*bits)))
    }
}

/// Begins a new stretch when the version does not follow the one before.
fn note_stretch(stretches: &mut Vec<Stretch>, stream: &Stream, version: u64) {
    let count = stream.events.count;
    let versions = Versions {
        first: stream.first_version,
        count,
        stretches,
    };
    if versions.head().checked_add(1) != Some(version) {
        stretches.push(Stretch {
            index: count,
            version,
        });
    }
}
