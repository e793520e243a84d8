//! The code in the book is compiled: every block of Rust is included from a file of the workspace, between
//! two anchors that are there, or is a whole program.

use crate::tidy::markdown::Fence;
use crate::tidy::tree::{Source, Tree};
use crate::tidy::{Finding, links, markdown};

const BOOK: &str = "docs/book/";
/// What a whole file has to be called to be included.
const PROGRAM: &str = "/src/main.rs";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let pages = tree
        .with_extension("md")
        .filter(|page| page.path.starts_with(BOOK));
    let mut findings = Vec::new();
    for page in pages {
        for fence in markdown::fences(&page.text) {
            findings.extend(check_fence(tree, page, &fence));
        }
    }
    findings
}

fn check_fence(tree: &Tree, page: &Source, fence: &Fence) -> Vec<Finding> {
    let is_rust = fence.info.split(',').next() == Some("rust");
    let lines = (fence.line + 1..).zip(fence.text.lines());
    lines
        .filter_map(|(line, text)| {
            let problem = match included(text) {
                Some(target) => resolve(tree, page, target).err()?,
                None if is_rust => {
                    "is Rust that no compiler sees; include it from a test or an example"
                }
                None => return None,
            };
            let message = format!("`{}` {problem}", text.trim());
            Some(Finding::new(&page.path, line, message))
        })
        .collect()
}

/// What a line includes.
fn included(line: &str) -> Option<&str> {
    let rest = line.trim().strip_prefix("{{#")?;
    let (_, target) = rest.strip_suffix("}}")?.split_once(' ')?;
    Some(target.trim())
}

fn resolve(tree: &Tree, page: &Source, target: &str) -> Result<(), &'static str> {
    let (file, anchor) = match target.split_once(':') {
        Some((file, anchor)) => (file, Some(anchor)),
        None if target.ends_with(PROGRAM) => (target, None),
        None => return Err("includes a whole file; name an anchor in it"),
    };
    let path = links::join(&page.path, file).ok_or("leaves the tree")?;
    let source = tree
        .source(&path)
        .ok_or("includes a file that is not there; mend it")?;
    let Some(anchor) = anchor else { return Ok(()) };
    let line_of = |mark: &str| {
        let mark = format!("{mark}: {anchor}");
        let mut lines = source.text.lines();
        lines.position(|line| line.trim().trim_start_matches(['/', '-']).trim_start() == mark)
    };
    match (line_of("ANCHOR"), line_of("ANCHOR_END")) {
        (Some(begin), Some(end)) if begin + 1 < end => Ok(()),
        (Some(_), Some(_)) => Err("includes nothing: the anchor ends where it begins; mend it"),
        _ => Err("includes an anchor that the file does not have, or does not end; mend it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule;

    fn check_line(line: &str, expected: Option<&str>) {
        let page = format!("# Page\n\n```rust\n{line}\n```\n\n```console\n$ ls\n```\n");
        let code = "fn a() {\n    // ANCHOR: a\n    let a;\n    // ANCHOR_END: a\n    // ANCHOR: open\n\
                    // ANCHOR: none\n// ANCHOR_END: none\n}\n";
        let files = [
            ("docs/book/src/page.md", page.as_str()),
            ("docs/other.md", page.as_str()),
            ("tests/a.rs", code),
            ("examples/a/src/main.rs", "fn main() {}\n"),
            ("src/a.sql", "-- ANCHOR: a\nSELECT 1;\n-- ANCHOR_END: a\n"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|part| ("docs/book/src/page.md:4", *part))
            .collect();
        check_rule(check, &files, &expected);
    }

    #[test]
    fn what_is_there_can_be_included() {
        check_line("{{#include ../../../tests/a.rs:a}}", None);
        check_line("{{#rustdoc_include ../../../tests/a.rs:a}}", None);
        check_line("{{#include ../../../examples/a/src/main.rs}}", None);
        check_line("{{#include ../../../src/a.sql:a}}", None);
    }

    #[test]
    fn what_is_not_compiled_is_caught() {
        let cases = [
            ("let a;", "no compiler sees"),
            ("{{#include ../../../tests/b.rs:a}}", "not there"),
            ("{{#include ../../../tests/a.rs:b}}", "does not have"),
            ("{{#include ../../../tests/a.rs:open}}", "does not end"),
            ("{{#include ../../../tests/a.rs:none}}", "nothing"),
            ("{{#include ../../../tests/a.rs}}", "whole file"),
            ("{{#include ../../../examples/b/src/main.rs}}", "not there"),
            ("{{#include ../../../../a.rs:a}}", "leaves the tree"),
        ];
        for (line, part) in cases {
            check_line(line, Some(part));
        }
    }
}
