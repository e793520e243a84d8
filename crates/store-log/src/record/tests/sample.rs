//! Events of every shape that the contract allows, and how one is written and read back.

use std::time::Duration;

use annals_core::limits::{APPEND_EVENTS_MAX, TAGS_MAX};
use annals_core::{
    AppendId, CausationId, ContentType, CorrelationId, EventId, EventType, Metadata, NewEvent,
    Placement, Position, RecordedEvent, SchemaVersion, StreamId, StreamPolicy, StreamState, Tag,
    Tags, Timestamp, Version,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use uuid::{Builder, Uuid};

use super::super::{
    AppendHeader, BadRecord, EventKind, EventRecord, EventView, KindCode, Kinds, PageBuilder,
};

/// All that an event's record is made of.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) event: NewEvent,
    pub(super) id: EventId,
    pub(super) stream: StreamId,
    pub(super) version: Version,
    pub(super) base: Timestamp,
    pub(super) appended_at: Timestamp,
    pub(super) code: Option<KindCode>,
    pub(super) append: Option<AppendHeader>,
}

/// The position of every event that is read back.
pub(super) const POSITION: Position = Position::new(1_234_567);

impl Sample {
    pub(super) fn record(&self) -> EventRecord<'_> {
        EventRecord {
            event: &self.event,
            id: self.id,
            stream: &self.stream,
            version: self.version,
            appended_at: self.appended_at,
            code: self.code,
            append: self.append,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.record().encode(self.base, &mut body);
        body
    }

    pub(super) fn kinds(&self) -> Kinds {
        let mut kinds = Kinds::default();
        if let Some(code) = self.code {
            kinds.insert(code, EventKind::of(&self.event)).unwrap();
        }
        kinds
    }

    /// The event as a store has it.
    pub(super) fn recorded(&self) -> RecordedEvent {
        let placement = Placement {
            id: self.id,
            stream: self.stream.clone(),
            version: self.version,
            position: POSITION,
            recorded_at: self.event.recorded_at().unwrap_or(self.appended_at),
            appended_at: self.appended_at,
        };
        RecordedEvent::new(self.event.clone(), placement)
    }

    /// The record of the event that was read back, in this one's surroundings.
    pub(super) fn again(&self, event: &RecordedEvent, append: Option<AppendHeader>) -> Self {
        Self {
            event: event.to_new_event(),
            id: event.id(),
            stream: event.stream().clone(),
            version: event.version(),
            base: self.base,
            appended_at: event.appended_at(),
            code: self.kinds().code_of(&event.to_new_event()),
            append,
        }
    }
}

/// Reads one event back, with the header of its append.
pub(super) fn decode(
    body: &[u8],
    base: Timestamp,
    kinds: &Kinds,
) -> Result<(RecordedEvent, Option<AppendHeader>), BadRecord> {
    let view = EventView::parse(body, base)?;
    let mut page = PageBuilder::new(kinds, 1);
    page.push(&view, POSITION)?;
    let event = page.finish().pop().expect("an event was pushed");
    Ok((event, view.append()))
}

/// An event of an append of a hundred, as most are.
pub(super) fn plain(payload: Vec<u8>) -> Sample {
    let event_type = EventType::from_static("order-line-added");
    Sample {
        event: NewEvent::new(event_type, ContentType::JSON, payload).unwrap(),
        id: EventId::new(Uuid::from_u128(0x018b_cfe5_6800_7abc_8def_0123_4567_89ab)).unwrap(),
        stream: StreamId::from_static("order-123456"),
        version: Version::new(7),
        base: Timestamp::from_seconds(1_700_000_000),
        appended_at: Timestamp::from_seconds(1_700_003_600),
        code: KindCode::new(3),
        append: None,
    }
}

pub(super) fn samples() -> impl Strategy<Value = Sample> {
    let times = (times(), near_or_any(), near_or_any());
    let places = (streams(), 1..=u64::MAX, option::weighted(0.8, 1..=4095_u64));
    let appends = option::of((append_ids(), 1..=APPEND_EVENTS_MAX));
    (events(), any::<u128>(), 0..3_u8, places, times, appends).prop_map(
        |(mut event, random, id_form, (stream, version, code), (base, later, happened), append)| {
            let appended_at = Timestamp::from_micros(base.wrapping_add(later));
            if let Some(happened) = happened.checked_mul(2) {
                let time = appended_at.as_micros().wrapping_add(happened);
                event = event.with_recorded_at(Timestamp::from_micros(time));
            }
            Sample {
                event,
                id: event_id(random, id_form, appended_at),
                stream,
                version: Version::new(version),
                base: Timestamp::from_micros(base),
                appended_at,
                code: code.and_then(KindCode::new),
                append: append.map(|(id, events)| AppendHeader {
                    id,
                    events: u32::try_from(events).unwrap(),
                }),
            }
        },
    )
}

pub(super) fn kinds() -> impl Strategy<Value = EventKind> {
    events().prop_map(|event| EventKind::of(&event))
}

