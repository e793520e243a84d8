//! The combinations of features under which each published crate must build.

use crate::cargo::Cargo;
use crate::workspace::{Member, Publish, Workspace};

/// The checks for every published crate: alone without features, with each feature alone, and with
/// all of them. Building a crate by itself also shows a feature of a dependency that only a
/// neighbour in the workspace turns on.
pub(crate) fn checks(workspace: &Workspace) -> Vec<Cargo> {
    workspace
        .members
        .iter()
        .filter(|member| member.publish == Publish::Public)
        .flat_map(|member| {
            combinations(&member.features)
                .into_iter()
                .map(|features| check(member, &features))
        })
        .collect()
}

/// None, each alone, all; each set once.
fn combinations(features: &[String]) -> Vec<Vec<String>> {
    let mut sets = vec![Vec::new()];
    sets.extend(features.iter().map(|feature| vec![feature.clone()]));
    if features.len() > 1 {
        sets.push(features.to_vec());
    }
    sets
}

/// Clippy rather than `cargo check`: its dependencies are built by the clippy step already, and a
/// warning under some combination (an import that is unused without a feature) is a failure too.
fn check(member: &Member, features: &[String]) -> Cargo {
    let mut words = vec!["clippy".into(), "--package".into(), member.name.clone()];
    words.push("--no-default-features".into());
    if !features.is_empty() {
        words.extend(["--features".into(), features.join(",")]);
    }
    words.extend(["--quiet", "--", "-D", "warnings"].map(String::from));
    Cargo::new(words)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn member(name: &str, publish: Publish, features: &[&str]) -> Member {
        Member {
            name: name.into(),
            folder: format!("crates/{name}"),
            publish,
            features: features.iter().map(ToString::to_string).collect(),
            dependencies: Vec::new(),
        }
    }

    fn check_plan(members: Vec<Member>, expected: &[&str]) {
        let workspace = Workspace {
            root: PathBuf::new(),
            target: PathBuf::new(),
            members,
        };
        let plan: Vec<String> = checks(&workspace).iter().map(ToString::to_string).collect();
        let full: Vec<String> = expected
            .iter()
            .map(|words| format!("{words} --quiet -- -D warnings"))
            .collect();
        assert_eq!(plan, full);
    }

    #[test]
    fn a_crate_without_features_is_built_by_itself() {
        check_plan(
            vec![member("core", Publish::Public, &[])],
            &["cargo clippy --package core --no-default-features"],
        );
    }

    #[test]
    fn each_feature_is_built_alone_and_all_together() {
        check_plan(
            vec![member("codec", Publish::Public, &["cbor", "json"])],
            &[
                "cargo clippy --package codec --no-default-features",
                "cargo clippy --package codec --no-default-features --features cbor",
                "cargo clippy --package codec --no-default-features --features json",
                "cargo clippy --package codec --no-default-features --features cbor,json",
            ],
        );
    }

    #[test]
    fn one_feature_alone_is_all_of_them() {
        check_plan(
            vec![member("one", Publish::Public, &["json"])],
            &[
                "cargo clippy --package one --no-default-features",
                "cargo clippy --package one --no-default-features --features json",
            ],
        );
    }

    #[test]
    fn a_private_package_is_left_out() {
        check_plan(vec![member("bank", Publish::Private, &["json"])], &[]);
    }
}
