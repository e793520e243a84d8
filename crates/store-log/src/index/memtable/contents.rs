//! What is in a memtable, in the order in which a run wants it.

use annals_core::{StreamId, StreamPolicy};
use annals_log::LogId;

use super::super::STREAM;
use super::super::bounds::Bounds;
use super::super::hash::Hasher;
use super::super::versions::Versions;
use super::Memtable;

impl Memtable {
    /// The id of the log that it is of.
    pub(crate) fn log_id(&self) -> LogId {
        self.log_id
    }

    /// The hash function of its keys.
    pub(crate) fn hasher(&self) -> Hasher {
        self.hasher
    }

    /// For each ordinal the bits of where its record is.
    pub(crate) fn records(&self) -> &[u64] {
        &self.records
    }

    /// Tags and ordinals of all event ids, in order.
    pub(crate) fn event_id_tags(&self) -> Vec<(u64, u32)> {
        sorted(self.event_ids.entries(self.hasher))
    }

    /// The bounds of the event ids.
    pub(crate) fn event_id_bounds(&self) -> Bounds {
        self.event_ids.bounds()
    }

    /// Tags and ordinals of all append ids, in order.
    pub(crate) fn append_id_tags(&self) -> Vec<(u64, u32)> {
        sorted(self.append_ids.entries())
    }

    /// The bounds of the append ids.
    pub(crate) fn append_id_bounds(&self) -> Bounds {
        self.append_id_bounds
    }

    /// Hashes and numbers of all streams, in order.
    pub(crate) fn stream_hashes(&self) -> Vec<(u64, u32)> {
        let name = |number| self.streams.text(number).unwrap_or_default();
        let hash = |number| (self.hasher.text(STREAM, name(number).1), number);
        let mut hashes: Vec<(u64, u32)> = (0..self.streams.next_number()).map(hash).collect();
        hashes.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| name(a.1).cmp(&name(b.1))));
        hashes
    }

    /// Name, versions and ordinals of a stream.
    pub(crate) fn stream_at(&self, number: u32) -> Option<(&[u8], Versions<'_>, &[u32])> {
        let stream = self.streams.value(number)?;
        let versions = Versions {
            first: stream.first_version,
            count: stream.events.count,
            stretches: self.stretches.get(&number).map_or(&[], Vec::as_slice),
        };
        let (_, name) = self.streams.text(number)?;
        Some((name, versions, self.lists.get(&stream.events)))
    }

    /// Hashes and numbers of all terms, in order.
    pub(crate) fn term_hashes(&self) -> Vec<(u64, u32)> {
        let name = |number| self.terms.text(number).unwrap_or_default();
        let hash = |number| {
            let (kind, text) = name(number);
            (self.hasher.text(kind, text), number)
        };
        let mut hashes: Vec<(u64, u32)> = (0..self.terms.next_number()).map(hash).collect();
        hashes.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| name(a.1).cmp(&name(b.1))));
        hashes
    }

    /// Kind, text and ordinals of a term.
    pub(crate) fn term_at(&self, number: u32) -> Option<(u8, &[u8], &[u32])> {
        let (kind, text) = self.terms.text(number)?;
        let list = self.terms.value(number)?;
        Some((kind, text, self.lists.get(list)))
    }

    /// Hashes of streams and the policies that were set for them, in order.
    pub(crate) fn policy_hashes(&self) -> Vec<(u64, &StreamId, &StreamPolicy)> {
        let hash = |stream: &StreamId| self.hasher.text(STREAM, stream.as_str().as_bytes());
        let policies = self.policies.iter();
        let mut hashes: Vec<_> = policies
            .map(|(id, policy)| (hash(id), id, policy))
            .collect();
        hashes.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        hashes
    }
}

fn sorted(entries: impl Iterator<Item = (u64, u32)>) -> Vec<(u64, u32)> {
    let mut entries: Vec<(u64, u32)> = entries.collect();
    entries.sort_unstable();
    entries
}
