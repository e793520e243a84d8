//! What a log is made of, and how it stands in messages.

use std::time::Duration;

use annals_core::{
    AppendId, CausationId, ContentType, CorrelationId, Error, ErrorKind, EventId, EventType,
    Metadata, NewEvent, Placement, Position, RecordedEvent, SchemaVersion, StreamId, StreamPolicy,
    StreamState, Tag, Tags, Timestamp, Version,
};
use async_nats::HeaderMap;
use bytes::Bytes;

use crate::subject::{Subjects, push_hex, unescaped};

const AT: &str = "Annals-At";
const EVENT: &str = "Annals-Event";
const APPEND: &str = "Annals-Append";
const TAGS: &str = "Annals-Tags";
const CONTEXT: &str = "Annals-Context";
const FRONT: &str = "Annals-Front";
const POLICY: &str = "Annals-Policy";
const CRC: &str = "Annals-Crc";

/// The header of the first message of a batch, which tells the batch from every other.
pub(crate) const BATCH: &str = "Annals-Batch";

/// More bytes of tags and context than this stand in front of the payload, as `tags`, a line feed and `context`, and
/// [`FRONT`] says how many they are: servers take 64 KiB of headers.
const IN_HEADERS_MAX: usize = 16 * 1024;

/// The header of a part of a snapshot.
pub(crate) const SNAPSHOT: &str = "Annals-Snapshot";

/// The headers that the checksum covers, in this order.
const COVERED: [&str; 9] = [
    AT, EVENT, APPEND, TAGS, CONTEXT, FRONT, POLICY, BATCH, SNAPSHOT,
];

/// One message of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Event(Stored),
    Policy(PolicyRecord),
}

/// An event, and the append that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The sequence that it was made for. A message at any other one says nothing: it came too late.
    pub(crate) sequence: u64,
    pub(crate) append: AppendId,
    /// Its place among the events of the append, from 0, and how many these are.
    pub(crate) index: u32,
    pub(crate) count: u32,
    pub(crate) event: RecordedEvent,
}

/// The policy that a stream has from here on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyRecord {
    /// As of an event.
    pub(crate) sequence: u64,
    /// Tells it from every other.
    pub(crate) id: EventId,
    pub(crate) stream: StreamId,
    /// The position of the newest event before it.
    pub(crate) position: Position,
    pub(crate) appended_at: Timestamp,
    pub(crate) policy: StreamPolicy,
}

/// A message to send.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

/// A message as a server gives it.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) sequence: u64,
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

/// What a message has for sending it: the conditions on it, and its place in a batch.
const SENDING_BYTES: usize = 512;

impl Message {
    /// The same as the first of this batch.
    pub(crate) fn first_of(mut self, batch: &str) -> Self {
        self.headers.insert(BATCH, batch);
        sealed(self.subject, self.headers, self.payload)
    }

    /// How large it is as servers count it, with all that is added when it is sent.
    pub(crate) fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, values)| {
            let values = values.iter().map(|value| value.as_str().len());
            AsRef::<[u8]>::as_ref(name).len() + values.sum::<usize>() + 4
        });
        headers.sum::<usize>() + self.payload.len() + SENDING_BYTES
    }
}

impl Record {
    pub(crate) fn sequence(&self) -> u64 {
        match self {
            Self::Event(stored) => stored.sequence,
            Self::Policy(policy) => policy.sequence,
        }
    }

    /// The message that says it.
    pub(crate) fn to_message(&self, subjects: &Subjects) -> Message {
        match self {
            Self::Event(stored) => stored.to_message(subjects),
            Self::Policy(policy) => policy.to_message(subjects),
        }
    }

    /// What a message says.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] for one that is not what was sent, or that somebody else sent.
    pub(crate) fn of(raw: &Raw, subjects: &Subjects) -> Result<Self, Error> {
        let damaged = |what: &'static str| {
            Error::new(ErrorKind::Corrupt, what)
                .with("sequence", raw.sequence)
                .with("subject", &raw.subject)
        };
        if value(&raw.headers, CRC).is_none() {
            let message = "message of the log was not written by a store of annals; let nobody else publish to its subjects";
            return Err(damaged(message));
        }
        if !is_sound(raw) {
            return Err(damaged(
                "message of the log is damaged: its checksum is another",
            ));
        }
        parsed(raw, subjects).ok_or_else(|| {
            damaged("message of the log breaks a rule; it may be of a newer version of annals")
        })
    }
}

