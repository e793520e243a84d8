//! `annals backup`: copies of a store that is in use, one beside the other.
//!
//! A backup directory holds numbered backups, each a whole store. A sealed segment that the backup before has is
//! shared with it by a hard link: a backup costs what is new.

use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Read as _};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annals_core::Position;
use annals_store_log::vfs::{Access, OsVfs, Vfs, VfsFile, VfsLock, Watch};
use annals_store_log::{Losses, Parts};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::init::{cannot_be_made, refuse_what_is_there};
use super::verify::on_progress;
use crate::archives::archives;
use crate::failure::{Exit, Failure, Result};
use crate::output::confirm::typed_name;
use crate::output::progress::Step;
use crate::output::table::{Align, Table};
use crate::output::time::now;
use crate::output::{GOOD, Out, text, warn};
use crate::session::Session;
use crate::store_at::StoreAddress;

/// The file that tells a directory of backups.
pub(crate) const MARKER: &str = "annals-backups.json";
/// The file that tells of a backup, in it.
const ABOUT: &str = "annals-backup.json";
/// What a store keeps beside its log that is not made of it.
const BESIDE: [&str; 2] = ["checkpoints", "checkpoints.kept"];

const EXAMPLES: &str = "Examples:\n  annals backup backups\n  annals backup backups --keep 7 --dry-run\n  annals backup backups --keep 7 --yes\n  annals backup backups --list";

/// Copy a store that may be in use into a directory of backups.
///
/// Each backup is a whole store, with a number for a name; what the one before has already is shared with it, so that
/// a backup takes the time and the room of what is new. It has every event and policy, and the checkpoints of readers;
/// snapshots and index files are made again. Keys of people stay where they are, and have backups of their own.
/// It is read back and checked before it counts.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Backup {
    /// The directory of backups; made where there is none. Best on another disk.
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
    #[command(flatten)]
    prune: Prune,
    /// Only tell up to where a backup would be, and which older ones would be removed.
    #[arg(long)]
    dry_run: bool,
    /// Don't read back what was copied.
    #[arg(long)]
    no_verify: bool,
    /// Only list the backups that there are.
    #[arg(long, conflicts_with_all = ["keep", "no_verify", "dry_run"])]
    list: bool,
}

/// Which older backups go.
#[derive(Args, Clone, Debug)]
struct Prune {
    /// Remove all but so many of the newest backups afterwards, but not the newest one that has what the store lost since.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    keep: Option<u64>,
    /// Don't ask before backups are removed.
    #[arg(short, long, requires = "keep")]
    yes: bool,
}

/// What is noted of a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct About {
    annals_backup: u32,
    made_at: String,
    position: u64,
    segments_shared: usize,
    segments_copied: usize,
}

pub(crate) fn run(args: &Backup, session: &mut Session) -> Result {
    if args.list {
        return list(&args.directory, &mut session.out);
    }
    session.store.check()?;
    if args.dry_run {
        return look_ahead(args, session);
    }
    ask(args, &session.store)?;
    prepare(&args.directory, &session.store)?;
    let generations = generations(&args.directory)?;
    let previous = generations.last();
    let number = previous.map_or(1, |(number, _)| number + 1);
    let making = args.directory.join(format!(".making-{number:06}"));
    remove_all(&making)?;
    let made = make(
        args,
        session,
        previous.map(|(_, path)| path.as_path()),
        &making,
    );
    let about = made.inspect_err(|_| {
        // What is left of it is removed by the next one, if not now.
        let _ = fs::remove_dir_all(&making);
    })?;
    let place = args.directory.join(format!("{number:06}"));
    fs::rename(&making, &place).map_err(|error| Failure::file("make", &place, &error))?;
    sync_directory(&args.directory)?;
    let mut removed = Vec::new();
    let pruned = prune(args, &place, &mut removed);
    // It counts, whatever became of older ones.
    tell(&place, &about, &removed, &mut session.out)?;
    pruned
}

/// Removes the backups that are too many now.
fn prune(args: &Backup, newest: &Path, removed: &mut Vec<PathBuf>) -> Result {
    let surplus = surplus(&generations(&args.directory)?, args.prune.keep, 0, newest)?;
    for kept in &surplus.kept {
        warn(&format!(
            "{} is kept: it has what the store lost since. Restore that from it; then remove it by hand",
            kept.display()
        ));
    }
    for path in surplus.removed {
        remove_all(&path)?;
        removed.push(path);
    }
    Ok(())
}

