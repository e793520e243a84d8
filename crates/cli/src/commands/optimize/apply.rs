//! Doing what a plan says, and undoing what can be undone.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::Arc;

use annals_optimize::{Applied, ApplySettings, Control, Optimizer, Plan, Progress};
use clap::Args;
use serde::Serialize;

use super::policy::PolicyArgs;
use super::told;
use crate::failure::{Exit, Failure, Result};
use crate::interrupt;
use crate::lost::surveyed;
use crate::output::confirm::typed_name;
use crate::output::progress::Step;
use crate::output::{GOOD, Out, WARN, text};
use crate::session::Session;

const APPLY_EXAMPLES: &str = "Examples:\n  annals optimize apply --dry-run\n  annals optimize apply --compress-older-than 30d --rate 32MiB\n  \
    annals optimize apply --category session --max-age 90d --yes\n  annals optimize apply --reclaim --yes";

/// Do what `plan` tells, with the same options.
///
/// Steps are whole: a command that is interrupted or killed leaves each segment as it was before its step, or as it
/// is after it, and the same command goes on. Compression and archives can be undone. What is hidden stays hidden for good, and what is
/// reclaimed is gone, so that a plan that does either asks for the typed name, or takes --yes. Two events in the stream `$optimizer-journal` tell
/// of each run.
#[derive(Args, Clone, Debug)]
#[command(after_help = APPLY_EXAMPLES)]
pub(super) struct Apply {
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    how: How,
    /// Don't ask before events are hidden or reclaimed.
    #[arg(short, long)]
    yes: bool,
}

const UNDO_EXAMPLES: &str = "Examples:\n  annals optimize undo --dry-run\n  annals optimize undo";

/// Bring all archived segments back, and all compressed ones into plain form: the same bytes at the same offsets.
///
/// Afterwards the store can be opened by versions of annals from before there was compression. What is brought back is removed from its archive. It takes the room that was
/// saved. What is hidden stays hidden, and a segment that was repaired or reclaimed in part stays compressed, as the plan
/// tells.
#[derive(Args, Clone, Debug)]
#[command(after_help = UNDO_EXAMPLES)]
pub(super) struct Undo {
    #[command(flatten)]
    how: How,
}

/// How it is done.
#[derive(Args, Clone, Debug)]
struct How {
    /// Only tell what would be done.
    #[arg(long)]
    dry_run: bool,
    /// How many bytes are read and written in a second at most, as 64MiB; 0 for no limit.
    #[arg(long, value_name = "BYTES", value_parser = text::parse_bytes, default_value = "64MiB")]
    rate: u64,
}

#[derive(Serialize)]
struct AppliedJson {
    store: String,
    ended: &'static str,
    steps_done: usize,
    steps_passed_over: usize,
    bytes_before: u64,
    bytes_after: u64,
    /// By the rules that the plan sets.
    events_hidden: u64,
    events_reclaimed: u64,
}

pub(super) fn apply(args: &Apply, session: &mut Session) -> Result {
    let policy = args.policy.policy()?;
    if args.how.dry_run {
        return super::plan(&policy, session);
    }
    session.store = surveyed(&session.store)?;
    work(
        &args.how,
        told::NOTHING_SMALLER,
        session,
        |optimizer, session| {
            let plan = policy.plan(optimizer)?;
            ask(&plan, args.yes, session)?;
            Ok(plan)
        },
    )
}

pub(super) fn undo(args: &Undo, session: &mut Session) -> Result {
    if args.how.dry_run {
        let optimizer = Optimizer::of(Arc::new(session.store.follower()?));
        let mut plan = optimizer.plan_undo()?;
        plan.notes.extend(removed_by_undo(session)?);
        return told::plan(&plan, told::NOTHING_UNDONE, &mut session.out);
    }
    work(
        &args.how,
        told::NOTHING_UNDONE,
        session,
        |optimizer, session| {
            for note in removed_by_undo(session)? {
                // Where it can't be written, the work goes on.
                let _ = writeln!(io::stderr(), "note: {}", text::one_line(&note));
            }
            Ok(optimizer.plan_undo()?)
        },
    )
}

/// What an undo removes, and who loses it by that.
fn removed_by_undo(session: &Session) -> Result<Vec<String>> {
    let archives = session.store.builder().archives_in_use()?;
    let told = archives.iter().map(|it| {
        format!(
            "{} removed from {}: a copy of this store's directory that was made by hand would lose what is there",
            text::count(it.segments as u64, "segment"),
            it.location
        )
    });
    Ok(told.collect())
}

