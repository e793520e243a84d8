//! What cargo says about the workspace: where it lies, and its members.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// The workspace as its manifests describe it, external dependencies left unresolved.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The folder of the virtual manifest.
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
    /// Every package of the workspace, sorted by name.
    pub(crate) members: Vec<Member>,
}

/// A package of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// The package's name.
    pub(crate) name: String,
    /// Its folder relative to the root, with `/` between the parts.
    pub(crate) folder: String,
    /// Whether it may be published.
    pub(crate) publish: Publish,
    /// Its features, sorted, without `default`.
    pub(crate) features: Vec<String>,
    /// Its dependencies on other members.
    pub(crate) dependencies: Vec<MemberDependency>,
}

/// Whether a package goes to a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Publish {
    /// It does: `publish` is not set.
    Public,
    /// It stays in the workspace: `publish = false`.
    Private,
}

/// A dependency of one member on another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberDependency {
    /// The name of the package that is depended on.
    pub(crate) name: String,
    /// Normal, build or dev.
    pub(crate) kind: DependencyKind,
}

impl Workspace {
    /// Reads the workspace that this package belongs to.
    pub(crate) fn load() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("the xtask package has no folder above it")?;
        Self::load_from(root)
    }

    /// Reads the workspace with this root; needs no network and no lock file.
    pub(crate) fn load_from(root: &Path) -> Result<Self> {
        let metadata = MetadataCommand::new()
            .manifest_path(root.join("Cargo.toml"))
            .no_deps()
            .exec()
            .context("the workspace's manifests cannot be read")?;
        Self::from_metadata(&metadata)
    }

    fn from_metadata(metadata: &Metadata) -> Result<Self> {
        let packages = metadata.workspace_packages();
        let names: Vec<&str> = packages
            .iter()
            .map(|package| package.name.as_str())
            .collect();
        let mut members = packages
            .iter()
            .map(|package| member(package, &names, metadata.workspace_root.as_std_path()))
            .collect::<Result<Vec<_>>>()?;
        members.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self {
            root: metadata.workspace_root.clone().into(),
            target: metadata.target_directory.clone().into(),
            members,
        })
    }
}

impl Member {
    /// The short name of a crate in `crates/`; none for every other member.
    pub(crate) fn short_name(&self) -> Option<&str> {
        self.folder.strip_prefix("crates/")
    }

    /// The path of its manifest, relative to the root.
    pub(crate) fn manifest(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }
}

fn member(package: &Package, names: &[&str], root: &Path) -> Result<Member> {
    let folder = package
        .manifest_path
        .parent()
        .and_then(|folder| folder.strip_prefix(root).ok())
        .ok_or_else(|| anyhow!("{} lies outside the workspace", package.manifest_path))?;
    let dependencies = package
        .dependencies
        .iter()
        .filter(|dependency| names.contains(&dependency.name.as_str()))
        .map(|dependency| MemberDependency {
            name: dependency.name.clone(),
            kind: dependency.kind,
        })
        .collect();
    Ok(Member {
        name: package.name.to_string(),
        folder: folder.as_str().replace('\\', "/"),
        publish: match &package.publish {
            Some(registries) if registries.is_empty() => Publish::Private,
            _ => Publish::Public,
        },
        features: package
            .features
            .keys()
            .filter(|name| *name != "default")
            .cloned()
            .collect(),
        dependencies,
    })
}