impl Stored {
    fn to_message(&self, subjects: &Subjects) -> Message {
        let event = &self.event;
        let mut headers = HeaderMap::new();
        let at = format!(
            "{} {} {} {} {}",
            self.sequence,
            event.position(),
            event.version(),
            event.recorded_at().as_micros(),
            event.appended_at().as_micros(),
        );
        headers.insert(AT, at);
        let kind = format!(
            "{} {} {} {}",
            escaped(event.event_type().as_str()),
            event.schema_version().value(),
            escaped(event.content_type().as_str()),
            event.id().as_uuid().simple(),
        );
        headers.insert(EVENT, kind);
        let append = escaped(self.append.as_str());
        headers.insert(APPEND, format!("{append} {}/{}", self.index, self.count));
        let tags: Vec<String> = event
            .tags()
            .iter()
            .map(|tag| escaped(tag.as_str()))
            .collect();
        let (tags, context) = (tags.join(" "), context(event));
        let mut payload = event.payload_bytes();
        if tags.len() + context.len() > IN_HEADERS_MAX {
            let front = format!("{tags}\n{context}");
            headers.insert(FRONT, front.len().to_string());
            payload = [front.as_bytes(), &payload].concat().into();
        } else {
            for (name, text) in [(TAGS, tags), (CONTEXT, context)] {
                if !text.is_empty() {
                    headers.insert(name, text);
                }
            }
        }
        sealed(subjects.events(event.stream()), headers, payload)
    }
}

impl PolicyRecord {
    fn to_message(&self, subjects: &Subjects) -> Message {
        let mut headers = HeaderMap::new();
        let at = self.appended_at.as_micros();
        headers.insert(
            AT,
            format!("{} {} 0 {at} {at}", self.sequence, self.position),
        );
        let policy = &self.policy;
        let state = match policy.state {
            StreamState::SoftDeleted => "deleted",
            StreamState::Tombstoned => "tombstoned",
            _ => "open",
        };
        let age = policy.max_age.map(|age| age.as_nanos().to_string());
        let count = policy.max_count.map(|count| count.to_string());
        let text = format!(
            "{} {state} {} {} {}",
            self.id.as_uuid().simple(),
            policy.truncate_before,
            age.as_deref().unwrap_or("-"),
            count.as_deref().unwrap_or("-"),
        );
        headers.insert(POLICY, text);
        sealed(subjects.policies(&self.stream), headers, Bytes::new())
    }
}

/// A message with its checksum.
pub(crate) fn sealed(subject: String, mut headers: HeaderMap, payload: Bytes) -> Message {
    let crc = checksum(&subject, &headers, &payload);
    headers.insert(CRC, crc);
    Message {
        subject,
        headers,
        payload,
    }
}

/// Correlation id, causation id (`-` for none), then headers as name and value; nothing where there is nothing.
fn context(event: &RecordedEvent) -> String {
    let metadata = event.metadata();
    if metadata.is_empty() {
        return String::new();
    }
    let correlation = metadata.correlation_id().map(|id| escaped(id.as_str()));
    let causation = metadata.causation_id().map(|id| escaped(id.as_str()));
    let or_none = |id: Option<String>| id.unwrap_or_else(|| "-".to_owned());
    let mut text = format!("{} {}", or_none(correlation), or_none(causation));
    for (name, value) in metadata.headers() {
        for part in [" ", &escaped(name), "=", &escaped(value)] {
            text.push_str(part);
        }
    }
    text
}

/// CRC32C of subject, covered headers and payload, each after its length.
fn checksum(subject: &str, headers: &HeaderMap, payload: &[u8]) -> String {
    let part = |crc: u32, bytes: Option<&[u8]>| {
        let length = bytes.map_or(u64::MAX, |bytes| {
            u64::try_from(bytes.len()).unwrap_or(u64::MAX)
        });
        let crc = crc32c::crc32c_append(crc, &length.to_be_bytes());
        crc32c::crc32c_append(crc, bytes.unwrap_or_default())
    };
    let crc = part(0, Some(subject.as_bytes()));
    let crc = COVERED.iter().fold(crc, |crc, name| {
        part(crc, value(headers, name).map(str::as_bytes))
    });
    format!("{:08x}", part(crc, Some(payload)))
}

/// Whether a message is what was sent.
pub(crate) fn is_sound(raw: &Raw) -> bool {
    value(&raw.headers, CRC)
        .is_some_and(|crc| crc == checksum(&raw.subject, &raw.headers, &raw.payload))
}

/// The value of a header.
pub(crate) fn value<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    headers.get(name).map(async_nats::HeaderValue::as_str)
}

