//! What is read of each commit, against what was written.

use std::collections::BTreeMap;

use git_history::git::{Action, GitPath, Mode, ObjectId};
use proptest::prelude::*;

use crate::support::{ELSEWHERE, Fixture, TreeFile, check, git, single};

#[test]
fn reads_what_each_commit_changed() {
    use Mode::{Executable, File, Submodule, Symlink};
    let other = ELSEWHERE.replace('1', "f");
    let cases: &[(&[TreeFile<'_>], &[TreeFile<'_>], &[&str])] = &[
        (&[], &[(b"a", File, "1")], &["+ a"]),
        (&[(b"a", File, "1")], &[], &["- a"]),
        (&[(b"a", File, "1")], &[(b"a", File, "2")], &["c a"]),
        (&[(b"a", File, "1")], &[(b"a", Executable, "1")], &["m a"]),
        (&[(b"a", File, "1")], &[(b"a", Executable, "2")], &["c a"]),
        (&[(b"a", File, "1")], &[(b"a", Symlink, "1")], &["m a"]),
        (
            &[(b"a", Symlink, "b")],
            &[(b"a", Submodule, ELSEWHERE)],
            &["c a"],
        ),
        (
            &[(b"a", Submodule, ELSEWHERE)],
            &[(b"a", Submodule, &other)],
            &["c a"],
        ),
        // A folder in place of a file, and a file in place of a folder, next to names that sort between.
        (
            &[(b"a", File, "1"), (b"a.c", File, "2")],
            &[(b"a/b", File, "1"), (b"a.c", File, "2")],
            &["- a", "+ a/b"],
        ),
        (
            &[(b"a/b/c", File, "1"), (b"a/d", File, "1")],
            &[(b"a", File, "1")],
            &["+ a", "- a/b/c", "- a/d"],
        ),
        (
            &[(b"a/b", File, "1"), (b"a-b", File, "1")],
            &[(b"a/b", File, "1"), (b"a0", File, "1")],
            &["- a-b", "+ a0"],
        ),
        // A rename is a removal and an addition.
        (
            &[(b"old", File, "1")],
            &[(b"new", File, "1")],
            &["+ new", "- old"],
        ),
        (&[(b"a", File, "1")], &[(b"a", File, "1")], &[]),
    ];
    for (before, after, expected) in cases {
        let fixture = Fixture::new();
        fixture.chain(&[before, after]);
        let commits = check(fixture.path());
        let [.., last] = &commits[..] else {
            panic!("no commits")
        };
        let changes = last.changes.iter().map(|change| {
            let sign = match change.action {
                Action::Added { .. } => "+",
                Action::Changed { .. } => "c",
                Action::ModeChanged { .. } => "m",
                Action::Removed => "-",
            };
            format!("{sign} {}", change.path)
        });
        assert_eq!(
            changes.collect::<Vec<_>>(),
            *expected,
            "{before:?} -> {after:?}"
        );
    }
}

#[test]
fn reads_odd_names() {
    let long = [b"deep/".repeat(400), b"name".to_vec()].concat();
    let names: &[&[u8]] = &[
        b" leading and trailing ",
        b"-dash",
        b"a-b-c/--d",
        b"'quo\"tes'/\\back",
        b"line\nbreak\ttab",
        b"caf\xC3\xA9/\xE6\x96\x87",
        b"latin-\xE9/\xFF\xFE",
        b"100%/%41",
        b"*?[a]",
        b":(top)",
        &long,
    ];
    let fixture = Fixture::new();
    let one: Vec<_> = names.iter().map(|name| (*name, Mode::File, "1")).collect();
    let two: Vec<_> = names
        .iter()
        .map(|name| (*name, Mode::Executable, "2"))
        .collect();
    fixture.chain(&[&one, &two, &[]]);
    let commits = check(fixture.path());
    assert_eq!(
        commits
            .iter()
            .map(|commit| commit.changes.len())
            .collect::<Vec<_>>(),
        [names.len(); 3]
    );
    for name in names {
        let added = commits[0]
            .changes
            .iter()
            .find(|change| change.path.as_bytes() == *name)
            .unwrap();
        assert_eq!(
            GitPath::from_encoded(&added.path.encoded()).as_ref(),
            Ok(&added.path)
        );
    }
}

