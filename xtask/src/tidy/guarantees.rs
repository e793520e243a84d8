//! Every promise in docs/guarantees.md names the tests that hold it.
//!
//! Each row of each table on that page is a promise. It names at least one test as
//! `path/to/file.rs::name`, and every such name leads to a test: a function with a `test` attribute,
//! or a case of the conformance suite, which runs against every store.

use crate::tidy::markdown::Row;
use crate::tidy::tree::{Tree, has_extension};
use crate::tidy::{Finding, markdown};

const GUARANTEES: &str = "docs/guarantees.md";
const CONFORMANCE: &str = "crates/conformance/src/";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.source(GUARANTEES) else {
        return Vec::new();
    };
    markdown::rows(&page.text)
        .iter()
        .flat_map(|row| check_row(tree, row))
        .collect()
}

fn check_row(tree: &Tree, row: &Row) -> Vec<Finding> {
    let finding = |message: String| Finding::new(GUARANTEES, row.line, message);
    let mut names = row
        .cells
        .iter()
        .flat_map(|cell| &cell.codes)
        .filter_map(|code| test_name(code))
        .peekable();
    if names.peek().is_none() {
        return vec![finding(
            "names no test; write `path/to/file.rs::name` in its row".into(),
        )];
    }
    names
        .filter(|(path, name)| !is_test(tree, path, name))
        .map(|(path, name)| {
            finding(format!(
                "`{path}::{name}` is no test of the tree; name one that is"
            ))
        })
        .collect()
}

fn test_name(code: &str) -> Option<(&str, &str)> {
    code.split_once("::")
        .filter(|(path, _)| has_extension(path, "rs"))
}

fn is_test(tree: &Tree, path: &str, name: &str) -> bool {
    let outline = tree.source(path).and_then(|source| source.outline.as_ref());
    // The name may carry the modules around it, as the test's output shows them.
    let function = name.rsplit("::").next().unwrap_or(name);
    outline
        .into_iter()
        .flat_map(|outline| &outline.functions)
        .any(|found| found.name == function && (found.is_test || path.starts_with(CONFORMANCE)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule;

    fn check_promise(row: &str, expected: &[(&str, &str)]) {
        let page = format!("# Guarantees\n\n| promise | test |\n|---|---|\n{row}\n");
        let files = [
            (GUARANTEES, page.as_str()),
            (
                "tests/tests/laws.rs",
                "#[test]\nfn fold_in_parts() {}\nfn helper() {}\n",
            ),
            (
                "crates/conformance/src/append.rs",
                "pub(crate) fn appends_in_order() {}\n",
            ),
            (
                "crates/core/src/fold.rs",
                "mod tests { #[test] fn empty() {} }\n",
            ),
        ];
        check_rule(check, &files, expected);
    }

    #[test]
    fn a_promise_with_a_test_passes() {
        check_promise(
            "| A fold is a fold | `tests/tests/laws.rs::fold_in_parts` |",
            &[],
        );
        check_promise(
            "| Order | `crates/conformance/src/append.rs::appends_in_order` |",
            &[],
        );
        check_promise(
            "| `Empty` is fine | `crates/core/src/fold.rs::tests::empty` |",
            &[],
        );
        check_rule(check, &[], &[]);
    }

    #[test]
    fn a_promise_without_a_test_is_caught() {
        let line = "docs/guarantees.md:5";
        check_promise("| We are fast | by `design` |", &[(line, "names no test")]);
        check_promise(
            "| A | `tests/tests/gone.rs::law` |",
            &[(line, "gone.rs::law` is no test")],
        );
        check_promise(
            "| A | `tests/tests/laws.rs::gone` |",
            &[(line, "laws.rs::gone")],
        );
        check_promise(
            "| A | `tests/tests/laws.rs::helper` |",
            &[(line, "laws.rs::helper")],
        );
        check_promise(
            "| A | `tests/tests/laws.rs::fold_in_parts`, `tests/tests/laws.rs::helper` |",
            &[(line, "laws.rs::helper")],
        );
    }
}