pub(super) fn policies() -> impl Strategy<Value = StreamPolicy> {
    let ages = option::of((any::<u64>(), 0..1_000_000_000_u32));
    let states = prop_oneof![
        Just(StreamState::Open),
        Just(StreamState::SoftDeleted),
        Just(StreamState::Tombstoned)
    ];
    (ages, option::of(any::<u64>()), any::<u64>(), states).prop_map(
        |(age, count, truncate_before, state)| {
            let mut policy = StreamPolicy::default();
            policy.max_age = age.map(|(seconds, nanos)| Duration::new(seconds, nanos));
            policy.max_count = count;
            policy.truncate_before = Version::new(truncate_before);
            policy.state = state;
            policy
        },
    )
}

pub(super) fn streams() -> impl Strategy<Value = StreamId> {
    let texts = prop_oneof!["[a-z]{1,9}-[0-9]{1,9}", texts(1024)];
    texts.prop_filter_map("a stream id", |text| StreamId::parse(&text).ok())
}

fn events() -> impl Strategy<Value = NewEvent> {
    let forms = prop_oneof![Just("application/json".to_owned()), texts(1024)];
    let payloads = prop_oneof![8 => vec(any::<u8>(), 0..300), 1 => vec(any::<u8>(), 9_000..70_000)];
    (
        texts(1024),
        1..=u32::MAX,
        forms,
        payloads,
        tags(),
        metadata(),
    )
        .prop_map(
            |(event_type, schema_version, form, payload, tags, metadata)| {
                let event_type = EventType::parse(&event_type).unwrap();
                NewEvent::new(event_type, ContentType::parse(&form).unwrap(), payload)
                    .unwrap()
                    .with_schema_version(SchemaVersion::new(schema_version).unwrap())
                    .with_tags(tags)
                    .with_metadata(metadata)
            },
        )
}

fn tags() -> impl Strategy<Value = Tags> {
    let counts = prop_oneof![Just(0), Just(2), Just(TAGS_MAX), 0..=TAGS_MAX];
    counts
        .prop_flat_map(|count| vec(texts(1024), count))
        .prop_map(|texts| Tags::new(texts.iter().map(|text| Tag::parse(text).unwrap())).unwrap())
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let ids = || option::of(prop_oneof![uuid_texts(), texts(1024)]);
    let headers = vec((texts(100), "[^\\x00]{0,200}"), 0..4);
    let metadata = (ids(), ids(), headers).prop_map(|(correlation, causation, headers)| {
        let mut metadata = Metadata::EMPTY;
        if let Some(id) = correlation {
            let id = CorrelationId::parse(&id).unwrap();
            metadata = metadata.with_correlation_id(id).unwrap();
        }
        if let Some(id) = causation {
            metadata = metadata
                .with_causation_id(CausationId::parse(&id).unwrap())
                .unwrap();
        }
        for (name, value) in headers {
            metadata = metadata.with_header(&name, &value).unwrap();
        }
        metadata
    });
    prop_oneof![Just(Metadata::EMPTY), metadata]
}

/// Texts that are names: short ones mostly, some as long as may be.
fn texts(bytes_max: usize) -> impl Strategy<Value = String> {
    let long = "\\PC{200,300}".prop_map(move |text| {
        let mut text = text.repeat(4);
        while text.len() > bytes_max {
            text.pop();
        }
        text
    });
    prop_oneof![4 => "[a-z]{1,30}", 4 => "\\PC{1,24}", 1 => long]
}

/// Canonical texts of UUIDs, and texts that come close.
fn uuid_texts() -> impl Strategy<Value = String> {
    (any::<u128>(), 0..4_u8).prop_map(|(random, form)| {
        let uuid = Uuid::from_u128(random);
        match form {
            0 => uuid.simple().to_string(),
            1 => uuid.hyphenated().to_string().to_uppercase(),
            _ => uuid.hyphenated().to_string(),
        }
    })
}

fn append_ids() -> impl Strategy<Value = AppendId> {
    let texts = prop_oneof![
        uuid_texts(),
        "[a-z]{1,64}",
        "\\PC{1,16}",
        Just("x".repeat(64))
    ];
    texts.prop_map(|text| AppendId::parse(&text).unwrap())
}

fn times() -> impl Strategy<Value = i64> {
    prop_oneof![
        1_700_000_000_000_000..1_800_000_000_000_000_i64,
        any::<i64>(),
        Just(i64::MIN),
        Just(i64::MAX),
        Just(0)
    ]
}

fn near_or_any() -> impl Strategy<Value = i64> {
    prop_oneof![0..100_000_000_i64, any::<i64>(), Just(0), Just(-1)]
}

/// Any UUID, one of version 7 near its event's time, or one of version 7 of any time.
fn event_id(random: u128, form: u8, appended_at: Timestamp) -> EventId {
    let [_, _, _, _, _, _, bytes @ ..] = random.to_be_bytes();
    let near = u64::try_from(appended_at.as_micros() / 1_000).unwrap_or_default();
    let far = u64::try_from(random >> 80).unwrap();
    let uuid = match form {
        0 => Uuid::from_u128(random.max(1)),
        1 => Builder::from_unix_timestamp_millis(near, &bytes).into_uuid(),
        _ => Builder::from_unix_timestamp_millis(far, &bytes).into_uuid(),
    };
    EventId::new(uuid).unwrap()
}
