//! `annals show`: one event, with all that is known of it.

use annals_core::{Cursor, EventId, EventStore as _, Position, ReadRequest, RecordedEvent};
use clap::Args;
use futures_executor::block_on;

use crate::decode::Payload;
use crate::failure::{Failure, Result};
use crate::lost::PastLost;
use crate::output::event::EventJson;
use crate::output::{BOLD, DIM, NAME, Out, text};
use crate::select::{each_event, position};
use crate::session::Session;

const EXAMPLES: &str = "Examples:\n  annals show 3\n  annals show 3 --json";

/// Print one event with all that is known of it.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Show {
    /// Its position, or its id.
    #[arg(value_name = "POSITION", value_parser = which)]
    which: Which,
    #[command(flatten)]
    lost: PastLost,
}

/// Which event.
#[derive(Clone, Copy, Debug)]
enum Which {
    At(Position),
    WithId(EventId),
}

fn which(text: &str) -> std::result::Result<Which, String> {
    if let Ok(id) = text.parse() {
        return Ok(Which::WithId(id));
    }
    position(text)
        .map(Which::At)
        .map_err(|_| "neither a position nor the id of an event".to_owned())
}

pub(crate) fn run(args: &Show, session: &mut Session) -> Result {
    let event = find(args, session)?;
    if session.out.is_json() {
        return session.out.json(&EventJson::of(&event));
    }
    print(&event, &mut session.out)
}

fn find(args: &Show, session: &Session) -> Result<RecordedEvent> {
    match args.which {
        // One that is lost is said to be.
        Which::At(position) => {
            let store = session.store.to_read()?;
            let at = ReadRequest::all()
                .after(Cursor::at(position.previous()))
                .until(Cursor::at(position));
            let none = || {
                Failure::not_found(format!("there is no event at position {position}"))
                    .hint("`annals stats` tells the first and the last; a policy may hide it")
            };
            let beyond = |error: annals_core::Error| match error.kind() {
                annals_core::ErrorKind::CursorAhead => none(),
                _ => error.into(),
            };
            let page = block_on(store.read(at)).map_err(beyond)?;
            page.events.into_iter().next().ok_or_else(none)
        }
        Which::WithId(id) => {
            let store = args.lost.of(&session.store)?.to_read()?;
            let mut found = None;
            each_event(&*store, ReadRequest::all(), |event| {
                if event.id() == id {
                    found = Some(event.clone());
                    return Ok(std::ops::ControlFlow::Break(()));
                }
                Ok(std::ops::ControlFlow::Continue(()))
            })?;
            found.ok_or_else(|| Failure::not_found(format!("there is no event with id {id}")))
        }
    }
}

fn print(event: &RecordedEvent, out: &mut Out) -> Result {
    let metadata = event.metadata();
    let tags: Vec<&str> = event.tags().iter().map(annals_core::Tag::as_str).collect();
    let mut fields = vec![
        ("position", event.position().to_string()),
        ("stream", event.stream().to_string()),
        ("version", event.version().to_string()),
        (
            "schema",
            format!(
                "version {}, {}",
                event.schema_version(),
                event.content_type()
            ),
        ),
        ("id", event.id().to_string()),
        ("recorded", out.zone().show_both(event.recorded_at())),
        ("appended", out.zone().show_both(event.appended_at())),
        ("tags", tags.join(", ")),
        (
            "correlation",
            metadata
                .correlation_id()
                .map(|id| id.to_string())
                .unwrap_or_default(),
        ),
        (
            "causation",
            metadata
                .causation_id()
                .map(|id| id.to_string())
                .unwrap_or_default(),
        ),
    ];
    let headers = metadata
        .headers()
        .map(|(name, value)| ("header", format!("{name}: {value}")));
    fields.extend(headers);
    let title = out.paint(NAME.bold(), &text::one_line(event.event_type().as_str()));
    out.line(&title)?;
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        let name = out.paint(DIM, &format!("{name:<12}"));
        out.line(&format!("  {name}{}", text::one_line(&value)))?;
    }
    let heading = out.paint(
        BOLD,
        &format!("payload, {}", text::bytes(event.payload().len() as u64)),
    );
    out.line(&heading)?;
    let payload = match Payload::of(event) {
        payload @ (Payload::Json(_) | Payload::Decoded(_)) => {
            let value = payload.value().unwrap_or_default();
            serde_json::to_string_pretty(&value).unwrap_or_default()
        }
        Payload::Opaque(bytes) => hex(&bytes),
    };
    for line in payload.lines() {
        out.line(&format!("  {}", text::one_line(line)))?;
    }
    Ok(())
}

/// Bytes in lines of sixteen.
fn hex(bytes: &[u8]) -> String {
    let lines = bytes.chunks(16).enumerate().map(|(index, chunk)| {
        let numbers: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let seen = chunk.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        });
        format!(
            "{:08x}  {:<47}  {}",
            index * 16,
            numbers.join(" "),
            seen.collect::<String>()
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}