/// Asks before backups are removed: where nobody can be asked also while there are few, so that a script does not fail
/// on the day when there are too many.
fn ask(args: &Backup, store: &StoreAddress) -> Result {
    let Some(keep) = args.prune.keep.filter(|_| !args.prune.yes) else {
        return Ok(());
    };
    let there = there(args, store)?;
    if surplus(&there, Some(keep), 1, store.directory())?
        .removed
        .is_empty()
        && io::stdin().is_terminal()
    {
        return Ok(());
    }
    let what = format!(
        "This removes all but the newest {} in {} afterwards",
        text::count(keep, "backup"),
        args.directory.display()
    );
    typed_name(&what, &store.name(), false)
}

/// The backups that there are, of this store, and nothing is made.
fn there(args: &Backup, store: &StoreAddress) -> Result<Vec<(u64, PathBuf)>> {
    if args.directory.join(MARKER).is_file() {
        prepare(&args.directory, store)?;
        return generations(&args.directory);
    }
    refuse_what_is_there(&StoreAddress::new(&args.directory))?;
    Ok(Vec::new())
}

/// Tells what a backup would be, and which ones would be removed.
fn look_ahead(args: &Backup, session: &mut Session) -> Result {
    let there = there(args, &session.store)?;
    let removed = surplus(&there, args.prune.keep, 1, session.store.directory())?.removed;
    let number = there.last().map_or(1, |(number, _)| number + 1);
    let place = args.directory.join(format!("{number:06}"));
    let head = session.store.history()?.head();
    let json = serde_json::json!({ "backup": place.display().to_string(), "position": head.value(),
        "removed": shown(&removed), "dry_run": true });
    session.out.item(&json, |_| {
        format!(
            "would back up up to position {head} in {}{}",
            place.display(),
            told(&removed, "would remove")
        )
    })
}

/// Makes the directory of backups, or sees that it is one, and of this store.
fn prepare(directory: &Path, store: &StoreAddress) -> Result {
    let marker = directory.join(MARKER);
    if marker.is_file() {
        if let Some((_, last)) = generations(directory)?.last()
            && log_id(last)? != log_id(store.directory())?
        {
            return Err(Failure::refused(format!(
                "{} holds backups of another store",
                directory.display()
            ))
            .hint("name another directory"));
        }
        return Ok(());
    }
    refuse_what_is_there(&StoreAddress::new(directory))?;
    fs::create_dir_all(directory).map_err(|error| cannot_be_made(directory, &error))?;
    write_durably(&marker, "{\"annals_backups\":1}\n")
}

/// The identity of a store's log, as its manifest has it.
fn log_id(store: &Path) -> Result<Vec<u8>> {
    const ID: std::ops::Range<usize> = 16..32;
    let path = store.join("log").join("MANIFEST");
    let bytes = fs::read(&path).map_err(|error| Failure::file("read", &path, &error))?;
    let id = bytes.get(ID).map(<[u8]>::to_vec);
    id.ok_or_else(|| Failure::new(Exit::Damage, format!("{} is cut short", path.display())))
}

