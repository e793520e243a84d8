//! `annals history`: what happened to a stream, and what each event changed.

use std::ops::ControlFlow;

use annals_core::{ReadRequest, RecordedEvent, StreamId, Version};
use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::decode::Payload;
use crate::failure::Result;
use crate::fold::{Change, difference, merge};
use crate::lost::PastLost;
use crate::output::{BAD, DIM, GOOD, NAME, Out, WARN, text};
use crate::select::{each_event, known};
use crate::session::Session;

const EXAMPLES: &str =
    "Examples:\n  annals history account-1\n  annals history account-1 --after 1 --json";

/// Print each event of a stream and what it changed.
///
/// What it changed is told by merging payloads into one JSON object (RFC 7396), without the application's code: right
/// for payloads that say what is, a first look for those that say what was done.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct History {
    /// The stream.
    #[arg(value_name = "STREAM")]
    stream: StreamId,
    /// Events after this version; those before count for what changed.
    #[arg(long, value_name = "VERSION", default_value_t = 0)]
    after: u64,
    /// Events up to and with this version.
    #[arg(long, value_name = "VERSION")]
    until: Option<u64>,
    #[command(flatten)]
    lost: PastLost,
}

#[derive(Serialize)]
struct StepJson<'a> {
    version: u64,
    position: u64,
    #[serde(rename = "type")]
    event_type: &'a str,
    appended_at: String,
    changes: &'a [Change],
}

pub(crate) fn run(args: &History, session: &mut Session) -> Result {
    let store = args.lost.of(&session.store)?.to_read()?;
    known(&*store, &args.stream)?;
    let until = args.until.map_or(Version::MAX, Version::new);
    let request = ReadRequest::stream(args.stream.clone()).until_version(until);
    let mut state = Value::Object(Map::new());
    each_event(&*store, request, |event| {
        let before = state.clone();
        fold(&mut state, event);
        if event.version().value() > args.after {
            tell(event, &difference(&before, &state), &mut session.out)?;
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// The state after an event.
pub(crate) fn fold(state: &mut Value, event: &RecordedEvent) {
    let payload = Payload::of(event);
    let value = payload.value().unwrap_or_else(|| payload.text().into());
    merge(state, event.event_type().as_str(), value);
}

fn tell(event: &RecordedEvent, changes: &[Change], out: &mut Out) -> Result {
    if out.is_json() {
        return out.json(&StepJson {
            version: event.version().value(),
            position: event.position().value(),
            event_type: event.event_type().as_str(),
            appended_at: event.appended_at().to_string(),
            changes,
        });
    }
    let name = out.paint(NAME.bold(), &text::one_line(event.event_type().as_str()));
    let time = out.zone().show(event.appended_at());
    let place = out.paint(DIM, &format!("{time}, position {}", event.position()));
    out.line(&format!("{:>4}  {name}  {place}", event.version()))?;
    print(changes, out)
}

/// What changed, a line each.
pub(crate) fn print(changes: &[Change], out: &mut Out) -> Result {
    for change in changes {
        let (sign, told) = change.text();
        let style = match sign {
            '+' => GOOD,
            '-' => BAD,
            _ => WARN,
        };
        let told = out.paint(style, &format!("{sign} {}", text::one_line(&told)));
        out.line(&format!("      {told}"))?;
    }
    Ok(())
}
