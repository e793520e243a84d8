//! Appends to the store in a directory and makes it smaller and larger all the while, until it is killed.
//!
//! `optimize_until_killed <directory>`. A line is the number of the newest event that is acknowledged, or what was
//! done to a segment.

use std::env;
use std::io::Write;
use std::sync::Arc;
use std::thread;

use annals_core::{
    Append, ContentType, Error, EventStore, EventType, Expected, Ids, NewEvent, StreamId, UuidIds,
    Version,
};
use annals_optimize::{ApplySettings, Control, JournalMode, OptimizePolicy, Optimizer};
use annals_store_log::{LogStore, Settings};
use futures_executor::block_on;

const STREAM: StreamId = StreamId::from_static("number-all");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = env::args().nth(1).ok_or("give a directory")?;
    let mut settings = Settings::default();
    settings.segment_bytes = 32 * 1024;
    settings.index_bytes_max = 16 * 1024;
    let store = LogStore::builder(directory)
        .settings(settings)
        .open_or_create()?;
    let store = Arc::new(store);
    let writer = Arc::clone(&store);
    let writer = thread::spawn(move || append_for_ever(&*writer));
    optimize_for_ever(&store)?;
    writer.join().map_err(|_| "the writer panicked")??;
    Ok(())
}

/// Records the numbers from 1 on, some at a time.
fn append_for_ever(store: &dyn EventStore) -> Result<(), Error> {
    let mut version = block_on(store.stream_head(&STREAM))?.version;
    loop {
        let first = version.value() + 1;
        let numbers = first..first + 1 + first % 17;
        let events = numbers.map(|number| {
            let payload = format!("{number} {}", "a text that is like others ".repeat(4));
            let kind = EventType::from_static("counted");
            NewEvent::new(kind, ContentType::from_static("text/plain"), payload)
        });
        let events: Vec<NewEvent> = events.collect::<Result<_, _>>()?;
        let append = Append::builder(UuidIds::default().append_id());
        let append = append.write(STREAM, at(version), events).build()?;
        let receipt = block_on(store.append(append))?;
        version = receipt.version_of(&STREAM).unwrap_or(version);
        if !told(&format!("recorded {version}")) {
            return Ok(());
        }
    }
}

/// Compresses all segments that are sealed, undoes it, and begins again.
fn optimize_for_ever(store: &Arc<LogStore>) -> Result<(), Error> {
    let optimizer = Optimizer::of(Arc::clone(store));
    let mut settings = ApplySettings::default();
    settings.bytes_per_second_max = None;
    settings.journal = JournalMode::Silent;
    let mut is_undo = false;
    loop {
        let plan = if is_undo {
            optimizer.plan_undo()?
        } else {
            optimizer.plan(&OptimizePolicy::default())?
        };
        let control = Control::new();
        let done = optimizer.apply(&plan, &settings, &control, &mut |_| {})?;
        let what = if is_undo { "undone" } else { "compressed" };
        if done.steps_done > 0 && !told(&format!("{what} {}", done.steps_done)) {
            return Ok(());
        }
        is_undo = !is_undo;
    }
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
