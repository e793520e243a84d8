//! A process that projects into SQLite, killed again and again while another one appends: the rows are the fold of the
//! log, up to just where the progress says (T15).

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a panic is a failed test, and long runs show their counts"
)]

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use annals_codec::{EventCodecExt, JsonCodec};
use annals_core::{ConsistencyLevel, Cursor, EventStore, EventStoreExt, ReadRequest};
use annals_read_sqlite::SqliteView;
use annals_store_log::{LogFollower, LogStore};
use annals_tests::counted::{self, Counted};
use futures_executor::block_on;
use proptest::prelude::RngExt;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// How many times a projection is killed, at the size of CI.
const KILLS: u64 = 200;

/// A process, killed at the latest when the test ends.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let mut process = Self {
            child,
            lines: BufReader::new(output).lines(),
        };
        assert_eq!(process.line().as_deref(), Some("open"));
        process
    }

    fn line(&mut self) -> Option<String> {
        self.lines.next().map(Result::unwrap)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A store that a process writes, and the file of those that project it.
struct Bench {
    directory: tempfile::TempDir,
    writer: Option<Process>,
    log: Fold,
    /// Whether the bug is planted that keeps the progress apart from the rows.
    is_apart: bool,
}

/// The log as it should be in the rows, up to a place.
struct Fold {
    store: LogFollower,
    cursor: Cursor,
    sums: Sums,
    events: u64,
}

/// How many events a key has, and their sum.
type Sums = BTreeMap<u32, (i64, i64)>;

impl Fold {
    /// Goes on to a place.
    fn advance(&mut self, to: &Cursor) {
        // Asked for what is newest, a follower sees what the other process sees.
        block_on(self.store.head(ConsistencyLevel::Strong)).unwrap();
        let request = ReadRequest::all()
            .after(self.cursor.clone())
            .until(to.clone());
        for recorded in block_on(self.store.collect(request)).unwrap() {
            let event: Counted = JsonCodec.decode(&recorded).unwrap().one().unwrap();
            let sum = self.sums.entry(event.key).or_default();
            *sum = (sum.0 + 1, sum.1 + event.amount);
            self.events += 1;
        }
        self.cursor = to.clone();
    }
}

impl Bench {
    fn new(is_apart: bool) -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let store = directory.path().join("store");
        let writer = Process::start(
            env!("CARGO_BIN_EXE_count_until_killed"),
            &[store.to_str().unwrap()],
        );
        let store = LogStore::builder(store).follow().unwrap();
        Self {
            directory,
            writer: Some(writer),
            log: Fold {
                store,
                cursor: Cursor::START,
                sums: Sums::new(),
                events: 0,
            },
            is_apart,
        }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("models.sqlite")
    }

    /// Starts a process that projects in batches of so many events.
    fn project(&self, batch: u64) -> Process {
        let (store, file) = (self.directory.path().join("store"), self.file());
        let batch = batch.to_string();
        let mut arguments = vec![store.to_str().unwrap(), file.to_str().unwrap(), &batch];
        if self.is_apart {
            arguments.push("apart");
        }
        Process::start(env!("CARGO_BIN_EXE_project_until_killed"), &arguments)
    }

    /// Holds the rows against the log, up to where they say that they are. Gives the place.
    fn check(&mut self) -> Result<Cursor, String> {
        let (cursor, rows) = read(&self.file());
        self.log.advance(&cursor);
        if rows == self.log.sums {
            return Ok(cursor);
        }
        let differ = rows
            .iter()
            .filter(|(key, sum)| self.log.sums.get(key) != Some(sum));
        Err(format!(
            "{} sums at {cursor} are not the log's",
            differ.count()
        ))
    }
}

/// The progress and the rows of one moment.
fn read(file: &Path) -> (Cursor, Sums) {
    let view = SqliteView::open(file, &counted::projection().unwrap().model_id()).unwrap();
    let read = view.at_once(|view| {
        let rows = view.query("SELECT key, events, amount FROM {sums}", (), |row| {
            Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))
        })?;
        Ok((view.progress()?.cursor, rows.into_iter().collect()))
    });
    read.unwrap()
}

fn random() -> TestRng {
    let seed = env::var("ANNALS_SEED").ok();
    let seed = seed.and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| std::process::id().into());
    println!("ANNALS_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// Kills a projection at a random line of its own, and so at any instruction.
fn kill_one(bench: &Bench, rng: &mut TestRng) {
    let mut projection = bench.project(rng.random_range(1..60));
    for _ in 0..rng.random_range(0..40) {
        projection.line().unwrap();
    }
}

#[test]
fn a_killed_projection_has_each_event_once() {
    let mut rng = random();
    let scale = env::var("ANNALS_CAMPAIGN_SCALE").ok();
    let scale = scale.and_then(|text| text.parse().ok());
    let kills = KILLS * scale.unwrap_or(1_u64);
    let mut bench = Bench::new(false);
    let (mut moved, mut before) = (0, Cursor::START);
    for run in 0..kills {
        kill_one(&bench, &mut rng);
        let at = bench
            .check()
            .unwrap_or_else(|found| panic!("after kill {run}: {found}"));
        assert!(at.covers(&before), "the progress went back");
        moved += u64::from(at != before);
        before = at;
    }
    assert!(
        moved > kills / 2,
        "the projection got on in {moved} of {kills} runs"
    );

    bench.writer = None;
    let head = block_on(bench.log.store.head(ConsistencyLevel::Strong)).unwrap();
    let mut last = bench.project(1000);
    let end = format!("committed {head}");
    while read(&bench.file()).0 != head && last.line().unwrap() != end {}
    assert_eq!(bench.check().unwrap(), head);
    let events = bench.log.events;
    println!("campaign T15: {{\"kills\": {kills}, \"events checked\": {events}}}");
}

#[test]
fn progress_that_is_kept_apart_is_caught() {
    let mut rng = random();
    let mut bench = Bench::new(true);
    for _ in 0..KILLS {
        kill_one(&bench, &mut rng);
        if bench.check().is_err() {
            return;
        }
    }
    panic!("{KILLS} kills did not show the planted bug");
}
