//! `annals export`: a store as text.

use std::path::PathBuf;

use annals_core::Position;
use clap::Args;

use crate::exchange::Format;
use crate::exchange::export::{Exported, From, create, resume, to_file, write};
use crate::exchange::line::Line;
use crate::failure::{Failure, Result};
use crate::lost::PastLost;
use crate::output::{note, text};
use crate::select::position;
use crate::session::Session;

const EXAMPLES: &str = "Examples:\n  annals export > shop.ndjson\n  annals export --output shop2.ndjson\n  \
    annals export --output shop2.ndjson --resume\n  annals export --format cloudevents | head -3";

/// Write a store as lines of JSON: every event, where each append begins, and every policy.
///
/// Events that policies hide are in it too. An import into an empty store gives a store whose export is byte for byte
/// the same. The first line says where it begins, the last one that it is whole: a file without it was cut short.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Export {
    /// In which form.
    #[arg(long, value_name = "FORMAT", default_value = "ndjson")]
    format: Format,
    /// Write to this file, which must be new.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Go on in the file with what was recorded since, also after an interruption.
    #[arg(long, requires = "output", conflicts_with_all = ["after", "format"])]
    resume: bool,
    /// Only what was recorded after this position.
    #[arg(long, value_name = "POSITION", value_parser = position, default_value = "0")]
    after: Position,
    #[command(flatten)]
    lost: PastLost,
}

pub(crate) fn run(args: &Export, session: &mut Session) -> Result {
    let mut history = args.lost.of(&session.store)?.history()?;
    if args.after > history.head() {
        let message = format!("the store ends at position {}", history.head());
        return Err(Failure::usage(message).hint("it may be another store, or have lost events"));
    }
    let begin = args.format.encode(&Line::Begin(args.after))?;
    let from = From {
        after: args.after,
        policies: 0,
    };
    let Some(path) = &args.output else {
        let out = session.out.writer();
        let written = writeln!(out, "{begin}");
        written.map_err(|error| Failure::output(&error))?;
        write(&mut history, args.format, from, out, &Failure::output)?;
        return Ok(());
    };
    let failed = |error: &std::io::Error| Failure::file("write", path, error);
    let exported = if args.resume {
        let (file, format, from) = resume(path)?;
        to_file(path, file, |out| {
            write(&mut history, format, from, out, &failed)
        })?
    } else {
        to_file(path, create(path)?, |out| {
            writeln!(out, "{begin}").map_err(|error| failed(&error))?;
            write(&mut history, args.format, from, out, &failed)
        })?
    };
    tell(&exported);
    Ok(())
}

fn tell(exported: &Exported) {
    note(&format!(
        "exported {} and {}, up to position {}",
        text::count(exported.events, "event"),
        text::count(exported.policies, "policy change"),
        exported.position
    ));
}
