//! No tabs, no white space at the end of a line, one newline at the end of a file.

use crate::tidy::Finding;
use crate::tidy::tree::{Source, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.sources().flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<Finding> {
    let finding = |line, message| Finding::new(&source.path, line, message);
    let mut findings = Vec::new();
    // By `\n` alone, so that a carriage return counts as white space at the end.
    for (line, text) in (1..).zip(source.text.split('\n')) {
        if text.ends_with(|c: char| c.is_ascii_whitespace()) {
            findings.push(finding(line, "ends with white space; remove it"));
        }
        if text.contains('\t') {
            findings.push(finding(
                line,
                "holds a tab; indent with spaces, write \\t in a string",
            ));
        }
    }
    let last_line = source.text.lines().count().max(1);
    if source.text.ends_with("\n\n") {
        findings.push(finding(last_line, "ends with an empty line; remove it"));
    } else if !source.text.is_empty() && !source.text.ends_with('\n') {
        findings.push(finding(last_line, "ends without a newline; add one"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule;

    #[test]
    fn stray_white_space_is_caught() {
        check_rule(
            check,
            &[
                ("clean.rs", "//! A.\n\nfn a() {}\n"),
                ("empty.md", ""),
                ("end.toml", "[a]\nb = 1"),
                ("lines.md", "one\n\n"),
                ("return.sh", "true\r\n"),
                ("space.md", "one\ntwo \nthree\n"),
                ("tab.rs", "\tfn a() {}\n"),
            ],
            &[
                ("end.toml:2", "without a newline"),
                ("lines.md:2", "empty line"),
                ("return.sh:1", "white space"),
                ("space.md:2", "white space"),
                ("tab.rs:1", "a tab"),
            ],
        );
    }
}
