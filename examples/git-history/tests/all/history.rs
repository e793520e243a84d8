//! A mainline in a store: recorded once, read back as it was.

use annals::{
    Append, AppendId, ContentType, Cursor, EventStore, EventStoreExt as _, EventType, Expected,
    MemoryStore, NewEvent, Position, ReadRequest, StreamId, Timestamp, Version,
};
use futures_executor::block_on;
use git_history::events::FileEvent;
use git_history::git::{Mode, Repository, TreeSource};
use git_history::history::{History, Imported, RecordedCommit};
use git_history::verify::verify;
use proptest::prelude::*;

use crate::mainline::{any_tree, files_of};
use crate::support::{Fixture, TreeFile, error_of, path};

/// Imports and gives what was imported, once every commit was compared with a walk.
pub(crate) fn import(store: &MemoryStore, fixture: &Fixture) -> Imported {
    let repository = Repository::open(fixture.git_dir()).unwrap();
    let mainline = repository.mainline().unwrap();
    let history = History::new(store);
    let imported = history.import(&repository, &mainline, |_| ()).unwrap();
    let all: Vec<_> = (0..mainline.len()).collect();
    let walk = TreeSource::walk(&repository);
    let verification = verify(&history, &mainline, &walk, &all, || ()).unwrap();
    assert_eq!(verification.differences, []);
    assert_eq!(verification.commits, mainline.len());
    imported
}

