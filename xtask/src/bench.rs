//! `cargo xtask bench`: the workloads of an event store, for annals, its rivals and the bare machine or server.
//!
//! The rivals are dependencies of `benches/rivals` and, on PostgreSQL, of `benches/postgres`, each a workspace of its own
//! that nothing else builds.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::cargo::Cargo;
use crate::workspace::Workspace;

/// The package of the embedded stores.
const RIVALS: &str = "rivals";

/// The package of the stores on PostgreSQL, and the command of it that is its name.
const POSTGRES: &str = "postgres";

/// Builds the rivals, optimised, and runs their command with `arguments`; ends as it ends.
pub(crate) fn run(workspace: &Workspace, arguments: Vec<OsString>) -> Result<ExitCode> {
    let status = command(package(&arguments), &workspace.target)
        .args(arguments)
        .status(&workspace.root)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    // A child that a signal ended has no code of its own.
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The package that has the command.
fn package(arguments: &[OsString]) -> &'static str {
    match arguments.first() {
        Some(command) if command == POSTGRES => POSTGRES,
        _ => RIVALS,
    }
}

/// A folder of its own below `target`, so that no build evicts what another left there.
fn command(package: &str, target: &Path) -> Cargo {
    let manifest = format!("benches/{package}/Cargo.toml");
    let folder = match package {
        POSTGRES => target.join("postgres-bench"),
        _ => target.join(package),
    };
    Cargo::new(["run", "--release", "--manifest-path", &manifest])
        .args([OsString::from("--target-dir"), folder.into_os_string()])
        .args(["--"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str], expected: &str) {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let command = command(package(&arguments), Path::new("target")).args(arguments);
        assert_eq!(command.to_string(), expected);
    }

    #[test]
    fn the_rivals_are_built_beside_the_workspace() {
        check(
            &["compare", "--quick"],
            "cargo run --release --manifest-path benches/rivals/Cargo.toml --target-dir target/rivals \
             -- compare --quick",
        );
        check(
            &["postgres", "--quick"],
            "cargo run --release --manifest-path benches/postgres/Cargo.toml --target-dir target/postgres-bench \
             -- postgres --quick",
        );
    }
}
