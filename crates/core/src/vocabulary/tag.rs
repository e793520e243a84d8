//! Labels by which events are found across streams, and by which conditions are stated.

use std::fmt;
use std::sync::Arc;

use super::name::name_type;
use crate::error::check_limit;
use crate::{Error, ErrorKind};

name_type! {
    /// A label of an event, by convention `key:value` as in `student:42`; it crosses streams.
    Tag, "tag"
}

impl Tag {
    /// The key of the tag that tells the partition: `partition:acme` says that an event is in a stream of the
    /// [partition key](crate::StreamId::partition_key) `acme`, which a partitioned store holds appends to. Criteria that
    /// name it in each item are about one partition, so that they can guard an append
    /// ([`AppendScope::PartitionKey`](crate::AppendScope)).
    pub const PARTITION: &'static str = "partition";

    /// The partition key that it names, if it is a tag that tells the partition.
    pub fn partition_key(&self) -> Option<&str> {
        let (key, value) = self.as_str().split_once(':')?;
        (key == Self::PARTITION).then_some(value)
    }

    /// The tag `key:value`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] as for [`parse`](Self::parse), and for a key with a `:`, which would end
    /// it early.
    pub fn from_parts(key: &str, value: impl fmt::Display) -> Result<Self, Error> {
        if key.contains(':') {
            let message = "tag key has a colon; a colon ends the key of a tag";
            return Err(Error::new(ErrorKind::Invalid, message).with("key", key));
        }
        Self::parse(&format!("{key}:{value}"))
    }

    /// The text before the first `:`; the whole tag where there is none.
    pub fn key(&self) -> &str {
        self.as_str()
            .split_once(':')
            .map_or(self.as_str(), |(key, _)| key)
    }

    /// The text after the first `:`; empty where there is none.
    pub fn value(&self) -> &str {
        self.as_str().split_once(':').map_or("", |(_, value)| value)
    }
}

/// A set of tags, in order and without repeats; cheap to clone, free when empty.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Tags(Option<Arc<[Tag]>>);

impl Tags {
    /// No tags.
    pub const EMPTY: Self = Self(None);

    /// The set of these tags.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for more than
    /// [`limits::TAGS_MAX`](crate::limits::TAGS_MAX) different ones.
    pub fn new(tags: impl IntoIterator<Item = Tag>) -> Result<Self, Error> {
        let mut tags: Vec<Tag> = tags.into_iter().collect();
        tags.sort_unstable();
        tags.dedup();
        check_limit!("too many tags", tags.len(), TAGS_MAX)?;
        Ok(if tags.is_empty() {
            Self::EMPTY
        } else {
            Self(Some(tags.into()))
        })
    }

    /// The tags in order.
    pub fn as_slice(&self) -> &[Tag] {
        self.0.as_deref().unwrap_or_default()
    }

    /// The tags in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Tag> {
        self.as_slice().iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether this tag is among them.
    pub fn contains(&self, tag: &Tag) -> bool {
        self.as_slice().binary_search(tag).is_ok()
    }

    /// Whether every one of `others` is among them; true when `others` is empty.
    pub fn contains_all(&self, others: &Self) -> bool {
        others.iter().all(|tag| self.contains(tag))
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Tag::as_str)).finish()
    }
}

impl<'a> IntoIterator for &'a Tags {
    type Item = &'a Tag;
    type IntoIter = std::slice::Iter<'a, Tag>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(texts: &[&str]) -> Tags {
        Tags::new(texts.iter().map(|text| Tag::parse(text).unwrap())).unwrap()
    }

    #[test]
    fn tags_are_a_set() {
        let all = tags(&["b:2", "a:1", "b:2"]);
        assert_eq!(all.len(), 2);
        assert!(all.contains_all(&tags(&["a:1"])) && all.contains_all(&Tags::EMPTY));
        assert!(!all.contains_all(&tags(&["a:1", "c:3"])));
        assert_eq!(tags(&[]), Tags::EMPTY);
        assert_eq!(
            all.as_slice().first().map(|tag| (tag.key(), tag.value())),
            Some(("a", "1"))
        );
    }

    #[test]
    fn too_many_tags_are_refused_by_name() {
        let many = (0..65).map(|n| Tag::from_parts("n", n).unwrap());
        let error = Tags::new(many).unwrap_err();
        assert_eq!(error.to_string(), "too many tags: 65 is over TAGS_MAX (64)");
    }
}
