//! Unsafe code stands in the modules that are listed here, and nowhere else.

use crate::tidy::Finding;
use crate::tidy::tree::Tree;

/// Where the lint may be lifted, each with a reason to be proved block by block.
const LIFTED: &[&str] = &[
    "benches/rivals/src/subjects/limit.rs",
    "crates/log/src/checksum/x86.rs",
    "crates/log/src/vfs/map.rs",
];

/// Written in halves, so that this file does not find itself.
const LINT: &str = concat!("unsafe_", "code");

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let sources = tree
        .with_extension("rs")
        .filter(|source| !LIFTED.contains(&source.path.as_str()));
    sources
        .flat_map(|source| {
            source
                .lines()
                .filter(|(_, text)| text.contains(LINT) && !text.contains("forbid"))
                .map(|(line, _)| {
                    let message = "lifts the lint on unsafe code; use a safe crate, or list the module \
                                   in the tidy rule and say why";
                    Finding::new(&source.path, line, message)
                })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule;

    #[test]
    fn the_lint_is_lifted_where_it_is_listed() {
        let lifted = format!("#[expect({LINT}, reason = \"maps\")]\nfn map() {{}}\n");
        check_rule(
            check,
            &[
                ("crates/log/src/vfs/map.rs", lifted.as_str()),
                ("crates/core/src/lib.rs", lifted.as_str()),
            ],
            &[("crates/core/src/lib.rs:1", "lifts the lint")],
        );
    }
}
