//! `annals import`: a store of what an export wrote, or events from elsewhere.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use annals_core::EventStore as _;
use annals_store_log::LogStore;
use clap::Args;
use serde::Serialize;

use super::append::{Lines, bad_line};
use crate::exchange::Format;
use crate::exchange::import::{Imported, Importer, settings};
use crate::exchange::line::Line;
use crate::exchange::loose::{Identity, Loose};
use crate::failure::{Exit, Failure, Result};
use crate::output::progress::Step;
use crate::output::{Out, text, warn};
use crate::session::Session;
use crate::{interrupt, store_at};

const EXAMPLES: &str = "Examples:\n  annals export | annals --store copy import\n  \
    annals --store copy import shop.ndjson\n  annals --store other import --renumber shop.ndjson";

/// Make a store of what an export wrote; or record events that come from elsewhere.
///
/// An export goes into an empty store, which is made where there is none, or into one that has the beginning of it:
/// an import that was interrupted goes on when it is run again, and nothing is recorded twice. Ids, times, positions,
/// versions and the bounds of appends come out as they were. What holds something else is refused.
///
/// Other lines (CloudEvents, or the lines that `append --stdin` takes), and exports with --renumber, are recorded after what the
/// store holds, at new places and with the time of now. There too the same lines again are recorded once: their append
/// ids follow from what they say.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Import {
    /// The file; the standard input where it is not given.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Record the events of an export at new places, after what the store holds.
    #[arg(long)]
    renumber: bool,
}

pub(crate) fn run(args: &Import, session: &mut Session) -> Result {
    match &args.file {
        Some(path) => {
            let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
            import(args, BufReader::with_capacity(1 << 20, file), session)
        }
        None => import(args, io::stdin().lock(), session),
    }
}

fn import(args: &Import, input: impl BufRead, session: &mut Session) -> Result {
    let mut lines = Lines::new(input);
    let Some((number, first)) = lines.next()? else {
        return Err(Failure::usage("there is nothing to import")
            .hint("give a file, or lines on the standard input"));
    };
    let format = Format::of(&first);
    let line = format
        .decode(&first)
        .map_err(|why| bad_line(number, &why))?;
    if matches!(line, Line::Begin(_)) && !args.renumber {
        return exactly(format, line, lines, session);
    }
    loosely((format, line, first), lines, session)
}

const AGAIN: &str = "run the same command again to go on: nothing is recorded twice";

/// An export, as it was.
fn exactly(
    format: Format,
    first: Line,
    mut lines: Lines<impl BufRead>,
    session: &mut Session,
) -> Result {
    let mut importer = Importer::open(&session.store)?;
    let step = Step::begin("importing", 0);
    importer.take(first)?;
    let mut take_all = || {
        while let Some((number, text)) = lines.next()? {
            if importer.imported.is_ended {
                return Err(bad_line(number, "it stands after the end of the export"));
            }
            let line = format.decode(&text).map_err(|why| bad_line(number, &why))?;
            importer
                .take(line)
                .map_err(|failure| at_line(number, failure))?;
            step.advance(1);
            interrupt::check(AGAIN)?;
        }
        Ok(())
    };
    let taken = take_all();
    let finished = importer.finish();
    step.end();
    let done = importer.imported;
    tell(&done, &mut session.out)?;
    taken?;
    finished?;
    if !done.is_ended {
        return Err(
            Failure::new(Exit::Failed, "the export was cut short: it has no end").hint(
                "what it has is imported; export again and import that, which goes on from here",
            ),
        );
    }
    Ok(())
}

/// Events from elsewhere, after what there is.
fn loosely(
    (format, first, text): (Format, Line, String),
    mut lines: Lines<impl BufRead>,
    session: &mut Session,
) -> Result {
    let store = open_or_create(&session.store)?;
    let step = Step::begin("importing", 0);
    let mut loose = Loose::new(&store, Identity::Derived, false);
    let (mut imported, mut policies) = (Imported::default(), 0_u64);
    let mut next = Some((1, text));
    let mut line = Some(first);
    while let Some((number, text)) = next {
        let decoded = match line.take() {
            Some(first) => first,
            None => format.decode(&text).map_err(|why| bad_line(number, &why))?,
        };
        let receipt = match decoded {
            Line::Event(event) => loose
                .take(*event, &text)
                .map_err(|failure| at_line(number, failure))?,
            Line::Policy(..) => {
                policies += 1;
                None
            }
            Line::Begin(_) | Line::End(_) => None,
        };
        if let Some(receipt) = receipt {
            let events = receipt.last_position.since(receipt.first_position) + 1;
            if receipt.is_duplicate() {
                imported.present += events;
            } else {
                imported.appends += 1;
                imported.events += events;
            }
        }
        step.advance(1);
        interrupt::check(AGAIN)?;
        next = lines.next()?;
    }
    let finished = loose.finish();
    step.end();
    store.close()?;
    if policies > 0 {
        warn(&format!(
            "{} were left out: set them in the store itself",
            text::count(policies, "policy change")
        ));
    }
    tell(&imported, &mut session.out)?;
    finished.map(drop)
}

fn open_or_create(address: &store_at::StoreAddress) -> Result<LogStore> {
    if !address.exists() {
        super::init::refuse_what_is_there(address)?;
    }
    let store = address.builder().settings(settings()).open_or_create()?;
    debug_assert!(
        store.capabilities().writes_any_streams(),
        "an embedded store takes any append"
    );
    Ok(store)
}

/// The same failure, with the line that it comes from.
fn at_line(number: u64, failure: Failure) -> Failure {
    let at = Failure::new(failure.exit, format!("line {number}: {}", failure.message));
    match failure.hint {
        Some(hint) => at.hint(hint),
        None => at,
    }
}

#[derive(Serialize)]
struct ImportedJson {
    appends: u64,
    events: u64,
    policy_changes: u64,
    events_present: u64,
}

fn tell(imported: &Imported, out: &mut Out) -> Result {
    let json = ImportedJson {
        appends: imported.appends,
        events: imported.events,
        policy_changes: imported.policies,
        events_present: imported.present,
    };
    out.item(&json, |_| {
        let present = match imported.present {
            0 => String::new(),
            present => format!("; {} there already", text::count(present, "event")),
        };
        format!(
            "imported {} in {}, and {}{present}",
            text::count(imported.events, "event"),
            text::count(imported.appends, "append"),
            text::count(imported.policies, "policy change")
        )
    })
}
