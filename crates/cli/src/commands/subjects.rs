//! `annals subjects`: people, and forgetting them.

use std::path::PathBuf;

use annals_codec::privacy::{Eraser, ErasureReport, FileKeys, MasterKey, Subject};
use annals_core::{EventStore as _, Metadata};
use clap::{Args, Subcommand};
use futures_executor::block_on;

use crate::failure::{Failure, Result};
use crate::lost::surveyed;
use crate::output::confirm::typed_name;
use crate::output::{Out, text};
use crate::session::Session;

const EXAMPLES: &str = "Examples:\n  annals subjects show customer-42 --keys keys --master-key-file master.key\n  \
    annals subjects erase customer-42 --keys keys --master-key-file master.key --dry-run";

/// See what a store holds of a person under keys in a directory (`FileKeys`), and forget it.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Subjects {
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Tell what an erasure would cover, and change nothing.
    #[command(
        after_help = "Examples:\n  annals subjects show customer-42 --keys keys --master-key-file master.key"
    )]
    Show(Who),
    /// Erase the key of a person: what is personal in their events can't be read any more, anywhere, for good.
    ///
    /// Then it removes the snapshots that may hold it, and records the erasure in the store. Read models, logs and
    /// backups of the keys are not reached; the report says so.
    #[command(after_help = ERASE_EXAMPLES)]
    Erase(Erase),
}

const ERASE_EXAMPLES: &str = "Examples:\n  \
    annals subjects erase customer-42 --keys keys --master-key-file master.key --dry-run\n  \
    annals subjects erase customer-42 --keys keys --master-key-file master.key --reason 'their request' --yes";

/// Whose data, and where the keys are.
#[derive(Args, Clone, Debug)]
struct Who {
    /// The person, as the application names them.
    #[arg(value_name = "SUBJECT")]
    subject: String,
    /// The directory of keys.
    #[arg(long, value_name = "DIRECTORY")]
    keys: PathBuf,
    /// A file with the master key, as text.
    #[arg(long, value_name = "FILE")]
    master_key_file: PathBuf,
}

#[derive(Args, Clone, Debug)]
struct Erase {
    #[command(flatten)]
    who: Who,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only tell what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Don't ask.
    #[arg(short, long)]
    yes: bool,
}

pub(crate) fn run(args: &Subjects, session: &mut Session) -> Result {
    match &args.verb {
        Verb::Show(who) => show(who, session),
        Verb::Erase(args) if args.dry_run => show(&args.who, session),
        Verb::Erase(args) => erase(args, session),
    }
}

fn open(who: &Who) -> Result<(Subject, FileKeys)> {
    let path = &who.master_key_file;
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
    let master = MasterKey::from_text(text.trim())?;
    // Opening makes nothing: a directory that is mistyped is an error.
    if !who.keys.is_dir() {
        return Err(
            Failure::not_found(format!("there is no directory {}", who.keys.display()))
                .hint("name the directory that the application keeps its keys in"),
        );
    }
    Ok((
        Subject::new(who.subject.as_str())?,
        FileKeys::open(&who.keys, &master)?,
    ))
}

fn show(who: &Who, session: &mut Session) -> Result {
    let store = surveyed(&session.store)?.to_read()?;
    let (subject, keys) = open(who)?;
    let report = block_on(Eraser::new(&*store, &keys).preview(&subject))?;
    tell(&report, &mut session.out)
}

fn erase(args: &Erase, session: &mut Session) -> Result {
    // Opened before anything is erased: what can't be recorded is not done.
    let store = surveyed(&session.store)?.to_write()?;
    debug_assert!(
        store.capabilities().writes_any_streams(),
        "an embedded store takes any append"
    );
    let (subject, keys) = open(&args.who)?;
    let what = format!(
        "This erases {} for good, in {} and in every copy of it",
        args.who.subject, session.store
    );
    typed_name(&what, &args.who.subject, args.yes)?;
    let mut why = Metadata::EMPTY;
    if let Some(reason) = &args.reason {
        why = why.with_header("reason", reason)?;
    }
    let eraser = Eraser::new(&store, &keys)
        .with_snapshots(&store)
        .with_metadata(why);
    let report = block_on(eraser.erase(&subject)).map_err(|error| {
        Failure::from(error).or_hint(|| "run it again: it goes on from where it stopped".to_owned())
    })?;
    store.close()?;
    tell(&report, &mut session.out)
}

fn tell(report: &ErasureReport, out: &mut Out) -> Result {
    if out.is_json() {
        return out.json(report);
    }
    for line in report.to_string().lines() {
        out.line(&text::one_line(line))?;
    }
    Ok(())
}
