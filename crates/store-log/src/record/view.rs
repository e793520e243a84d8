//! An event as it is read: a look into its bytes.

use std::num::NonZeroU128;

use annals_core::limits::{APPEND_EVENTS_MAX, PAYLOAD_BYTES_MAX};
use annals_core::{AppendId, EventId, Timestamp, Version};

use super::bad_record::{BadRecord, Part};
use super::event::{
    AppendHeader, FIRST_OF_APPEND, KNOWN_FLAGS, METADATA, RECLAIMED, RECORDED_AT, SHORT_ID, TAGS,
    long_id, moved,
};
use super::kind::{KindCode, KindRef, KindTexts, Kinds};
use super::metadata::skip_metadata;
use super::tags::TagTexts;
use super::wire::{Identity, Reader};

/// The body of an event's record, taken apart and borrowed.
///
/// All but the stream's name, the metadata's inside and the rules of names is checked; these are when the event
/// is made.
#[derive(Clone, Debug)]
pub(crate) struct EventView<'a> {
    kind: KindRef<'a>,
    append: Option<(Identity<'a>, u32)>,
    version: Version,
    appended_at: Timestamp,
    recorded_at: Timestamp,
    id: EventId,
    stream: &'a [u8],
    tags: TagTexts<'a>,
    metadata: Option<&'a [u8]>,
    payload: &'a [u8],
    /// From the stream's name to the end of the payload.
    content: &'a [u8],
    /// How many bytes at the end of the body are metadata and payload.
    said_bytes: usize,
    is_reclaimed: bool,
}

impl<'a> EventView<'a> {
    /// Takes apart a body of a segment that begins at `base`.
    #[expect(
        clippy::inline_always,
        reason = "what is taken apart stays in registers where it is used at once"
    )]
    #[inline(always)]
    pub(crate) fn parse(body: &'a [u8], base: Timestamp) -> Result<Self, BadRecord> {
        let mut reader = Reader::new(body);
        let flags = reader.byte(Part::Flags)?;
        if flags & !KNOWN_FLAGS != 0 {
            return Err(BadRecord::Flags(Part::Flags));
        }
        let kind = match reader.varint(Part::Kind)? {
            0 => KindRef::Inline(reader.apart(KindTexts::parse)?),
            code => KindRef::Code(KindCode::new(code).ok_or(BadRecord::Range(Part::Kind))?),
        };
        let append = match flags & FIRST_OF_APPEND {
            0 => None,
            _ => Some(reader.apart(parse_append)?),
        };
        let version = reader.varint(Part::Version)?;
        if version == 0 {
            return Err(BadRecord::Range(Part::Version));
        }
        let appended_at = moved(base, reader.zigzag(Part::AppendedAt)?);
        let uuid = if flags & SHORT_ID == 0 {
            u128::from_be_bytes(reader.array(Part::EventId)?)
        } else {
            let millis = reader.zigzag(Part::EventId)?;
            let high = u16::from_be_bytes(reader.array(Part::EventId)?);
            let low = u64::from_be_bytes(reader.array(Part::EventId)?);
            long_id(millis, high, low, appended_at).ok_or(BadRecord::EventId)?
        };
        let id = NonZeroU128::new(uuid).map(EventId::from_number);
        let id = id.ok_or(BadRecord::EventId)?;
        let recorded_at = match flags & RECORDED_AT {
            0 => appended_at,
            _ => moved(appended_at, reader.zigzag(Part::RecordedAt)?),
        };
        let stream_bytes = reader.varint(Part::Stream)?;
        let content = reader.rest();
        let stream = reader.take(stream_bytes, Part::Stream)?;
        let tags = match flags & TAGS {
            0 => TagTexts::default(),
            _ => reader.apart(TagTexts::parse)?,
        };
        let said = reader.rest();
        let is_reclaimed = flags & RECLAIMED != 0;
        let (metadata, payload) = parse_said(flags, said)?;
        let version = Version::new(version);
        Ok(Self {
            kind,
            append,
            version,
            appended_at,
            recorded_at,
            id,
            stream,
            tags,
            metadata,
            payload,
            content: if is_reclaimed {
                content
                    .get(..content.len() - said.len())
                    .unwrap_or_default()
            } else {
                content
            },
            said_bytes: said.len(),
            is_reclaimed,
        })
    }

    /// The stream that holds it.
    pub(crate) fn stream(&self) -> Result<&'a str, BadRecord> {
        std::str::from_utf8(self.stream).map_err(|_| BadRecord::Text(Part::Stream))
    }

    /// Whether this stream holds it.
    #[inline]
    pub(crate) fn is_of(&self, stream: &str) -> bool {
        self.stream == stream.as_bytes()
    }

    /// Its place in the stream.
    pub(crate) const fn version(&self) -> Version {
        self.version
    }

    /// Its identity.
    pub(crate) const fn id(&self) -> EventId {
        self.id
    }

    /// Its kind, by code or spelled out.
    pub(crate) const fn kind(&self) -> KindRef<'a> {
        self.kind
    }

    /// The append that it is the first event of.
    #[expect(clippy::expect_used, reason = "parsed once already")]
    pub(crate) fn append(&self) -> Option<AppendHeader> {
        let (identity, events) = self.append?;
        let id = identity
            .with_text(AppendId::parse)
            .expect("parsing checked the append id");
        Some(AppendHeader { id, events })
    }

    /// When the store recorded it.
    pub(crate) const fn appended_at(&self) -> Timestamp {
        self.appended_at
    }

    /// When it happened, by the application's clock.
    pub(crate) const fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    /// Its tags, in order.
    pub(crate) fn tags(&self) -> TagTexts<'a> {
        self.tags.clone()
    }

    /// Whether it has any tags.
    #[inline]
    pub(super) fn has_tags(&self) -> bool {
        self.tags.len() > 0
    }

    /// The bytes of its metadata's record, if it has any.
    pub(super) const fn metadata(&self) -> Option<&'a [u8]> {
        self.metadata
    }

    /// From the name of its stream to the end of its payload, and how much of that is the name.
    pub(super) const fn content(&self) -> (&'a [u8], usize) {
        (self.content, self.stream.len())
    }

    /// Whether its metadata and its payload are gone.
    #[inline]
    pub(crate) const fn is_reclaimed(&self) -> bool {
        self.is_reclaimed
    }

    /// How many bytes at the end of its record are metadata and payload, or were.
    pub(crate) const fn said_bytes(&self) -> usize {
        self.said_bytes
    }

    /// Its content.
    pub(crate) const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The recorded name of its kind; `None` for a code that the dictionary doesn't have.
    pub(crate) fn event_type<'b>(&self, kinds: &'b Kinds) -> Option<&'b str>
    where
        'a: 'b,
    {
        match self.kind {
            KindRef::Code(code) => kinds.kind(code).map(|kind| kind.event_type.as_str()),
            KindRef::Inline(texts) => Some(texts.event_type),
        }
    }
}