/// The backups in a directory, the oldest first.
pub(crate) fn generations(directory: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let failed = |error: io::Error| Failure::file("look into", directory, &error);
    let mut found = Vec::new();
    for entry in directory.read_dir().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(number) = number {
            found.push((number, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Makes a backup in a directory of its own, whole and durable.
fn make(args: &Backup, session: &Session, previous: Option<&Path>, making: &Path) -> Result<About> {
    fs::create_dir_all(making).map_err(|error| Failure::file("make", making, &error))?;
    // Before the log, which a checkpoint is never ahead of.
    copy_beside(session.store.directory(), making)?;
    let step = Step::begin("copying", 1);
    let vfs = CopyingVfs {
        shares: previous.map(|previous| previous.join("log")),
    };
    let parts = Parts {
        vfs: Arc::new(vfs),
        archives: archives(),
        ..Parts::os()
    };
    let fork = session.store.builder().parts(parts).fork(
        making,
        Position::MAX,
        &mut on_progress(&step),
    )?;
    step.end();
    if !args.no_verify {
        check_copy(making)?;
    }
    let about = About {
        annals_backup: 1,
        made_at: now().to_string(),
        position: fork.position.value(),
        segments_shared: fork.segments_shared,
        segments_copied: fork.segments_copied,
    };
    let text = serde_json::to_string(&about).unwrap_or_default();
    write_durably(&making.join(ABOUT), &format!("{text}\n"))?;
    Ok(about)
}

/// Copies what stands beside the log and is not made of it.
pub(crate) fn copy_beside(from: &Path, to: &Path) -> Result {
    for name in BESIDE {
        let (from, to) = (from.join(name), to.join(name));
        match fs::copy(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::file("copy", &from, &error)),
            Ok(_) => {
                let synced = File::open(&to).and_then(|file| file.sync_all());
                synced.map_err(|error| Failure::file("write", &to, &error))?;
            }
        }
    }
    sync_directory(to)
}

/// Reads a copy back and refuses one that is not whole.
pub(crate) fn check_copy(directory: &Path) -> Result {
    let step = Step::begin("checking", 1);
    let address = StoreAddress::new(directory);
    let verified = address.builder().verify(&mut on_progress(&step))?;
    step.end();
    if verified.log.damage.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the copy is damaged: {}",
        text::count(verified.log.damage.len() as u64, "finding")
    );
    Err(Failure::new(Exit::Damage, message).hint("`annals verify` on what was copied tells where"))
}

/// Writes a small file, durably but for its name.
fn write_durably(path: &Path, text: &str) -> Result {
    let written = fs::write(path, text).and_then(|()| File::open(path)?.sync_all());
    written.map_err(|error| Failure::file("write", path, &error))?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> Result {
    OsVfs
        .sync_directory(directory)
        .map_err(|error| Failure::file("sync", directory, &error))
}

/// Removes a directory, if there is one.
pub(crate) fn remove_all(directory: &Path) -> Result {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::file("remove", directory, &error))
        }
        _ => Ok(()),
    }
}

/// Which backups are too many, the oldest first.
#[derive(Default)]
struct Surplus {
    removed: Vec<PathBuf>,
    /// Those of them that stay: each has something that the store lost since, and that no newer one has.
    kept: Vec<PathBuf>,
}

/// The backups that are too many once there are so many more.
fn surplus(
    generations: &[(u64, PathBuf)],
    keep: Option<u64>,
    more: usize,
    newest: &Path,
) -> Result<Surplus> {
    let Some(keep) = keep else {
        return Ok(Surplus::default());
    };
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    let count = (generations.len() + more).saturating_sub(keep);
    let mut missing = Missing::of(&StoreAddress::new(newest).losses()?);
    let mut surplus = Surplus::default();
    for (index, (_, path)) in generations.iter().enumerate().rev() {
        let has_some = missing.take(path);
        if index < count && has_some {
            surplus.kept.push(path.clone());
        } else if index < count {
            surplus.removed.push(path.clone());
        }
    }
    surplus.removed.reverse();
    surplus.kept.reverse();
    Ok(surplus)
}

/// What the newest backup lacks because the store lost it, and what of that no backup was seen to have yet.
struct Missing {
    positions: Vec<RangeInclusive<Position>>,
    without_events: usize,
}

impl Missing {
    fn of(lost: &Losses) -> Self {
        Self {
            positions: lost.positions.clone(),
            without_events: lost.without_events,
        }
    }

    /// Takes out what this backup has; whether that is something. One that can't tell may have all, and is no proof.
    fn take(&mut self, backup: &Path) -> bool {
        let is_missing = !self.positions.is_empty() || self.without_events > 0;
        let told = StoreAddress::new(backup).losses().ok().zip(about(backup));
        let Some((lost, about)) = told else {
            return is_missing;
        };
        let left: Vec<_> = self
            .positions
            .iter()
            .flat_map(|range| left_of(range, about.position, &lost.positions))
            .collect();
        let without_events = self.without_events.min(lost.without_events);
        let has_some = (&left, without_events) != (&self.positions, self.without_events);
        (self.positions, self.without_events) = (left, without_events);
        has_some
    }
}

/// What of a range a backup up to this position lacks, which has lost these itself.
fn left_of(
    range: &RangeInclusive<Position>,
    end: u64,
    lost: &[RangeInclusive<Position>],
) -> Vec<RangeInclusive<Position>> {
    let behind = Position::new(end).next()..=Position::MAX;
    let lacking = lost.iter().chain([&behind]);
    let common = lacking.map(|other| {
        let start = *range.start().max(other.start());
        start..=*range.end().min(other.end())
    });
    common.filter(|common| !common.is_empty()).collect()
}

