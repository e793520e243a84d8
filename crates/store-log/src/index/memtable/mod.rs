//! The newest part of an index, in memory.

mod contents;
mod interner;
mod lists;
mod table;

use std::collections::HashMap;
use std::ops::RangeInclusive;

use annals_core::{Direction, StreamId, StreamPolicy};
use annals_log::{LogId, RecordAt};

use self::interner::Interner;
use self::lists::{List, Lists};
use self::table::Table;
use super::bounds::{Bounds, prefix};
use super::hash::Hasher;
use super::versions::{Stretch, Versions};
use super::{APPEND_ID, Entry, LOST, Ordinals, Part, Result, STREAM, StreamEnd, Term, category_of};

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
    lists: Lists,
    event_ids: Table,
    event_id_bounds: Bounds,
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
            lists: Lists::default(),
            event_ids: Table::default(),
            event_id_bounds: Bounds::NONE,
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
        let ordinal = self.next_ordinal();
        self.records.push(entry.at.to_bits());
        let category = self.enter_stream(entry, ordinal);
        self.enter_term(category, ordinal);
        let event_type = self.term_number(Term::Type(entry.event_type));
        self.enter_term(event_type, ordinal);
        for tag in tags {
            let tag = self.term_number(Term::Tag(tag));
            self.enter_term(tag, ordinal);
        }
        self.event_ids
            .insert(self.hasher.id(entry.event_id), ordinal);
        self.event_id_bounds.include(entry.event_id);
        if let Some(id) = entry.append_id {
            self.append_id_bounds.include(prefix(id));
            let hash = self.append_hash(id);
            self.append_ids.insert(hash, ordinal);
        }
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
    fn enter_stream(&mut self, entry: &Entry<'_>, ordinal: u32) -> u32 {
        let hash = self.hasher.text(STREAM, entry.stream.as_bytes());
        let known = self.streams.find(hash, STREAM, entry.stream);
        let number = known.unwrap_or_else(|| self.new_stream(hash, entry));
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

    fn new_stream(&mut self, hash: u64, entry: &Entry<'_>) -> u32 {
        let category = self.term_number(Term::Category(category_of(entry.stream)));
        let stream = Stream {
            first_version: entry.version,
            events: List::default(),
            category,
        };
        self.streams.insert(hash, STREAM, entry.stream, stream)
    }

    fn enter_term(&mut self, number: u32, ordinal: u32) {
        if let Some(list) = self.terms.value_mut(number)
            && self.lists.get(list).last() != Some(&ordinal)
        {
            self.lists.push(list, ordinal);
        }
    }

    fn term_number(&mut self, term: Term<'_>) -> u32 {
        let (kind, text) = term.key();
        let hash = self.hasher.text(kind, text.as_bytes());
        let known = self.terms.find(hash, kind, text);
        known.unwrap_or_else(|| self.terms.insert(hash, kind, text, List::default()))
    }

    fn term(&self, term: Term<'_>) -> &[u32] {
        let (kind, text) = term.key();
        let hash = self.hasher.text(kind, text.as_bytes());
        let list = self
            .terms
            .find(hash, kind, text)
            .and_then(|number| self.terms.value(number));
        list.map_or(&[], |list| self.lists.get(list))
    }

    fn stream(&self, stream: &str) -> Option<(Versions<'_>, &[u32])> {
        let hash = self.hasher.text(STREAM, stream.as_bytes());
        let number = self.streams.find(hash, STREAM, stream)?;
        let stream = self.streams.value(number)?;
        let versions = Versions {
            first: stream.first_version,
            count: stream.events.count,
            stretches: self.stretches.get(&number).map_or(&[], Vec::as_slice),
        };
        Some((versions, self.lists.get(&stream.events)))
    }

    fn append_hash(&self, id: &str) -> u64 {
        self.hasher.text(APPEND_ID, id.as_bytes())
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
        if !self.event_id_bounds.contain(id) {
            return Ok(());
        }
        let found = self.event_ids.find(self.hasher.id(id));
        out.extend(found.map(|ordinal| self.position(ordinal)));
        Ok(())
    }

    fn append_id(&self, id: &str, out: &mut Vec<u64>) -> Result<()> {
        if !self.append_id_bounds.contain(prefix(id)) {
            return Ok(());
        }
        let found = self.append_ids.find(self.append_hash(id));
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
