//! A real writer, killed again and again, while a second process holds it to its acknowledgements (T5).

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test, and long runs show their counts"
)]

use std::collections::HashMap;
use std::env;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use annals_core::{
    AppendId, ConsistencyLevel, Cursor, ErrorKind, EventStore, EventStoreExt, Position,
    ReadRequest, RecordedEvent, Version,
};
use annals_store_log::LogStore;
use futures_executor::block_on;
use proptest::prelude::RngExt;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// How many times the writer is killed, at the size of CI.
const KILLS: u64 = 200;

/// A writer in a process of its own, and what it prints.
struct Writer {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Writer {
    fn start(directory: &Path, run: u64) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_append_until_killed"))
            .arg(directory)
            .arg(run.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        let mut lines = BufReader::new(output).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "open");
        Self { process, lines }
    }

    /// The next acknowledgement: an append and where it begins.
    fn acknowledgement(&mut self) -> Option<(AppendId, Position)> {
        let line = self.lines.next()?.unwrap();
        // The kill may cut the last line.
        let (id, position) = line.split_once(' ')?;
        Some((
            AppendId::parse(id).unwrap(),
            Position::new(position.parse().ok()?),
        ))
    }

    /// Kills it with SIGKILL, and gives what it had acknowledged by then.
    fn kill(mut self) -> Vec<(AppendId, Position)> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::iter::from_fn(|| self.acknowledgement()).collect()
    }
}

fn open(directory: &Path) -> LogStore {
    LogStore::builder(directory).open().unwrap()
}

fn random() -> (u64, TestRng) {
    let seed = env::var("ANNALS_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| std::process::id().into());
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    (seed, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// Everything that was acknowledged is there, at its position; positions and versions have no gap; appends are
/// whole.
fn check(log: &[RecordedEvent], acknowledged: &HashMap<AppendId, Position>) {
    let mut versions: HashMap<String, Version> = HashMap::new();
    let mut begins: HashMap<String, (Position, usize)> = HashMap::new();
    for (event, position) in log.iter().zip(1..) {
        assert_eq!(event.position(), Position::new(position));
        let version = versions.entry(event.stream().to_string()).or_default();
        *version = version.next();
        assert_eq!(event.version(), *version);
        let text = String::from_utf8(event.payload().to_vec()).unwrap();
        let parts: Vec<&str> = text.split('-').collect();
        let begin = begins
            .entry(parts[..3].join("-"))
            .or_insert((event.position(), 0));
        assert_eq!(
            parts[3],
            begin.1.to_string(),
            "events of an append stand in order"
        );
        begin.1 += 1;
    }
    for (id, (_, events)) in &begins {
        let number: usize = id.rsplit('-').next().unwrap().parse().unwrap();
        assert_eq!(*events, number % 3 + 1, "append {id} is whole");
    }
    for (id, position) in acknowledged {
        let begin = begins.get(id.as_str()).map(|begin| begin.0);
        assert_eq!(
            begin,
            Some(*position),
            "append {id} was acknowledged at {position}"
        );
    }
}

/// What was acknowledged is seen at once by whoever follows.
fn follow(directory: &Path, id: &AppendId, position: Position) {
    let follower = LogStore::builder(directory).follow().unwrap();
    let receipt = block_on(follower.receipt(id)).unwrap().unwrap();
    assert_eq!(receipt.first_position, position);
    let head = block_on(follower.head(ConsistencyLevel::Strong)).unwrap();
    assert!(head.covers(&Cursor::at(receipt.last_position)));
}

/// While a process writes, another is told so, and which it is.
fn is_refused(directory: &Path, writer: &Writer) {
    let error = LogStore::builder(directory).open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let holder = format!("process {}", writer.process.id());
    assert!(
        format!("{error:?}").contains(&holder),
        "{error:?} names {holder}"
    );
}

#[test]
fn a_killed_writer_keeps_every_acknowledgement() {
    let (seed, mut rng) = random();
    println!("ANNALS_SEED={seed}");
    let scale = env::var("ANNALS_CAMPAIGN_SCALE")
        .ok()
        .and_then(|text| text.parse().ok());
    let kills = KILLS * scale.unwrap_or(1_u64);
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut store = directory.path().join("0");
    let (mut acknowledged, mut total) = (HashMap::new(), 0);
    for run in 0..kills {
        // A fresh store now and then, so that every size is met and reading all of it stays short.
        if run.is_multiple_of(25) {
            store = directory.path().join(run.to_string());
            acknowledged.clear();
        }
        let mut writer = Writer::start(&store, run);
        for number in 0..rng.random_range(1..60) {
            let (id, position) = writer.acknowledgement().unwrap();
            if number == 7 && run.is_multiple_of(4) {
                follow(&store, &id, position);
                is_refused(&store, &writer);
            }
            acknowledged.insert(id, position);
        }
        acknowledged.extend(writer.kill());
        // Otherwise the next writer recovers what this one left.
        if run % 3 != 1 || run + 1 == kills {
            let log = block_on(open(&store).collect(ReadRequest::all())).unwrap();
            check(&log, &acknowledged);
        }
        total += acknowledged.len();
    }
    println!("campaign T5: {{\"kills\": {kills}, \"acknowledgements checked\": {total}}}");
}
