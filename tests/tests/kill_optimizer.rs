//! A process that appends, compresses, archives and reclaims, killed again and again (T16): nothing is lost, and every kill leaves a store that
//! verifies clean.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a panic is a failed test, and long runs show their counts"
)]

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use annals_core::{
    EventStoreExt, Optimizable, ReadRequest, RecordedEvent, SegmentState, SegmentSummary, StreamId,
};
use annals_store_log::{LogStore, VerifySettings};
use annals_tests::cold::Cold;
use futures_executor::block_on;
use proptest::prelude::RngExt;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// How many times the process is killed while it applies a plan, at the size of CI.
const KILLS: u64 = 200;

/// The kinds of steps that it is killed at.
const STEPS: [&str; 5] = ["compress", "decompress", "reclaim", "archive", "restore"];

/// A process that tells so many lines before it is where it is killed will not come there.
const LINES_MAX: u32 = 50_000;

/// What a killed process left, summed up over all kills.
#[derive(Debug, Default)]
struct Counts {
    acknowledged: u64,
    compressed: u64,
    undone: u64,
    archived: u64,
    reclaimed: u64,
    halted: u64,
    unfinished: usize,
    mixed: u64,
    /// How many were killed while they applied a plan, and at which kinds of steps.
    applying: u64,
    steps: BTreeMap<String, u64>,
    /// How many were found with some segments in the archive and some not.
    moving: u64,
}

/// When a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It told so many lines while it was at a step of this kind, of its appends too.
    AtStep(&'static str, u32),
    /// Some of its segments are in the archive, and some are not.
    BetweenMoves,
    /// It has done this.
    After(&'static str),
}

impl End {
    /// That of this run: what chance seldom hits has its turn now and then.
    fn of(run: u64, rng: &mut TestRng) -> Self {
        match run % 10 {
            2 => Self::After("undo"),
            4 => Self::BetweenMoves,
            7 => Self::After("archive"),
            9 => Self::After("reclaim"),
            of_ten => {
                // Each has its turn.
                let turn = usize::try_from(of_ten / 2).unwrap();
                let step = STEPS.get(turn).unwrap();
                Self::AtStep(step, rng.random_range(1..8))
            }
        }
    }

    /// What makes the process come there.
    fn argument(self) -> Option<&'static str> {
        match self {
            Self::AtStep("compress", _) => None,
            Self::AtStep("decompress", _) => Some("undo"),
            Self::AtStep("archive", _) => Some("move"),
            Self::AtStep(step, _) => Some(step),
            Self::BetweenMoves => Some("halt"),
            Self::After(what) => Some(what),
        }
    }

    /// Whether a process is there that has told of so many steps, with this line last.
    fn is_reached(self, steps: u32, line: &str) -> bool {
        match self {
            Self::AtStep(_, most) => steps >= most,
            Self::BetweenMoves => line.starts_with("halted"),
            Self::After(what) => line.starts_with(what),
        }
    }
}

impl Counts {
    /// The newest acknowledged number, if the line tells one.
    fn take_note(&mut self, line: &str) -> Option<u64> {
        let (what, count) = line.split_once(' ')?;
        let count_done = count.parse::<u64>().unwrap_or(0);
        match what {
            _ if count_done == 0 => {}
            "compressed" => self.compressed += 1,
            "undone" => self.undone += 1,
            "archived" => self.archived += 1,
            "reclaimed" => self.reclaimed += 1,
            "halted" => self.halted += 1,
            _ => {}
        }
        count.parse().ok().filter(|_| what == "recorded")
    }
}

struct Optimizing {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// The kind of the step of a plan that it was at when it last told.
    step: Option<String>,
}

impl Optimizing {
    fn start(directory: &Path, cold: Cold, end: End) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_optimize_until_killed"))
            .arg(directory)
            .arg(cold.name())
            .args(end.argument())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        let lines = BufReader::new(output).lines();
        Self {
            process,
            lines,
            step: None,
        }
    }

    /// Takes note of the lines up to its end; the newest acknowledged number.
    fn run_to(&mut self, end: End, counts: &mut Counts) -> u64 {
        let (mut newest, mut steps) = (0, 0);
        for told in 1.. {
            assert!(told < LINES_MAX, "{end:?} is not reached: {counts:?}");
            let line = self.lines.next().unwrap().unwrap();
            newest = newest.max(counts.take_note(&line).unwrap_or(0));
            self.note_place(&line);
            if let End::AtStep(step, _) = end {
                steps += u32::from(self.step.as_deref() == Some(step));
            }
            if end.is_reached(steps, &line) {
                break;
            }
        }
        newest
    }

    /// Takes note of the step that it is at.
    fn note_place(&mut self, line: &str) {
        if !line.starts_with("recorded ") {
            let step = line.strip_prefix("at ");
            self.step = step.map(str::to_owned).or_else(|| {
                let is_halted = line.starts_with("halted ");
                is_halted.then(|| "archive".to_owned())
            });
        }
    }

    /// Kills it with SIGKILL; the newest number that it had acknowledged by then, and the kind of the step that it was at.
    fn kill(mut self) -> (u64, Option<String>) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let mut newest = 0;
        // A number that the kill cut is a smaller one, which was acknowledged too.
        while let Some(Ok(line)) = self.lines.next() {
            self.note_place(&line);
            let number = line
                .strip_prefix("recorded ")
                .and_then(|it| it.parse().ok());
            newest = newest.max(number.unwrap_or(0));
        }
        (newest, self.step)
    }
}

