//! The program: what its commands print, and how it ends.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Command;

use clap::Parser as _;
use git_history::cli::Cli;
use git_history::git::{Mode, ObjectId};
use git_history::{Outcome, run};
use serde_json::{Value, json};

use crate::support::{Fixture, TreeFile, error_of};

const ONE: &[TreeFile<'_>] = &[(b"a b", Mode::File, "1"), (b"x\n", Mode::Symlink, "2")];
const TWO: &[TreeFile<'_>] = &[(b"a b", Mode::Executable, "3"), (b"c", Mode::File, "3")];

fn fixture() -> (Fixture, Vec<ObjectId>) {
    let fixture = Fixture::new();
    let commits = fixture.chain(&[ONE, TWO]);
    (fixture, commits)
}

fn call(arguments: &[&OsStr]) -> anyhow::Result<(Outcome, String)> {
    let name = OsStr::new("git-history");
    let cli = Cli::try_parse_from([&[name], arguments].concat())?;
    let mut out = Vec::new();
    let outcome = run(&cli, &mut out)?;
    Ok((outcome, String::from_utf8(out)?))
}

/// What a command on a fixture prints when all is well.
fn printed(command: &str, fixture: &Fixture, rest: &[&str]) -> String {
    let mut arguments = vec![OsStr::new(command), fixture.path().as_os_str()];
    arguments.extend(rest.iter().map(OsStr::new));
    let (outcome, text) = call(&arguments).unwrap();
    assert_eq!(outcome, Outcome::Done, "{text}");
    text
}

fn printed_json(command: &str, fixture: &Fixture, rest: &[&str]) -> Value {
    serde_json::from_str(&printed(command, fixture, &[rest, &["--json"]].concat())).unwrap()
}

#[test]
fn import_prints_counts() {
    let (fixture, _) = fixture();
    let text = printed("import", &fixture, &[]);
    let place = fixture.path().canonicalize().unwrap();
    assert_eq!(text.lines().next(), place.to_str(), "{text}");
    for line in [
        "          2 commits, of which 2 changed files",
        "          5 events",
        "          3 streams, one for each path; 2 files are there now",
        "          2 a b",
        "          2 A U Thor <author@example.com>",
    ] {
        assert!(
            text.lines().any(|printed| printed == line),
            "{line:?} in\n{text}"
        );
    }
    let mut value = printed_json("import", &fixture, &[]);
    for measured in ["import_seconds", "fold_seconds", "repository"] {
        assert!(value.as_object_mut().unwrap().remove(measured).is_some());
    }
    let expected = json!({
        "store": null, "shallow_edge": null, "commits": 2, "commits_without_changes": 0,
        "commits_known": 0, "events_imported": 5, "events": 5, "streams": 3, "files_now": 2,
        "most_changed_files": [
            { "path": "a b", "count": 2 }, { "path": "x%0A", "count": 2 }, { "path": "c", "count": 1 },
        ],
        "busiest_authors": [{ "author": "A U Thor <author@example.com>", "count": 2 }],
    });
    assert_eq!(value, expected);
}

#[test]
fn a_shallow_clone_says_so() {
    let (fixture, commits) = fixture();
    std::fs::write(
        fixture.git_dir().join("shallow"),
        format!("{}\n", commits[1]),
    )
    .unwrap();
    let text = printed("import", &fixture, &[]);
    assert!(
        text.contains(&format!("what was before {} is not here", commits[1])),
        "{text}"
    );
    let edge = &printed_json("import", &fixture, &[])["shallow_edge"];
    assert_eq!(*edge, json!(commits[1].to_string()));
}

#[test]
fn at_prints_the_tree_as_of_then() {
    let (fixture, commits) = fixture();
    let [one, two, three] = ["1", "2", "3"].map(|content| fixture.blob(content));
    let first = format!("100644 blob {one}\ta b\n120000 blob {two}\tx%0A\n");
    let second = format!("100755 blob {three}\ta b\n100644 blob {three}\tc\n");
    for (when, tree) in [
        ("HEAD", &second),
        ("HEAD~1", &first),
        ("2020-01-01", &first),
    ] {
        assert_eq!(printed("at", &fixture, &[when]), *tree, "{when}");
    }
    let expected = json!({
        "commit": commits[0].to_string(),
        "time": "2020-01-01T00:00:00Z",
        "entries": [
            { "mode": "100644", "kind": "blob", "id": one.to_string(), "path": "a b" },
            { "mode": "120000", "kind": "blob", "id": two.to_string(), "path": "x%0A" },
        ],
    });
    assert_eq!(printed_json("at", &fixture, &["main~1"]), expected);
}

#[test]
fn log_prints_what_happened_to_a_path() {
    let (fixture, commits) = fixture();
    let expected = format!(
        "   1 2020-01-01T00:00:00Z {} added 120000 {}\n     A U Thor <author@example.com>: at 1577836800\n   \
         2 2020-01-02T00:00:00Z {} removed\n     A U Thor <author@example.com>: at 1577923200\n",
        &commits[0].to_string()[..12],
        &fixture.blob("2").to_string()[..12],
        &commits[1].to_string()[..12],
    );
    for path in ["x\n", "x%0A"] {
        assert_eq!(printed("log", &fixture, &[path]), expected);
    }
    let value = printed_json("log", &fixture, &["a b"]);
    let expected = json!({
        "version": 2, "commit": commits[1].to_string(), "time": "2020-01-02T00:00:00Z",
        "author": "A U Thor <author@example.com>", "summary": "at 1577923200",
        "action": "changed", "mode": "100755", "id": fixture.blob("3").to_string(),
    });
    assert_eq!(value[1], expected);
}

#[test]
fn log_takes_a_path_as_people_type_it() {
    let fixture = Fixture::new();
    let file = |path: &'static [u8]| (path, Mode::File, "1");
    fixture.chain(&[
        &[
            file(b"gone/a"),
            file(b"src/100%"),
            file(b"src/a"),
            file(b"x"),
        ],
        &[file(b"src/b"), file(b"x")],
    ]);
    assert_eq!(
        printed("log", &fixture, &["./x"]),
        printed("log", &fixture, &["x"])
    );
    let cases = [
        ("", "the path is empty; "),
        ("b%", "b% never was in the mainline of HEAD; "),
        ("./b", "./b never was in the mainline of HEAD; "),
        ("sr", "sr never was in the mainline of HEAD; "),
        (
            "src",
            "src is a folder; give the path of a file, such as src/b",
        ),
        (
            "./src/",
            "./src/ is a folder; give the path of a file, such as src/b",
        ),
        (
            "gone",
            "gone is a folder; give the path of a file, such as gone/a",
        ),
        (".", ". is a folder; give the path of a file, such as src/b"),
        (
            "./",
            "./ is a folder; give the path of a file, such as src/b",
        ),
    ];
    for (path, message) in cases {
        let refused = call(&["log".as_ref(), fixture.path().as_os_str(), path.as_ref()]);
        let error = error_of(refused);
        assert!(error.starts_with(message), "{path:?}: {error}");
    }
}

#[test]
fn verify_compares_all_or_some() {
    let (fixture, _) = fixture();
    let all = printed("verify", &fixture, &["--all", "--against", "walk"]);
    let expected =
        "compared 2 of 2 commits (all), 4 entries, with a walk over the tree objects in ";
    assert!(all.starts_with(expected), "{all}");
    let some = printed("verify", &fixture, &["--commits", "1", "--seed", "7"]);
    assert!(
        some.starts_with("compared 1 of 2 commits (seed 7), 2 entries, with "),
        "{some}"
    );
    let value = printed_json("verify", &fixture, &[]);
    assert_eq!(
        (&value["commits"], &value["differences"]),
        (&json!(2), &json!([]))
    );
    assert!(value["seed"].is_u64());
}

/// Runs the program itself.
fn program(
    folder: &Path,
    path_variable: &Path,
    arguments: &[&str],
) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_git-history"))
        .args(arguments)
        .current_dir(folder)
        .env("PATH", path_variable)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn the_program_imports_where_it_stands_and_is_silent_in_a_pipe() {
    let (fixture, _) = fixture();
    let nowhere = fixture.path().join("nowhere");
    let (code, out, error) = program(fixture.path(), &nowhere, &[]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(out.contains("5 events"), "{out}");
    // A repository that is named needs no command, unless it is named like one.
    let import = fixture.path().join("import");
    std::fs::create_dir(&import).unwrap();
    let cases: [&[&str]; 4] = [
        &[import.to_str().unwrap()],
        &["./import"],
        &["import", "import"],
        &["--json", "./import"],
    ];
    for arguments in cases {
        let (code, out, error) = program(fixture.path(), &nowhere, arguments);
        assert_eq!((code, error.as_str()), (Some(0), ""), "{arguments:?}");
        let place = fixture.path().canonicalize().unwrap();
        assert!(out.contains(place.to_str().unwrap()), "{out}");
    }
    // Without git on the PATH it walks, and says so.
    let (code, out, _) = program(fixture.path(), &nowhere, &["verify", "--all"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("with a walk over the tree objects"), "{out}");
}

#[test]
fn the_program_exits_with_2_on_errors() {
    let (fixture, _) = fixture();
    let nowhere = fixture.path().join("nowhere");
    let cases: &[(&[&str], &str)] = &[
        (&["import", "nowhere"], "error: no folder at nowhere; "),
        (
            &["at", ".", "no-such"],
            "error: no-such names no commit here; ",
        ),
        (
            &["verify", "--against", "git"],
            "error: there is no git on the PATH",
        ),
        (
            &["verify", "--all", "--seed", "1"],
            "error: the argument '--all' cannot be used with",
        ),
        (
            &["verify", "--commits", "0"],
            "error: invalid value '0' for '--commits <N>'",
        ),
        (
            &["tail"],
            "error: tail prints what is in a store; name it with --store STORE",
        ),
        (
            &["tail", "--store", "nowhere"],
            "error: the store in nowhere can't be read: ",
        ),
        (
            &["frobnicate"],
            "error: frobnicate is neither a command nor a folder; ",
        ),
        (
            &[".", "verify"],
            "error: . stands before the command; give the repository after it",
        ),
        (&[".", "HEAD"], "error: unexpected argument 'HEAD' found"),
    ];
    for (arguments, message) in cases {
        let (code, out, error) = program(fixture.path(), &nowhere, arguments);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(error.starts_with(message), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn the_program_exits_with_1_and_a_diff_where_git_says_otherwise() {
    let (fixture, commits) = fixture();
    let liar = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/liar");
    let (code, out, _) = program(fixture.path(), &liar, &["verify", "--all"]);
    assert_eq!(code, Some(1));
    let first = format!(
        "commit {one}\n+ 120000 blob {link}\tx%0A\ncommit {one}\n- 100644 blob {blob}\tz\ncommit {two}\n\
         - 100644 blob {blob}\ta b\n+ 100755 blob {three}\ta b\n",
        one = commits[0],
        two = commits[1],
        blob = fixture.blob("1"),
        link = fixture.blob("2"),
        three = fixture.blob("3"),
    );
    assert!(out.starts_with(&first), "{out}");
    assert!(
        out.ends_with("5 paths differ (- the commit's, + folded)\n"),
        "{out}"
    );
    let (code, out, _) = program(fixture.path(), &liar, &["verify", "--all", "--json"]);
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &value["different"]), (Some(1), &json!(5)));
}

/// A closed pipe ends the printing, not the comparison.
#[cfg(unix)]
#[test]
fn the_outcome_is_the_same_when_nobody_reads() {
    let (fixture, _) = fixture();
    let liar = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/liar");
    let cases: &[(&[&str], _)] = &[
        (&["verify", "--all"], 1),
        (&["verify", "--all", "--json"], 1),
        (&["verify", "--all", "--against", "walk"], 0),
        (&["import"], 0),
        (&["at", ".", "HEAD"], 0),
        (&["log", ".", "c"], 0),
        (&["log", ".", "d"], 2),
    ];
    for (arguments, code) in cases {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_git-history"))
            .args(*arguments)
            .current_dir(fixture.path())
            .env("PATH", &liar)
            .stdout(writer)
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {error}");
        assert_eq!(error.is_empty(), *code != 2, "{arguments:?}: {error}");
    }
}
