//! Repositories of every kind, what is said of those that can't be read, and finding a commit in one.

use git_history::git::{Commits, Mode, Repository, Root, TreeSource};

use crate::support::{Fixture, TreeFile, check, error_of, git, path, single};

#[test]
fn reads_sha256_repositories() {
    let fixture = Fixture::sha256();
    let commits = fixture.chain(&[&[(b"a/b", Mode::File, "1")], &[(b"a", Mode::Symlink, "1")]]);
    assert_eq!(commits[0].to_string().len(), 64);
    assert_eq!(check(fixture.path()).len(), 2);
}

#[test]
fn a_repository_is_found_from_a_folder_below() {
    let fixture = Fixture::new();
    fixture.chain(&[&[(b"f", Mode::File, "1")]]);
    let below = fixture.path().join("deep/er");
    std::fs::create_dir_all(&below).unwrap();
    assert_eq!(check(&below).len(), 1);
    assert_eq!(
        Repository::open(&below).unwrap().place(),
        fixture.path().canonicalize().unwrap()
    );
}

#[cfg(unix)]
#[test]
fn a_repository_of_another_owner_is_read() {
    let fixture = Fixture::sha256();
    fixture.chain(&[&[(b"f", Mode::File, "1")]]);
    for entry in [fixture.path(), fixture.git_dir()] {
        if std::os::unix::fs::chown(entry, Some(65_534), None).is_err() {
            println!("not root: can't give a repository to another owner");
            return;
        }
    }
    assert_eq!(check(fixture.path()).len(), 1);
    if git(fixture.path(), &["--version"]).is_some() {
        let source = TreeSource::choose(&Repository::open(fixture.path()).unwrap());
        assert!(matches!(source, TreeSource::Git(_)), "{source:?}");
    }
}

#[test]
fn the_content_of_files_is_not_needed() {
    // As in a partial clone without blobs.
    let fixture = Fixture::new();
    fixture.chain(&[&single("1"), &single("2")]);
    for content in ["1", "2"] {
        fixture.lose(fixture.blob(content));
    }
    assert_eq!(check(fixture.path()).len(), 2);
}

#[test]
fn a_linked_working_tree_has_a_head_of_its_own() {
    let fixture = Fixture::new();
    let commits = fixture.chain(&[&single("1"), &single("2")]);
    let linked = fixture.path().join("linked");
    let first = commits[0].to_string();
    let arguments = ["worktree", "add", "-q", "--detach", "linked", &first];
    if git(fixture.path(), &arguments).is_some() {
        assert_eq!(check(&linked).len(), 1);
        assert_eq!(check(fixture.path()).len(), 2);
    }
}

#[test]
fn replaced_objects_are_read_as_committed() {
    let fixture = Fixture::new();
    let other = fixture.commit(&[], 1, &[(b"other", Mode::File, "1")]);
    let commit = fixture.commit(&[], 2, &[(b"f", Mode::File, "1")]);
    fixture.reference(&format!("refs/replace/{commit}"), &other.to_string());
    assert_eq!(check(fixture.path())[0].changes[0].path, path(b"f"));
}

#[test]
fn what_can_t_be_read_is_named() {
    let nowhere = tempfile::tempdir().unwrap();
    assert!(error_of(Repository::open(nowhere.path())).contains("no git repository at "));
    assert!(error_of(Repository::open(&nowhere.path().join("x"))).starts_with("no folder at "));

    let empty = Fixture::new();
    let error = error_of(Repository::open(empty.path()).unwrap().mainline());
    assert!(
        error.starts_with("branch main, which HEAD names, has no commits"),
        "{error}"
    );

    let fixture = Fixture::new();
    let commits = fixture.chain(&[&[(b"a/b", Mode::File, "1")], &[(b"a/b", Mode::File, "2")]]);
    let folder = fixture.tree(&[(b"b", Mode::File, "2")]);
    fixture.lose(folder);
    let repository = Repository::open(fixture.path()).unwrap();
    let mainline = repository.mainline().unwrap();
    let error = error_of(Commits::new(&repository, &mainline).collect::<Result<Vec<_>, _>>());
    assert!(
        error.contains(&folder.to_string()) && error.contains(&commits[1].to_string()),
        "{error}"
    );
    for source in [
        TreeSource::walk(&repository),
        TreeSource::choose(&repository),
    ] {
        let error = error_of(source.listing(commits[1]));
        assert!(error.contains(&folder.to_string()), "{error}");
    }

    fixture.lose(commits[0]);
    let error = error_of(Repository::open(fixture.path()).unwrap().mainline());
    assert!(error.contains(&commits[0].to_string()), "{error}");
}

