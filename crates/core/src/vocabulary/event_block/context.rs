//! Contexts of a block's events, read when they are looked at.

use super::{MetadataPacker, MetadataRef};
use crate::Error;

/// Reads a context from the form that a store has it in, which the store has checked: it can't fail.
pub type MetadataForm = fn(bytes: &[u8], context: &mut MetadataWriter<'_>) -> Result<(), Error>;

/// Takes the parts of a context: the correlation id, the causation id, then the headers in ascending order of their
/// names.
#[derive(Debug)]
pub struct MetadataWriter<'a> {
    packer: MetadataPacker,
    bytes: &'a mut Vec<u8>,
}
/// The contexts of a block's events in their packed form.
#[derive(Debug, Default)]
pub(super) struct Contexts {
    bytes: Vec<u8>,
    /// For each event, where its context ends; the next one begins there.
    ends: Vec<usize>,
}

impl Contexts {
    pub(super) fn with_capacity(events: usize) -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::with_capacity(events),
        }
    }

    /// Adds the context of the next event, which has these bytes in this form; none when there are none, or no
    /// form.
    pub(super) fn push(&mut self, context: &[u8], form: Option<MetadataForm>) {
        if let Some(form) = form.filter(|_| !context.is_empty()) {
            self.read(context, form);
        }
        self.ends.push(self.bytes.len());
    }

    #[expect(clippy::expect_used, reason = "the store checked it, as it promises")]
    fn read(&mut self, context: &[u8], form: MetadataForm) {
        let mut writer = MetadataWriter::new(&mut self.bytes);
        let read = form(context, &mut writer);
        read.and_then(|()| writer.packer.finish(writer.bytes))
            .expect("a store checks the context of an event that goes into a block");
    }

    pub(super) fn of(&self, index: usize) -> MetadataRef<'_> {
        let end = |index: usize| self.ends.get(index).copied();
        let start = index.checked_sub(1).and_then(end).unwrap_or_default();
        let packed = end(index).and_then(|end| self.bytes.get(start..end));
        MetadataRef::of_packed(packed.unwrap_or_default())
    }
}

impl<'a> MetadataWriter<'a> {
    /// Begins at the end of these bytes.
    pub(super) fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self {
            packer: MetadataPacker::begin(bytes),
            bytes,
        }
    }

    /// Takes the correlation id.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a text that breaks the rules of the id, and for one that is given twice or out of
    /// order.
    pub fn correlation_id(&mut self, id: &str) -> Result<(), Error> {
        self.packer.correlation_id(id, self.bytes)
    }

    /// Takes the causation id.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid), as for the correlation id.
    pub fn causation_id(&mut self, id: &str) -> Result<(), Error> {
        self.packer.causation_id(id, self.bytes)
    }

    /// Takes a header.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for what [`Metadata::check_header`](crate::Metadata::check_header) refuses, and for a
    /// name that is out of order.
    #[inline]
    pub fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), Error> {
        self.packer.header(name, value, self.bytes)
    }
}
