//! `annals append`: records an event, or those that come as lines.

use std::io::{self, BufRead as _};

use annals_core::{
    ContentType, EventId, EventType, Expected, Receipt, SchemaVersion, StreamId, Tag, Timestamp,
};
use clap::Args;
use serde::Serialize;

use crate::ago;
use crate::exchange::Format;
use crate::exchange::line::{EventLine, EventTexts, Line};
use crate::exchange::loose::{Identity, Loose};
use crate::exchange::ndjson::expected;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::output::{GOOD, Out};
use crate::session::Session;

const EXAMPLES: &str = "Examples:\n  \
    annals append account-7 opened '{\"owner\":\"Ada\"}' --expect no-stream --tag account:7\n  \
    annals append account-7 deposited '{\"amount\":5}' --id deposit-1\n  \
    echo '{\"stream\":\"account-8\",\"type\":\"opened\",\"payload\":{}}' | annals append --stdin";

/// Record an event, or with --stdin those that come as lines of JSON.
///
/// When it says so, the event is durable. A line of --stdin has `stream`, `type` and `payload` (or `payload_base64`),
/// and may have what an export has, and `expected`; CloudEvents are taken too. Each line is an append, or all of them
/// are one with --atomic. Give --id for a command that may run twice: the same append is recorded once.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AppendArgs {
    /// The stream.
    #[arg(value_name = "STREAM", required_unless_present = "stdin")]
    stream: Option<StreamId>,
    /// The type of the event.
    #[arg(value_name = "TYPE", required_unless_present = "stdin")]
    event_type: Option<EventType>,
    /// What it says: JSON unless --content-type says otherwise. With @FILE what stands in the file.
    #[arg(value_name = "PAYLOAD", default_value = "{}")]
    payload: String,
    /// Events come as lines on the standard input.
    #[arg(long, conflicts_with_all = ["stream", "event_type"])]
    stdin: bool,
    /// All lines are one append: all of it is recorded, or nothing.
    #[arg(long, requires = "stdin")]
    atomic: bool,
    /// In which state the stream is expected: any, no-stream, exists, or its version.
    #[arg(long, value_name = "STATE", default_value = "any", value_parser = expected, conflicts_with = "stdin")]
    expect: Expected,
    /// The append id: the same again records nothing more. With --stdin lines have `:2`, `:3` and so on behind it.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// A tag; may be given several times.
    #[arg(long = "tag", value_name = "TAG", conflicts_with = "stdin")]
    tags: Vec<Tag>,
    /// The version of the event's schema.
    #[arg(
        long,
        value_name = "VERSION",
        default_value_t = 1,
        conflicts_with = "stdin"
    )]
    schema_version: u32,
    /// The form of the payload.
    #[arg(
        long,
        value_name = "FORM",
        default_value = "application/json",
        conflicts_with = "stdin"
    )]
    content_type: ContentType,
    /// The id of the event, a UUID; made where it is not given.
    #[arg(long, value_name = "UUID", conflicts_with = "stdin")]
    event_id: Option<EventId>,
    /// When it happened; now where it is not given.
    #[arg(long, value_name = "TIME", value_parser = ago::moment, conflicts_with = "stdin")]
    recorded_at: Option<Timestamp>,
    /// The conversation that it belongs to.
    #[arg(long, value_name = "ID", conflicts_with = "stdin")]
    correlation: Option<String>,
    /// What caused it.
    #[arg(long, value_name = "ID", conflicts_with = "stdin")]
    causation: Option<String>,
    /// A header; may be given several times.
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header, conflicts_with = "stdin")]
    headers: Vec<(String, String)>,
}

fn header(text: &str) -> std::result::Result<(String, String), String> {
    let parts = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((parts.0.to_owned(), parts.1.to_owned()))
}

pub(crate) fn run(args: &AppendArgs, session: &mut Session) -> Result {
    let identity = args.id.clone().map_or(Identity::Fresh, Identity::Given);
    if args.stdin {
        return run_lines(args, identity, session);
    }
    let line = line(args)?;
    let store = session.store.to_write()?;
    let mut loose = Loose::new(&store, identity, false);
    if let Some(receipt) = loose.take(line, "")? {
        tell(&receipt, &mut session.out)?;
    }
    Ok(store.close()?)
}

fn run_lines(args: &AppendArgs, identity: Identity, session: &mut Session) -> Result {
    let store = session.store.to_write()?;
    let mut loose = Loose::new(&store, identity, args.atomic);
    let mut lines = Lines::new(io::stdin().lock());
    while let Some((number, text)) = lines.next()? {
        let line = Format::of(&text).decode(&text);
        let receipt = match line.map_err(|why| bad_line(number, &why))? {
            Line::Event(event) => loose.take(*event, &text)?,
            _ => {
                return Err(bad_line(
                    number,
                    "it is no event; `annals import` reads exports",
                ));
            }
        };
        if let Some(receipt) = receipt {
            tell(&receipt, &mut session.out)?;
        }
        interrupt::check("every append that was told of is recorded")?;
    }
    if let Some(receipt) = loose.finish()? {
        tell(&receipt, &mut session.out)?;
    }
    Ok(store.close()?)
}

