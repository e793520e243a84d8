//! `annals at`: what was, at a time or a position.

use std::ops::ControlFlow;

use annals_core::{
    ConsistencyLevel, Cursor, EventStore, Position, ReadRequest, RecordedEvent, StreamId, Timestamp,
};
use clap::Args;
use futures_executor::block_on;
use serde::Serialize;
use serde_json::{Map, Value};

use super::history::fold;
use crate::ago;
use crate::failure::{Failure, Result};
use crate::lost::PastLost;
use crate::output::{BOLD, Out};
use crate::select::{each_event, first_event, known, position};
use crate::session::Session;

const EXAMPLES: &str =
    "Examples:\n  annals at 3\n  annals at 2026-01-31T12:00:00Z --stream account-1 --json";

/// Print where the store stood at a time or after a position, and with --stream what the stream was then.
///
/// What a stream was is its payloads merged into one JSON object (RFC 7396), without the application's code.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct At {
    /// A time (2026-01-31T12:00:00Z, 2026-01-31, or 2h ago as 2h), or a position.
    #[arg(value_name = "TIME|POSITION", value_parser = moment)]
    moment: Moment,
    /// What was this stream?
    #[arg(long, value_name = "STREAM")]
    stream: Option<StreamId>,
    #[command(flatten)]
    lost: PastLost,
}

/// A place in the history.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    Now,
    At(Position),
    Time(Timestamp),
}

/// A place in the history, as it is typed.
pub(crate) fn moment(text: &str) -> std::result::Result<Moment, String> {
    match position(text) {
        Ok(position) => Ok(Moment::At(position)),
        Err(_) => ago::moment(text)
            .map(Moment::Time)
            .map_err(|why| format!("neither a position nor a time: {why}")),
    }
}

impl Moment {
    /// The last event by then. A position that the store has not reached is none of its moments.
    pub(crate) fn last_event(self, store: &dyn EventStore) -> Result<Option<RecordedEvent>> {
        let request = ReadRequest::all().backward();
        let request = match self {
            Self::Now => request,
            Self::At(position) => {
                check_reached(store, position)?;
                request.until(Cursor::at(position))
            }
            Self::Time(time) => request.appended_until(time),
        };
        first_event(store, request)
    }
}

fn check_reached(store: &dyn EventStore, position: Position) -> Result {
    let head = block_on(store.head(ConsistencyLevel::Strong))?;
    let head = head.position().unwrap_or_default();
    if position > head {
        let failure = Failure::not_found(format!("position {position} is not there yet"));
        return Err(failure.hint(format!("the store ends at position {head}")));
    }
    Ok(())
}

#[derive(Serialize)]
struct AtJson<'a> {
    position: u64,
    appended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a Value>,
}

pub(crate) fn run(args: &At, session: &mut Session) -> Result {
    let store = args.lost.of(&session.store)?.to_read()?;
    let last = args.moment.last_event(&*store)?;
    let Some(last) = last else {
        return Err(Failure::not_found("there was no event by then"));
    };
    let state = match &args.stream {
        Some(stream) => {
            known(&*store, stream)?;
            Some((stream, state_at(&*store, stream, last.position())?))
        }
        None => None,
    };
    let state = state
        .as_ref()
        .map(|(stream, (version, state))| (*stream, *version, state));
    let json = AtJson {
        position: last.position().value(),
        appended_at: Some(last.appended_at().to_string()),
        stream: state.map(|(stream, ..)| stream.as_str()),
        version: state.map(|(_, version, _)| version),
        state: state.map(|(.., state)| state),
    };
    if session.out.is_json() {
        return session.out.json(&json);
    }
    tell(&last, state, &mut session.out)
}

/// The version and the state of a stream after a position.
pub(crate) fn state_at(
    store: &dyn EventStore,
    stream: &StreamId,
    position: Position,
) -> Result<(u64, Value)> {
    let request = ReadRequest::stream(stream.clone()).until(Cursor::at(position));
    let (mut version, mut state) = (0, Value::Object(Map::new()));
    each_event(store, request, |event| {
        version = event.version().value();
        fold(&mut state, event);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((version, state))
}

fn tell(last: &RecordedEvent, state: Option<(&StreamId, u64, &Value)>, out: &mut Out) -> Result {
    let time = out.zone().show_both(last.appended_at());
    let title = format!("position {}", last.position());
    let title = out.paint(BOLD, &title);
    out.line(&format!(
        "{title}, {time}: {} of {}",
        last.event_type(),
        last.stream()
    ))?;
    let Some((stream, version, state)) = state else {
        return Ok(());
    };
    let title = out.paint(BOLD, stream.as_str());
    out.line(&format!("{title} at version {version}"))?;
    let text = serde_json::to_string_pretty(state).unwrap_or_default();
    for line in text.lines() {
        out.line(&format!("  {}", crate::output::text::one_line(line)))?;
    }
    Ok(())
}
