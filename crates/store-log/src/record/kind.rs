//! Kinds of events, and the store's dictionary of them.

use std::hash::BuildHasher;
use std::sync::Arc;

use annals_core::{ContentType, EventType, NewEvent, SchemaVersion};
use hashbrown::{DefaultHashBuilder, HashTable};

use super::bad_record::{BadRecord, Part};
use super::wire::{Reader, VARINT_BYTES_MAX, put_text, put_varint};

/// What events of one kind have in common: what they are called and how their payloads are written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EventKind {
    /// The recorded name.
    pub(crate) event_type: EventType,
    /// The version of the schema that the payloads follow.
    pub(crate) schema_version: SchemaVersion,
    /// The form of the payloads.
    pub(crate) content_type: ContentType,
}

/// A kind's short name in the records of one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KindCode(u16);

/// The kind of an event as its record has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KindRef<'a> {
    /// By its code in the dictionary.
    Code(KindCode),
    /// Spelled out, as the dictionary was full.
    Inline(KindTexts<'a>),
}

/// A kind spelled out in a record; its names are texts that nothing has checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KindTexts<'a> {
    /// The recorded name.
    pub(crate) event_type: &'a str,
    /// The version of the schema that the payloads follow.
    pub(crate) schema_version: SchemaVersion,
    /// The form of the payloads.
    pub(crate) content_type: &'a str,
}

/// The dictionary of kinds, asked both ways. Cheap to clone; a change leaves clones as they were.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kinds(Arc<Inner>);

#[derive(Clone, Debug, Default)]
struct Inner {
    /// By code: the first is of code 1.
    kinds: Vec<Option<EventKind>>,
    /// Codes by their kinds, each with the hash of its kind.
    codes: HashTable<(u64, KindCode)>,
    hasher: DefaultHashBuilder,
}

impl EventKind {
    /// The kind of this event.
    pub(crate) fn of(event: &NewEvent) -> Self {
        Self {
            event_type: event.event_type().clone(),
            schema_version: event.schema_version(),
            content_type: event.content_type().clone(),
        }
    }

    pub(super) fn as_parts(&self) -> Parts<'_> {
        (&self.event_type, self.schema_version, &self.content_type)
    }
}

impl KindCode {
    /// The last code; a kind beyond is spelled out in each event.
    pub(crate) const MAX: Self = Self(4095);

    /// The code of this number, which is 1 to 4095.
    pub(crate) fn new(number: u64) -> Option<Self> {
        let number = u16::try_from(number).ok()?;
        (1..=Self::MAX.0).contains(&number).then_some(Self(number))
    }

    /// The number.
    pub(crate) const fn value(self) -> u16 {
        self.0
    }

    fn index(self) -> usize {
        usize::from(self.0) - 1
    }
}

impl Kinds {
    /// The code of this kind.
    #[cfg(test)]
    pub(crate) fn code(&self, kind: &EventKind) -> Option<KindCode> {
        self.0.find(kind.as_parts())
    }

    /// The code of this event's kind.
    pub(crate) fn code_of(&self, event: &NewEvent) -> Option<KindCode> {
        self.0.find((
            event.event_type(),
            event.schema_version(),
            event.content_type(),
        ))
    }

    /// The kind of this code.
    #[inline]
    pub(crate) fn kind(&self, code: KindCode) -> Option<&EventKind> {
        self.0.kinds.get(code.index())?.as_ref()
    }

    /// Declares a kind under this code; to say the same again changes nothing.
    ///
    /// # Errors
    /// [`BadRecord::KindTwice`] when the code stands for another kind.
    pub(crate) fn insert(&mut self, code: KindCode, kind: EventKind) -> Result<(), BadRecord> {
        match self.kind(code) {
            Some(known) if *known == kind => Ok(()),
            Some(_) => Err(BadRecord::KindTwice(code)),
            None => {
                Arc::make_mut(&mut self.0).insert(code, kind);
                Ok(())
            }
        }
    }

