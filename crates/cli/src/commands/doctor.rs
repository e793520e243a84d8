//! `annals doctor`: whether this machine is a good place for a store.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use annals_core::{ReadRequest, Timestamp};
use annals_store_log::ArchiveSummary;
use clap::Args;
use serde::Serialize;

use crate::failure::{Exit, Failure, Result};
use crate::lost;
use crate::output::progress::instant;
use crate::output::table::{Align, Cell, Table};
use crate::output::time::now;
use crate::output::{BAD, GOOD, WARN, text};
use crate::select::first_event;
use crate::session::Session;
use crate::store_at::StoreAddress;

const EXAMPLES: &str = "Examples:\n  annals doctor\n  annals doctor --json\n  \
    annals doctor \"postgres://app@db.example/shop\"";

/// How often a write is synced to see what it costs.
const PROBES: usize = 16;
/// A sync that is faster reaches no disk.
const SYNC_MIN: Duration = Duration::from_micros(15);
/// A sync that is slower is felt by everyone who appends.
const SYNC_MAX: Duration = Duration::from_millis(20);
/// Less free room than this is told of.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// Fewer open files than this are too few for a large store.
const OPEN_FILES_MIN: u64 = 1024;

/// Check the place that a store is in: file system, what making a write durable costs, free space, limits, clock.
///
/// It writes a small file beside the store and removes it. Exits with 1 when something is bad.
///
/// Of a store on PostgreSQL or NATS JetStream it asks the server: whether what is committed is synced, whether replicas may
/// lack the newest events, what fills the disk. How much room is left there, a server does not tell. How its replicas are,
/// PostgreSQL tells only to a role that has pg_monitor. Of NATS, sync=always in an address is taken on trust, and said to be;
/// with monitoring=http://host:8222 the servers are asked.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::doc_markdown, reason = "shown on a terminal as it stands")]
pub(crate) struct Doctor {
    /// The store, by default what --store says: a directory, postgres://user@host/database, nats://host:4222/<log>.
    // It is parsed later, as a complaint about an argument would repeat it, with its password.
    #[arg(value_name = "ADDRESS")]
    address: Option<String>,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    Good,
    /// To be looked at.
    Look,
    Bad,
}

#[derive(Serialize)]
pub(super) struct Check {
    #[serde(rename = "check")]
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    found: String,
    advice: &'static str,
}

impl Check {
    pub(super) fn new(
        name: &'static str,
        verdict: Verdict,
        found: impl Into<String>,
        advice: &'static str,
    ) -> Self {
        Self {
            name,
            verdict,
            found: found.into(),
            advice: if verdict == Verdict::Good { "" } else { advice },
        }
    }
}

pub(crate) fn run(args: &Doctor, session: &mut Session) -> Result {
    let address = args.address.as_deref().map(str::parse).transpose()?;
    let checks = match address {
        None => of_directory(session),
        Some(annals::StoreAddress::Log(directory)) => {
            session.store = StoreAddress::new(directory);
            of_directory(session)
        }
        Some(address) => super::doctor_server::checks(&address)?,
    };
    tell(&checks, session)
}

fn of_directory(session: &Session) -> Vec<Check> {
    let directory = existing(session.store.directory());
    let mut checks = vec![
        store(session),
        file_system(&directory),
        durability(&directory),
        free_space(&directory),
    ];
    checks.extend(archives(session));
    checks.extend([open_files(), clock(session)]);
    checks
}

fn tell(checks: &[Check], session: &mut Session) -> Result {
    const COLUMNS: &[(&str, Align)] = &[
        ("CHECK", Align::Left),
        ("VERDICT", Align::Left),
        ("FOUND", Align::Left),
    ];
    let out = &mut session.out;
    let mut table = Table::new(COLUMNS);
    for check in checks {
        if out.is_json() {
            out.json(check)?;
            continue;
        }
        let (style, verdict) = match check.verdict {
            Verdict::Good => (GOOD, "good"),
            Verdict::Look => (WARN, "look"),
            Verdict::Bad => (BAD, "bad"),
        };
        let advice = if check.advice.is_empty() {
            String::new()
        } else {
            format!(": {}", check.advice)
        };
        let found = format!("{}{advice}", check.found);
        table.row(
            out,
            vec![
                check.name.into(),
                Cell::styled(style, verdict),
                found.into(),
            ],
        )?;
    }
    table.flush(out)?;
    if checks.iter().any(|check| check.verdict == Verdict::Bad) {
        return Err(Failure::new(
            Exit::Failed,
            "this is no good place for a store as it is",
        ));
    }
    Ok(())
}