/// The bytes of the metadata's record and the payload; nothing where they are gone.
#[expect(
    clippy::inline_always,
    reason = "what is taken apart stays in registers where it is used at once"
)]
#[inline(always)]
fn parse_said(flags: u8, said: &[u8]) -> Result<(Option<&[u8]>, &[u8]), BadRecord> {
    let mut reader = Reader::new(said);
    let metadata = match flags & (METADATA | RECLAIMED) {
        0 => None,
        METADATA => Some(reader.apart(skip_metadata)?),
        RECLAIMED => return Ok((None, &[])),
        _ => return Err(BadRecord::Flags(Part::Flags)),
    };
    let payload = reader.rest();
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(BadRecord::Range(Part::Payload));
    }
    Ok((metadata, payload))
}

/// Takes the last bytes of an event's record from it, which are all that it [said](EventView::said_bytes): its metadata
/// and its payload.
pub(crate) fn reclaim(body: &mut [u8], said_bytes: usize) {
    if let Some(said) = body
        .len()
        .checked_sub(said_bytes)
        .and_then(|at| body.get_mut(at..))
    {
        said.fill(0);
    }
    if let Some(flags) = body.first_mut() {
        *flags = *flags & !METADATA | RECLAIMED;
    }
}

/// The header of an append, checked so that it can be made at any time.
fn parse_append<'a>(reader: &mut Reader<'a>) -> Result<(Identity<'a>, u32), BadRecord> {
    const PART: Part = Part::AppendId;
    let identity = reader.identity(PART)?;
    if let Identity::Text(text) = identity {
        AppendId::parse(text).map_err(|_| BadRecord::Name(PART))?;
    }
    let events = u32::try_from(reader.varint(Part::AppendEvents)?).ok();
    let events = events.filter(|count| {
        *count > 0 && usize::try_from(*count).is_ok_and(|count| count <= APPEND_EVENTS_MAX)
    });
    Ok((
        identity,
        events.ok_or(BadRecord::Range(Part::AppendEvents))?,
    ))
}