    /// Takes a code, so that no kind that is new gets it.
    pub(crate) fn reserve(&mut self, code: KindCode) {
        if self.0.kinds.len() <= code.index() {
            let inner = Arc::make_mut(&mut self.0);
            inner.kinds.resize(code.index() + 1, None);
        }
    }

    /// The code for the next kind that is new; `None` when the dictionary is full.
    pub(crate) fn next_code(&self) -> Option<KindCode> {
        let next = self.0.kinds.len() + 1;
        KindCode::new(u64::try_from(next).ok()?)
    }

    /// Every kind with its code, in the order of codes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (KindCode, &EventKind)> {
        let codes = (1..=KindCode::MAX.0).map(KindCode);
        codes
            .zip(&self.0.kinds)
            .filter_map(|(code, kind)| Some((code, kind.as_ref()?)))
    }
}

/// A kind in borrowed parts.
pub(super) type Parts<'a> = (&'a EventType, SchemaVersion, &'a ContentType);

impl Inner {
    #[inline]
    fn find(&self, parts: Parts<'_>) -> Option<KindCode> {
        let hash = self.hasher.hash_one(parts);
        let same = |(_, code): &(u64, KindCode)| self.parts(*code) == Some(parts);
        self.codes.find(hash, same).map(|(_, code)| *code)
    }

    #[inline]
    fn parts(&self, code: KindCode) -> Option<Parts<'_>> {
        Some(self.kinds.get(code.index())?.as_ref()?.as_parts())
    }

    fn insert(&mut self, code: KindCode, kind: EventKind) {
        let hash = self.hasher.hash_one(kind.as_parts());
        if self.kinds.len() <= code.index() {
            self.kinds.resize(code.index() + 1, None);
        }
        if let Some(place) = self.kinds.get_mut(code.index()) {
            *place = Some(kind);
        }
        self.codes
            .insert_unique(hash, (hash, code), |(hash, _)| *hash);
    }
}

impl<'a> KindTexts<'a> {
    /// Reads what [`put_kind`] wrote.
    pub(super) fn parse(reader: &mut Reader<'a>) -> Result<Self, BadRecord> {
        let schema_version = u32::try_from(reader.varint(Part::SchemaVersion)?)
            .ok()
            .and_then(|number| SchemaVersion::new(number).ok())
            .ok_or(BadRecord::Range(Part::SchemaVersion))?;
        let event_type = reader.text(Part::EventType)?;
        let content_type = reader.text(Part::ContentType)?;
        Ok(Self {
            event_type,
            schema_version,
            content_type,
        })
    }

    /// The kind of these names; the forms that annals knows cost nothing to clone.
    pub(super) fn to_kind(self) -> Result<EventKind, BadRecord> {
        let known = [ContentType::JSON, ContentType::OCTETS];
        let content_type = match known.into_iter().find(|known| *known == self.content_type) {
            Some(known) => known,
            None => ContentType::parse(self.content_type)
                .map_err(|_| BadRecord::Name(Part::ContentType))?,
        };
        let event_type =
            EventType::parse(self.event_type).map_err(|_| BadRecord::Name(Part::EventType))?;
        Ok(EventKind {
            event_type,
            schema_version: self.schema_version,
            content_type,
        })
    }
}

/// Appends a kind spelled out.
pub(super) fn put_kind(parts: Parts<'_>, out: &mut Vec<u8>) {
    let (event_type, schema_version, content_type) = parts;
    put_varint(schema_version.value().into(), out);
    put_text(event_type.as_str(), out);
    put_text(content_type.as_str(), out);
}

/// The most bytes that [`put_kind`] appends.
pub(super) fn kind_bytes_max(parts: Parts<'_>) -> usize {
    let (event_type, _, content_type) = parts;
    3 * VARINT_BYTES_MAX + event_type.as_str().len() + content_type.as_str().len()
}
