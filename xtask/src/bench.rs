//! `cargo xtask bench`: the workloads of an event store, for annals, its rivals and the bare machine.
//!
//! The rivals are dependencies of `benches/rivals`, a workspace of its own that nothing else builds.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::cargo::Cargo;
use crate::workspace::Workspace;

const MANIFEST: &str = "benches/rivals/Cargo.toml";

/// Builds the rivals, optimised, and runs their command with `arguments`; ends as it ends.
pub(crate) fn run(workspace: &Workspace, arguments: Vec<OsString>) -> Result<ExitCode> {
    let status = command(&workspace.target)
        .args(arguments)
        .status(&workspace.root)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    // A child that a signal ended has no code of its own.
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// A folder of its own below `target`, so that neither build evicts what the other left there.
fn command(target: &Path) -> Cargo {
    Cargo::new(["run", "--release", "--manifest-path", MANIFEST])
        .args([
            OsString::from("--target-dir"),
            target.join("rivals").into_os_string(),
        ])
        .args(["--"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rivals_are_built_beside_the_workspace() {
        let command = command(Path::new("target")).args(["compare", "--quick"]);
        assert_eq!(
            command.to_string(),
            "cargo run --release --manifest-path benches/rivals/Cargo.toml --target-dir target/rivals \
             -- compare --quick"
        );
    }
}
