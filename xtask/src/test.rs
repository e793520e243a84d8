//! `cargo xtask test`: every test of the workspace.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::cargo::Cargo;
use crate::services::{self, Services};
use crate::workspace::Workspace;

/// Runs the tests, with `arguments` added to the command line; ends as cargo ends. The servers that tests talk to are
/// provided first, and where they can't be, nothing runs.
pub(crate) fn run(
    workspace: &Workspace,
    services: Services,
    arguments: Vec<OsString>,
) -> Result<ExitCode> {
    let status = with(services)?.args(arguments).status(&workspace.root)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    // A child that a signal ended has no code of its own.
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The test command, once its servers are there, or told to do without.
pub(crate) fn with(services: Services) -> Result<Cargo> {
    match services {
        Services::Needed => services::provide().map(|()| command()),
        Services::Without => Ok(command().env(services::WITHOUT, "1")),
    }
}

/// The README's test command: unit tests, integration tests and documentation examples of every
/// package with all its features; one failure does not hide another.
pub(crate) fn command() -> Cargo {
    Cargo::new(["test", "--workspace", "--all-features", "--no-fail-fast"])
}
