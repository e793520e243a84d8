//! Whoever opens a file, a crate, an example or the root is told what it is.

use crate::tidy::Finding;
use crate::tidy::markdown::{self, Fence};
use crate::tidy::tree::{Source, Tree};
use crate::workspace::Member;

const ROOT_PAGES: [&str; 7] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
];
/// A front page in `lib.rs` says more than a title.
const FRONT_PAGE_LINES_MIN: usize = 5;
/// Whose front page is the first that a newcomer reads; the layers show what is theirs at length.
const FACADE: &str = "crates/annals/src/lib.rs";
const FACADE_EXAMPLE_LINES_MAX: usize = 40;
/// What rustdoc takes behind an opening fence without taking the block for another language.
const RUST_WORDS: [&str; 5] = ["", "rust", "no_run", "should_panic", "standalone_crate"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = ROOT_PAGES
        .into_iter()
        .filter(|page| !tree.contains(page))
        .map(|page| Finding::new(page, 1, "is missing; write it"))
        .collect();
    for member in tree.members() {
        findings.extend(opening_lines(tree, member));
        findings.extend(front_page(tree, member));
    }
    findings.extend(tree.source(FACADE).and_then(facade_example));
    findings
}

/// Every source file opens with a sentence about itself. Files below a folder in `tests/` are
/// material of a test (cases for trybuild, say), not code of ours.
fn opening_lines(tree: &Tree, member: &Member) -> Vec<Finding> {
    let advice = "opens without `//!`; say in a sentence what the file is";
    tree.with_extension("rs")
        .filter(|source| is_code_of(member, &source.path))
        .filter(|source| !source.text.starts_with("//!") && !includes_readme(&source.text))
        .map(|source| Finding::new(&source.path, 1, advice))
        .collect()
}

/// A crate has a README or a front page in its documentation; an example has a README.
fn front_page(tree: &Tree, member: &Member) -> Option<Finding> {
    let readme = format!("{}/README.md", member.folder);
    if tree
        .source(&readme)
        .is_some_and(|page| !page.text.trim().is_empty())
    {
        return None;
    }
    if member.folder.starts_with("examples/") {
        return Some(Finding::new(
            &readme,
            1,
            "is missing; say what the example shows",
        ));
    }
    member.short_name()?;
    let roots = ["lib.rs", "main.rs"].map(|file| format!("{}/src/{file}", member.folder));
    let root = roots.iter().find_map(|path| tree.source(path));
    let lines = root.map_or(0, |root| {
        let opening = root.text.lines().take_while(|line| line.starts_with("//!"));
        opening.filter(|line| line.len() > "//! ".len()).count()
    });
    let advice = format!(
        "the front page has {lines} lines; say in at least {FRONT_PAGE_LINES_MIN} what the crate \
         is and is not, or write a README.md"
    );
    let path = root.map_or(roots.first()?.as_str(), |root| root.path.as_str());
    (lines < FRONT_PAGE_LINES_MIN).then(|| Finding::new(path, 1, advice))
}

/// The facade's front page has a Rust example, and what a reader sees of the first is short.
fn facade_example(source: &Source) -> Option<Finding> {
    let page: String = source
        .text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .flat_map(|line| [line.strip_prefix(' ').unwrap_or(line), "\n"])
        .collect();
    let Some(example) = markdown::fences(&page).into_iter().find(is_rust) else {
        let advice = "the front page has no Rust example; show the shortest whole program";
        return Some(Finding::new(FACADE, 1, advice));
    };
    let lines = example.text.lines().filter(|line| !is_hidden(line)).count();
    let advice = format!(
        "the example has {lines} visible lines, over {FACADE_EXAMPLE_LINES_MAX}; show less, or hide \
         what a reader can do without behind `# `"
    );
    (lines > FACADE_EXAMPLE_LINES_MAX).then(|| Finding::new(FACADE, example.line, advice))
}

fn is_rust(fence: &Fence) -> bool {
    let mut words = fence.info.split([',', ' ']);
    words.all(|word| RUST_WORDS.contains(&word))
}

/// Whether rustdoc compiles the line without showing it; `#[...]` and `##` are shown.
fn is_hidden(line: &str) -> bool {
    let line = line.trim_start();
    line == "#" || line.starts_with("# ")
}

fn is_code_of(member: &Member, path: &str) -> bool {
    let Some(inside) = path
        .strip_prefix(&member.folder)
        .and_then(|path| path.strip_prefix('/'))
    else {
        return false;
    };
    let in_test_folder = |folder| {
        inside
            .strip_prefix(folder)
            .is_some_and(|it| !it.contains('/'))
    };
    inside.starts_with("src/") || in_test_folder("tests/") || in_test_folder("benches/")
}

