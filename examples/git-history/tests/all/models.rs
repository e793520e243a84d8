//! The read models in SQLite: what they hold, and that they go on where they stand.

use std::ffi::OsStr;
use std::path::Path;

use annals::{ConsistencyLevel, EventStore as _, LogStore};
use clap::Parser as _;
use futures_executor::block_on;
use git_history::cli::Cli;
use git_history::git::Mode;
use git_history::read_model::ReadModels;
use git_history::{Outcome, run};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Fixture, TreeFile, error_of};

const ONE: &[TreeFile<'_>] = &[
    (b"a", Mode::File, "1"),
    (b"src/deep/b", Mode::File, "22"),
    (b"src/c", Mode::File, "333"),
];
const TWO: &[TreeFile<'_>] = &[
    (b"a", Mode::Executable, "1"),
    (b"src/deep/b", Mode::File, "4444"),
];
const THREE: &[TreeFile<'_>] = &[
    (b"a", Mode::Executable, "1"),
    (b"src/deep/b", Mode::File, "4444"),
    (b"src/c", Mode::File, "55555"),
];

/// A place for a store and its read models.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::with_prefix("git-history-").unwrap())
    }

    fn store(&self) -> std::path::PathBuf {
        self.0.path().join("store")
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.path().join("models.sqlite")
    }

    fn import(&self, fixture: &Fixture) {
        let (store, file) = (self.store(), self.file());
        call(&[
            "--store".as_ref(),
            store.as_os_str(),
            "--read-model".as_ref(),
            file.as_os_str(),
            "import".as_ref(),
            fixture.path().as_os_str(),
        ])
        .unwrap();
    }

    fn print(&self, command: &str, rest: &[&str]) -> String {
        let file = self.file();
        let mut arguments = vec![OsStr::new(command), file.as_os_str()];
        arguments.extend(rest.iter().map(OsStr::new));
        call(&arguments).unwrap()
    }

    fn json(&self, command: &str, rest: &[&str]) -> Value {
        serde_json::from_str(&self.print(command, &[rest, &["--json"]].concat())).unwrap()
    }
}

fn call(arguments: &[&OsStr]) -> anyhow::Result<String> {
    let name = OsStr::new("git-history");
    let cli = Cli::try_parse_from([&[name], arguments].concat())?;
    let mut out = Vec::new();
    assert_eq!(run(&cli, &mut out)?, Outcome::Done);
    Ok(String::from_utf8(out)?)
}

#[test]
fn read_models_go_on_with_the_history() {
    let (fixture, place) = (Fixture::new(), Place::new());
    let commits = fixture.chain(&[ONE, TWO]);
    place.import(&fixture);
    let churn = |added: [u64; 3], changed: [u64; 3], removed: [u64; 3]| {
        let folders = [".", "src", "src/deep"].into_iter().enumerate();
        let rows = folders.map(|(at, folder)| {
            json!({
                "folder": folder, "added": added[at], "changed": changed[at], "removed": removed[at],
            })
        });
        Value::from(rows.collect::<Vec<_>>())
    };
    assert_eq!(
        place.json("churn", &[]),
        churn([3, 2, 1], [2, 1, 1], [1, 1, 0])
    );
    let last = *commits.last().unwrap();
    let third = fixture.commit(&[last], 1_577_836_800 + 9 * 86_400, THREE);
    place.import(&fixture);
    assert_eq!(
        place.json("churn", &[]),
        churn([4, 3, 1], [2, 1, 1], [1, 1, 0])
    );
    let author = json!({
        "author": "A U Thor <author@example.com>", "commits": 3, "changes": 7,
        "first": "2020-01-01T00:00:00Z", "last": "2020-01-10T00:00:00Z",
    });
    assert_eq!(place.json("authors", &[]), json!([author]));
    let sizes = json!([
        { "time": "2020-01-01T00:00:00Z", "commit": commits[0].to_string(), "bytes": 3 },
        { "time": "2020-01-02T00:00:00Z", "commit": commits[1].to_string(), "bytes": null },
        { "time": "2020-01-10T00:00:00Z", "commit": third.to_string(), "bytes": 5 },
    ]);
    assert_eq!(place.json("sizes", &["src/c"]), sizes);
    // A change of the mode alone changes no size.
    assert_eq!(place.json("sizes", &["a"]).as_array().unwrap().len(), 1);

    let store = LogStore::builder(place.store()).follow().unwrap();
    let head = block_on(store.head(ConsistencyLevel::Strong)).unwrap();
    let cursors = ReadModels::open(&place.file()).unwrap().cursors().unwrap();
    assert_eq!(cursors, [head.clone(), head.clone(), head]);
}

#[test]
fn an_older_store_is_caught_up_with() {
    let (fixture, place) = (Fixture::new(), Place::new());
    fixture.chain(&[ONE, TWO, THREE]);
    let store = place.store();
    let import = [
        "--store".as_ref(),
        store.as_os_str(),
        fixture.path().as_os_str(),
    ];
    call(&import).unwrap();
    place.import(&fixture);
    assert_eq!(place.json("authors", &[])[0]["changes"], 7);
}

#[test]
fn people_read_tables() {
    let (fixture, place) = (Fixture::new(), Place::new());
    let commits = fixture.chain(&[ONE, TWO]);
    place.import(&fixture);
    let line = "        2 commits         6 changes  2020-01-01 to 2020-01-02  A U Thor <author@example.com>\n";
    assert_eq!(place.print("authors", &[]), line);
    let churn = place.print("churn", &[]);
    let first = "        3 added         2 changed         1 removed  .";
    assert_eq!(churn.lines().next(), Some(first), "{churn}");
    let brief = |commit: usize| commits[commit].to_string()[..12].to_owned();
    let sizes = format!(
        "2020-01-01T00:00:00Z {}             3 bytes\n2020-01-02T00:00:00Z {}       no file\n",
        brief(0),
        brief(1)
    );
    assert_eq!(place.print("sizes", &["src/c"]), sizes);
}

#[test]
fn what_can_not_be_answered_is_said() {
    let (fixture, place) = (Fixture::new(), Place::new());
    fixture.chain(&[ONE]);
    let file = place.file();
    let missing = error_of(call(&["churn".as_ref(), file.as_os_str()]));
    assert!(missing.contains("import --read-model"), "{missing}");
    let without_store = [
        "--read-model".as_ref(),
        file.as_os_str(),
        fixture.path().as_os_str(),
    ];
    let without_store = error_of(call(&without_store));
    assert!(without_store.contains("--store STORE"), "{without_store}");
    place.import(&fixture);
    for path in ["nowhere", "src"] {
        let unknown = error_of(call(&["sizes".as_ref(), file.as_os_str(), path.as_ref()]));
        assert!(unknown.contains("in no commit"), "{unknown}");
    }
    std::fs::write(Path::new(&file), "no database").unwrap();
    let foreign = error_of(call(&["authors".as_ref(), file.as_os_str()]));
    assert!(foreign.contains("no SQLite database"), "{foreign}");
}
