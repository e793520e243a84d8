//! Which partition answers what.

use std::num::NonZeroU16;

use annals_core::{
    Append, CheckpointName, Condition, Criteria, CriteriaItem, Error, ErrorKind, Selection,
    StreamId, Tag,
};

use crate::hash::partition_of;

/// Says which partition has what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Router {
    partitions: NonZeroU16,
}

impl Router {
    pub(crate) const fn new(partitions: NonZeroU16) -> Self {
        Self { partitions }
    }

    pub(crate) fn of_stream(self, stream: &StreamId) -> usize {
        self.of_key(stream.partition_key())
    }

    pub(crate) fn of_checkpoint(self, name: &CheckpointName) -> usize {
        self.of_key(name.as_str())
    }

    /// The one partition that holds all that is selected; `None` where any may.
    pub(crate) fn of_selection(self, selection: &Selection) -> Option<usize> {
        match selection {
            Selection::Stream(stream) => Some(self.of_stream(stream)),
            Selection::Criteria(criteria) => self.of_criteria(criteria),
            _ => None,
        }
    }

    /// The one partition that the append is about.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when it is about several; [`ErrorKind::Invalid`] for an event whose tag names another
    /// partition key than its stream has.
    pub(crate) fn of_append(self, append: &Append) -> Result<usize, Error> {
        let mut streams = append.expectations().map(|(stream, _)| stream);
        let first = streams.next().ok_or_else(empty)?;
        let home = self.of_stream(first);
        if let Some(other) = streams.find(|stream| self.of_stream(stream) != home) {
            return Err(torn(first, other));
        }
        check_tags(append)?;
        let mut conditions = append.conditions().iter();
        match conditions.find(|condition| !self.is_about(&condition.unless, home)) {
            Some(condition) => Err(boundless(condition, first)),
            None => Ok(home),
        }
    }

    fn of_key(self, key: &str) -> usize {
        usize::from(partition_of(key, self.partitions))
    }

    /// The partition whose key each item names by a tag.
    fn of_criteria(self, criteria: &Criteria) -> Option<usize> {
        let named = criteria.items().first()?.tags().iter();
        let partitions = named.filter_map(Tag::partition_key);
        let mut partitions = partitions.map(|key| self.of_key(key));
        partitions.find(|partition| self.is_about(criteria, *partition))
    }

    /// Whether only this partition can hold what matches.
    fn is_about(self, criteria: &Criteria, partition: usize) -> bool {
        let names = |item: &CriteriaItem| {
            let mut keys = item.tags().iter().filter_map(Tag::partition_key);
            keys.any(|key| self.of_key(key) == partition)
        };
        criteria.items().iter().all(names)
    }
}

/// Refuses an event that criteria by partition key would look for elsewhere.
fn check_tags(append: &Append) -> Result<(), Error> {
    for (stream, event) in append.events() {
        let mut keys = event.tags().iter().filter_map(Tag::partition_key);
        if let Some(other) = keys.find(|key| *key != stream.partition_key()) {
            let message = "tag of an event names another partition key than its stream has; \
                           put the key in braces into the stream's, as in order-{acme}17 with partition:acme";
            return Err(Error::new(ErrorKind::Invalid, message)
                .during("append")
                .with("stream", stream)
                .with("tag", format!("{}:{other}", Tag::PARTITION)));
        }
    }
    Ok(())
}

fn empty() -> Error {
    Error::new(ErrorKind::Invalid, "an append writes at least one stream").during("append")
}

fn torn(first: &StreamId, other: &StreamId) -> Error {
    let message = "streams of one append are in several partitions; give streams that change together \
                   one partition key, as in order-{acme}17 and account-{acme}, or append to each by itself";
    Error::new(ErrorKind::Unsupported, message)
        .during("append")
        .with("stream", first)
        .with("other", other)
}

fn boundless(condition: &Condition, stream: &StreamId) -> Error {
    let message = "condition may be about several partitions, so that it can't be judged in one; \
                   tag its events and each item of its criteria with the partition key of the streams that are written";
    Error::new(ErrorKind::Unsupported, message)
        .during("append")
        .with("unless", &condition.unless)
        .with(
            "tag",
            format!("{}:{}", Tag::PARTITION, stream.partition_key()),
        )
}
