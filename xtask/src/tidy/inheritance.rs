//! Versions, metadata and lints stand once, in the workspace's manifest; members inherit them.

use std::collections::BTreeSet;

use crate::tidy::Finding;
use crate::tidy::manifest::{Entry, Manifest};
use crate::tidy::tree::Tree;

const ROOT: &str = "Cargo.toml";
const PACKAGE_KEYS: [&str; 5] = ["version", "edition", "rust-version", "license", "authors"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut used = BTreeSet::new();
    for member in tree.members() {
        let path = member.manifest();
        match tree
            .source(&path)
            .map(|source| Manifest::parse(&source.text))
        {
            Some(Ok(manifest)) => {
                findings.extend(check_member(&path, &manifest));
                used.extend(manifest.dependencies.into_iter().map(|entry| entry.name));
            }
            Some(Err(error)) => findings.push(Finding::new(&path, 1, format!("{error}; mend it"))),
            None => findings.push(Finding::new(&path, 1, "is missing; cargo names it")),
        }
    }
    findings.extend(unused(tree, &used));
    findings
}

fn check_member(path: &str, manifest: &Manifest) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Entry {
        section,
        name,
        line,
        inherits,
    } in &manifest.dependencies
    {
        if !inherits {
            let message = format!(
                "`{name}` in [{section}] states its own source; put it into \
                 [workspace.dependencies] and write `{name}.workspace = true`"
            );
            findings.push(Finding::new(path, *line, message));
        }
    }
    for key in PACKAGE_KEYS {
        let entry = manifest.package.iter().find(|entry| entry.name == key);
        if !entry.is_some_and(|entry| entry.inherits) {
            let line = entry.map_or(1, |entry| entry.line);
            let message = format!("`{key}` is not inherited; write `{key}.workspace = true`");
            findings.push(Finding::new(path, line, message));
        }
    }
    if !manifest.inherits_lints {
        let message = "the lints are not inherited; write [lints] with `workspace = true`";
        findings.push(Finding::new(path, 1, message));
    }
    findings
}

/// A version that stands in the workspace has a user.
fn unused(tree: &Tree, used: &BTreeSet<String>) -> Vec<Finding> {
    let root = tree
        .source(ROOT)
        .and_then(|source| Manifest::parse(&source.text).ok());
    let listed = root
        .map(|manifest| manifest.workspace_dependencies)
        .unwrap_or_default();
    listed
        .iter()
        .filter(|entry| !used.contains(&entry.name))
        .map(|entry| {
            let message = format!("no member depends on `{}`; remove the line", entry.name);
            Finding::new(ROOT, entry.line, message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule_with;

    const HEAD: &str = "[package]\nname = \"annals-core\"\nversion.workspace = true\n\
         edition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\n\
         authors.workspace = true\n\n";
    const LINTS: &str = "[lints]\nworkspace = true\n\n";
    const BYTES: &str = "[dependencies]\nbytes.workspace = true\n";

    fn check_manifest(text: &str, expected: &[(&str, &str)]) {
        let root = "[workspace.dependencies]\nbytes = \"1\"\n";
        let tree = Tree::planted(&[(ROOT, root), ("crates/core/Cargo.toml", text)])
            .with_members(&[("crates/core", "annals-core", &[])]);
        check_rule_with(check, tree, expected);
    }

    #[test]
    fn a_member_that_inherits_everything_passes() {
        check_manifest(&format!("{HEAD}{LINTS}{BYTES}"), &[]);
    }

    #[test]
    fn a_version_in_a_member_is_caught() {
        let own = "\n[dev-dependencies]\nserde = \"1\"\n";
        let expected = [("crates/core/Cargo.toml:16", "`serde` in [dev-dependencies]")];
        check_manifest(&format!("{HEAD}{LINTS}{BYTES}{own}"), &expected);
        let head = HEAD.replace("edition.workspace = true", "edition = \"2021\"");
        let expected = [("crates/core/Cargo.toml:4", "`edition` is not inherited")];
        check_manifest(&format!("{head}{LINTS}{BYTES}"), &expected);
    }

    #[test]
    fn lints_that_are_not_inherited_are_caught() {
        let expected = [("crates/core/Cargo.toml:1", "lints are not inherited")];
        check_manifest(&format!("{HEAD}{BYTES}"), &expected);
    }

    #[test]
    fn a_version_that_nobody_uses_is_caught() {
        check_manifest(
            &format!("{HEAD}{LINTS}"),
            &[("Cargo.toml:2", "depends on `bytes`")],
        );
    }

    #[test]
    fn a_broken_manifest_is_caught() {
        let expected = [
            ("Cargo.toml:2", "depends on `bytes`"),
            ("crates/core/Cargo.toml:1", "mend it"),
        ];
        check_manifest("[package\n", &expected);
    }
}
