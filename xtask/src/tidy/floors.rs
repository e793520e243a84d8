//! A crate depends on lower floors only; ARCHITECTURE.md says on which floor each stands.
//!
//! The table of floors has a row a crate: the floor's number, the crate's short name in backticks, its
//! job, and what it must not know. What a crate needs to test itself (dev-dependencies) is free, and
//! so is what stands outside `crates/`: nothing depends on that.

use std::collections::BTreeMap;

use cargo_metadata::DependencyKind;

use crate::tidy::manifest::Manifest;
use crate::tidy::tree::Tree;
use crate::tidy::{Finding, markdown};
use crate::workspace::{Member, MemberDependency};

const ARCHITECTURE: &str = "ARCHITECTURE.md";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let rows = tree
        .source(ARCHITECTURE)
        .map(|page| floor_rows(&page.text))
        .unwrap_or_default();
    let mut findings = check_rows(tree, &rows);
    let floors: BTreeMap<String, u32> = rows
        .iter()
        .map(|row| (package_name(&row.short_name), row.floor))
        .collect();
    for (short_name, member) in tree.crates() {
        findings.extend(check_name(short_name, member));
        findings.extend(check_dependencies(tree, member, &floors));
    }
    findings
}

/// A row of the table of floors.
#[derive(Debug)]
struct FloorRow {
    line: usize,
    floor: u32,
    short_name: String,
    /// Whether it tells the crate's job and what the crate must not know.
    is_complete: bool,
}

/// The rows that start with a number and a name in backticks, in any table of the page.
fn floor_rows(text: &str) -> Vec<FloorRow> {
    let rows = markdown::rows(text);
    let floor_row = |row: &markdown::Row| {
        let [floor, name, rest @ ..] = row.cells.as_slice() else {
            return None;
        };
        let [short_name] = name.codes.as_slice() else {
            return None;
        };
        Some(FloorRow {
            line: row.line,
            floor: floor.text.trim().parse().ok()?,
            short_name: short_name.clone(),
            is_complete: rest.len() == 2 && rest.iter().all(|cell| !cell.text.trim().is_empty()),
        })
    };
    rows.iter().filter_map(floor_row).collect()
}

/// The table and `crates/` list the same crates, each once and with all it should say.
fn check_rows(tree: &Tree, rows: &[FloorRow]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let name = &row.short_name;
        let mut add = |message| findings.push(Finding::new(ARCHITECTURE, row.line, message));
        if !row.is_complete {
            add(format!(
                "the row of `{name}` is not whole; give its job and its ignorance"
            ));
        }
        if rows
            .iter()
            .take(index)
            .any(|earlier| earlier.short_name == *name)
        {
            add(format!("`{name}` has a second row; keep one"));
        }
        if !tree.crates().any(|(short_name, _)| short_name == name) {
            add(format!(
                "there is no crate crates/{name}; remove the row until there is"
            ));
        }
    }
    for (short_name, member) in tree.crates() {
        if !rows.iter().any(|row| row.short_name == short_name) {
            let message = format!(
                "`{short_name}` has no floor; give it a row in the table of {ARCHITECTURE}"
            );
            findings.push(Finding::new(&member.manifest(), 1, message));
        }
    }
    findings
}

fn check_name(short_name: &str, member: &Member) -> Option<Finding> {
    let expected = package_name(short_name);
    let message = format!(
        "the package `{}` lives here; call it `{expected}`",
        member.name
    );
    (member.name != expected).then(|| Finding::new(&member.manifest(), 1, message))
}

fn check_dependencies(
    tree: &Tree,
    member: &Member,
    floors: &BTreeMap<String, u32>,
) -> Vec<Finding> {
    let path = member.manifest();
    let manifest = tree
        .source(&path)
        .and_then(|source| Manifest::parse(&source.text).ok());
    let mut findings = Vec::new();
    for dependency in &member.dependencies {
        if dependency.kind == DependencyKind::Development {
            continue;
        }
        let (name, other) = (&member.name, &dependency.name);
        let line = line_of(manifest.as_ref(), dependency);
        match (floors.get(name), floors.get(other)) {
            (Some(own), Some(floor)) if floor >= own => {
                let message = format!(
                    "`{name}` (floor {own}) depends on `{other}` (floor {floor}); depend on lower \
                     floors only, or move what you need down"
                );
                findings.push(Finding::new(&path, line, message));
            }
            (_, None) if !tree.crates().any(|(_, member)| member.name == *other) => {
                let message = format!(
                    "`{name}` depends on `{other}`, which is no crate in crates/; \
                     move what you need into one"
                );
                findings.push(Finding::new(&path, line, message));
            }
            // A crate without a floor is reported as such.
            _ => {}
        }
    }
    findings
}

