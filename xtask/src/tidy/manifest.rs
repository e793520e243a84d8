//! What the rules read from a manifest: its dependencies and what it inherits, with their lines.

use anyhow::Result;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The tables in which a manifest lists dependencies.
const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// What stands in one manifest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The dependencies of a package, those of one platform included.
    pub(crate) dependencies: Vec<Entry>,
    /// The keys of `[package]`.
    pub(crate) package: Vec<Entry>,
    /// The keys of `[workspace.dependencies]`.
    pub(crate) workspace_dependencies: Vec<Entry>,
    /// Whether `[lints]` says `workspace = true`.
    pub(crate) inherits_lints: bool,
}

/// A key of a table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The table's name, without what stands before the last dot.
    pub(crate) section: String,
    pub(crate) name: String,
    pub(crate) line: usize,
    /// Whether its value says `workspace = true`.
    pub(crate) inherits: bool,
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;
type Value<'a> = Spanned<DeValue<'a>>;

impl Manifest {
    /// Reads a whole manifest; fails where it is not TOML.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let root = DeTable::parse(text)?.into_inner();
        let workspace = table(&root, "workspace");
        let platforms = table(&root, "target").into_iter().flat_map(DeTable::values);
        let tables = [Some(&root)]
            .into_iter()
            .chain(platforms.map(as_table))
            .flatten();
        Ok(Self {
            dependencies: tables
                .flat_map(|table| SECTIONS.map(|section| entries(text, table, section)))
                .flatten()
                .collect(),
            package: entries(text, &root, "package"),
            workspace_dependencies: workspace
                .map(|workspace| entries(text, workspace, "dependencies"))
                .unwrap_or_default(),
            inherits_lints: root.get("lints").is_some_and(inherits),
        })
    }
}

fn entries(text: &str, parent: &DeTable<'_>, section: &str) -> Vec<Entry> {
    let entry = |(key, value): (&Key<'_>, &Value<'_>)| Entry {
        section: section.to_owned(),
        name: key.get_ref().to_string(),
        line: text
            .get(..key.span().start)
            .unwrap_or(text)
            .matches('\n')
            .count()
            + 1,
        inherits: inherits(value),
    };
    table(parent, section)
        .into_iter()
        .flatten()
        .map(entry)
        .collect()
}

fn inherits(value: &Value<'_>) -> bool {
    let workspace = as_table(value).and_then(|table| table.get("workspace"));
    workspace.and_then(|value| value.get_ref().as_bool()) == Some(true)
}

fn table<'a, 'text>(parent: &'a DeTable<'text>, name: &str) -> Option<&'a DeTable<'text>> {
    parent.get(name).and_then(as_table)
}

fn as_table<'a, 'text>(value: &'a Value<'text>) -> Option<&'a DeTable<'text>> {
    value.get_ref().as_table()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_inheriting_is_understood() {
        let text = "[package]\nname = \"a\"\nversion.workspace = true\n\n[lints]\n\
             workspace = true\n\n[dependencies]\nb.workspace = true\n\
             c = { workspace = true, features = [\"d\"] }\ne = \"1\"\n\n\
             [target.'cfg(unix)'.dev-dependencies]\nf = { path = \"../f\" }\n\n\
             [dependencies.g]\nworkspace = true\n";
        let manifest = Manifest::parse(text).unwrap();
        let found: Vec<_> = manifest
            .dependencies
            .iter()
            .map(|entry| {
                (
                    entry.name.as_str(),
                    entry.section.as_str(),
                    entry.line,
                    entry.inherits,
                )
            })
            .collect();
        let expected = [
            ("b", "dependencies", 9, true),
            ("c", "dependencies", 10, true),
            ("e", "dependencies", 11, false),
            ("g", "dependencies", 16, true),
            ("f", "dev-dependencies", 14, false),
        ];
        assert_eq!(found, expected);
        assert!(manifest.inherits_lints);
        assert!(
            !manifest
                .package
                .iter()
                .any(|entry| entry.name == "name" && entry.inherits)
        );
        assert!(
            manifest
                .package
                .iter()
                .any(|entry| entry.name == "version" && entry.inherits)
        );
    }

    #[test]
    fn a_broken_manifest_is_refused() {
        assert!(Manifest::parse("[package\n").is_err());
    }
}