fn parsed(raw: &Raw, subjects: &Subjects) -> Option<Record> {
    let stream = subjects.stream_of(&raw.subject)?;
    let mut at = value(&raw.headers, AT)?.split(' ');
    let sequence = at.next()?.parse().ok()?;
    let position = Position::new(at.next()?.parse().ok()?);
    let version = Version::new(at.next()?.parse().ok()?);
    let recorded_at = Timestamp::from_micros(at.next()?.parse().ok()?);
    let appended_at = Timestamp::from_micros(at.next()?.parse().ok()?);
    if let Some(policy) = value(&raw.headers, POLICY) {
        let (id, policy) = parsed_policy(policy)?;
        return Some(Record::Policy(PolicyRecord {
            sequence,
            id,
            stream,
            position,
            appended_at,
            policy,
        }));
    }
    let (id, content) = parsed_event(raw)?;
    let (append, place) = value(&raw.headers, APPEND)?.split_once(' ')?;
    let (index, count) = place.split_once('/')?;
    let placement = Placement {
        id,
        stream,
        version,
        position,
        recorded_at,
        appended_at,
    };
    Some(Record::Event(Stored {
        sequence,
        append: AppendId::parse(&plain(append)?).ok()?,
        index: index.parse().ok()?,
        count: count.parse().ok()?,
        event: RecordedEvent::new(content, placement),
    }))
}

fn parsed_event(raw: &Raw) -> Option<(EventId, NewEvent)> {
    let mut kind = value(&raw.headers, EVENT)?.split(' ');
    let event_type = EventType::parse(&plain(kind.next()?)?).ok()?;
    let schema_version = SchemaVersion::new(kind.next()?.parse().ok()?).ok()?;
    let content_type = ContentType::parse(&plain(kind.next()?)?).ok()?;
    let id = kind.next()?.parse().ok()?;
    let (tags, context, payload) = front_of(raw)?;
    let tags = tags
        .split(' ')
        .filter(|tag| !tag.is_empty())
        .map(|tag| Tag::parse(&plain(tag)?).ok())
        .collect::<Option<Vec<Tag>>>()?;
    let metadata = if context.is_empty() {
        Metadata::EMPTY
    } else {
        parsed_context(context)?
    };
    let event = NewEvent::new(event_type, content_type, payload).ok()?;
    let event = event
        .with_schema_version(schema_version)
        .with_tags(Tags::new(tags).ok()?)
        .with_metadata(metadata);
    Some((id, event))
}

/// Tags and context, and the event's own payload.
fn front_of(raw: &Raw) -> Option<(&str, &str, Bytes)> {
    let Some(length) = value(&raw.headers, FRONT) else {
        let text = |name| value(&raw.headers, name).unwrap_or_default();
        return Some((text(TAGS), text(CONTEXT), raw.payload.clone()));
    };
    let length = length.parse().ok()?;
    let front = std::str::from_utf8(raw.payload.get(..length)?).ok()?;
    let (tags, context) = front.split_once('\n')?;
    Some((tags, context, raw.payload.slice(length..)))
}

fn parsed_context(context: &str) -> Option<Metadata> {
    let mut parts = context.split(' ');
    let (correlation, causation) = (parts.next()?, parts.next()?);
    let headers: Vec<(String, String)> = parts
        .map(|header| {
            let (name, value) = header.split_once('=')?;
            Some((plain(name)?, plain(value)?))
        })
        .collect::<Option<_>>()?;
    let headers = headers.iter().map(|(name, value)| (&**name, &**value));
    let mut metadata = Metadata::EMPTY.with_headers(headers).ok()?;
    if correlation != "-" {
        let id = CorrelationId::parse(&plain(correlation)?).ok()?;
        metadata = metadata.with_correlation_id(id).ok()?;
    }
    if causation != "-" {
        let id = CausationId::parse(&plain(causation)?).ok()?;
        metadata = metadata.with_causation_id(id).ok()?;
    }
    Some(metadata)
}

fn parsed_policy(text: &str) -> Option<(EventId, StreamPolicy)> {
    let mut parts = text.split(' ');
    let id = parts.next()?.parse().ok()?;
    let mut policy = StreamPolicy::default();
    policy.state = match parts.next()? {
        "open" => StreamState::Open,
        "deleted" => StreamState::SoftDeleted,
        "tombstoned" => StreamState::Tombstoned,
        _ => return None,
    };
    policy.truncate_before = Version::new(parts.next()?.parse().ok()?);
    policy.max_age = match parts.next()? {
        "-" => None,
        age => Some(duration(age.parse().ok()?)?),
    };
    policy.max_count = match parts.next()? {
        "-" => None,
        count => Some(count.parse().ok()?),
    };
    Some((id, policy))
}

fn duration(nanoseconds: u128) -> Option<Duration> {
    const SECOND: u128 = 1_000_000_000;
    let seconds = u64::try_from(nanoseconds / SECOND).ok()?;
    Some(Duration::new(
        seconds,
        u32::try_from(nanoseconds % SECOND).ok()?,
    ))
}

