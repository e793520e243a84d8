//! `cargo xtask test`: every test of the workspace.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::cargo::Cargo;
use crate::workspace::Workspace;

/// Runs the tests, with `arguments` added to the command line; ends as cargo ends.
pub(crate) fn run(workspace: &Workspace, arguments: Vec<OsString>) -> Result<ExitCode> {
    let status = command().args(arguments).status(&workspace.root)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    // A child that a signal ended has no code of its own.
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The README's test command: unit tests, integration tests and documentation examples of every
/// package with all its features; one failure does not hide another.
pub(crate) fn command() -> Cargo {
    Cargo::new(["test", "--workspace", "--all-features", "--no-fail-fast"])
}
