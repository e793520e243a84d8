//! Every public type of a crate has its name in docs/glossary.md.
//!
//! A plain `pub` counts as public: the lint `unreachable_pub` refuses one that nobody can reach.

use std::collections::BTreeSet;

use crate::tidy::tree::Tree;
use crate::tidy::{Finding, markdown};

const GLOSSARY: &str = "docs/glossary.md";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(glossary) = tree.source(GLOSSARY) else {
        return vec![Finding::new(
            GLOSSARY,
            1,
            "is missing; explain every public type there",
        )];
    };
    let known = names(&glossary.text);
    let mut findings = Vec::new();
    for source in tree
        .with_extension("rs")
        .filter(|source| is_crate_source(&source.path))
    {
        for found in source
            .outline
            .iter()
            .flat_map(|outline| &outline.public_types)
        {
            if !known.contains(&found.name) {
                let message = format!("`{}` is not in {GLOSSARY}; explain it there", found.name);
                findings.push(Finding::new(&source.path, found.line, message));
            }
        }
    }
    findings
}

/// Every identifier in a code span: `Page`, and both of `Result<Page>`.
fn names(text: &str) -> BTreeSet<String> {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    let codes = markdown::codes(text);
    codes
        .iter()
        .flat_map(|code| code.split(|c| !joins(c)))
        .map(str::to_owned)
        .collect()
}

fn is_crate_source(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.next() == Some("crates") && parts.nth(1) == Some("src")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule;

    #[test]
    fn a_public_type_that_nobody_explains_is_caught() {
        check_rule(
            check,
            &[
                (
                    GLOSSARY,
                    "- `Position`: a place.\n- A Version is a count.\n- `Page<E>`\n",
                ),
                (
                    "crates/core/src/position.rs",
                    "pub struct Position(u64);\npub enum Version {}\npub(crate) struct Inner;\n\
                     newtype! {\n    pub struct Hidden(u64);\n}\npub trait Page {}\n",
                ),
                ("crates/core/tests/laws.rs", "pub struct OnlyInTests;\n"),
                ("examples/bank/src/main.rs", "pub struct Account;\n"),
            ],
            &[
                ("crates/core/src/position.rs:2", "`Version`"),
                ("crates/core/src/position.rs:5", "`Hidden`"),
            ],
        );
    }

    #[test]
    fn the_glossary_itself_must_be_there() {
        check_rule(check, &[], &[("docs/glossary.md:1", "is missing")]);
    }
}
