//! CloudEvents 1.0 in their JSON format, a line each.
//!
//! | attribute | of an event |
//! |---|---|
//! | `id`, `type`, `subject` | its id, type and stream |
//! | `source` | `annals` |
//! | `time`, `datacontenttype` | when it happened; its form |
//! | `data` or `data_base64` | its payload |
//! | `annalsposition`, `annalsversion`, `annalsschema` | its place, and the version of its schema |
//! | `annalsappendedat` | when the store recorded it |
//! | `annalsappendid`, `annalsappendcount` | on the first event of an append: its id, and how many events it has |
//! | `annalstags`, `annalsheaders` | its tags and headers, as JSON in a text |
//! | `correlationid`, `causationid` | its context |
//!
//! A policy is an event of the type `annals.policy`; one of the type `annals.end` ends an export. An event from elsewhere
//! goes to the stream that its subject names.

use std::collections::BTreeMap;

use annals_core::{AppendId, EventId, Expected, Position, StreamId, StreamPolicy, Version};
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest as _, Sha256};
use uuid::Builder;

use super::line::{Content, EventLine, EventTexts, Line};
use super::policy::PolicyJson;
use crate::failure::{Exit, Failure, Result};

const SOURCE: &str = "annals";
const BEGIN: &str = "annals.begin";
const POLICY: &str = "annals.policy";
const END: &str = "annals.end";

/// An object whose members come in the order in which they were put in.
#[derive(Default)]
struct Object(String);

impl Object {
    fn put(&mut self, name: &str, value: &str) -> Result {
        let text = serde_json::to_string(value).map_err(|error| unwritable(&error))?;
        self.put_raw(name, &text);
        Ok(())
    }

    fn put_raw(&mut self, name: &str, json: &str) {
        self.0
            .push_str(if self.0.is_empty() { "{\"" } else { ",\"" });
        self.0.push_str(name);
        self.0.push_str("\":");
        self.0.push_str(json);
    }

    fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn unwritable(error: &serde_json::Error) -> Failure {
    Failure::new(Exit::Failed, format!("a line can't be written: {error}"))
}

pub(crate) fn encode(line: &Line) -> Result<String> {
    match line {
        Line::Event(event) => encode_event(event),
        Line::Policy(stream, policy) => encode_policy(stream, policy),
        Line::Begin(position) => encode_mark(BEGIN, *position),
        Line::End(position) => encode_mark(END, *position),
    }
}

fn begin(id: &str, event_type: &str) -> Result<Object> {
    let mut object = Object::default();
    object.put("specversion", "1.0")?;
    object.put("id", id)?;
    object.put("source", SOURCE)?;
    object.put("type", event_type)?;
    Ok(object)
}

/// The beginning or the end of an export.
fn encode_mark(event_type: &str, position: Position) -> Result<String> {
    let mut object = begin(&format!("{event_type}.{position}"), event_type)?;
    object.put("annalsposition", &position.to_string())?;
    Ok(object.finish())
}

fn encode_policy(stream: &StreamId, policy: &StreamPolicy) -> Result<String> {
    let data = to_raw_value(&PolicyJson::of(stream, policy)).map_err(|error| unwritable(&error))?;
    let id = digest(&[POLICY, stream.as_str(), data.get()]);
    let mut object = begin(&id.to_string(), POLICY)?;
    object.put("subject", stream.as_str())?;
    object.put("datacontenttype", "application/json")?;
    object.put_raw("data", data.get());
    Ok(object.finish())
}

fn encode_event(line: &EventLine) -> Result<String> {
    let event = &line.event;
    let metadata = event.metadata();
    let text = |value: Option<String>| value.unwrap_or_default();
    let mut object = begin(
        &text(event.id().map(|id| id.to_string())),
        event.event_type().as_str(),
    )?;
    object.put("subject", line.stream.as_str())?;
    let append = line.append;
    for (name, value) in [
        ("time", event.recorded_at().map(|time| time.to_string())),
        ("datacontenttype", Some(event.content_type().to_string())),
        (
            "annalsposition",
            line.position.map(|position| position.to_string()),
        ),
        (
            "annalsversion",
            line.version.map(|version| version.to_string()),
        ),
        ("annalsschema", Some(event.schema_version().to_string())),
        (
            "annalsappendedat",
            line.appended_at.map(|time| time.to_string()),
        ),
        ("annalsappendid", append.map(|(id, _)| id.to_string())),
        (
            "annalsappendcount",
            append.map(|(_, events)| events.to_string()),
        ),
        (
            "correlationid",
            metadata.correlation_id().map(|id| id.to_string()),
        ),
        (
            "causationid",
            metadata.causation_id().map(|id| id.to_string()),
        ),
    ] {
        if let Some(value) = value {
            object.put(name, &value)?;
        }
    }
    if !event.tags().is_empty() {
        let tags: Vec<&str> = event.tags().iter().map(annals_core::Tag::as_str).collect();
        object.put(
            "annalstags",
            &serde_json::to_string(&tags).map_err(|error| unwritable(&error))?,
        )?;
    }
    let headers: BTreeMap<&str, &str> = metadata.headers().collect();
    if !headers.is_empty() {
        object.put(
            "annalsheaders",
            &serde_json::to_string(&headers).map_err(|error| unwritable(&error))?,
        )?;
    }
    match Content::of(event) {
        Content::Json(raw) => object.put_raw("data", raw.get()),
        Content::Base64(base64) => object.put("data_base64", &base64)?,
    }
    Ok(object.finish())
}

/// The members of an event, each as it stands there.
struct Members(BTreeMap<String, Box<RawValue>>);

impl Members {
    fn take<T: DeserializeOwned>(&mut self, name: &str) -> std::result::Result<Option<T>, String> {
        let Some(raw) = self.0.remove(name) else {
            return Ok(None);
        };
        serde_json::from_str(raw.get())
            .map(Some)
            .map_err(|error| format!("`{name}`: {error}"))
    }