/// The nearest directory that is there.
fn existing(directory: &Path) -> PathBuf {
    let mut ancestors = directory.ancestors();
    let found = ancestors.find(|directory| directory.is_dir());
    found.map_or_else(|| PathBuf::from("."), Path::to_owned)
}

fn store(session: &Session) -> Check {
    const NAME: &str = "store";
    if session.store.check().is_err() {
        let found = format!("there is none in {} yet", session.store);
        return Check::new(NAME, Verdict::Look, found, "make one with `annals init`");
    }
    let lost = session.store.losses();
    match session.store.follower().and(lost) {
        Ok(lost) if lost.is_empty() => Check::new(
            NAME,
            Verdict::Good,
            format!("{} can be read", session.store),
            "",
        ),
        Ok(lost) => Check::new(
            NAME,
            Verdict::Look,
            format!(
                "{} can be read, but {}, as a repair recorded",
                session.store,
                lost::told(&lost)
            ),
            "restore a backup where there is one; `annals repair` kept the damaged files in `log/quarantine`",
        ),
        Err(failure) => Check::new(NAME, Verdict::Bad, failure.message, "see `annals verify`"),
    }
}

/// Whether the archives that the store has segments in are within reach.
fn archives(session: &Session) -> Vec<Check> {
    const NAME: &str = "archive";
    const ADVICE: &str = "events there can't be read, and all else can; bring it within reach, or tell where it is by --archive-moved";
    let builder = session.store.builder();
    let found = builder.archives_in_use().unwrap_or_default();
    let check = |archive: ArchiveSummary| {
        let segments = text::count(archive.segments as u64, "segment");
        let bytes = text::bytes(archive.bytes);
        let what = format!("{segments}, {bytes} in {}", archive.location);
        match builder.reach_archive(&archive.location) {
            Ok(()) => Check::new(NAME, Verdict::Good, what, ""),
            Err(error) => {
                let why = Failure::from(error).message;
                let what = format!("{what}: out of reach: {why}");
                Check::new(NAME, Verdict::Bad, what, ADVICE)
            }
        }
    };
    found.into_iter().map(check).collect()
}

/// The numbers by which Linux tells file systems, and what is known of them: whether a store may be there.
const FILE_SYSTEMS: &[(i64, &str, Verdict, &str)] = &[
    (0xEF53, "ext4", Verdict::Good, ""),
    (0x5846_5342, "xfs", Verdict::Good, ""),
    (0x9123_683E, "btrfs", Verdict::Good, ""),
    (0x2FC1_2FC1, "zfs", Verdict::Good, ""),
    (0xF2F5_2010, "f2fs", Verdict::Good, ""),
    (
        0x0102_1994,
        "tmpfs",
        Verdict::Look,
        "it is memory: nothing survives a restart",
    ),
    (
        0x8584_58F6,
        "ramfs",
        Verdict::Look,
        "it is memory: nothing survives a restart",
    ),
    (
        0x794C_7630,
        "overlayfs",
        Verdict::Look,
        "it may go with its container; put the store on a volume",
    ),
    (
        0x6969,
        "nfs",
        Verdict::Bad,
        "locks and syncs are the server's; use a local disk",
    ),
    (
        0xFF53_4D42,
        "cifs",
        Verdict::Bad,
        "locks and syncs are the server's; use a local disk",
    ),
    (
        0xFE53_4D42,
        "smb2",
        Verdict::Bad,
        "locks and syncs are the server's; use a local disk",
    ),
    (
        0x6573_5546,
        "fuse",
        Verdict::Look,
        "what a sync means is up to it; see its manual",
    ),
    (
        0x0102_1997,
        "9p",
        Verdict::Look,
        "what a sync means is up to its host",
    ),
];

#[cfg(target_os = "linux")]
fn file_system(directory: &Path) -> Check {
    const NAME: &str = "file system";
    let number = match rustix::fs::statfs(directory) {
        Ok(found) => found.f_type & 0xFFFF_FFFF,
        Err(error) => {
            return Check::new(
                NAME,
                Verdict::Look,
                format!("it can't be told: {error}"),
                "",
            );
        }
    };
    let known = FILE_SYSTEMS.iter().find(|(of, ..)| *of == number);
    match known {
        Some((_, name, verdict, advice)) => Check::new(NAME, *verdict, *name, advice),
        None => Check::new(
            NAME,
            Verdict::Look,
            format!("of the unknown kind {number:#x}"),
            "see what a sync means there",
        ),
    }
}

