//! The same answers whatever the store is.

use std::ffi::OsStr;

use annals_services::{NatsServer, PostgresServer};
use clap::Parser as _;
use git_history::cli::Cli;
use git_history::git::Mode;
use git_history::{Outcome, run};

use crate::support::{Fixture, TreeFile};

const ONE: &[TreeFile<'_>] = &[(b"a b", Mode::File, "1"), (b"d/x\n", Mode::Symlink, "2")];
const TWO: &[TreeFile<'_>] = &[(b"a b", Mode::Executable, "3"), (b"c", Mode::File, "3")];

/// What the program answers to some questions about a repository whose history is in this store.
fn answers(store: &str, fixture: &Fixture) -> Vec<String> {
    let path = fixture.path().as_os_str();
    let ask = |command: &str, rest: &[&str]| {
        let mut arguments = ["git-history", "--store", store, command]
            .map(OsStr::new)
            .to_vec();
        arguments.push(path);
        arguments.extend(rest.iter().map(OsStr::new));
        let mut out = Vec::new();
        let outcome = run(&Cli::try_parse_from(arguments).unwrap(), &mut out).unwrap();
        assert_eq!(outcome, Outcome::Done, "{command} in {store}");
        String::from_utf8(out).unwrap()
    };
    vec![
        ask("at", &["HEAD~1"]),
        ask("log", &["a b"]),
        ask("bisect", &["c"]),
        ask("what-if", &["--without", "HEAD"]),
        ask("verify", &["--all", "--against", "walk"])
            .lines()
            .filter(|line| !line.contains(" in "))
            .collect(),
    ]
}

/// The newest commits, without the repository.
fn tail(store: &str) -> String {
    let cli = Cli::try_parse_from(["git-history", "--store", store, "tail", "--all"]).unwrap();
    let mut out = Vec::new();
    run(&cli, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_answers_are_the_same_in_every_store() {
    let fixture = Fixture::new();
    fixture.chain(&[ONE, TWO]);
    let expected = answers("memory:", &fixture);
    assert!(
        expected.iter().all(|answer| !answer.is_empty()),
        "{expected:?}"
    );
    let folder = tempfile::tempdir().unwrap();
    // A directory alone is the embedded store too.
    let bare = folder.path().join("bare").display().to_string();
    assert_eq!(answers(&bare, &fixture), expected);
    let commits = tail(&bare);
    assert_eq!(
        commits
            .lines()
            .filter(|line| line.contains("at 15"))
            .count(),
        2,
        "{commits}"
    );
    let mut stores = vec![format!("log:{}", folder.path().join("other").display())];
    let name = folder.path().file_name().unwrap().to_string_lossy();
    let name = name.trim_start_matches('.');
    match (
        PostgresServer::shared().unwrap(),
        NatsServer::shared().unwrap(),
    ) {
        (Some(postgres), Some(nats)) => stores.extend([
            format!("{postgres}?schema=git{name}"),
            format!("{nats}/git{name}?sync=lazy"),
        ]),
        _ => eprintln!(
            "SKIPPED a part of the_answers_are_the_same_in_every_store: told to do without services"
        ),
    }
    for store in stores {
        assert_eq!(answers(&store, &fixture), expected, "{store}");
        assert_eq!(tail(&store), commits, "{store}");
    }
}