fn includes_readme(text: &str) -> bool {
    text.starts_with("#![doc = include_str!(")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule_with;

    const PAGE: &str = "//! One.\n//! Two.\n//!\n//! Three.\n//! Four.\n//! Five.\n";

    /// The files of the root are planted already, and two members that are in order.
    fn check_files(files: &[(&str, &str)], expected: &[(&str, &str)]) {
        let mut all: Vec<(&str, &str)> = ROOT_PAGES.map(|page| (page, "Text.\n")).into();
        all.extend(files);
        let tree = Tree::planted(&all).with_members(&[
            ("crates/core", "annals-core", &[]),
            ("examples/bank", "bank", &[]),
        ]);
        check_rule_with(check, tree, expected);
    }

    const BANK: [(&str, &str); 2] = [
        ("examples/bank/README.md", "# Bank\n"),
        ("examples/bank/src/main.rs", "//! Bank.\n"),
    ];

    #[test]
    fn a_readme_or_a_front_page_is_enough_for_a_crate() {
        let [readme, main] = BANK;
        check_files(&[readme, main, ("crates/core/src/lib.rs", PAGE)], &[]);
        let title = ("crates/core/src/lib.rs", "//! One.\n");
        check_files(
            &[readme, main, title, ("crates/core/README.md", "# Core\n")],
            &[],
        );
        let included = (
            "crates/core/src/lib.rs",
            "#![doc = include_str!(\"../README.md\")]\n",
        );
        check_files(
            &[
                readme,
                main,
                included,
                ("crates/core/README.md", "# Core\n"),
            ],
            &[],
        );
    }

    #[test]
    fn a_missing_front_page_is_caught() {
        let [readme, main] = BANK;
        let title = ("crates/core/src/lib.rs", "//! One.\n//!\n//! Two.\n");
        check_files(
            &[readme, main, title],
            &[("crates/core/src/lib.rs:1", "has 2 lines")],
        );
        check_files(
            &[readme, main],
            &[("crates/core/src/lib.rs:1", "has 0 lines")],
        );
        let core = ("crates/core/src/lib.rs", PAGE);
        let empty = ("examples/bank/README.md", "\n");
        check_files(
            &[main, core],
            &[("examples/bank/README.md:1", "is missing")],
        );
        check_files(
            &[main, core, empty],
            &[("examples/bank/README.md:1", "is missing")],
        );
    }

    fn check_facade(page: &str, expected: &[(&str, &str)]) {
        let [readme, main] = BANK;
        let core = ("crates/core/src/lib.rs", PAGE);
        check_files(&[readme, main, core, (FACADE, page)], expected);
    }

    fn page_with_example(visible_lines: usize) -> String {
        let shown = "//! step();\n".repeat(visible_lines - 3);
        format!(
            "{PAGE}//!\n//! ```text\n{}//! ```\n//!\n\
             //! ```\n//! #[test]\n//!\n{shown}//!     # hidden();\n//! #\n//! ## not_hidden\n//! ```\n",
            "//! a picture\n".repeat(99)
        )
    }

    #[test]
    fn the_example_of_the_facade_is_short() {
        check_facade(&page_with_example(FACADE_EXAMPLE_LINES_MAX), &[]);
        check_facade(
            &page_with_example(FACADE_EXAMPLE_LINES_MAX + 1),
            &[("crates/annals/src/lib.rs:110", "41 visible lines")],
        );
        check_facade(PAGE, &[("crates/annals/src/lib.rs:1", "no Rust example")]);
    }

    #[test]
    fn a_file_without_an_opening_sentence_is_caught() {
        let [readme, main] = BANK;
        let core = ("crates/core/src/lib.rs", PAGE);
        let silent = "use std::fmt;\n";
        check_files(
            &[
                readme,
                main,
                core,
                ("crates/core/src/page/mod.rs", silent),
                ("crates/core/tests/laws.rs", silent),
                ("crates/core/tests/ui/case.rs", silent),
            ],
            &[
                ("crates/core/src/page/mod.rs:1", "`//!`"),
                ("crates/core/tests/laws.rs:1", "`//!`"),
            ],
        );
    }

    #[test]
    fn a_missing_page_of_the_root_is_caught() {
        let expected: Vec<String> = ROOT_PAGES.map(|page| format!("{page}:1")).into();
        let expected: Vec<_> = expected
            .iter()
            .map(|place| (place.as_str(), "missing"))
            .collect();
        check_rule_with(check, Tree::planted(&[]), &expected);
    }
}
