//! `annals verify`: every byte held against its checksum.

use annals_core::HistoryEntry;
use annals_store_log::{
    ArchivedSegments, CompressedSegments, Damage, LostRange, Progress, StoreVerification,
    VerifySettings,
};
use clap::Args;
use serde::Serialize;

use crate::decode::Reading;
use crate::failure::{Exit, Failure, Result};
use crate::output::progress::Step;
use crate::output::table::{Align, Cell, Table};
use crate::output::{BAD, GOOD, Out, WARN, text};
use crate::session::Session;
use crate::survey::each_entry;

const EXAMPLES: &str =
    "Examples:\n  annals verify\n  annals verify --deep --json\n  annals verify --skip-archived";

/// Read every byte of a store and hold it against its checksum: segments, chains, index files.
///
/// Nothing is changed. A store that an application writes is checked up to what is durable. Exits with 4 when
/// damage is found; what a repair gave up is told each time, and is no new damage.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Verify {
    /// Decompress what is compressed, and read every event too, and every payload of a form that describes itself.
    #[arg(long)]
    deep: bool,
    /// Leave out segments that are in an archive, which are checked there otherwise.
    #[arg(long, conflicts_with = "deep")]
    skip_archived: bool,
}

/// What is wrong with a file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    /// `damage`, `unfinished`, `lost`, `index` or `payload`.
    #[serde(rename = "finding")]
    sort: &'static str,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_position: Option<u64>,
}

#[derive(Serialize)]
struct Summary<'a> {
    store: String,
    is_whole: bool,
    /// Otherwise than by what a repair gave up.
    is_damaged: bool,
    in_use: bool,
    segments: usize,
    #[serde(skip_serializing_if = "is_none")]
    segments_skipped: usize,
    bytes: u64,
    frames: u64,
    records: u64,
    index_files: usize,
    findings: &'a [Finding],
    #[serde(skip_serializing_if = "Option::is_none")]
    events_read: Option<u64>,
    milliseconds: u64,
}

