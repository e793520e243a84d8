//! `annals restore`: a store of a backup.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annals_core::Position;
use annals_store_log::{Parts, StoreFork};
use clap::Args;

use super::at::{Moment, moment};
use super::backup::{
    CopyingVfs, MARKER, check_copy, copy_beside, generations, remove_all, sync_directory,
};
use super::init::refuse_what_is_there;
use super::verify::on_progress;
use crate::archives::archives;
use crate::failure::{Exit, Failure, Result};
use crate::output::progress::Step;
use crate::output::{GOOD, note, text};
use crate::session::Session;
use crate::store_at::StoreAddress;

const EXAMPLES: &str = "Examples:\n  annals restore backups restored\n  \
    annals restore backups/000001 as-it-was --until 3";

/// Make a store of a backup, in a new place.
///
/// Never over anything that is there: restore beside, look at it, then have the application use it. The store is checked before
/// it counts. With --until it ends at a time or a position, as it was then; checkpoints of readers are left out of
/// that, as they may be ahead.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Restore {
    /// A directory of backups, for its newest one; or one of them; or any store.
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// The new store.
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
    /// The last moment that is in it: a time or a position.
    #[arg(long, value_name = "TIME|POSITION", value_parser = moment)]
    until: Option<Moment>,
}

pub(crate) fn run(args: &Restore, session: &mut Session) -> Result {
    let source = StoreAddress::new(source(&args.backup)?);
    source.check().map_err(|failure| match failure.exit {
        Exit::NotFound => {
            failure.hint("name a directory that `annals backup` made, a backup in it, or a store")
        }
        _ => failure,
    })?;
    refuse_what_is_there(&StoreAddress::new(args.directory.clone()))?;
    let until = match args.until {
        Some(moment) => {
            let last = moment.last_event(&*source.past_lost().to_read()?)?;
            last.map_or(Position::START, |event| event.position())
        }
        None => Position::MAX,
    };
    let making = beside(&args.directory)?;
    remove_all(&making)?;
    let made = make(args, &source, until, &making);
    let made = made.inspect_err(|_| {
        // What is left of it is removed by the next one, if not now.
        let _ = fs::remove_dir_all(&making);
    })?;
    put_in_place(&making, &args.directory)?;
    let position = made.position;
    if made.streams_truncated > 0 {
        note(&format!(
            "{} begin later than then: events of them were reclaimed since, which only an older backup has",
            text::count(made.streams_truncated as u64, "stream")
        ));
    }
    if args.until.is_some() {
        note(
            "checkpoints of readers are not in it: they begin anew, or from what their read models say",
        );
    }
    let json = serde_json::json!({ "store": args.directory.display().to_string(),
        "restored_from": source.to_string(), "position": position.value(),
        "streams_truncated": made.streams_truncated });
    session.out.item(&json, |out| {
        let done = out.paint(GOOD, "restored");
        format!(
            "{done} up to position {position} from {source} in {}",
            args.directory.display()
        )
    })
}

/// The newest backup of a directory of them, or what was named.
fn source(backup: &Path) -> Result<PathBuf> {
    if !backup.join(MARKER).is_file() {
        return Ok(backup.to_owned());
    }
    let newest = generations(backup)?.pop();
    newest.map(|(_, path)| path).ok_or_else(|| {
        Failure::not_found(format!("there is no backup in {}", backup.display()))
            .hint("make one with `annals backup`")
    })
}

/// Where it is made until it is whole: on the same disk.
fn beside(directory: &Path) -> Result<PathBuf> {
    let name = directory.file_name().and_then(|name| name.to_str());
    let name = name
        .ok_or_else(|| Failure::usage(format!("{} is no name for a store", directory.display())))?;
    Ok(directory.with_file_name(format!(".{name}.restoring")))
}

fn make(
    args: &Restore,
    source: &StoreAddress,
    until: Position,
    making: &Path,
) -> Result<StoreFork> {
    fs::create_dir_all(making).map_err(|error| Failure::file("make", making, &error))?;
    if args.until.is_none() {
        copy_beside(source.directory(), making)?;
    }
    let step = Step::begin("copying", 1);
    let vfs = CopyingVfs { shares: None };
    let parts = Parts {
        vfs: Arc::new(vfs),
        archives: archives(),
        ..Parts::os()
    };
    let fork = source
        .builder()
        .parts(parts)
        .fork(making, until, &mut on_progress(&step))?;
    step.end();
    check_copy(making).map_err(|failure| match failure.exit {
        Exit::Damage => failure
            .hint("this backup is damaged; take an older one: `annals backup DIRECTORY --list`"),
        _ => failure,
    })?;
    // Opening it builds the index.
    StoreAddress::new(making.to_owned())
        .builder()
        .open()?
        .close()?;
    Ok(fork)
}

/// Gives the store its name; an empty directory of this name makes room.
fn put_in_place(making: &Path, directory: &Path) -> Result {
    if directory.is_dir() {
        fs::remove_dir(directory).map_err(|error| Failure::file("replace", directory, &error))?;
    }
    fs::rename(making, directory).map_err(|error| Failure::file("make", directory, &error))?;
    match directory
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        Some(parent) => sync_directory(parent),
        None => sync_directory(Path::new(".")),
    }
}