fn random() -> (u64, TestRng) {
    let seed = env::var("ANNALS_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| std::process::id().into());
    let mut bytes = [0; 32];
    bytes
        .iter_mut()
        .zip(seed.to_le_bytes())
        .for_each(|(to, from)| *to = from);
    (seed, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// The store verifies clean, and holds every number up to the newest acknowledged one at least.
fn check(directory: &Path, cold: Cold, acknowledged: u64, counts: &mut Counts) {
    let (_, archives) = cold.place(directory).unwrap();
    let builder = LogStore::builder(directory).archives(archives);
    let verified = builder.verify_with(VerifySettings::THOROUGH, &mut |_| {});
    let verified = verified.unwrap();
    assert!(verified.is_whole(), "{verified:?}");
    counts.unfinished += verified.log.unfinished.len();
    let store = builder.open().unwrap();
    let states = store.segments().unwrap();
    let has = |state| states.iter().any(|it| it.state == state);
    counts.mixed += u64::from(has(SegmentState::Compressed) && has(SegmentState::Plain));
    let is_sealed = |it: &&SegmentSummary| it.state != SegmentState::Active;
    let is_archived = |it: &&SegmentSummary| it.archived_bytes.is_some();
    let sealed = states.iter().filter(is_sealed).count();
    let moved = states.iter().filter(is_archived).count();
    counts.moving += u64::from(moved > 0 && moved < sealed);
    let says = |event: &RecordedEvent, number: u64| {
        let payload = String::from_utf8(event.payload().to_vec()).unwrap();
        assert_eq!(payload.split(' ').next().unwrap(), number.to_string());
        assert_eq!(event.version().value(), number);
    };
    let all = ReadRequest::stream(StreamId::from_static("number-all"));
    let events = block_on(store.collect(all)).unwrap();
    for (event, number) in events.iter().zip(1_u64..) {
        says(event, number);
    }
    // Of what expires the newest is there, and what is left of the rest is not shown.
    let scrap = ReadRequest::stream(StreamId::from_static("scrap-all"));
    let scrap = block_on(store.collect(scrap.backward())).unwrap();
    for (event, number) in scrap.iter().zip((1..=events.len() as u64).rev()) {
        says(event, number);
    }
    assert!(scrap.len() >= events.len().min(20));
    assert!(
        events.len() as u64 >= acknowledged,
        "{} of {acknowledged}",
        events.len()
    );
}

#[test]
fn a_killed_optimizer_leaves_a_store_that_verifies_clean() {
    campaign(Cold::Directory, KILLS);
}

#[test]
fn a_killed_optimizer_with_an_object_store_leaves_a_store_that_verifies_clean() {
    campaign(Cold::Objects, KILLS / 4);
}

fn campaign(cold: Cold, kills: u64) {
    let (seed, mut rng) = random();
    println!("ANNALS_SEED={seed}");
    let scale = env::var("ANNALS_CAMPAIGN_SCALE")
        .ok()
        .and_then(|text| text.parse().ok());
    let kills = kills * scale.unwrap_or(1_u64);
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut store = directory.path().join("0");
    let (mut acknowledged, mut counts) = (0, Counts::default());
    let mut run = 0;
    while counts.applying < kills {
        assert!(run < 4 * kills, "it is seldom killed at a step: {counts:?}");
        // A fresh store now and then, so that reading all of it stays short.
        if run.is_multiple_of(20) {
            store = directory.path().join(run.to_string());
            acknowledged = 0;
        }
        let end = End::of(run, &mut rng);
        let mut process = Optimizing::start(&store, cold, end);
        acknowledged = acknowledged.max(process.run_to(end, &mut counts));
        let (newest, step) = process.kill();
        acknowledged = acknowledged.max(newest);
        if let Some(step) = step {
            counts.applying += 1;
            *counts.steps.entry(step).or_default() += 1;
        }
        counts.acknowledged = counts.acknowledged.max(acknowledged);
        check(&store, cold, acknowledged, &mut counts);
        run += 1;
    }
    println!("campaign T16 ({cold:?}): {{\"kills\": {run}, \"found\": \"{counts:?}\"}}");
    assert!(
        counts.compressed > 0 && counts.undone > 0 && counts.reclaimed > 0,
        "{counts:?}"
    );
    assert!(counts.acknowledged > 0, "{counts:?}");
    assert!(
        counts.archived > 0 && counts.halted > 0 && counts.moving >= counts.halted,
        "{counts:?}"
    );
    for step in STEPS {
        assert!(counts.steps.contains_key(step), "{step}: {counts:?}");
    }
    assert!(counts.mixed > 0 && counts.unfinished > 0, "{counts:?}");
}
