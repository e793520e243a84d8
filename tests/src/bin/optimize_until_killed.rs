//! Appends to the store in a directory and makes it smaller and larger all the while, until it is killed.
//!
//! `optimize_until_killed <directory> <kind of archive> [undo | archive | move | restore | halt | reclaim]`. A line is the number of the newest event that
//! is acknowledged, how far a plan is while it is applied, or what was done by it. With a last word it does that alone; `halt` moves segments to the archive, and
//! stops between two of them.

use std::env;
use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use annals_core::{
    Append, Category, ContentType, Error, EventStore, EventType, Expected, Ids, NewEvent, StreamId,
    UuidIds, Version,
};
use annals_optimize::{
    ApplySettings, ArchiveRule, Control, JournalMode, OptimizePolicy, Optimizer, Plan, ReclaimRule,
    RetentionRule, Step,
};
use annals_store_log::{LogStore, Settings};
use annals_tests::cold::Cold;
use futures_executor::block_on;

const STREAM: StreamId = StreamId::from_static("number-all");

/// What expires: its newest twenty events are shown.
const SCRAP: StreamId = StreamId::from_static("scrap-all");
const SCRAP_MAX: u64 = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = env::args().nth(1).ok_or("give a directory")?;
    let mut settings = Settings::default();
    settings.segment_bytes = 32 * 1024;
    settings.index_bytes_max = 16 * 1024;
    let cold = env::args().nth(2).and_then(|name| Cold::of_name(&name));
    let cold = cold.ok_or("give a kind of archive")?;
    let only = env::args().nth(3);
    let (to, archives) = cold.place(directory.as_ref())?;
    let store = LogStore::builder(directory)
        .settings(settings)
        .archives(archives)
        .open_or_create()?;
    let store = Arc::new(store);
    let writer = Arc::clone(&store);
    let writer = thread::spawn(move || append_for_ever(&*writer));
    optimize_for_ever(&store, &to, only.as_deref())?;
    writer.join().map_err(|_| "the writer panicked")??;
    Ok(())
}

/// Records the numbers from 1 on, some at a time, and as much scrap.
fn append_for_ever(store: &dyn EventStore) -> Result<(), Error> {
    let mut version = block_on(store.stream_head(&STREAM))?.version;
    loop {
        let first = version.value() + 1;
        let numbers = first..first + 1 + first % 17;
        let events = |what: &str| -> Result<Vec<NewEvent>, Error> {
            let events = numbers.clone().map(|number| {
                let payload = format!("{number} {}", what.repeat(4));
                let kind = EventType::from_static("counted");
                NewEvent::new(kind, ContentType::from_static("text/plain"), payload)
            });
            events.collect()
        };
        let append = Append::builder(UuidIds::default().append_id());
        let append = append.write(STREAM, at(version), events("a text that is like others ")?);
        let append = append.write(SCRAP, Expected::Any, events("what nobody wants to see ")?);
        let append = append.build()?;
        let receipt = block_on(store.append(append))?;
        version = receipt.version_of(&STREAM).unwrap_or(version);
        if !told(&format!("recorded {version}")) {
            return Ok(());
        }
    }
}

/// Compresses all segments that are sealed, undoes it, archives them, undoes it, reclaims the scrap of one, and begins
/// again; or does one of these alone.
fn optimize_for_ever(store: &Arc<LogStore>, to: &str, only: Option<&str>) -> Result<(), Error> {
    let optimizer = Optimizer::of(Arc::clone(store));
    let mut settings = ApplySettings::default();
    settings.bytes_per_second_max = None;
    settings.journal = JournalMode::Silent;
    let halts = only == Some("halt");
    let turns: &[&str] = match only {
        Some("undo") => &["compressed", "undone"],
        Some("archive" | "move" | "halt") => &["archived"],
        Some("restore") => &["archived", "undone"],
        Some("reclaim") => &["reclaimed"],
        _ => &["compressed", "undone", "archived", "undone", "reclaimed"],
    };
    for &what in turns.iter().cycle() {
        let mut plan = match what {
            "compressed" => optimizer.plan(&OptimizePolicy::default())?,
            "undone" => optimizer.plan_undo()?,
            "archived" => {
                let only_moves = matches!(only, Some("move" | "restore" | "halt"));
                optimizer.plan(&archiving(to, only_moves))?
            }
            _ => plan_reclaim(&optimizer)?,
        };
        // The writer goes on meanwhile, so that all takes longer from turn to turn.
        if only.is_some() {
            let back = if only == Some("restore") {
                "restore"
            } else {
                "decompress"
            };
            let is_of_it = |step: &Step| what != "undone" || kind(step) == back;
            plan.steps.retain(is_of_it);
            plan.steps.truncate(4);
        }
        if halts && plan.steps.len() < 2 {
            // Until the writer has sealed some more.
            thread::park_timeout(Duration::from_millis(5));
            continue;
        }
        let control = Control::new();
        let mut moved = None;
        let done = optimizer.apply(&plan, &settings, &control, &mut |at| {
            // Whoever reads may be gone.
            told(&format!("at {}", kind(at.step)));
            if !halts || !matches!(at.step, Step::Archive { .. }) {
                return;
            }
            if *moved.get_or_insert(at.step_index) < at.step_index && told("halted 1") {
                wait_for_the_kill();
            }
        })?;
        if !told(&format!("{what} {}", done.steps_done)) {
            break;
        }
    }
    Ok(())
}

/// What kind of step it is.
fn kind(step: &Step) -> &'static str {
    match step {
        Step::Compress { .. } => "compress",
        Step::Decompress { .. } => "decompress",
        Step::Reclaim { .. } => "reclaim",
        Step::Archive { .. } => "archive",
        Step::Restore { .. } => "restore",
        _ => "policy",
    }
}

/// The kill comes from outside, while the writer goes on.
fn wait_for_the_kill() -> ! {
    loop {
        thread::park();
    }
}

/// Moves all segments that are sealed to the archive, some of them compressed, or does nothing but move them.
fn archiving(to: &str, only_moves: bool) -> OptimizePolicy {
    let mut policy = OptimizePolicy::default();
    if let Some(rule) = &mut policy.compression {
        rule.newest_kept_plain = 2;
    }
    if only_moves {
        policy.compression = None;
    }
    policy.archive = Some(ArchiveRule::new(to));
    policy
}

/// Hides scrap, where that is not done yet, and reclaims that of one segment.
fn plan_reclaim(optimizer: &Optimizer) -> Result<Plan, Error> {
    let mut policy = OptimizePolicy::default();
    let rule = RetentionRule::new(Category::from_static("scrap"));
    policy.retention = vec![rule.max_count(SCRAP_MAX)];
    policy.compression = None;
    let mut rule = ReclaimRule::default();
    rule.share_min = 0.2;
    policy.reclaim = Some(rule);
    let mut plan = optimizer.plan(&policy)?;
    plan.steps.truncate(1);
    Ok(plan)
}

/// What a stream at this version is expected to be.
const fn at(version: Version) -> Expected {
    match version.value() {
        0 => Expected::NoStream,
        _ => Expected::Exactly(version),
    }
}

/// Prints a line; `false` when whoever reads is gone.
fn told(line: &str) -> bool {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")
        .and_then(|()| output.flush())
        .is_ok()
}