fn shown(paths: &[PathBuf]) -> Vec<String> {
    paths
        .iter()
        .map(|path| path.display().to_string())
        .collect()
}

/// Which backups are removed, behind what else is told; nothing where none is.
fn told(removed: &[PathBuf], verb: &str) -> String {
    if removed.is_empty() {
        return String::new();
    }
    format!("; {verb} {}", shown(removed).join(", "))
}

fn about(generation: &Path) -> Option<About> {
    let text = fs::read(generation.join(ABOUT)).ok()?;
    serde_json::from_slice(&text).ok()
}

fn list(directory: &Path, out: &mut Out) -> Result {
    const COLUMNS: &[(&str, Align)] = &[
        ("BACKUP", Align::Left),
        ("MADE", Align::Left),
        ("POSITION", Align::Right),
        ("SEGMENTS NEW", Align::Right),
        ("SHARED", Align::Right),
    ];
    let mut table = Table::new(COLUMNS);
    for (_, path) in generations(directory)? {
        let Some(about) = about(&path) else { continue };
        if out.is_json() {
            out.json(
                &serde_json::json!({ "backup": path.display().to_string(), "made_at": about.made_at,
                "position": about.position, "segments_copied": about.segments_copied,
                "segments_shared": about.segments_shared }),
            )?;
            continue;
        }
        let made = about
            .made_at
            .parse()
            .map_or(about.made_at.clone(), |time| out.zone().show(time));
        table.row(
            out,
            vec![
                path.display().to_string().into(),
                made.into(),
                about.position.to_string().into(),
                (about.segments_copied + 1).to_string().into(),
                about.segments_shared.to_string().into(),
            ],
        )?;
    }
    table.flush(out)
}

fn tell(place: &Path, about: &About, removed: &[PathBuf], out: &mut Out) -> Result {
    let json = serde_json::json!({ "backup": place.display().to_string(), "position": about.position,
        "segments_copied": about.segments_copied, "segments_shared": about.segments_shared,
        "removed": shown(removed) });
    out.item(&json, |out| {
        format!(
            "{} up to position {} in {} ({} new, {} shared with the one before){}",
            out.paint(GOOD, "backed up"),
            about.position,
            place.display(),
            text::count((about.segments_copied + 1) as u64, "segment"),
            about.segments_shared,
            told(removed, "removed")
        )
    })
}

/// The operating system's files, where a second name of a file is a copy of it, but for a segment that the backup
/// before has: it is shared with that.
#[derive(Debug)]
pub(crate) struct CopyingVfs {
    /// The log of the backup before.
    pub(crate) shares: Option<PathBuf>,
}

impl CopyingVfs {
    /// The file of the backup before that is this one.
    fn shared(&self, from: &Path) -> Option<PathBuf> {
        let candidate = self.shares.as_ref()?.join(from.file_name()?);
        let is_same = same_segment(from, &candidate).unwrap_or(false);
        is_same.then_some(candidate)
    }
}

/// Whether two sealed segments are the same: of one length and with one header, which has a random number of its own.
/// That all behind it is what the manifest says is what reading the copy back checks.
fn same_segment(one: &Path, other: &Path) -> io::Result<bool> {
    const HEADER_BYTES: usize = 4096;
    let header = |path: &Path| {
        let mut bytes = vec![0; HEADER_BYTES];
        let mut file = File::open(path)?;
        file.read_exact(&mut bytes)?;
        Ok::<_, io::Error>((file.metadata()?.len(), bytes))
    };
    Ok(header(one)? == header(other)?)
}

impl Vfs for CopyingVfs {
    fn create_dir_all(&self, directory: &Path) -> io::Result<()> {
        OsVfs.create_dir_all(directory)
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        OsVfs.names(directory)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn VfsFile>> {
        OsVfs.open(path, access)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsVfs.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.shared(from) {
            Some(shared) => OsVfs.hard_link(&shared, to),
            None => Err(io::Error::from(io::ErrorKind::Unsupported)),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsVfs.remove(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        OsVfs.sync_directory(directory)
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Box<dyn VfsLock>> {
        OsVfs.lock(path, holder)
    }

    fn readers_max(&self) -> NonZeroUsize {
        OsVfs.readers_max()
    }

    fn watch(&self, path: &Path) -> io::Result<Box<dyn Watch>> {
        OsVfs.watch(path)
    }
}