fn package_name(short_name: &str) -> String {
    match short_name {
        "annals" => "annals".to_owned(),
        short_name => format!("annals-{short_name}"),
    }
}

/// Where the manifest lists a dependency.
fn line_of(manifest: Option<&Manifest>, dependency: &MemberDependency) -> usize {
    let section = match dependency.kind {
        DependencyKind::Build => "build-dependencies",
        _ => "dependencies",
    };
    let entries = manifest
        .into_iter()
        .flat_map(|manifest| &manifest.dependencies);
    let mut lines = entries
        .filter(|entry| entry.section == section && entry.name == dependency.name)
        .map(|entry| entry.line);
    lines.next().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule_with;

    const TABLE: &str = "| floor | crate | job | must not know |\n|---|---|---|---|\n\
         | 0 | `core` | words | disks |\n| 1 | `codec` | bytes | streams |\n\
         | 4 | `annals` | the front | stores |\n| 4 | `testkit` | tests | stores |\n";

    fn check_crates(members: &[(&str, &str, &[&str])], table: &str, expected: &[(&str, &str)]) {
        let manifest = "[dependencies]\nannals-core.workspace = true\n";
        let mut files = vec![(ARCHITECTURE, table)];
        let manifests: Vec<String> = members
            .iter()
            .map(|(folder, ..)| format!("{folder}/Cargo.toml"))
            .collect();
        files.extend(manifests.iter().map(|path| (path.as_str(), manifest)));
        check_rule_with(check, Tree::planted(&files).with_members(members), expected);
    }

    fn check_edges(core: &[&str], codec: &[&str], annals: &[&str], expected: &[(&str, &str)]) {
        let members = [
            ("crates/core", "annals-core", core),
            ("crates/codec", "annals-codec", codec),
            ("crates/annals", "annals", annals),
            ("crates/testkit", "annals-testkit", &[]),
            ("xtask", "xtask", &["annals", "annals-testkit"]),
        ];
        check_crates(&members, TABLE, expected);
    }

    #[test]
    fn downward_and_test_dependencies_pass() {
        check_edges(&[], &["annals-core"], &["annals-core", "annals-codec"], &[]);
        check_edges(
            &["dev:annals-codec"],
            &["dev:annals-codec"],
            &["dev:annals-testkit"],
            &[],
        );
    }

    #[test]
    fn upward_and_sideways_dependencies_are_caught() {
        let upward = [(
            "crates/core/Cargo.toml:1",
            "(floor 0) depends on `annals-codec` (floor 1)",
        )];
        check_edges(&["annals-codec"], &[], &[], &upward);
        let sideways = [(
            "crates/annals/Cargo.toml:1",
            "depends on `annals-testkit` (floor 4)",
        )];
        check_edges(&[], &[], &["annals-core", "annals-testkit"], &sideways);
        let itself = [(
            "crates/core/Cargo.toml:2",
            "depends on `annals-core` (floor 0)",
        )];
        check_edges(&["annals-core"], &[], &[], &itself);
    }

    #[test]
    fn a_crate_does_not_depend_on_what_is_no_crate() {
        let expected = [("crates/codec/Cargo.toml:1", "`xtask`, which is no crate")];
        check_edges(&[], &["xtask"], &[], &expected);
    }

    #[test]
    fn table_and_crates_agree() {
        let core: (&str, &str, &[&str]) = ("crates/core", "annals-core", &[]);
        let head = "| floor | crate | job | must not know |\n|---|---|---|---|\n";
        let row = "| 0 | `core` | words | disks |\n";
        let check =
            |rows: &str, expected| check_crates(&[core], &format!("{head}{rows}"), expected);
        check(row, &[]);
        check("", &[("crates/core/Cargo.toml:1", "has no floor")]);
        check(
            "| 0 | `core` | words | |\n",
            &[("ARCHITECTURE.md:3", "not whole")],
        );
        check(
            "| 0 | `core` | | disks |\n",
            &[("ARCHITECTURE.md:3", "not whole")],
        );
        check(&row.repeat(2), &[("ARCHITECTURE.md:4", "second row")]);
        let narrow = "| floor | crate | job |\n|---|---|---|\n| 0 | `core` | words |\n";
        check_crates(&[core], narrow, &[("ARCHITECTURE.md:3", "not whole")]);
        let log = format!("{row}| 0 | `log` | records | events |\n");
        check(&log, &[("ARCHITECTURE.md:4", "no crate crates/log")]);
    }

    #[test]
    fn a_package_is_called_after_its_folder() {
        let table = "| f | c | j | i |\n|---|---|---|---|\n| 0 | `core` | words | disks |\n";
        let expected = [("crates/core/Cargo.toml:1", "call it `annals-core`")];
        check_crates(&[("crates/core", "core", &[])], table, &expected);
    }
}
