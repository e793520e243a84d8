//! Sources and pages hold ASCII only.
//!
//! Pages too: what a reader greps for is what a writer typed, and no look-alike hides in a review. A
//! test that needs another character writes it as an escape.

use crate::tidy::Finding;
use crate::tidy::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources() {
        for (line, text) in source.lines() {
            if let Some(strange) = text.chars().find(|c| !c.is_ascii()) {
                let code = strange.escape_unicode();
                let message = format!("holds {code}; write it in ASCII, or as an escape in code");
                findings.push(Finding::new(&source.path, line, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule;

    #[test]
    fn other_characters_are_caught_in_code_and_pages() {
        check_rule(
            check,
            &[
                ("a/src/lib.rs", "//! A.\n// caf\u{e9}\n"),
                ("b.md", "one \u{2014} two\n"),
                ("c.stderr", "\u{2014}\n"),
                ("d.rs", "const E: &str = \"\\u{e9}\";\n"),
            ],
            &[("a/src/lib.rs:2", r"\u{e9}"), ("b.md:1", r"\u{2014}")],
        );
    }
}
