//! The events of timers.

use std::fmt;

use annals_codec::{Decoded, EventCodec};
use annals_core::{
    Category, ContentRef, ContentType, Criteria, Error, Event, EventKind, EventType, NewEvent,
    SchemaVersion, StreamId, Tag, Tags, Timestamp,
};
use serde::{Deserialize, Serialize};

const SET: EventType = EventType::from_static("timer-set");
const CANCELLED: EventType = EventType::from_static("timer-cancelled");
const FIRED: EventType = EventType::from_static("timer-fired");

/// The key of the tag that tells whose a timer is.
const OWNER_TAG: &str = "timer-owner";

/// Which timer: whose, of which process of theirs, and its name there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimerId {
    /// The name of the process manager, or of whoever else sets it.
    pub owner: String,
    /// The key of the process.
    pub key: String,
    /// Its name in the process, as `payment-due`.
    pub name: String,
}

/// What happens to a timer: events of the stream `timer-<owner>/<key>/<name>`, in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimerEvent {
    /// It is to fire at this time, and not at one that was set before.
    Set {
        /// Which.
        timer: TimerId,
        /// When; in the past too, which is at once.
        due: Timestamp,
    },
    /// It is not to fire any more.
    Cancelled {
        /// Which.
        timer: TimerId,
    },
    /// Its time has come.
    Fired {
        /// Which.
        timer: TimerId,
        /// When it was due. When it fired is the time of the event.
        due: Timestamp,
    },
}

/// Reads and writes [`TimerEvent`]s.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimerCodec;

/// The fields of all events of timers.
#[derive(Serialize, Deserialize)]
struct Content {
    #[serde(flatten)]
    timer: TimerId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<Timestamp>,
}

impl TimerId {
    /// The timer of this name.
    pub fn new(owner: impl Into<String>, key: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            key: key.into(),
            name: name.into(),
        }
    }

    /// Its stream: the parts with slashes between them; a slash in a part is written `%2F`, a percent sign `%25`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) when the whole makes no stream id: for a control character, or over
    /// [`STREAM_ID_BYTES_MAX`](annals_core::limits::STREAM_ID_BYTES_MAX).
    pub fn stream(&self) -> Result<StreamId, Error> {
        StreamId::new(&TimerEvent::CATEGORY, &self.to_string())
    }

    /// The timer of a stream; `None` for a stream of something else.
    pub fn of(stream: &StreamId) -> Option<Self> {
        if stream.category_str() != TimerEvent::CATEGORY.as_str() {
            return None;
        }
        let mut parts = stream.key().split('/').map(unescaped);
        let (owner, key, name) = (parts.next()?, parts.next()?, parts.next()?);
        parts.next().is_none().then_some(Self { owner, key, name })
    }
}

impl fmt::Display for TimerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, key, name } = self;
        write!(f, "{}/{}/{}", escaped(owner), escaped(key), escaped(name))
    }
}

impl TimerEvent {
    /// The events of timers that fired for this owner.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) for an owner that makes no tag.
    pub fn fired_for(owner: &str) -> Result<Criteria, Error> {
        Criteria::of_types([FIRED])?.tagged([Tag::from_parts(OWNER_TAG, owner)?])
    }

    /// Which timer.
    pub fn timer(&self) -> &TimerId {
        match self {
            Self::Set { timer, .. } | Self::Cancelled { timer } | Self::Fired { timer, .. } => {
                timer
            }
        }
    }

    /// The event to append.
    pub(crate) fn encode(&self) -> Result<NewEvent, Error> {
        Ok(TimerCodec.encode(self)?)
    }
}

impl Event for TimerEvent {
    const CATEGORY: Category = Category::from_static("timer");

    const KINDS: &'static [EventKind] = &[
        EventKind::new(SET, SchemaVersion::FIRST),
        EventKind::new(CANCELLED, SchemaVersion::FIRST),
        EventKind::new(FIRED, SchemaVersion::FIRST),
    ];

    fn kind_index(&self) -> usize {
        match self {
            Self::Set { .. } => 0,
            Self::Cancelled { .. } => 1,
            Self::Fired { .. } => 2,
        }
    }

    fn tags(&self) -> Result<Tags, Error> {
        Tags::new([Tag::from_parts(OWNER_TAG, &self.timer().owner)?])
    }
}

impl EventCodec<TimerEvent> for TimerCodec {
    fn content_type(&self) -> ContentType {
        ContentType::JSON
    }

    fn encode(&self, event: &TimerEvent) -> Result<NewEvent, annals_codec::Error> {
        let due = match event {
            TimerEvent::Set { due, .. } | TimerEvent::Fired { due, .. } => Some(*due),
            TimerEvent::Cancelled { .. } => None,
        };
        let timer = event.timer().clone();
        let payload = serde_json::to_vec(&Content { timer, due });
        let payload = payload.map_err(|_| unfit("event of a timer does not encode"))?;
        let named = NewEvent::new(
            event.kind().event_type().clone(),
            ContentType::JSON,
            payload,
        );
        let tagged = named.and_then(|named| Ok(named.with_tags(event.tags()?)));
        tagged.map_err(|error| unfit("timer makes no event").caused_by(error))
    }

