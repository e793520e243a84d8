//! How far each partition is known to be.

use std::sync::atomic::{AtomicU64, Ordering};

use annals_core::Position;

use crate::places::Places;

/// The head of each partition, as late as it was heard of. It only rises.
///
/// What a reader of one partition is told of the others is made of it, so that reading a stream asks one partition alone.
#[derive(Debug)]
pub(crate) struct Heads(Vec<AtomicU64>);

impl Heads {
    pub(crate) fn new(partitions: usize) -> Self {
        Self((0..partitions).map(|_| AtomicU64::new(0)).collect())
    }

    /// Notes that a partition is at least here.
    pub(crate) fn heard(&self, partition: usize, place: Position) {
        if let Some(head) = self.0.get(partition) {
            head.fetch_max(place.value(), Ordering::AcqRel);
        }
    }

    /// Notes that the partitions are at least here.
    pub(crate) fn heard_all(&self, places: &Places) {
        for (partition, place) in places.iter() {
            self.heard(partition, place);
        }
    }

    pub(crate) fn at(&self, partition: usize) -> Position {
        let head = self.0.get(partition);
        head.map_or(Position::START, |head| head.load(Ordering::Acquire).into())
    }
}
