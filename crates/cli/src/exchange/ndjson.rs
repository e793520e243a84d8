//! Lines of JSON of annals: a line for each event and policy, between one that begins and one that ends.

use std::collections::BTreeMap;

use annals_core::{AppendId, Expected, NewEvent, Position, StreamId, Version};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::line::{Content, EventLine, EventTexts, Line};
use super::policy::PolicyJson;
use crate::failure::{Exit, Failure, Result};

/// The format that is written, and the newest that is read.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BeginJson {
    annals_export: u32,
    after: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndJson {
    end: EndAt,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndAt {
    position: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyLine {
    policy: PolicyJson,
}

/// Where an append begins.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AppendJson {
    id: String,
    events: u32,
}

/// An event. What is not given by hand is left out by an export only where it is empty.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    append: Option<AppendJson>,
    stream: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schema_version: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recorded_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    appended_at: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causation_id: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "raw"
    )]
    payload: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// A payload that is there, `null` included.
fn raw<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

pub(crate) fn encode(line: &Line) -> Result<String> {
    match line {
        Line::Begin(after) => to_json(&BeginJson {
            annals_export: FORMAT,
            after: after.value(),
        }),
        Line::Event(event) => to_json(&EventJson::of(event)),
        Line::Policy(stream, policy) => to_json(&PolicyLine {
            policy: PolicyJson::of(stream, policy),
        }),
        Line::End(position) => to_json(&EndJson {
            end: EndAt {
                position: position.value(),
            },
        }),
    }
}

fn to_json(line: &impl Serialize) -> Result<String> {
    serde_json::to_string(line)
        .map_err(|error| Failure::new(Exit::Failed, format!("a line can't be written: {error}")))
}

pub(crate) fn decode(text: &str) -> std::result::Result<Line, String> {
    let in_words = |error: serde_json::Error| error.to_string();
    if text.starts_with("{\"annals_export\"") {
        let begin: BeginJson = serde_json::from_str(text).map_err(in_words)?;
        if begin.annals_export > FORMAT {
            return Err(format!(
                "format {} is newer than this program; use a newer one",
                begin.annals_export
            ));
        }
        return Ok(Line::Begin(Position::new(begin.after)));
    }
    if text.starts_with("{\"policy\"") {
        let line: PolicyLine = serde_json::from_str(text).map_err(in_words)?;
        let (stream, policy) = line.policy.policy()?;
        return Ok(Line::Policy(stream, policy));
    }
    if text.starts_with("{\"end\"") {
        let line: EndJson = serde_json::from_str(text).map_err(in_words)?;
        return Ok(Line::End(Position::new(line.end.position)));
    }
    let event: EventJson = serde_json::from_str(text).map_err(in_words)?;
    Ok(Line::Event(Box::new(event.line()?)))
}

impl EventJson {
    fn of(line: &EventLine) -> Self {
        let event: &NewEvent = &line.event;
        let metadata = event.metadata();
        let (payload, payload_base64) = match Content::of(event) {
            Content::Json(raw) => (Some(raw), None),
            Content::Base64(text) => (None, Some(text)),
        };
        let headers = metadata.headers();
        Self {
            position: line.position.map(Position::value),
            append: line.append.map(|(id, events)| AppendJson {
                id: id.to_string(),
                events,
            }),
            stream: line.stream.to_string(),
            version: line.version.map(Version::value),
            expected: None,
            event_type: event.event_type().to_string(),
            schema_version: Some(event.schema_version().value()),
            content_type: Some(event.content_type().to_string()),
            id: event.id().map(|id| id.to_string()),
            recorded_at: event.recorded_at().map(|time| time.to_string()),
            appended_at: line.appended_at.map(|time| time.to_string()),
            tags: event.tags().iter().map(ToString::to_string).collect(),
            correlation_id: metadata.correlation_id().map(|id| id.to_string()),
            causation_id: metadata.causation_id().map(|id| id.to_string()),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            payload,
            payload_base64,
        }
    }

    fn line(self) -> std::result::Result<EventLine, String> {
        let in_words = |error: annals_core::Error| error.to_string();
        let content = match (self.payload, self.payload_base64) {
            (Some(_), Some(_)) => {
                return Err("an event has one payload: `payload` or `payload_base64`".to_owned());
            }
            (Some(raw), None) => Content::Json(raw).bytes()?,
            (None, Some(text)) => Content::Base64(text).bytes()?,
            (None, None) => {
                return Err("an event has a payload: `payload` or `payload_base64`".to_owned());
            }
        };
        let append = self.append.map(|append| {
            let id = AppendId::parse(&append.id).map_err(in_words)?;
            Ok::<_, String>((id, append.events))
        });
        let texts = EventTexts {
            event_type: self.event_type,
            schema_version: self.schema_version,
            content_type: self.content_type,
            payload: content,
            tags: self.tags,
            id: self.id,
            recorded_at: self.recorded_at,
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            headers: self.headers.into_iter().collect(),
        };
        let appended_at = self.appended_at.map(|time| time.parse().map_err(in_words));
        Ok(EventLine {
            position: self.position.map(Position::new),
            append: append.transpose()?,
            stream: StreamId::parse(&self.stream).map_err(in_words)?,
            version: self.version.map(Version::new),
            appended_at: appended_at.transpose()?,
            expected: self
                .expected
                .map_or(Ok(Expected::Any), |text| expected(&text))?,
            event: texts.event().map_err(in_words)?,
        })
    }
}

/// The state in which a stream is expected, as it is typed.
pub(crate) fn expected(text: &str) -> std::result::Result<Expected, String> {
    match text {
        "any" => Ok(Expected::Any),
        "no-stream" => Ok(Expected::NoStream),
        "exists" => Ok(Expected::StreamExists),
        number => number
            .parse()
            .map(|version| Expected::Exactly(Version::new(version)))
            .map_err(|_| "neither any, no-stream, exists nor a version".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_comes_back_byte_for_byte() {
        for payload in [
            r#""payload":{ "b" : 1.50, "a":1e2 }"#,
            r#""payload":null"#,
            r#""payload_base64":"ewp9""#,
        ] {
            let text = format!(
                r#"{{"stream":"note-1","type":"noted","schema_version":1,"content_type":"application/json",{payload}}}"#
            );
            let line = decode(&text).unwrap();
            assert_eq!(encode(&line).unwrap(), text);
        }
    }

    #[test]
    fn a_line_that_says_nothing_tells_why() {
        for (text, why) in [
            ("nonsense", "expected"),
            (r#"{"stream":"a-1","type":"t"}"#, "has a payload"),
            (
                r#"{"stream":"a-1","typo":"t","payload":1}"#,
                "unknown field `typo`",
            ),
            (r#"{"stream":"","type":"t","payload":1}"#, "stream id"),
            (r#"{"annals_export":2,"after":0}"#, "newer"),
        ] {
            let error = decode(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