    fn decode_content(
        &self,
        content: ContentRef<'_>,
    ) -> Result<Decoded<TimerEvent>, annals_codec::Error> {
        let known = TimerEvent::KINDS.iter();
        let mut known = known.filter(|kind| kind.event_type() == content.event_type);
        if known.next().is_none() {
            let message = "not an event of a timer; leave the category `timer` to timers";
            let error = annals_codec::Error::new(annals_codec::ErrorKind::UnknownType, message);
            return Err(error.with("event type", content.event_type));
        }
        if content.schema_version > SchemaVersion::FIRST {
            let message = "event of a timer is newer than the code; update the code";
            let error = annals_codec::Error::new(annals_codec::ErrorKind::FutureVersion, message);
            return Err(error.with("schema version", content.schema_version));
        }
        let read = serde_json::from_slice(content.payload).ok();
        let event = read.and_then(|read| of_content(content.event_type, read));
        event.map(Decoded::One).ok_or_else(|| {
            let message = "bytes are not an event of a timer";
            annals_codec::Error::new(annals_codec::ErrorKind::BadBytes, message)
        })
    }
}

fn of_content(event_type: &EventType, content: Content) -> Option<TimerEvent> {
    let Content { timer, due } = content;
    match due {
        None if *event_type == CANCELLED => Some(TimerEvent::Cancelled { timer }),
        Some(due) if *event_type == SET => Some(TimerEvent::Set { timer, due }),
        Some(due) if *event_type == FIRED => Some(TimerEvent::Fired { timer, due }),
        _ => None,
    }
}

fn escaped(part: &str) -> String {
    part.replace('%', "%25").replace('/', "%2F")
}

fn unescaped(part: &str) -> String {
    part.replace("%2F", "/").replace("%25", "%")
}

fn unfit(message: &'static str) -> annals_codec::Error {
    annals_codec::Error::new(annals_codec::ErrorKind::Encode, message)
}

#[cfg(test)]
mod tests {
    use annals_codec::EventCodecExt;

    use super::*;

    fn timer() -> TimerId {
        TimerId::new("fulfilment", "7", "payment/due")
    }

    #[test]
    fn an_event_of_a_timer_stays_as_it_is_written() {
        let due = Timestamp::from_seconds(1_700_000_000);
        let timer = timer();
        for (event, expected) in [
            (
                TimerEvent::Set {
                    timer: timer.clone(),
                    due,
                },
                r#"timer-set {"owner":"fulfilment","key":"7","name":"payment/due","due":"2023-11-14T22:13:20Z"}"#,
            ),
            (
                TimerEvent::Cancelled {
                    timer: timer.clone(),
                },
                r#"timer-cancelled {"owner":"fulfilment","key":"7","name":"payment/due"}"#,
            ),
            (
                TimerEvent::Fired { timer, due },
                r#"timer-fired {"owner":"fulfilment","key":"7","name":"payment/due","due":"2023-11-14T22:13:20Z"}"#,
            ),
        ] {
            let new = TimerCodec.encode(&event).unwrap();
            let payload = std::str::from_utf8(new.payload()).unwrap();
            assert_eq!(format!("{} {payload}", new.event_type()), expected);
            let tags: Vec<&str> = new.tags().iter().map(Tag::as_str).collect();
            assert_eq!(tags, ["timer-owner:fulfilment"]);
            assert_eq!(TimerCodec.decode_one(new.content()).unwrap(), event);
        }
    }

    #[test]
    fn no_two_timers_share_a_stream() {
        let stream = timer().stream().unwrap();
        assert_eq!(stream.as_str(), "timer-fulfilment/7/payment%2Fdue");
        let parts = [
            ("a/b", "c", "d"),
            ("a", "b/c", "d"),
            ("a", "b", "c/d"),
            ("a%2Fb", "c", "%252F"),
        ];
        let streams: Vec<_> = parts
            .iter()
            .map(|(owner, key, name)| TimerId::new(*owner, *key, *name).stream().unwrap())
            .collect();
        for (index, stream) in streams.iter().enumerate() {
            assert!(!streams[..index].contains(stream), "{stream}");
            let (owner, key, name) = parts[index];
            assert_eq!(TimerId::of(stream), Some(TimerId::new(owner, key, name)));
        }
    }

    #[test]
    fn what_is_no_event_of_a_timer_is_refused() {
        let of = |name: &'static str, payload: &'static str| {
            NewEvent::new(EventType::from_static(name), ContentType::JSON, payload).unwrap()
        };
        let id = r#""owner":"o","key":"k","name":"n""#;
        for (event, kind) in [
            (of("ordered", "{}"), annals_codec::ErrorKind::UnknownType),
            (of("timer-set", "{}"), annals_codec::ErrorKind::BadBytes),
            (of("timer-fired", "[]"), annals_codec::ErrorKind::BadBytes),
        ] {
            let error = TimerCodec.decode_one(event.content()).unwrap_err();
            assert_eq!(error.kind(), kind, "{event:?}");
        }
        let payload = format!("{{{id}}}");
        let undated = NewEvent::new(SET, ContentType::JSON, payload.clone()).unwrap();
        assert!(TimerCodec.decode_one(undated.content()).is_err());
        let newer = NewEvent::new(CANCELLED, ContentType::JSON, payload).unwrap();
        let newer = newer.with_schema_version(SchemaVersion::from_static(2));
        let error = TimerCodec.decode_one(newer.content()).unwrap_err();
        assert_eq!(error.kind(), annals_codec::ErrorKind::FutureVersion);
    }
}