const ONE: &[TreeFile<'_>] = &[(b"a", Mode::File, "1"), (b"b-c", Mode::File, "1")];
const TWO: &[TreeFile<'_>] = &[(b"a", Mode::Executable, "1"), (b"b-c", Mode::Symlink, "2")];
const THREE: &[TreeFile<'_>] = &[(b"b-c", Mode::Symlink, "2")];

#[test]
fn importing_again_records_nothing_but_what_is_new() {
    let fixture = Fixture::new();
    let commits = fixture.chain(&[ONE, TWO, TWO, THREE]);
    let store = MemoryStore::new();
    let counts = || {
        let imported = import(&store, &fixture);
        [
            imported.known,
            imported.recorded,
            imported.without_changes,
            imported.events,
        ]
    };
    assert_eq!(counts(), [0, 3, 1, 5]);
    assert_eq!(counts(), [4, 0, 0, 0]);

    // What changes nothing leaves no trace in the store, so that it is read again at the end.
    let last = fixture.commit(&commits[3..], 1_600_000_000, THREE);
    assert_eq!(counts(), [4, 0, 1, 0]);
    fixture.commit(&[last], 1_600_000_001, ONE);
    assert_eq!(counts(), [4, 1, 1, 2]);
    assert_eq!(counts(), [6, 0, 0, 0]);
    assert_eq!(
        block_on(store.collect(ReadRequest::all())).unwrap().len(),
        7
    );
}

#[test]
fn an_event_says_which_commit_and_when() {
    let fixture = Fixture::new();
    let commits = fixture.chain(&[ONE]);
    let store = MemoryStore::new();
    import(&store, &fixture);
    let events = block_on(store.collect(ReadRequest::all())).unwrap();
    let [a, b] = &events[..] else {
        panic!("two events")
    };
    assert_eq!(
        (a.stream().as_str(), b.stream().as_str()),
        ("file-a", "file-b-c")
    );
    assert_eq!(a.event_type().as_str(), "added");
    let payload =
        r#"{"path":"a","mode":"100644","blob":"56a6051ca2b02b04ef92d5150c9ef600403cb1de"}"#;
    assert_eq!(a.payload(), payload.as_bytes());
    let tags: Vec<_> = b.tags().iter().map(|tag| tag.as_str().to_owned()).collect();
    let commit = format!("commit:{}", commits[0]);
    assert_eq!(tags, ["author:A U Thor <author@example.com>", &commit]);
    assert_eq!(
        b.recorded_at(),
        "2020-01-01T00:00:00Z".parse::<Timestamp>().unwrap()
    );
}

#[test]
fn the_log_of_a_path_is_its_stream() {
    let fixture = Fixture::new();
    let folders = b"long/".repeat(500);
    let name = [&folders[..], b"\xFF"].concat();
    let file = |mode, content| [(&name[..], mode, content)];
    let (one, two) = (file(Mode::File, "1"), file(Mode::Executable, "1"));
    let commits = fixture.chain(&[&one, &two, &[], &two]);
    let store = MemoryStore::new();
    import(&store, &fixture);
    let history = History::new(&store);
    let log = history.log(&path(&name)).unwrap();
    let (mode, blob, path_of) = (Mode::Executable, fixture.blob("1"), path(&name));
    let expected = [
        FileEvent::Added {
            path: path_of.clone(),
            mode: Mode::File,
            blob,
        },
        FileEvent::ModeChanged {
            path: path_of.clone(),
            mode,
        },
        FileEvent::Removed {
            path: path_of.clone(),
        },
        FileEvent::Added {
            path: path_of,
            mode,
            blob,
        },
    ];
    assert_eq!(
        log.iter()
            .map(|entry| entry.event.clone())
            .collect::<Vec<_>>(),
        expected
    );
    for ((entry, commit), version) in log.iter().zip(commits).zip(1_u64..) {
        assert_eq!(
            (&entry.commit, entry.version),
            (&commit.to_string(), Version::new(version))
        );
        assert_eq!(entry.author, "A U Thor <author@example.com>");
    }
    assert_eq!(log[1].summary, "at 1577923200");
    assert_eq!(history.log(&path(b"never")).unwrap(), []);
}

/// Imports a second time, and gives the error.
fn refused(store: &MemoryStore, fixture: &Fixture) -> String {
    let repository = Repository::open(fixture.path()).unwrap();
    let mainline = repository.mainline().unwrap();
    let history = History::new(store);
    error_of(history.import(&repository, &mainline, |_| ()))
}

#[test]
fn a_store_takes_one_history() {
    let store = MemoryStore::new();
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let commits = fixture.chain(&[ONE, TWO, THREE]);
    other.chain(&[TWO]);
    import(&store, &fixture);
    let newest = format!("commit {}, the newest in the store, is not on ", commits[2]);
    let error = refused(&store, &other);
    assert!(error.starts_with(&newest), "{error}");
    // The branch is set back, or written anew.
    fixture.reference("refs/heads/main", &commits[1].to_string());
    let error = refused(&store, &fixture);
    assert!(error.starts_with(&newest), "{error}");

    let stranger = MemoryStore::new();
    let event = NewEvent::new(EventType::from_static("e"), ContentType::JSON, "{}").unwrap();
    let append = Append::builder(AppendId::parse("a").unwrap())
        .write(StreamId::parse("a-1").unwrap(), Expected::Any, [event])
        .build();
    block_on(stranger.append(append.unwrap())).unwrap();
    let error = refused(&stranger, &fixture);
    assert!(
        error.starts_with("the store holds events of something else than a git history; "),
        "{error}"
    );
}

#[test]
fn a_store_of_a_shallow_clone_does_not_take_the_whole_history() {
    let store = MemoryStore::new();
    let fixture = Fixture::new();
    let commits = fixture.chain(&[ONE, TWO, THREE]);
    let shallow = fixture.git_dir().join("shallow");
    std::fs::write(&shallow, format!("{}\n", commits[1])).unwrap();
    import(&store, &fixture);
    std::fs::remove_file(shallow).unwrap();
    let error = refused(&store, &fixture);
    let expected = format!(
        "the history in the store begins with commit {}, ",
        commits[1]
    );
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn the_newest_commits_are_read_back() {
    let fixture = Fixture::new();
    let commits = fixture.chain(&[ONE, TWO, TWO, THREE]);
    let store = MemoryStore::new();
    let history = History::new(&store);
    assert_eq!(history.newest(3).unwrap(), (Vec::new(), Cursor::START));
    import(&store, &fixture);
    let expected = [
        (&commits[0], 1, 2),
        (&commits[1], 3, 2),
        (&commits[3], 5, 1),
    ]
    .map(|(commit, position, changes)| (commit.to_string(), position, changes));
    let brief = |commits: &[RecordedCommit]| -> Vec<_> {
        let brief = commits.iter().map(|commit| {
            let position = commit.position.value();
            (commit.commit.clone(), position, commit.changes.len())
        });
        brief.collect()
    };
    for count in 0..5 {
        let (newest, cursor) = history.newest(count).unwrap();
        assert_eq!(brief(&newest), expected[3_usize.saturating_sub(count)..]);
        assert_eq!(cursor, Position::new(5).into());
    }
    for (after, whole) in [(0, 0), (2, 1), (4, 2), (5, 3)] {
        let mut later = Vec::new();
        let reached = history.visit_after(Position::new(after).into(), |commit| {
            later.push(commit.clone());
            Ok(())
        });
        assert_eq!(brief(&later), expected[whole..]);
        assert_eq!(reached.unwrap(), Position::new(5).into());
    }
}

#[test]
fn a_commit_of_too_many_paths_is_refused_by_name() {
    let fixture = Fixture::new();
    let blob = fixture.blob("1");
    let names: Vec<_> = (0..=65_536).map(|number| format!("{number:05}")).collect();
    let entries = names
        .iter()
        .map(|name| (name.as_bytes(), "100644".to_owned(), blob));
    let tree = fixture.tree_of(entries.collect());
    let rest = b"author A <a@b> 1 +0000\ncommitter C <c@d> 1 +0000\n\nt\n";
    let commit = fixture.commit_of(tree, &[], rest);
    let repository = Repository::open(fixture.path()).unwrap();
    let mainline = repository.mainline().unwrap();
    let error = error_of(History::new(&MemoryStore::new()).import(&repository, &mainline, |_| ()));
    assert!(
        error.starts_with(&format!("commit {commit} can't be recorded: ")),
        "{error}"
    );
    assert!(error.contains("APPEND_EVENTS_MAX"), "{error}");
}

#[test]
fn the_summary_counts_commits_files_and_authors() {
    let fixture = Fixture::new();
    fixture.chain(&[ONE, TWO, TWO, THREE]);
    let store = MemoryStore::new();
    import(&store, &fixture);
    let summary = History::new(&store).summary(|| ()).unwrap();
    assert_eq!((summary.events, summary.commits), (5, 3));
    assert_eq!(summary.tree.len(), 1);
    assert_eq!(summary.changes, [(path(b"a"), 3), (path(b"b-c"), 2)].into());
    assert_eq!(
        summary.authors,
        [("A U Thor <author@example.com>".to_owned(), 3)].into()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_history_folds_to_its_trees(trees in prop::collection::vec(any_tree(), 1..6)) {
        let fixture = Fixture::bare();
        let files: Vec<_> = trees.iter().map(files_of).collect();
        fixture.chain(&files.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let imported = import(&MemoryStore::new(), &fixture);
        prop_assert_eq!(imported.recorded + imported.without_changes, trees.len());
    }
}