pub(crate) fn run(args: &Verify, session: &mut Session) -> Result {
    session.store.check()?;
    let step = Step::begin("verifying", 1);
    let mut settings = VerifySettings::default();
    if args.skip_archived {
        settings = settings.archived(ArchivedSegments::Skip);
    }
    if args.deep {
        settings = settings.compressed(CompressedSegments::Decompress);
    }
    let builder = session.store.builder();
    let verified = builder.verify_with(settings, &mut on_progress(&step))?;
    let took = step.end();
    let mut findings = findings(&verified);
    let events_read = if args.deep {
        Some(read_all(session, &mut findings)?)
    } else {
        None
    };
    let summary = Summary {
        store: session.store.to_string(),
        is_whole: findings.iter().all(|finding| finding.sort == "unfinished"),
        is_damaged: !findings.iter().all(Finding::is_no_damage),
        in_use: verified.log.in_use,
        segments: verified.log.segments,
        segments_skipped: verified.log.segments_skipped,
        bytes: verified.log.bytes,
        frames: verified.log.frames,
        records: verified.log.records,
        index_files: verified.index_files,
        findings: &findings,
        events_read,
        milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    };
    tell(&summary, &mut session.out)?;
    if !summary.is_damaged {
        return Ok(());
    }
    Err(damage_failure(&findings))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// Moves the bar as a verification goes on.
pub(crate) fn on_progress(step: &Step) -> impl FnMut(Progress<'_>) {
    |progress| step.set(progress.segments_done as u64, progress.segments as u64)
}

/// What to say at the end where something is wrong.
fn damage_failure(findings: &[Finding]) -> Failure {
    let only = |name: &str| {
        findings
            .iter()
            .all(|it| it.sort == name || it.is_no_damage())
    };
    let (message, hint) = if only("index") {
        (
            "index files are damaged",
            "nothing is lost: open the store to write, which builds them again",
        )
    } else if only("payload") {
        (
            "payloads are not what their form says",
            "the store is whole; look at these events with `annals show`",
        )
    } else {
        (
            "the store is damaged",
            "restore a backup with `annals restore`; without one, `annals repair` tells what would be given up",
        )
    };
    Failure::new(Exit::Damage, message).hint(hint)
}

/// Everything that was found, the worst first.
pub(crate) fn findings(verified: &StoreVerification) -> Vec<Finding> {
    let damage = verified
        .log
        .damage
        .iter()
        .map(|damage| Finding::of_damage("damage", damage));
    let lost = verified.log.lost.iter().map(Finding::of_lost);
    let index = verified.index.iter().map(|index| Finding {
        sort: "index",
        file: index.file.display().to_string(),
        offset: None,
        what: index.what.clone(),
        first_position: None,
        last_position: None,
    });
    let unfinished = verified.log.unfinished.iter();
    let unfinished = unfinished.map(|damage| Finding::of_damage("unfinished", damage));
    damage.chain(lost).chain(index).chain(unfinished).collect()
}

impl Finding {
    /// Whether it is as a repair left it, or as a writer that was stopped did.
    fn is_no_damage(&self) -> bool {
        matches!(self.sort, "lost" | "unfinished")
    }

    fn of_damage(sort: &'static str, damage: &Damage) -> Self {
        let numbers = damage
            .numbers
            .as_ref()
            .filter(|numbers| !numbers.is_empty());
        Self {
            sort,
            file: damage.file.display().to_string(),
            offset: Some(damage.offset),
            what: damage.kind.to_string(),
            first_position: numbers.map(|numbers| numbers.start),
            last_position: numbers.map(|numbers| numbers.end - 1),
        }
    }

    fn of_lost(lost: &LostRange) -> Self {
        let numbers = Some(&lost.numbers).filter(|numbers| !numbers.is_empty());
        Self {
            sort: "lost",
            file: lost.file.display().to_string(),
            offset: Some(lost.offsets.start.into()),
            what: "given up by a repair".to_owned(),
            first_position: numbers.map(|numbers| numbers.start),
            last_position: numbers.map(|numbers| numbers.end - 1),
        }
    }
}

/// Reads every event and checks its payload; how many there are.
fn read_all(session: &Session, findings: &mut Vec<Finding>) -> Result<u64> {
    const FINDINGS_MAX: usize = 1000;
    let mut history = session.store.past_lost().history()?;
    let mut events = 0;
    let read = each_entry("reading events", &mut history, |entry| {
        let HistoryEntry::Event {
            event,
            is_reclaimed,
            ..
        } = entry
        else {
            return Ok(());
        };
        events += 1;
        if is_reclaimed {
            return Ok(());
        }
        let checked = Reading::of(event.content_type()).check(event.payload());
        if let Err(what) = checked
            && findings.len() < FINDINGS_MAX
        {
            findings.push(Finding {
                sort: "payload",
                file: event.stream().to_string(),
                offset: None,
                what,
                first_position: Some(event.position().value()),
                last_position: Some(event.position().value()),
            });
        }
        Ok(())
    });
    match read {
        // Told already, with its place.
        Err(failure)
            if failure.exit == Exit::Damage && findings.iter().any(|it| it.sort == "damage") =>
        {
            Ok(events)
        }
        Err(failure) => Err(failure),
        Ok(()) => Ok(events),
    }
}

/// The findings as a table.
pub(crate) fn table(findings: &[Finding], out: &mut Out) -> Result {
    const COLUMNS: &[(&str, Align)] = &[
        ("FINDING", Align::Left),
        ("WHERE", Align::Left),
        ("OFFSET", Align::Right),
        ("POSITIONS", Align::Left),
        ("WHAT", Align::Left),
    ];
    let mut table = Table::new(COLUMNS);
    for finding in findings {
        let style = if finding.is_no_damage() { WARN } else { BAD };
        let positions = match (finding.first_position, finding.last_position) {
            (Some(first), Some(last)) if first == last => first.to_string(),
            (Some(first), Some(last)) => format!("{first} to {last}"),
            _ => String::new(),
        };
        table.row(
            out,
            vec![
                Cell::styled(style, finding.sort),
                finding.file.as_str().into(),
                finding
                    .offset
                    .map(|offset| offset.to_string())
                    .unwrap_or_default()
                    .into(),
                positions.into(),
                finding.what.as_str().into(),
            ],
        )?;
    }
    table.flush(out)
}

fn tell(summary: &Summary<'_>, out: &mut Out) -> Result {
    if out.is_json() {
        return out.json(summary);
    }
    table(summary.findings, out)?;
    let verdict = match (summary.is_damaged, summary.is_whole) {
        (true, _) => out.paint(BAD, "damaged"),
        (false, true) => out.paint(GOOD, "whole"),
        (false, false) => out.paint(WARN, "whole but for what a repair gave up"),
    };
    let in_use = if summary.in_use {
        ", in use by a writer"
    } else {
        ""
    };
    out.line(&format!("{}: {verdict}{in_use}", summary.store))?;
    out.line(&format!(
        "  {} of log in {}, {}, {}, {}",
        text::bytes(summary.bytes),
        text::count(summary.segments as u64, "segment"),
        text::count(summary.frames, "frame"),
        text::count(summary.records, "record"),
        text::count(summary.index_files as u64, "index file"),
    ))?;
    match summary.events_read {
        Some(events) => out.line(&format!("  {} read", text::count(events, "event"))),
        None => Ok(()),
    }
}
