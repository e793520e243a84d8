//! A file has at most 800 lines, a function at most 70, tests included.

use crate::tidy::Finding;
use crate::tidy::tree::{Source, Tree};

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.with_extension("rs").flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<Finding> {
    let finding = |line, message: String| Finding::new(&source.path, line, message);
    let mut findings = Vec::new();
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        let message = format!("has {lines} lines, over {FILE_LINES_MAX}; split it by idea");
        findings.push(finding(FILE_LINES_MAX + 1, message));
    }
    let Some(outline) = &source.outline else {
        findings.push(finding(
            1,
            "does not read as Rust; mend its brackets and quotes".into(),
        ));
        return findings;
    };
    for function in &outline.functions {
        let lines = function.line_end - function.line + 1;
        if lines > FUNCTION_LINES_MAX {
            let name = &function.name;
            let message =
                format!("`{name}` has {lines} lines, over {FUNCTION_LINES_MAX}; split it");
            findings.push(finding(function.line, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule;

    fn check_function(lines: usize, expected: &[(&str, &str)]) {
        let body = "    step();\n".repeat(lines - 2);
        let text = format!("//! A.\n\n#[test]\nfn long() {{\n{body}}}\n");
        check_rule(check, &[("a.rs", &text)], expected);
        let in_macro = format!("//! A.\n\nlaws! {{\nfn long() {{\n{body}}}\n}}\n");
        check_rule(check, &[("a.rs", &in_macro)], expected);
    }

    #[test]
    fn a_function_fits_a_screen() {
        check_function(FUNCTION_LINES_MAX, &[]);
        check_function(FUNCTION_LINES_MAX + 1, &[("a.rs:4", "`long` has 71 lines")]);
    }

    #[test]
    fn a_file_has_at_most_800_lines() {
        let text = "// one\n".repeat(FILE_LINES_MAX);
        check_rule(
            check,
            &[("a.rs", &text), ("b.md", &"word\n".repeat(900))],
            &[],
        );
        check_rule(
            check,
            &[("a.rs", &(text + "// more\n"))],
            &[("a.rs:801", "801 lines")],
        );
    }

    #[test]
    fn a_file_that_does_not_lex_is_caught() {
        check_rule(
            check,
            &[("a.rs", "fn a( {\n")],
            &[("a.rs:1", "read as Rust")],
        );
    }
}