#[cfg(not(target_os = "linux"))]
fn file_system(_: &Path) -> Check {
    let _ = FILE_SYSTEMS;
    Check::new(
        "file system",
        Verdict::Look,
        "it can't be told on this system",
        "use a local disk",
    )
}

/// What it costs to make a small write durable.
fn durability(directory: &Path) -> Check {
    const NAME: &str = "durability";
    let path = directory.join(format!(".annals-doctor-{}", std::process::id()));
    let probed = probe(&path);
    // Best effort: the file is small, and says what it is.
    let _ = std::fs::remove_file(&path);
    let mut times = match probed {
        Ok(times) => times,
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            return Check::new(
                NAME,
                Verdict::Look,
                "the medium is read-only",
                "reading works, nothing else",
            );
        }
        Err(error) => {
            let found = format!("a file can't be written and synced: {error}");
            return Check::new(NAME, Verdict::Bad, found, "reading works, nothing else");
        }
    };
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let longest = times.last().copied().unwrap_or_default();
    let found = format!(
        "a sync takes {} us, the longest of {PROBES} {} us",
        median.as_micros(),
        longest.as_micros()
    );
    if median < SYNC_MIN {
        let advice = "that is too fast for a disk: a cache may say so before it is true";
        return Check::new(NAME, Verdict::Look, found, advice);
    }
    let verdict = if median > SYNC_MAX {
        Verdict::Look
    } else {
        Verdict::Good
    };
    Check::new(
        NAME,
        verdict,
        found,
        "that is slow: appends that wait together share a sync",
    )
}

fn probe(path: &Path) -> io::Result<Vec<Duration>> {
    let mut file = File::create(path)?;
    let block = [0x61; 4096];
    let mut times = Vec::with_capacity(PROBES);
    for _ in 0..PROBES {
        file.write_all(&block)?;
        let begun = instant();
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

#[cfg(unix)]
fn free_space(directory: &Path) -> Check {
    const NAME: &str = "free space";
    match rustix::fs::statvfs(directory) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let verdict = if free < FREE_BYTES_MIN {
                Verdict::Look
            } else {
                Verdict::Good
            };
            let advice = "appends are refused when it is gone, and go on when there is room again";
            Check::new(NAME, verdict, text::bytes(free), advice)
        }
        Err(error) => Check::new(
            NAME,
            Verdict::Look,
            format!("it can't be told: {error}"),
            "",
        ),
    }
}

#[cfg(not(unix))]
fn free_space(_: &Path) -> Check {
    let _ = FREE_BYTES_MIN;
    Check::new(
        "free space",
        Verdict::Look,
        "it can't be told on this system",
        "",
    )
}

#[cfg(unix)]
fn open_files() -> Check {
    use rustix::process::{Resource, getrlimit};
    let limit = getrlimit(Resource::Nofile).current;
    let found = limit.map_or_else(
        || "no limit".to_owned(),
        |limit| format!("{limit} at a time"),
    );
    let verdict = if limit.is_some_and(|limit| limit < OPEN_FILES_MIN) {
        Verdict::Look
    } else {
        Verdict::Good
    };
    Check::new(
        "open files",
        verdict,
        found,
        "raise it with `ulimit -n`: a large store has a file for each 64 MiB",
    )
}

#[cfg(not(unix))]
fn open_files() -> Check {
    let _ = OPEN_FILES_MIN;
    Check::new(
        "open files",
        Verdict::Look,
        "it can't be told on this system",
        "",
    )
}

/// Whether the clock is one that events can be dated by.
fn clock(session: &Session) -> Check {
    const NAME: &str = "clock";
    /// The beginning of 2024.
    const PLAUSIBLE: Timestamp = Timestamp::from_seconds(1_704_067_200);
    let present = now();
    let found = session.out.zone().show_both(present);
    if present < PLAUSIBLE {
        return Check::new(
            NAME,
            Verdict::Bad,
            found,
            "that is in the past: set the clock",
        );
    }
    let newest = session.store.past_lost().to_read().ok().and_then(|store| {
        let newest = first_event(&*store, ReadRequest::all().backward()).ok()?;
        newest.map(|event| event.appended_at())
    });
    match newest {
        Some(newest) if newest > present => {
            let found = format!(
                "the newest event was appended {} s from now",
                newest.since(present).as_secs()
            );
            Check::new(
                NAME,
                Verdict::Look,
                found,
                "the clock went back: new events get the time of the newest one until it has caught up",
            )
        }
        _ => Check::new(NAME, Verdict::Good, found, ""),
    }
}