#[test]
fn the_mainline_follows_first_parents() {
    let fixture = Fixture::bare();
    let root = fixture.commit(&[], 1, &single("root"));
    let mut expected = vec![root];
    let mut tip = root;
    for (number, seconds) in ["1", "2", "3", "4"].iter().zip([100, 90, 300, 200]) {
        let on_the_side = format!("side {number}");
        let side = fixture.commit(&[root], seconds - 1, &single(&on_the_side));
        let other = fixture.commit(&[side, root], seconds - 1, &[]);
        tip = fixture.commit(&[tip, side, other], seconds, &single(number));
        expected.push(tip);
    }
    let commits = check(fixture.git_dir());
    assert_eq!(
        commits.iter().map(|commit| commit.id).collect::<Vec<_>>(),
        expected
    );
    assert!(
        commits
            .iter()
            .skip(1)
            .all(|commit| commit.changes.len() == 1)
    );
    if let Some(said) = git(
        fixture.git_dir(),
        &["rev-list", "--first-parent", "--reverse", "HEAD"],
    ) {
        let said: Vec<_> = said
            .lines()
            .map(|hex| ObjectId::from_hex(hex.as_bytes()).unwrap())
            .collect();
        assert_eq!(said, expected);
    }
}

#[test]
fn reads_authors_and_messages_of_any_kind() {
    let fixture = Fixture::new();
    let tree = fixture.tree(&[(b"f", Mode::File, "1")]);
    let cases: &[(&[u8], [&str; 3], i64)] = &[
        (
            b"author Ada L <ada@example.com> 5 +0100\ncommitter C <c@d> -7 -0200\n\nTitle\nstill title\n\nbody\n",
            ["Ada L", "ada@example.com", "Title still title"],
            -7,
        ),
        (
            b"author J\xE9r\xF4me <j@x> 5 +0000\ncommitter C <c@d> 8 +0000\n\n50% \xE9\x07\n",
            ["J%E9r%F4me", "j@x", "50%25 %E9%07"],
            8,
        ),
        (b"author  <> 5 +0000\ncommitter C <c@d> 9 +0000\n\n", ["", "", ""], 9),
    ];
    for (rest, expected, seconds) in cases {
        fixture.commit_of(tree, &[], rest);
        let commits = check(fixture.path());
        let [commit] = &commits[..] else {
            panic!("one commit")
        };
        let read = [&commit.author_name, &commit.author_email, &commit.summary];
        assert_eq!(
            (read, commit.seconds),
            (expected.map(str::to_owned).each_ref(), *seconds)
        );
    }
}

#[test]
fn an_old_mode_is_no_change() {
    let fixture = Fixture::new();
    let blob = fixture.blob("1");
    let text = b"author A <a@b> 1 +0000\ncommitter C <c@d> 1 +0000\n\nt\n";
    let old = fixture.tree_of(vec![
        (b"f", "100664".into(), blob),
        (b"x", "100775".into(), blob),
    ]);
    let new = fixture.tree_of(vec![
        (b"f", "100644".into(), blob),
        (b"x", "100755".into(), blob),
    ]);
    let first = fixture.commit_of(old, &[], text);
    fixture.commit_of(new, &[first], text);
    let changes: Vec<_> = check(fixture.path())
        .iter()
        .map(|commit| commit.changes.len())
        .collect();
    assert_eq!(changes, [2, 0]);
}

type AnyTree = BTreeMap<Vec<u8>, (Mode, String)>;

/// A tree of a few paths that get in each other's way.
pub(crate) fn any_tree() -> impl Strategy<Value = AnyTree> {
    let names: [&[u8]; 9] = [
        b"a", b"a/b", b"a/b/c", b"a-b", b"a.c", b"a0", b"z/\xFF", b"z/ y", b"z",
    ];
    let mode = prop::sample::select(vec![
        Mode::File,
        Mode::Executable,
        Mode::Symlink,
        Mode::Submodule,
    ]);
    let file = (mode, 1..3_usize).prop_map(|(mode, content)| {
        let content = content.to_string();
        (
            mode,
            if mode == Mode::Submodule {
                content.repeat(40)
            } else {
                content
            },
        )
    });
    prop::collection::btree_map(
        prop::sample::select(names.map(<[u8]>::to_vec).to_vec()),
        file,
        0..6,
    )
    .prop_map(|mut tree| {
        // No path is a folder of another one.
        let taken: Vec<_> = tree.keys().map(|path| [&path[..], b"/"].concat()).collect();
        tree.retain(|path, _| !taken.iter().any(|folder| path.starts_with(folder)));
        tree
    })
}

/// The tree as a fixture takes it.
pub(crate) fn files_of(tree: &AnyTree) -> Vec<TreeFile<'_>> {
    tree.iter()
        .map(|(path, (mode, content))| (&path[..], *mode, &content[..]))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn changes_fold_to_the_tree(trees in prop::collection::vec(any_tree(), 1..5)) {
        let fixture = Fixture::bare();
        let files: Vec<_> = trees.iter().map(files_of).collect();
        fixture.chain(&files.iter().map(Vec::as_slice).collect::<Vec<_>>());
        prop_assert_eq!(check(fixture.git_dir()).len(), trees.len());
    }
}
