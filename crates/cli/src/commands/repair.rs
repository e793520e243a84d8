//! `annals repair`: gives up what is damaged, so that the rest is of use.

use annals_core::Position;
use annals_store_log::{LostRange, VerifySettings};
use clap::Args;
use serde::Serialize;

use super::verify::{Finding, findings, on_progress, table};
use crate::failure::{Exit, Failure, Result};
use crate::lost;
use crate::output::confirm::typed_name;
use crate::output::progress::Step;
use crate::output::{GOOD, Out};
use crate::session::Session;

const EXAMPLES: &str = "Examples:\n  annals repair\n  annals repair --quarantine --yes";

/// Give up what is damaged in a store, so that the rest can be read and written again.
///
/// Without --quarantine it only tells what is damaged. With it the damaged files are copied to `log/quarantine` as they are,
/// and the positions that can't be read are recorded as lost: reading one is an error from then on, never a gap.
/// Restore a backup instead where there is one. The application has to be stopped.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Repair {
    /// Do it; otherwise only tell what would be done.
    #[arg(long)]
    quarantine: bool,
    /// Don't ask.
    #[arg(short, long, requires = "quarantine")]
    yes: bool,
    /// Only tell what would be done, whatever else is said.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct RepairJson<'a> {
    store: String,
    repaired: bool,
    findings: &'a [Finding],
    quarantined: Vec<String>,
    lost: Vec<LostJson>,
}

#[derive(Serialize)]
struct LostJson {
    file: String,
    first_position: u64,
    last_position: u64,
}

impl LostJson {
    fn of(lost: &LostRange) -> Self {
        Self {
            file: lost.file.display().to_string(),
            first_position: lost.numbers.start,
            last_position: lost.numbers.end.saturating_sub(1),
        }
    }
}

pub(crate) fn run(args: &Repair, session: &mut Session) -> Result {
    session.store.check()?;
    let step = Step::begin("verifying", 1);
    let verified = session
        .store
        .builder()
        .verify_with(VerifySettings::THOROUGH, &mut on_progress(&step))?;
    step.end();
    let found = findings(&verified);
    if verified.log.damage.is_empty() {
        if args.quarantine && !args.dry_run && !verified.log.lost.is_empty() {
            // What an earlier repair did not come to, as the disk was full.
            session.store.builder().repair(&mut |_| {})?;
        }
        let json = report(session, &found, false);
        return session.out.item(&json, |out| {
            format!(
                "{}: no part of the log is damaged",
                out.paint(GOOD, "nothing to repair")
            )
        });
    }
    if args.dry_run || !args.quarantine {
        tell(&report(session, &found, false), &mut session.out)?;
        return Err(Failure::new(Exit::Damage, "the store is damaged; nothing was done")
            .hint("restore a backup; without one, `annals repair --quarantine` gives up what is damaged"));
    }
    if !session.out.is_json() {
        table(&found, &mut session.out)?;
        session.out.flush()?;
    }
    let what = format!("This gives up what is damaged in {}", session.store);
    typed_name(&what, &session.store.name(), args.yes)?;
    repair(&found, session)
}

fn report<'a>(session: &Session, findings: &'a [Finding], repaired: bool) -> RepairJson<'a> {
    RepairJson {
        store: session.store.to_string(),
        repaired,
        findings,
        quarantined: Vec::new(),
        lost: Vec::new(),
    }
}

fn repair(found: &[Finding], session: &mut Session) -> Result {
    let step = Step::begin("repairing", 1);
    let repair = session.store.builder().repair(&mut on_progress(&step))?;
    step.end();
    let after = session.store.builder().verify(&mut |_| {})?;
    let mut json = report(session, found, true);
    json.quarantined = repair
        .quarantined
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    json.lost = after
        .log
        .lost
        .iter()
        .filter(|lost| !lost.numbers.is_empty())
        .map(LostJson::of)
        .collect();
    if session.out.is_json() {
        return session.out.json(&json);
    }
    for file in &json.quarantined {
        session.out.line(&format!("kept as it was: {file}"))?;
    }
    for range in &json.lost {
        let positions = Position::new(range.first_position)..=Position::new(range.last_position);
        let positions = lost::named(&[positions]);
        session.out.line(&format!("lost: {positions}"))?;
    }
    let done = session.out.paint(GOOD, "repaired");
    session
        .out
        .line(&format!("{done}: everything else can be read and written"))
}

fn tell(json: &RepairJson<'_>, out: &mut Out) -> Result {
    if out.is_json() {
        return out.json(json);
    }
    table(json.findings, out)
}