fn line(args: &AppendArgs) -> Result<EventLine> {
    let (Some(stream), Some(event_type)) = (&args.stream, &args.event_type) else {
        return Err(Failure::usage("name the stream and the type"));
    };
    SchemaVersion::new(args.schema_version)?;
    let texts = EventTexts {
        event_type: event_type.to_string(),
        schema_version: Some(args.schema_version),
        content_type: Some(args.content_type.to_string()),
        payload: payload(args)?,
        tags: args.tags.iter().map(ToString::to_string).collect(),
        id: args.event_id.map(|id| id.to_string()),
        recorded_at: args.recorded_at.map(|time| time.to_string()),
        correlation_id: args.correlation.clone(),
        causation_id: args.causation.clone(),
        headers: args.headers.clone(),
    };
    Ok(EventLine {
        position: None,
        append: None,
        stream: stream.clone(),
        version: None,
        appended_at: None,
        expected: args.expect,
        event: texts.event()?,
    })
}

fn payload(args: &AppendArgs) -> Result<Vec<u8>> {
    let bytes = match args.payload.strip_prefix('@') {
        Some(file) => {
            let path = std::path::Path::new(file);
            std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?
        }
        None => args.payload.clone().into_bytes(),
    };
    if let Err(why) = crate::decode::Reading::of(&args.content_type).check(&bytes) {
        return Err(
            Failure::usage(format!("the payload is no {}: {why}", args.content_type))
                .hint("quote it for your shell, or name its form with --content-type"),
        );
    }
    Ok(bytes)
}

/// Lines of a limited length.
pub(crate) struct Lines<R> {
    reader: R,
    number: u64,
    text: Vec<u8>,
}

impl<R: io::BufRead> Lines<R> {
    /// The longest line, in bytes: a payload of 16 MiB in base64, and all else that an event has.
    pub(crate) const BYTES_MAX: u64 = 48 * 1024 * 1024;

    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            number: 0,
            text: Vec::new(),
        }
    }

    /// The next line that is not empty, with its number.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, String)>> {
        loop {
            self.text.clear();
            let mut limited = io::Read::take(&mut self.reader, Self::BYTES_MAX + 1);
            let read = interrupt::while_waiting(|| limited.read_until(b'\n', &mut self.text));
            let read =
                read.map_err(|error| Failure::usage(format!("the input can't be read: {error}")))?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if read as u64 > Self::BYTES_MAX {
                return Err(bad_line(self.number, "it is longer than 48 MiB"));
            }
            let text = std::str::from_utf8(&self.text);
            let text = text
                .map_err(|_| bad_line(self.number, "it is not UTF-8"))?
                .trim();
            if !text.is_empty() {
                return Ok(Some((self.number, text.to_owned())));
            }
        }
    }
}

/// A line can't be used.
pub(crate) fn bad_line(number: u64, why: &str) -> Failure {
    Failure::usage(format!("line {number}: {why}"))
}

#[derive(Serialize)]
struct ReceiptJson<'a> {
    append_id: &'a str,
    first_position: u64,
    last_position: u64,
    streams: Vec<StreamJson<'a>>,
    appended_at: String,
    duplicate: bool,
}

#[derive(Serialize)]
struct StreamJson<'a> {
    stream: &'a str,
    first_version: u64,
    last_version: u64,
}

fn tell(receipt: &Receipt, out: &mut Out) -> Result {
    let streams = receipt.streams.iter().map(|stream| StreamJson {
        stream: stream.stream.as_str(),
        first_version: stream.first_version.value(),
        last_version: stream.last_version.value(),
    });
    let json = ReceiptJson {
        append_id: receipt.append_id.as_str(),
        first_position: receipt.first_position.value(),
        last_position: receipt.last_position.value(),
        streams: streams.collect(),
        appended_at: receipt.appended_at.to_string(),
        duplicate: receipt.is_duplicate(),
    };
    out.item(&json, |out| {
        let word = if receipt.is_duplicate() {
            "recorded before"
        } else {
            "recorded"
        };
        let streams = receipt.streams.iter();
        let streams =
            streams.map(|stream| format!("{} version {}", stream.stream, stream.last_version));
        let streams = streams.collect::<Vec<_>>().join(", ");
        format!(
            "{} at position {}: {streams}",
            out.paint(GOOD, word),
            receipt.last_position
        )
    })?;
    out.flush()
}