#[test]
fn a_shallow_clone_begins_at_its_edge() {
    let fixture = Fixture::new();
    let files: [&[TreeFile<'_>]; 3] = [
        &[(b"a", Mode::File, "1"), (b"b", Mode::File, "1")],
        &[(b"a", Mode::File, "2"), (b"b", Mode::File, "1")],
        &[(b"a", Mode::File, "3"), (b"b", Mode::File, "1")],
    ];
    let commits = fixture.chain(&files);
    let clone = tempfile::tempdir().unwrap();
    let url = format!("file://{}", fixture.path().display());
    let cloned = git(
        clone.path(),
        &["clone", "-q", "--no-local", "--depth", "2", &url, "clone"],
    );
    let by_git = cloned.map(|_| clone.path().join("clone"));

    // The same by hand, so that it is tested without git too.
    std::fs::write(
        fixture.git_dir().join("shallow"),
        format!("{}\n", commits[1]),
    )
    .unwrap();
    fixture.lose(commits[0]);
    for folder in [Some(fixture.path().to_owned()), by_git]
        .into_iter()
        .flatten()
    {
        assert_eq!(
            Repository::open(&folder)
                .unwrap()
                .mainline()
                .unwrap()
                .root(),
            Root::Shallow
        );
        let read = check(&folder);
        assert_eq!(
            read.iter()
                .map(|commit| commit.changes.len())
                .collect::<Vec<_>>(),
            [2, 1]
        );
        assert_eq!(read[0].id, commits[1]);
    }
}

#[test]
fn finds_the_commit_that_a_person_means() {
    let fixture = Fixture::new();
    let day = |day: i64| 1_577_836_800 + day * 86_400;
    let first = fixture.commit(&[], day(0), &single("0"));
    let side = fixture.commit(&[first], day(0), &single("side"));
    let second = fixture.commit(&[first], day(1), &single("1"));
    let merge = fixture.commit(&[second, side], day(2), &single("2"));
    // Committed on a machine whose clock was late.
    let late = fixture.commit(&[merge], day(1), &single("3"));
    let lost = fixture.commit(&[late], day(3), &single("4"));
    fixture.reference("refs/heads/main", &late.to_string());
    fixture.reference("refs/tags/2020-01-02", &first.to_string());
    fixture.reference("refs/tags/2020-02-30", &first.to_string());

    let repository = Repository::open(fixture.path()).unwrap();
    let mainline = repository.mainline().unwrap();
    let found = |text: &str| {
        let index = repository
            .resolve(&mainline, text)
            .map_err(|error| format!("{error:#}"))?;
        Ok::<_, String>(mainline.links()[index].id)
    };
    let hex = second.to_string();
    let cases = [
        ("HEAD", late),
        ("main~1", merge),
        (&hex, second),
        (&hex[..9], second),
        ("2020-01-01", first),
        ("2020-01-02", first),
        ("2020-02-30", first),
        ("2020-01-02T00:00:00Z", late),
        ("2020-01-01T23:59:59Z", first),
        ("2030-01-01", late),
    ];
    for (text, commit) in cases {
        assert_eq!(found(text), Ok(commit), "{text}");
    }
    let refused = [
        ("2019-12-31", "nothing was committed by 2019-12-31; the first commit of the mainline is of 2020-01-01T00:00:00Z".to_owned()),
        ("HEAD~1^2", format!("is not on the mainline of HEAD; commit {merge} brought it there")),
        (&lost.to_string(), "is not on the mainline of HEAD, nor merged into it".to_owned()),
        ("no-such-branch", "no-such-branch names no commit here; give a branch".to_owned()),
        ("HEAD:f", "HEAD:f names no commit here".to_owned()),
        ("", "names no commit here".to_owned()),
        ("2026-13-45", "there is no day 2026-13-45; give one such as 2020-01-31".to_owned()),
        ("2026-13-4", "2026-13-4 names no commit here; ".to_owned()),
    ];
    for (text, message) in refused {
        let error = found(text).unwrap_err();
        assert!(error.contains(&message), "{text}: {error}");
    }
}
