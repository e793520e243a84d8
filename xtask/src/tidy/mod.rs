//! `cargo xtask tidy`: the rules of the house that no compiler checks, one rule a file.
//!
//! A rule is a function from the tree to its findings. Each finding names a file and a line, and its
//! message says what is wrong and what to do about it.

use std::fmt;

use anyhow::{Result, bail};

use crate::tidy::tree::Tree;
use crate::workspace::Workspace;

mod ascii;
mod floors;
mod front_pages;
mod fuzz;
mod glossary;
mod guarantees;
mod includes;
mod inheritance;
mod leftovers;
mod length;
mod links;
mod manifest;
mod markdown;
mod outline;
mod tree;
mod unsafety;
mod whitespace;

/// Every rule: its name, which each violation carries, and its check.
const RULES: &[(&str, Rule)] = &[
    ("ascii", ascii::check),
    ("floors", floors::check),
    ("front-pages", front_pages::check),
    (FUZZ, fuzz::check),
    ("glossary", glossary::check),
    ("guarantees", guarantees::check),
    ("includes", includes::check),
    ("inheritance", inheritance::check),
    ("leftovers", leftovers::check),
    ("length", length::check),
    ("links", links::check),
    ("unsafety", unsafety::check),
    ("whitespace", whitespace::check),
];

const FUZZ: &str = "fuzz";

type Rule = fn(&Tree) -> Vec<Finding>;

/// A place where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// Relative to the root.
    path: String,
    /// From 1.
    line: usize,
    /// What is wrong, and what to do.
    message: String,
}

/// A finding together with the rule that found it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    finding: Finding,
    rule: &'static str,
}

/// Checks every rule and prints every violation; fails where there is one.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let violations = violations(&Tree::load(workspace)?, |_| true);
    for violation in &violations {
        println!("{violation}");
    }
    if !violations.is_empty() {
        bail!("{} violations of the house rules", violations.len());
    }
    println!("tidy: {} rules hold", RULES.len());
    Ok(())
}

/// The violations of the rule on fuzz shells alone.
pub(crate) fn fuzz_shells(workspace: &Workspace) -> Result<Vec<Violation>> {
    Ok(violations(&Tree::load(workspace)?, |rule| rule == FUZZ))
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding {
            path,
            line,
            message,
        } = &self.finding;
        write!(f, "{path}:{line}: [{}] {message}", self.rule)
    }
}

fn violations(tree: &Tree, selected: impl Fn(&str) -> bool) -> Vec<Violation> {
    let mut violations: Vec<Violation> = RULES
        .iter()
        .filter(|(name, _)| selected(name))
        .flat_map(|&(rule, check)| {
            check(tree)
                .into_iter()
                .map(move |finding| Violation { finding, rule })
        })
        .collect();
    violations.sort();
    violations
}

/// Plants files in a tree and compares what a rule finds: `path:line` and a part of the message.
#[cfg(test)]
fn check_rule(rule: Rule, files: &[(&str, &str)], expected: &[(&str, &str)]) {
    check_rule_with(rule, Tree::planted(files), expected);
}

/// Like [`check_rule`], on a tree that has members too.
#[cfg(test)]
fn check_rule_with(rule: Rule, tree: Tree, expected: &[(&str, &str)]) {
    let mut found = rule(&tree);
    found.sort();
    let places: Vec<String> = found
        .iter()
        .map(|finding| format!("{}:{}", finding.path, finding.line))
        .collect();
    let expected_places: Vec<&str> = expected.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, expected_places, "{found:#?}");
    for (finding, (_, part)) in found.iter().zip(expected) {
        assert!(
            finding.message.contains(part),
            "`{}` lacks `{part}`",
            finding.message
        );
    }
    drop(tree);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let workspace = Workspace::load().unwrap();
        let violations = violations(&Tree::load(&workspace).unwrap(), |_| true);
        let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "\n{}", lines.join("\n"));
    }

    /// Goes the whole way, from manifests on a disk to the printed line.
    #[test]
    fn an_upward_dependency_planted_in_a_workspace_is_caught() {
        let folder = tempfile::tempdir().unwrap();
        let plant = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        plant(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n",
        );
        plant(".gitignore", "/target\n");
        plant("target/generated.rs", "\t\n");
        plant(
            "ARCHITECTURE.md",
            "| floor | crate | job | ignorant of |\n|---|---|---|---|\n\
             | 0 | `core` | words | disks |\n| 1 | `codec` | bytes | streams |\n",
        );
        let head = "version = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n";
        plant(
            "crates/core/Cargo.toml",
            &format!(
                "[package]\nname = \"annals-core\"\n{head}annals-codec = {{ path = \"../codec\" }}\n"
            ),
        );
        plant(
            "crates/codec/Cargo.toml",
            &format!("[package]\nname = \"annals-codec\"\n{head}"),
        );
        for name in ["core", "codec"] {
            plant(&format!("crates/{name}/src/lib.rs"), "//! A crate.\n");
        }

        let workspace = Workspace::load_from(folder.path()).unwrap();
        let tree = Tree::load(&workspace).unwrap();
        let lines: Vec<String> = violations(&tree, |rule| rule == "floors" || rule == "whitespace")
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected = "crates/core/Cargo.toml:7: [floors] `annals-core` (floor 0) depends on \
             `annals-codec` (floor 1); depend on lower floors only, or move what you need down";
        assert_eq!(lines, [expected]);
    }
}