    fn need(&mut self, name: &str) -> std::result::Result<String, String> {
        self.take(name)?
            .ok_or_else(|| format!("it has no `{name}`"))
    }

    /// A number that stands there as text.
    fn number(&mut self, name: &str) -> std::result::Result<Option<u64>, String> {
        let text: Option<String> = self.take(name)?;
        text.map(|text| text.parse().map_err(|_| format!("`{name}` is no number")))
            .transpose()
    }

    /// JSON that stands there as text.
    fn json<T: DeserializeOwned + Default>(
        &mut self,
        name: &str,
    ) -> std::result::Result<T, String> {
        match self.take::<String>(name)? {
            Some(text) => serde_json::from_str(&text).map_err(|error| format!("`{name}`: {error}")),
            None => Ok(T::default()),
        }
    }
}

pub(crate) fn decode(text: &str) -> std::result::Result<Line, String> {
    let members = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut members = Members(members);
    let specversion = members.need("specversion")?;
    if specversion.split('.').next() != Some("1") {
        return Err(format!(
            "CloudEvents {specversion} are not known; those of 1.0 are"
        ));
    }
    let (id, source, event_type) = (
        members.need("id")?,
        members.need("source")?,
        members.need("type")?,
    );
    if source == SOURCE && event_type == POLICY {
        let data: Option<PolicyJson> = members.take("data")?;
        let (stream, policy) = data.ok_or("it has no `data`")?.policy()?;
        return Ok(Line::Policy(stream, policy));
    }
    if source == SOURCE && (event_type == BEGIN || event_type == END) {
        let position = Position::new(
            members
                .number("annalsposition")?
                .ok_or("it has no `annalsposition`")?,
        );
        return Ok(if event_type == BEGIN {
            Line::Begin(position)
        } else {
            Line::End(position)
        });
    }
    decode_event(&mut members, &id, &source, event_type).map(|line| Line::Event(Box::new(line)))
}

fn decode_event(
    members: &mut Members,
    id: &str,
    source: &str,
    event_type: String,
) -> std::result::Result<EventLine, String> {
    let in_words = |error: annals_core::Error| error.to_string();
    // An id of another form becomes one that is the same each time.
    let event_id = id.parse::<EventId>().ok();
    let event_id = event_id.map_or_else(|| digest(&[source, id]).to_string(), |id| id.to_string());
    let payload = match (
        members.0.remove("data"),
        members.take::<String>("data_base64")?,
    ) {
        (Some(raw), None) => Content::Json(raw).bytes()?,
        (None, Some(text)) => Content::Base64(text).bytes()?,
        (None, None) => Vec::new(),
        (Some(_), Some(_)) => return Err("it has both `data` and `data_base64`".to_owned()),
    };
    let subject: Option<String> = members.take("subject")?;
    let subject = subject.ok_or("it has no `subject`, which names the stream")?;
    let append_id: Option<String> = members.take("annalsappendid")?;
    let append_count = members.number("annalsappendcount")?;
    let headers: BTreeMap<String, String> = members.json("annalsheaders")?;
    let schema_version = members.number("annalsschema")?.map(u32::try_from);
    let texts = EventTexts {
        event_type,
        schema_version: schema_version
            .transpose()
            .map_err(|_| "`annalsschema` is too great".to_owned())?,
        content_type: members.take("datacontenttype")?,
        payload,
        tags: members.json("annalstags")?,
        id: Some(event_id),
        recorded_at: members.take("time")?,
        correlation_id: members.take("correlationid")?,
        causation_id: members.take("causationid")?,
        headers: headers
            .into_iter()
            .chain(foreign_headers(members, source))
            .collect(),
    };
    let append = append_id.zip(append_count).map(|(id, count)| {
        let id = AppendId::parse(&id).map_err(in_words)?;
        let count =
            u32::try_from(count).map_err(|_| "`annalsappendcount` is too great".to_owned())?;
        Ok::<_, String>((id, count))
    });
    let appended_at: Option<String> = members.take("annalsappendedat")?;
    let appended_at = appended_at.map(|time| time.parse().map_err(in_words));
    Ok(EventLine {
        position: members.number("annalsposition")?.map(Position::new),
        append: append.transpose()?,
        stream: StreamId::parse(&subject).map_err(in_words)?,
        version: members.number("annalsversion")?.map(Version::new),
        appended_at: appended_at.transpose()?,
        expected: Expected::Any,
        event: texts.event().map_err(in_words)?,
    })
}

/// What an event from elsewhere says of itself that annals has no place for is kept in headers.
fn foreign_headers(members: &mut Members, source: &str) -> Vec<(String, String)> {
    if source == SOURCE {
        return Vec::new();
    }
    let known = |name: &str| name.starts_with("annals");
    let others: Vec<String> = members
        .0
        .keys()
        .filter(|name| !known(name))
        .cloned()
        .collect();
    let mut headers = vec![("cloudevents.source".to_owned(), source.to_owned())];
    for name in others {
        if let Ok(Some(value)) = members.take::<serde_json::Value>(&name) {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            headers.push((format!("cloudevents.{name}"), text));
        }
    }
    headers
}

/// A UUID of version 8 that stands for these texts.
pub(crate) fn digest(texts: &[&str]) -> uuid::Uuid {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    let hash = hash.finalize();
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(hash.iter()) {
        *byte = *hashed;
    }
    Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_from_elsewhere_goes_to_its_subject_and_keeps_what_it_says() {
        let text = r#"{"specversion":"1.0","id":"A-1","source":"/shop","type":"com.shop.paid","subject":"order-7","partitionkey":"7","data":{"cents":5}}"#;
        let (Line::Event(first), Line::Event(again)) =
            (decode(text).unwrap(), decode(text).unwrap())
        else {
            panic!("an event");
        };
        assert_eq!(first, again);
        assert_eq!(
            (first.stream.as_str(), &first.event.payload()[..]),
            ("order-7", &br#"{"cents":5}"#[..])
        );
        let metadata = first.event.metadata();
        assert_eq!(metadata.header("cloudevents.partitionkey"), Some("7"));
        assert_eq!(metadata.header("cloudevents.source"), Some("/shop"));
    }
}
