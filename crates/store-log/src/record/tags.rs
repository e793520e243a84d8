//! The tags of an event's record: a count, the lengths, the texts one after another.

use annals_core::limits::TAGS_MAX;
use annals_core::{Tag, Tags};

use super::bad_record::{BadRecord, Part};
use super::wire::{Reader, length, put_varint};

const PART: Part = Part::Tags;

/// The texts of an event's tags, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct TagTexts<'a> {
    count: usize,
    lengths: &'a [u8],
    texts: &'a str,
}

impl<'a> TagTexts<'a> {
    /// Reads what [`put_tags`] wrote, and checks it so that the iterator has nothing to refuse.
    pub(super) fn parse(reader: &mut Reader<'a>) -> Result<Self, BadRecord> {
        let count = usize::from(reader.byte(PART)?);
        if count == 0 {
            return Err(BadRecord::Empty(PART));
        }
        if count > TAGS_MAX {
            return Err(BadRecord::Range(PART));
        }
        let from = reader.rest();
        let mut bytes = 0_u64;
        for _ in 0..count {
            bytes = bytes.saturating_add(reader.varint(PART)?);
        }
        let (lengths, _) = from.split_at(from.len() - reader.rest().len());
        let texts = reader.utf8(bytes, PART)?;
        let tags = Self {
            count,
            lengths,
            texts,
        };
        let mut found = 0;
        let mut last = "";
        for tag in tags.clone() {
            // Nothing is compared with no bytes, as with headers of metadata.
            if tag.is_empty() || (!last.is_empty() && tag <= last) {
                return Err(BadRecord::Order(PART));
            }
            last = tag;
            found += 1;
        }
        if found != count {
            return Err(BadRecord::Text(PART));
        }
        Ok(tags)
    }

    /// The tags as a value.
    pub(super) fn into_tags(self) -> Result<Tags, BadRecord> {
        if self.count == 0 {
            return Ok(Tags::EMPTY);
        }
        let mut tags = Vec::with_capacity(self.count);
        for text in self {
            tags.push(Tag::parse(text).map_err(|_| BadRecord::Name(PART))?);
        }
        Tags::new(tags).map_err(|_| BadRecord::Range(PART))
    }
}

impl<'a> Iterator for TagTexts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let mut lengths = Reader::new(self.lengths);
        let length = lengths.varint(PART).ok()?;
        self.lengths = lengths.rest();
        let (text, rest) = self.texts.split_at_checked(usize::try_from(length).ok()?)?;
        self.texts = rest;
        self.count = self.count.saturating_sub(1);
        Some(text)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl ExactSizeIterator for TagTexts<'_> {}

/// Appends tags, of which there is at least one.
pub(super) fn put_tags(tags: &Tags, out: &mut Vec<u8>) {
    const { assert!(TAGS_MAX <= u8::MAX as usize, "the count is a byte") };
    let [count, ..] = length(tags.len()).to_le_bytes();
    out.push(count);
    for tag in tags {
        put_varint(length(tag.as_str().len()), out);
    }
    for tag in tags {
        out.extend_from_slice(tag.as_str().as_bytes());
    }
}
