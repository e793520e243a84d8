//! Every fuzz body has a libFuzzer shell of its name, and every shell calls its body.
//!
//! The bodies are the public functions `name(data: &[u8])` in tests/src/fuzz.rs, so that an ordinary
//! test runs them on stable Rust. The shells, `fuzz/fuzz_targets/<name>.rs`, are a workspace of their
//! own that no other step builds; this rule keeps them from going stale.

use crate::tidy::Finding;
use crate::tidy::outline::Function;
use crate::tidy::tree::Tree;

const BODIES: &str = "tests/src/fuzz.rs";
const SHELLS: &str = "fuzz/fuzz_targets/";
const MANIFEST: &str = "fuzz/Cargo.toml";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let bodies = bodies(tree);
    for body in &bodies {
        let shell = format!("{SHELLS}{}.rs", body.name);
        if !tree.contains(&shell) {
            let message = format!("the body `{}` has no shell; write {shell}", body.name);
            findings.push(Finding::new(BODIES, body.line, message));
        }
    }
    for source in tree.sources() {
        let Some(name) = shell_name(&source.path) else {
            continue;
        };
        if !bodies.iter().any(|body| body.name == name) {
            let message =
                format!("`{name}` is no body in {BODIES}; add `pub fn {name}(data: &[u8])`");
            findings.push(Finding::new(&source.path, 1, message));
        } else if !source.text.contains(&format!("annals_tests::fuzz::{name}")) {
            let message =
                format!("does not call its body; call `annals_tests::fuzz::{name}(data)`");
            findings.push(Finding::new(&source.path, 1, message));
        }
        let target = format!("\"fuzz_targets/{name}.rs\"");
        if !tree
            .source(MANIFEST)
            .is_some_and(|manifest| manifest.text.contains(&target))
        {
            let message = format!("{MANIFEST} has no [[bin]] with path = {target}; add it");
            findings.push(Finding::new(&source.path, 1, message));
        }
    }
    findings
}

fn bodies(tree: &Tree) -> Vec<&Function> {
    let outline = tree
        .source(BODIES)
        .and_then(|source| source.outline.as_ref());
    let functions = outline.into_iter().flat_map(|outline| &outline.functions);
    functions
        .filter(|function| function.is_public && takes_bytes(&function.parameters))
        .collect()
}

/// Whether the only parameter is a byte slice: `data:&[u8]`.
fn takes_bytes(parameters: &str) -> bool {
    let parameters = parameters.trim_end_matches(',');
    parameters.ends_with(":&[u8]") && !parameters.contains(',')
}

fn shell_name(path: &str) -> Option<&str> {
    path.strip_prefix(SHELLS)?.strip_suffix(".rs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule;

    const BODY: (&str, &str) = (
        BODIES,
        "//! Bodies.\n\npub fn frame(data: &[u8]) {}\npub fn seeded(seed: u64) {}\nfn help(data: &[u8]) {}\n",
    );
    const SHELL: (&str, &str) = (
        "fuzz/fuzz_targets/frame.rs",
        "fuzz_target!(|data| annals_tests::fuzz::frame(data));\n",
    );
    const BINARY: (&str, &str) = (MANIFEST, "[[bin]]\npath = \"fuzz_targets/frame.rs\"\n");

    #[test]
    fn a_body_and_its_shell_pass() {
        check_rule(check, &[BODY, SHELL, BINARY], &[]);
        check_rule(check, &[], &[]);
    }

    #[test]
    fn a_body_without_a_shell_is_caught() {
        check_rule(
            check,
            &[BODY],
            &[("tests/src/fuzz.rs:3", "`frame` has no shell")],
        );
    }

    #[test]
    fn a_shell_without_a_body_is_caught() {
        let expected = [("fuzz/fuzz_targets/frame.rs:1", "`frame` is no body")];
        check_rule(check, &[SHELL, BINARY], &expected);
        let idle = (SHELL.0, "fuzz_target!(|data| drop(data));\n");
        let expected = [("fuzz/fuzz_targets/frame.rs:1", "does not call its body")];
        check_rule(check, &[BODY, idle, BINARY], &expected);
    }

    #[test]
    fn a_shell_that_cargo_does_not_know_is_caught() {
        let expected = [("fuzz/fuzz_targets/frame.rs:1", "has no [[bin]]")];
        check_rule(check, &[BODY, SHELL], &expected);
    }
}