/// What to do where an application has the store.
const WHILE_WRITTEN: &str = "one process writes a store at a time: stop the application and run this again, or let it run \
    the optimizer itself (`annals::optimize::Optimizer::begin`); `annals optimize plan` and `status` work meanwhile";

/// Makes a plan of a store that is open to be written, and does it; tells `nothing` where it has no step.
fn work(
    how: &How,
    nothing: &str,
    session: &mut Session,
    plan: impl FnOnce(&Optimizer, &mut Session) -> Result<Plan>,
) -> Result {
    let store = Arc::new(session.store.to_write_or(WHILE_WRITTEN)?);
    let optimizer = Optimizer::of(Arc::clone(&store));
    let plan = plan(&optimizer, session)?;
    interrupt::check("nothing was done yet")?;
    let applied = run(&optimizer, &plan, how);
    drop(optimizer);
    let closed = store.close();
    tell(&plan, nothing, &applied?, session)?;
    Ok(closed?)
}

/// Asks before events are hidden or reclaimed.
fn ask(plan: &Plan, is_agreed: bool, session: &mut Session) -> Result {
    if !told::is_for_good(plan) || is_agreed {
        return Ok(());
    }
    if !session.out.is_json() {
        told::plan(plan, told::NOTHING_SMALLER, &mut session.out)?;
        session.out.flush()?;
    }
    let totals = plan.totals();
    let hidden = text::count(totals.events_hidden, "event");
    let reclaimed = match totals.events_reclaimed {
        0 => String::new(),
        events => format!(
            ", and takes {} from the disk, and what this hides in the same segments",
            text::count(events, "hidden event")
        ),
    };
    let what = format!(
        "This hides {hidden} of {} for good, and later what the rules are about then{reclaimed}",
        session.store
    );
    typed_name(&what, &session.store.name(), is_agreed)
}

/// Does what the plan says until it is done, or Ctrl-C ends it.
fn run(optimizer: &Optimizer, plan: &Plan, how: &How) -> Result<Applied> {
    let mut settings = ApplySettings::default();
    settings.bytes_per_second_max = Some(how.rate).filter(|rate| *rate > 0);
    let control = Control::new();
    let step = Step::begin_bytes("optimizing");
    let mut progress = |progress: Progress<'_>| {
        step.set(progress.bytes_moved, progress.bytes_total);
        if interrupt::is_wished() {
            control.cancel();
        }
    };
    let applied = optimizer.apply(plan, &settings, &control, &mut progress);
    step.end();
    applied.map_err(|error| {
        Failure::from(error)
            .or_hint(|| "steps before it stay done; the same command goes on".to_owned())
    })
}

fn tell(plan: &Plan, nothing: &str, applied: &Applied, session: &mut Session) -> Result {
    let json = AppliedJson {
        store: session.store.to_string(),
        ended: if applied.is_cancelled {
            "cancelled"
        } else {
            "finished"
        },
        steps_done: applied.steps_done,
        steps_passed_over: applied.steps_passed_over,
        bytes_before: applied.bytes_before,
        bytes_after: applied.bytes_after,
        events_hidden: plan.totals().events_hidden,
        events_reclaimed: applied.events_reclaimed,
    };
    session
        .out
        .item(&json, |out| sentence(plan, nothing, applied, out))?;
    for note in &plan.notes {
        session
            .out
            .say(&format!("note: {}", text::one_line(note)))?;
    }
    if applied.is_cancelled {
        return Err(Failure::new(Exit::Interrupted, "interrupted")
            .hint("what is done stays done; the same command goes on"));
    }
    Ok(())
}

fn sentence(plan: &Plan, nothing: &str, applied: &Applied, out: &Out) -> String {
    if plan.steps.is_empty() {
        return nothing.to_owned();
    }
    let verdict = if applied.is_cancelled {
        out.paint(WARN, "interrupted")
    } else {
        out.paint(GOOD, "done")
    };
    let steps = plan.steps.len();
    let mut told = format!(
        "{verdict}: {} of {}",
        applied.steps_done,
        text::count(steps as u64, "step")
    );
    if applied.steps_passed_over > 0 {
        let _ = write!(told, ", {} passed over", applied.steps_passed_over);
    }
    if applied.bytes_before > 0 {
        let (before, after) = (applied.bytes_before, applied.bytes_after);
        let (before, after) = (text::bytes(before), text::bytes(after));
        let _ = write!(told, ", {before} -> {after}");
    }
    if applied.events_reclaimed > 0 {
        let gone = text::count(applied.events_reclaimed, "event");
        let _ = write!(told, ", {gone} gone for good");
    }
    told
}
