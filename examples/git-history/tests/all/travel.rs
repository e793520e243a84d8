//! `bisect` and `what-if`: other moments, and other histories.

use std::ffi::OsStr;
use std::sync::Arc;

use annals::MemoryStore;
use annals::replay::ReplayProgress;
use clap::Parser as _;
use git_history::cli::Cli;
use git_history::git::{Commits, GitPath, Mode, ObjectId, Repository};
use git_history::history::{History, TimeTravel};
use git_history::run;
use serde_json::{Value, json};

use crate::support::{Fixture, TreeFile, error_of, path};

const ONE: &[TreeFile<'_>] = &[(b"a", Mode::File, "1"), (b"src/x", Mode::File, "1")];
const TWO: &[TreeFile<'_>] = &[(b"a", Mode::File, "2"), (b"b", Mode::File, "1")];
const THREE: &[TreeFile<'_>] = &[(b"a", Mode::File, "3"), (b"b", Mode::Executable, "2")];

fn printed(fixture: &Fixture, before: &[&str], after: &[&str]) -> anyhow::Result<String> {
    let mut arguments: Vec<&OsStr> = vec![OsStr::new("git-history")];
    arguments.extend(before.iter().map(OsStr::new));
    arguments.push(fixture.path().as_os_str());
    arguments.extend(after.iter().map(OsStr::new));
    let mut out = Vec::new();
    run(&Cli::try_parse_from(arguments)?, &mut out)?;
    Ok(String::from_utf8(out)?)
}

fn printed_json(fixture: &Fixture, before: &[&str], after: &[&str]) -> Value {
    let text = printed(fixture, before, &[after, &["--json"]].concat());
    serde_json::from_str(&text.unwrap()).unwrap()
}

#[test]
fn bisect_finds_the_commit_that_first_had_a_file() {
    let fixture = Fixture::new();
    let commits = fixture.chain(&[ONE, TWO, THREE]);
    let text = printed(&fixture, &["bisect"], &["b"]).unwrap();
    let begins = format!(
        "b came with commit {}\n     2020-01-02T00:00:00Z A U Thor <author@example.com>: at 1577923200\n\
         found by a look at ",
        commits[1]
    );
    assert!(text.starts_with(&begins), "{text}");
    // A file that is gone was there once, and a folder comes with the first file in it.
    for typed in ["src/x", "src", "src/", "./src"] {
        let found = printed_json(&fixture, &["bisect"], &[typed]);
        assert_eq!(found["commit"], json!(commits[0].to_string()), "{typed}");
        assert_eq!(found["file"], json!("src/x"), "{typed}");
    }
    let text = printed(&fixture, &["bisect"], &["src"]).unwrap();
    assert!(text.contains("\n     as src/x\n"), "{text}");
    for never in ["c", "sr", "a/b"] {
        let error = error_of(printed(&fixture, &["bisect"], &[never]));
        let expected = format!("{never} never was in the mainline of HEAD; ");
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[test]
fn what_if_shows_the_tree_without_a_commit() {
    let fixture = Fixture::new();
    let commits = fixture.chain(&[ONE, TWO, THREE]);
    let [one, two, three] = ["1", "2", "3"].map(|content| fixture.blob(content));
    let text = printed(&fixture, &["what-if"], &["--without", "HEAD"]).unwrap();
    assert_eq!(
        text,
        format!(
            "- 100644 blob {three}\ta\n+ 100644 blob {two}\ta\n- 100755 blob {two}\tb\n\
             + 100644 blob {one}\tb\nwithout commit {}, which has 2 of 7 events, 2 paths would be different \
             (- as it is, + without)\n",
            commits[2]
        )
    );
    // Without the commit that brought it, nothing can happen to the file.
    let text = printed(&fixture, &["what-if"], &["--without", "main~1"]).unwrap();
    assert_eq!(
        text,
        format!(
            "- 100755 blob {two}\tb\n+ 100644 blob {one}\tsrc/x\n! {} b: a file that is not there is changed or \
             removed\nwithout commit {}, which has 3 of 7 events, 2 paths would be different (- as it is, + \
             without)\n1 later events do not fit then, and are left out (!)\n",
            &commits[2].to_string()[..12],
            commits[1]
        )
    );
    let value = printed_json(&fixture, &["what-if"], &["--without", "main~1"]);
    assert_eq!(value["without"], json!(commits[1].to_string()));
    assert_eq!(value["different"][1]["path"], json!("src/x"));
    assert_eq!(value["different"][1]["real"], Value::Null);
    assert_eq!(value["first_that_do_not_fit"][0]["path"], json!("b"));
    // Nothing was recorded of it.
    assert_eq!(
        printed(&fixture, &["at"], &["HEAD"]).unwrap(),
        format!("100644 blob {three}\ta\n100755 blob {two}\tb\n")
    );
}

/// What a search finds in a longer history is what a walk over its commits finds.
#[test]
fn a_search_finds_what_a_walk_finds() {
    let fixture = Fixture::new();
    let names: Vec<String> = (0..40).map(|n| format!("f{}", n / 2)).collect();
    let trees: Vec<Vec<TreeFile<'_>>> = (0..40)
        .map(|n| vec![(names[n].as_bytes(), Mode::File, "1")])
        .collect();
    let trees: Vec<&[TreeFile<'_>]> = trees.iter().map(Vec::as_slice).collect();
    fixture.chain(&trees);
    let repository = Repository::open(fixture.path()).unwrap();
    let mainline = repository.mainline().unwrap();
    let store = Arc::new(MemoryStore::new());
    History::new(&*store)
        .import(&repository, &mainline, |_| ())
        .unwrap();
    let first_with = |path: &GitPath| -> ObjectId {
        let commits = Commits::new(&repository, &mainline).map(Result::unwrap);
        let mut with = commits.filter(|it| it.changes.iter().any(|change| change.path == *path));
        with.next().unwrap().id
    };
    let travel = TimeTravel::new(store);
    for name in &names {
        let path = path(name.as_bytes());
        let found = travel
            .first_with(&path, |_: &ReplayProgress| ())
            .unwrap()
            .unwrap();
        assert_eq!(found.entry.commit, first_with(&path).to_string(), "{name}");
        assert!(found.asked < 20, "{name}: {}", found.asked);
    }
    let without = travel
        .without(mainline.links()[0].id, |_: &ReplayProgress| ())
        .unwrap();
    assert_eq!(without.comparison.left_out, 1);
    // The first file was replaced by the third commit, which has nothing to remove then.
    assert_eq!(without.misfits.len(), 1);
    assert!(without.comparison.is_same());
}
