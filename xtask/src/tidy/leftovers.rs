//! Nothing is left for later: no notes to self, no macros that stand for missing code, no tests
//! switched off, no lint switched off without `expect` and its reason.

use crate::tidy::Finding;
use crate::tidy::tree::{Source, Tree};

/// Written in halves, so that this file does not find itself.
const NOTES: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];
const STAND_INS: [&str; 2] = [concat!("to", "do!"), concat!("unimple", "mented!")];
const SKIPPED_EXAMPLE: &str = concat!("```", "ignore");

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.with_extension("rs").flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text) in source.lines() {
        if let Some(note) = NOTES.into_iter().find(|note| holds_word(text, note)) {
            findings.push((line, format!("says {note}; do it now, or open an issue")));
        }
        if let Some(call) = STAND_INS.into_iter().find(|call| holds_word(text, call)) {
            findings.push((
                line,
                format!("calls {call}; write the code, or return an error"),
            ));
        }
        if text.contains(SKIPPED_EXAMPLE) {
            let advice = "make it compile, or mark it `text`";
            findings.push((line, format!("an example that no test compiles; {advice}")));
        }
    }
    for attribute in source
        .outline
        .iter()
        .flat_map(|outline| &outline.attributes)
    {
        let message = match attribute.name.as_str() {
            "allow" => "switches a lint off; use `expect(lint, reason = \"...\")`",
            "ignore" => "switches a test off; make it pass, or delete it",
            _ => continue,
        };
        findings.push((attribute.line, message.to_owned()));
    }
    let finding = |(line, message): (usize, String)| Finding::new(&source.path, line, message);
    findings.into_iter().map(finding).collect()
}

/// Whether `word` stands in `text` with no letter, digit or `_` before or after it.
fn holds_word(text: &str, word: &str) -> bool {
    let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word).any(|(start, _)| {
        let before = text
            .get(..start)
            .and_then(|before| before.chars().next_back());
        let after = text
            .get(start + word.len()..)
            .and_then(|after| after.chars().next());
        !joins(before) && !joins(after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule;

    fn check_line(line: &str, expected: &str) {
        let text = format!("//! A.\n{line}\nfn a() {{}}\n");
        check_rule(
            check,
            &[("a.rs", &text), ("b.md", &text)],
            &[("a.rs:2", expected)],
        );
    }

    #[test]
    fn notes_to_self_are_caught() {
        for note in NOTES {
            check_line(&format!("// {note}(someone): later"), note);
            check_line(&format!("const A: &str = \"{note}\";"), note);
        }
    }

    #[test]
    fn missing_code_is_caught() {
        for call in STAND_INS {
            check_line(&format!("fn a() {{ {call}() }}"), call);
        }
    }

    #[test]
    fn switched_off_tests_and_lints_are_caught() {
        check_line("#[ignore]", "switches a test off");
        check_line("#[ignore = \"slow\"]", "switches a test off");
        check_line("#[cfg_attr(unix, ignore)]", "switches a test off");
        check_line("#![allow(dead_code)]", "switches a lint off");
        check_line("#[cfg_attr(test, allow(dead_code))]", "switches a lint off");
        check_line(&format!("/// {SKIPPED_EXAMPLE}"), "no test compiles");
    }

    #[test]
    fn what_only_looks_like_it_is_left_alone() {
        let text = "//! A.\n#[expect(dead_code, reason = \"b\")]\nfn allow(ignore: u8) {}\n\
                    // A method() called AUTODOC.\nconst C: &str = \"#[ignore]\";\n";
        check_rule(check, &[("a.rs", text)], &[]);
    }
}
