//! The notes between events: kinds and policies.

use std::time::Duration;

use annals_core::{StreamId, StreamPolicy, StreamState, Version};

use super::bad_record::{BadRecord, Part};
use super::kind::{EventKind, KindCode, KindTexts, put_kind};
use super::wire::{Reader, put_text, put_varint};

const KIND: u8 = 1;
const POLICY: u8 = 2;

const MAX_AGE: u8 = 1;
const MAX_COUNT: u8 = 1 << 1;
const SOFT_DELETED: u8 = 1 << 2;
const TOMBSTONED: u8 = 1 << 3;
const STATE: u8 = SOFT_DELETED | TOMBSTONED;
const KNOWN: u8 = MAX_AGE | MAX_COUNT | STATE;

/// What a record that takes no position says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// The code stands for the kind.
    Kind(KindCode, EventKind),
    /// The stream has the policy from here on.
    Policy(StreamId, StreamPolicy),
}

impl Note {
    /// Reads the body of a note.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, BadRecord> {
        let mut reader = Reader::new(body);
        let note = match reader.byte(Part::Note)? {
            KIND => parse_kind(&mut reader)?,
            POLICY => parse_policy(&mut reader)?,
            unknown => return Err(BadRecord::UnknownNote(unknown)),
        };
        reader.end()?;
        Ok(note)
    }
}

/// Appends the body of the note that a code stands for a kind.
pub(crate) fn encode_kind(code: KindCode, kind: &EventKind, out: &mut Vec<u8>) {
    out.push(KIND);
    put_varint(code.value().into(), out);
    put_kind(kind.as_parts(), out);
}

/// Appends the body of the note that a stream has a policy from here on.
pub(crate) fn encode_policy(stream: &StreamId, policy: &StreamPolicy, out: &mut Vec<u8>) {
    out.push(POLICY);
    put_text(stream.as_str(), out);
    let mut flags = 0;
    flags |= policy.max_age.map_or(0, |_| MAX_AGE);
    flags |= policy.max_count.map_or(0, |_| MAX_COUNT);
    flags |= match policy.state {
        StreamState::SoftDeleted => SOFT_DELETED,
        StreamState::Tombstoned => TOMBSTONED,
        _ => 0,
    };
    out.push(flags);
    put_varint(policy.truncate_before.value(), out);
    if let Some(age) = policy.max_age {
        put_varint(age.as_secs(), out);
        put_varint(age.subsec_nanos().into(), out);
    }
    if let Some(count) = policy.max_count {
        put_varint(count, out);
    }
}

fn parse_kind(reader: &mut Reader<'_>) -> Result<Note, BadRecord> {
    let code = KindCode::new(reader.varint(Part::Kind)?).ok_or(BadRecord::Range(Part::Kind))?;
    let kind = KindTexts::parse(reader)?.to_kind()?;
    Ok(Note::Kind(code, kind))
}

fn parse_policy(reader: &mut Reader<'_>) -> Result<Note, BadRecord> {
    const PART: Part = Part::Policy;
    let stream = reader.text(Part::Stream)?;
    let stream = StreamId::parse(stream).map_err(|_| BadRecord::Name(Part::Stream))?;
    let flags = reader.byte(PART)?;
    if flags & !KNOWN != 0 {
        return Err(BadRecord::Flags(PART));
    }
    let mut policy = StreamPolicy::default();
    policy.state = match flags & STATE {
        0 => StreamState::Open,
        SOFT_DELETED => StreamState::SoftDeleted,
        TOMBSTONED => StreamState::Tombstoned,
        _ => return Err(BadRecord::Flags(PART)),
    };
    policy.truncate_before = Version::new(reader.varint(PART)?);
    if flags & MAX_AGE != 0 {
        let seconds = reader.varint(PART)?;
        let nanos = u32::try_from(reader.varint(PART)?).ok();
        let nanos = nanos.filter(|nanos| *nanos < 1_000_000_000);
        policy.max_age = Some(Duration::new(seconds, nanos.ok_or(BadRecord::Range(PART))?));
    }
    if flags & MAX_COUNT != 0 {
        policy.max_count = Some(reader.varint(PART)?);
    }
    Ok(Note::Policy(stream, policy))
}