/// A text as a part of a header: whitespace, control characters and the marks that the headers use are `%` and two digits;
/// and a text that would be taken for none.
pub(crate) fn escaped(text: &str) -> String {
    let mut part = String::with_capacity(text.len());
    for character in text.chars() {
        let is_mark = matches!(character, ' ' | '%' | '=') || (text == "-");
        if is_mark || character.is_control() || character.is_whitespace() {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                push_hex(&mut part, '%', byte);
            }
        } else {
            part.push(character);
        }
    }
    part
}

pub(crate) fn plain(part: &str) -> Option<String> {
    unescaped(part, '%')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects() -> Subjects {
        Subjects::new("shop")
    }

    fn stored() -> Stored {
        let metadata = Metadata::EMPTY
            .with_headers([("user", "erika = 50 %\r\n\u{e9}"), ("x", "")])
            .and_then(|metadata| metadata.with_causation_id(CausationId::parse("-")?))
            .unwrap();
        let content = NewEvent::new(
            EventType::from_static("paid in full"),
            ContentType::JSON,
            r#"{"amount":5}"#,
        );
        let content = content
            .unwrap()
            .with_schema_version(SchemaVersion::new(3).unwrap())
            .with_tags(Tags::new([Tag::from_static("a:1"), Tag::from_static("b:%20")]).unwrap())
            .with_metadata(metadata);
        let placement = Placement {
            id: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            stream: StreamId::from_static("account-4.2"),
            version: Version::new(7),
            position: Position::new(40),
            recorded_at: Timestamp::from_micros(-5),
            appended_at: Timestamp::from_micros(9),
        };
        Stored {
            sequence: 41,
            append: AppendId::parse("pay 1").unwrap(),
            index: 1,
            count: 2,
            event: RecordedEvent::new(content, placement),
        }
    }

    fn raw(record: &Record) -> Raw {
        let Message {
            subject,
            headers,
            payload,
        } = record.to_message(&subjects());
        Raw {
            sequence: record.sequence(),
            subject,
            headers,
            payload,
        }
    }

    fn policy() -> Record {
        let mut policy = StreamPolicy::default();
        policy.max_age = Some(Duration::MAX);
        policy.truncate_before = Version::new(3);
        policy.state = StreamState::SoftDeleted;
        Record::Policy(PolicyRecord {
            sequence: 9,
            id: "01890a5d-ac96-774b-bcce-b302099a8058".parse().unwrap(),
            stream: StreamId::from_static("account"),
            position: Position::new(8),
            appended_at: Timestamp::from_micros(7),
            policy,
        })
    }

    #[test]
    fn a_record_comes_back_from_its_message() {
        let mut large = stored();
        let metadata = Metadata::EMPTY
            .with_header("x", &"%".repeat(60_000))
            .unwrap();
        let (content, placement) = large.event.into_parts();
        large.event = RecordedEvent::new(content.with_metadata(metadata), placement);
        for record in [Record::Event(stored()), Record::Event(large), policy()] {
            assert_eq!(Record::of(&raw(&record), &subjects()).unwrap(), record);
        }
    }

    /// The bytes of a log outlive the code that wrote them.
    #[test]
    fn the_form_stays() {
        let lines = |record: &Record| {
            let raw = raw(record);
            let mut lines: Vec<String> = raw
                .headers
                .iter()
                .map(|(name, values)| format!("{name}: {}", values[0]))
                .collect();
            lines.sort();
            lines.insert(0, raw.subject);
            lines
        };
        assert_eq!(
            lines(&Record::Event(stored())),
            [
                "shop.s.account.-4=2e2",
                "Annals-Append: pay%201 1/2",
                "Annals-At: 41 40 7 -5 9",
                "Annals-Context: - %2d user=erika%20%3d%2050%20%25%0d%0a\u{e9} x=",
                "Annals-Crc: ccb4f01f",
                "Annals-Event: paid%20in%20full 3 application/json 01890a5dac96774bbcceb302099a8057",
                "Annals-Tags: a:1 b:%2520",
            ]
        );
        assert_eq!(
            lines(&policy()),
            [
                "shop.p.account._",
                "Annals-At: 9 8 0 7 7",
                "Annals-Crc: 88ae24a4",
                "Annals-Policy: 01890a5dac96774bbcceb302099a8058 deleted 3 18446744073709551615999999999 -",
            ]
        );
    }

    #[test]
    fn damage_anywhere_is_noticed() {
        let sound = raw(&Record::Event(stored()));
        let corrupt = |change: &dyn Fn(&mut Raw)| {
            let mut raw = sound.clone();
            change(&mut raw);
            let error = Record::of(&raw, &subjects()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        };
        corrupt(&|raw| raw.payload = Bytes::from_static(br#"{"amount":6}"#));
        corrupt(&|raw| raw.subject = "shop.s.account.-43".to_owned());
        for name in COVERED {
            corrupt(&|raw| raw.headers.insert(name, "x"));
        }
        corrupt(&|raw| raw.headers = HeaderMap::new());
    }
}
