//! `annals find`: events by what they are and what they say.

use std::ops::ControlFlow;

use annals_core::{CausationId, CorrelationId, RecordedEvent};
use clap::Args;
use serde_json::Value;

use crate::decode::Payload;
use crate::failure::{Exit, Failure, Result};
use crate::lost::PastLost;
use crate::output::event::{Events, Width};
use crate::select::{Select, each_event};
use crate::session::Session;

const EXAMPLES: &str = "Examples:\n  annals find Ada\n  annals find --type deposited --where /amount=5 --json\n  \
    annals find --criteria 'opened closed #account:1' --since 2026-01-01\n  annals find --count --where /owner=Grace";

/// Print the events that are of a kind and say something: by type, tag, criteria, time, context, and the text in
/// their payloads.
///
/// Types, tags, streams and times are found in the index; texts, fields and headers by reading what is left, so narrow
/// it down. Exits with 3 where nothing is found.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Find {
    /// Payloads with this text in a name or a value, whatever the case of its letters.
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    #[command(flatten)]
    select: Select,
    /// Payloads with this value at this JSON pointer, as /owner=Grace or /amount=5; may be given several times for all.
    #[arg(long = "where", value_name = "POINTER=VALUE", value_parser = field)]
    fields: Vec<(String, String)>,
    /// Events with this header; may be given several times for all.
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Events of this conversation.
    #[arg(long, value_name = "ID")]
    correlation: Option<CorrelationId>,
    /// Events that this caused.
    #[arg(long, value_name = "ID")]
    causation: Option<CausationId>,
    /// From the newest to the oldest.
    #[arg(short, long)]
    backward: bool,
    /// At most so many events.
    #[arg(short = 'n', long, value_name = "COUNT")]
    limit: Option<u64>,
    /// Only how many there are.
    #[arg(long, conflicts_with = "limit")]
    count: bool,
    /// Whole payloads, however long.
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    lost: PastLost,
}

fn field(text: &str) -> std::result::Result<(String, String), String> {
    let parts = text
        .split_once('=')
        .filter(|(pointer, _)| pointer.starts_with('/'));
    let parts = parts.ok_or("write it as /pointer=value")?;
    Ok((parts.0.to_owned(), parts.1.to_owned()))
}

fn header(text: &str) -> std::result::Result<(String, String), String> {
    let parts = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((parts.0.to_owned(), parts.1.to_owned()))
}

pub(crate) fn run(args: &Find, session: &mut Session) -> Result {
    let mut chosen = args.select.chosen()?;
    if args.backward {
        chosen.request = chosen.request.backward();
    }
    let store = args.lost.of(&session.store)?.to_read()?;
    let limit = args.limit.unwrap_or(u64::MAX);
    let needle = args.text.as_ref().map(|text| text.to_lowercase());
    let out = &mut session.out;
    let mut events = Events::new(if args.full { Width::Full } else { Width::Short });
    let mut found = 0_u64;
    each_event(&*store, chosen.request.clone(), |event| {
        if chosen.takes(event) && args.takes(event, needle.as_deref()) {
            found += 1;
            if !args.count {
                events.put(out, event)?;
            }
        }
        Ok(if found >= limit {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })?;
    events.flush(out)?;
    if args.count {
        out.item(&serde_json::json!({ "events": found }), |_| {
            found.to_string()
        })?;
    }
    if found == 0 {
        args.select.check_stream(&*store)?;
        return Err(Failure::new(Exit::NotFound, "no event is like that"));
    }
    Ok(())
}

impl Find {
    fn takes(&self, event: &RecordedEvent, needle: Option<&str>) -> bool {
        let metadata = event.metadata();
        let has_header = |(name, value): &(String, String)| metadata.header(name) == Some(value);
        if !self.headers.iter().all(has_header)
            || self
                .correlation
                .as_ref()
                .is_some_and(|id| metadata.correlation_id().as_ref() != Some(id))
            || self
                .causation
                .as_ref()
                .is_some_and(|id| metadata.causation_id().as_ref() != Some(id))
        {
            return false;
        }
        if needle.is_none() && self.fields.is_empty() {
            return true;
        }
        let Some(value) = Payload::of(event).value() else {
            return false;
        };
        let has_field = |(pointer, text): &(String, String)| {
            value
                .pointer(pointer)
                .is_some_and(|value| is_written(value, text))
        };
        needle.is_none_or(|needle| says(&value, needle)) && self.fields.iter().all(has_field)
    }
}

/// Whether a value is written so: as it is, or as JSON.
fn is_written(value: &Value, text: &str) -> bool {
    value.as_str() == Some(text)
        || serde_json::from_str::<Value>(text).is_ok_and(|other| *value == other)
}

/// Whether a text stands anywhere in a value; it is in small letters.
fn says(value: &Value, needle: &str) -> bool {
    match value {
        Value::String(text) => text.to_lowercase().contains(needle),
        Value::Array(items) => items.iter().any(|item| says(item, needle)),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.to_lowercase().contains(needle) || says(value, needle)),
        other => other.to_string().contains(needle),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_found_in_names_and_values() {
        let value = json!({"owner": {"name": "Ada Lovelace"}, "tags": ["x", 17]});
        for (needle, is_there) in [
            ("lovelace", true),
            ("owner", true),
            ("17", true),
            ("babbage", false),
        ] {
            assert_eq!(says(&value, needle), is_there, "{needle}");
        }
        assert!(
            is_written(&json!(5), "5")
                && is_written(&json!("5"), "5")
                && is_written(&json!(true), "true")
        );
        assert!(!is_written(&json!(5), "6"));
    }
}
