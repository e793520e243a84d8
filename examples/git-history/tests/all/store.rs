//! Histories that are kept: another process goes on where one ended, however it ended.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use annals::{EventStoreExt as _, LogStore, MemoryStore, ReadRequest};
use futures_executor::block_on;
use git_history::git::{Mode, Repository};
use git_history::history::History;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Fixture, TreeFile};

/// The program, about the store in this folder.
fn program(store: &Path, arguments: &[&OsStr]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_git-history"));
    command.args(arguments).arg("--store").arg(store);
    command
}

/// What the program prints when all is well.
fn printed(store: &Path, arguments: &[&OsStr]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = program(store, arguments).output().unwrap();
    let error = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{arguments:?}: {error}");
    String::from_utf8(stdout).unwrap()
}

/// A program that prints a line for each commit as it is recorded; killed in the end.
struct Tail {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Tail {
    fn begin(store: &Path, arguments: &[&str]) -> Self {
        let arguments: Vec<_> = ["tail", "--json", "-f"]
            .iter()
            .chain(arguments)
            .map(OsStr::new)
            .collect();
        let mut command = program(store, &arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn next(&mut self) -> Value {
        let line = self.lines.next().expect("a line").unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A history of this many commits over a few files, so that most build on appends that are in flight.
fn long_history(commits: usize) -> Fixture {
    let fixture = Fixture::bare();
    let contents: Vec<_> = (0..commits)
        .map(|number| [number, number / 3, number / 10].map(|content| content.to_string()))
        .collect();
    let names: Vec<_> = (0..commits)
        .map(|number| format!("new/{}", number / 50))
        .collect();
    let mut last = None;
    for ((contents, name), second) in contents.iter().zip(&names).zip(0..) {
        let [often, seldom, rarely] = contents;
        let files: [TreeFile<'_>; 4] = [
            (b"often", Mode::File, often),
            (b"seldom", Mode::File, seldom),
            (b"rarely", Mode::File, rarely),
            (name.as_bytes(), Mode::File, "1"),
        ];
        last = Some(fixture.commit(last.as_slice(), second, &files));
    }
    fixture
}

/// All that the events of a history say, in order.
fn history_of(store: &dyn annals::EventStore) -> Vec<String> {
    let events = block_on(store.collect(ReadRequest::all())).unwrap();
    let event = |event: annals::RecordedEvent| {
        format!(
            "{} {} {} {} {:?} {:?} {:?}",
            event.position(),
            event.stream(),
            event.version(),
            event.event_type(),
            event.tags(),
            event.metadata().header("summary"),
            event.payload()
        )
    };
    events.into_iter().map(event).collect()
}

/// The history as an import that nothing disturbs records it.
fn undisturbed(fixture: &Fixture) -> Vec<String> {
    let store = MemoryStore::new();
    let repository = Repository::open(fixture.git_dir()).unwrap();
    let mainline = repository.mainline().unwrap();
    History::new(&store)
        .import(&repository, &mainline, |_| ())
        .unwrap();
    history_of(&store)
}

#[test]
fn a_history_is_read_from_git_once() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("a/store");
    let fixture = Fixture::new();
    let file = |content| [(&b"f"[..], Mode::File, content)];
    let commits = fixture.chain(&[&file("1"), &file("2")]);
    let place = fixture.path().as_os_str();
    let import = || {
        let text = printed(&store, &["import".as_ref(), place, "--json".as_ref()]);
        let value: Value = serde_json::from_str(&text).unwrap();
        ["commits_known", "events_imported", "events"].map(|key| value[key].as_u64().unwrap())
    };
    assert_eq!(import(), [0, 2, 2]);
    assert_eq!(import(), [2, 0, 2]);
    let text = printed(&store, &[place]);
    assert!(
        text.contains("up to date with HEAD: nothing was imported"),
        "{text}"
    );

    // Its tree is not needed any more.
    let tree = fixture.tree(&file("1"));
    fixture.lose(tree);
    let log = printed(&store, &["log".as_ref(), place, "f".as_ref()]);
    assert_eq!(log.lines().count(), 4, "{log}");
    let at = printed(&store, &["at".as_ref(), place, "HEAD~1".as_ref()]);
    assert_eq!(at, format!("100644 blob {}\tf\n", fixture.blob("1")));

    fixture.commit(&commits[1..], 1_600_000_000, &file("3"));
    let log = printed(&store, &["log".as_ref(), place, "f".as_ref()]);
    assert_eq!(log.lines().count(), 6, "{log}");
    assert_eq!(import(), [3, 0, 3]);
}

#[test]
fn tail_prints_the_newest_commits() {
    let folder = TempDir::new().unwrap();
    let fixture = long_history(30);
    printed(folder.path(), &[fixture.git_dir().as_os_str()]);
    let lines = |arguments: &[&str]| {
        let arguments: Vec<_> = arguments.iter().map(OsStr::new).collect();
        let text = printed(folder.path(), &arguments);
        let summaries = text
            .lines()
            .map(|line| line.rsplit_once(": ").unwrap().1.to_owned());
        summaries.collect::<Vec<_>>()
    };
    let expected: Vec<_> = (0..30).map(|second| format!("at {second}")).collect();
    assert_eq!(lines(&["tail"]), expected[20..]);
    assert_eq!(lines(&["tail", "-n", "3"]), expected[27..]);
    assert_eq!(lines(&["tail", "--all"]), expected);
    let line = printed(
        folder.path(),
        &["tail", "-n", "1", "--json"].map(OsStr::new),
    );
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["changes"][0]["path"], "often");
    assert_eq!(value["changes"][0]["version"], 30);
}

/// The importer is killed, as by `kill -9`, when the process that follows it has seen a random number of
/// commits; then the next one goes on.
#[test]
fn a_killed_import_goes_on_and_ends_with_the_same_history() {
    const COMMITS: usize = 1500;
    const KILLS: u64 = 5;
    let seed = RandomState::new().hash_one(0);
    println!("seed {seed}");
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("store");
    let fixture = long_history(COMMITS);
    let import = ["import".as_ref(), fixture.git_dir().as_os_str()];
    LogStore::builder(&store).create().unwrap().close().unwrap();

    let mut follower = Tail::begin(&store, &["-n", "0"]);
    let mut tailed = Vec::new();
    let mut killed = 0;
    for kill in 1..=KILLS {
        let mut importer = program(&store, &import)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let more = (seed.rotate_left(8 * u32::try_from(kill).unwrap()) % 200) as usize;
        let until = COMMITS.min(tailed.len() + 1 + more);
        while tailed.len() < until {
            tailed.push(follower.next());
        }
        importer.kill().unwrap();
        killed += usize::from(!importer.wait().unwrap().success());
    }
    assert_ne!(killed, 0, "no import was killed before its end");
    let text = printed(&store, &import);
    assert!(
        text.contains("1,500 commits, of which 1,500 changed files"),
        "{text}"
    );

    // Who followed has seen every commit once, in order.
    while tailed.len() < COMMITS {
        tailed.push(follower.next());
    }
    let mut all = Tail::begin(&store, &["--all"]);
    for commit in tailed {
        assert_eq!(all.next(), commit);
    }
    let verify = ["verify".as_ref(), import[1], "--all".as_ref()];
    let text = printed(&store, &verify);
    assert!(
        text.contains("compared 1,500 of 1,500 commits (all)"),
        "{text}"
    );
    let kept = LogStore::builder(&store).open().unwrap();
    assert_eq!(history_of(&kept), undisturbed(&fixture));
}

/// Every form in one store, each a third of it, and the history is git's all the same.
#[test]
fn a_mixed_history_is_one_history() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("store");
    let fixture = long_history(120);
    let place = fixture.git_dir().as_os_str();
    let verify = |codec: &str| {
        let arguments = ["verify", "--all", "--json", "--codec", codec];
        let arguments = arguments.map(OsStr::new);
        let text = printed(&store, &[&arguments[..], &[place]].concat());
        let value: Value = serde_json::from_str(&text).unwrap();
        ["commits", "different"].map(|key| value[key].as_u64().unwrap())
    };
    assert_eq!(verify("mixed"), [120, 0]);

    // The same store, asked by a program that writes another form.
    assert_eq!(verify("json"), [120, 0]);
    let reader = LogStore::builder(&store).follow().unwrap();
    let events = block_on(reader.collect(ReadRequest::all())).unwrap();
    let mut counts = BTreeMap::<String, usize>::new();
    for event in &events {
        *counts.entry(event.content_type().to_string()).or_default() += 1;
    }
    let forms: Vec<_> = counts.keys().map(String::as_str).collect();
    let expected = [
        "application/json",
        "application/vnd.annals.bincode",
        "application/vnd.msgpack",
    ];
    assert_eq!(forms, expected);
    let (third, slack) = (events.len() / 3, events.len() / 10);
    let is_third = |count: &usize| count.abs_diff(third) <= slack;
    assert!(counts.values().all(is_third), "{counts:?}");
}
