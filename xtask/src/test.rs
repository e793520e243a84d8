//! `cargo xtask test`: every test of the workspace.

use std::ffi::OsString;

use anyhow::{Context, Result};

use crate::cargo::Cargo;
use crate::services::{self, Services};
use crate::side_by_side;
use crate::workspace::Workspace;

/// Runs every test: unit tests, integration tests and documentation examples of every package with all its features; one
/// failure does not hide another. With `arguments`, `cargo test` takes them and runs what they choose. The servers that tests talk to
/// are provided first, and where they can't be, nothing runs.
pub(crate) fn run(
    workspace: &Workspace,
    services: Services,
    arguments: Vec<OsString>,
) -> Result<()> {
    let root = &workspace.root;
    let with_services = with(services)?;
    if !arguments.is_empty() {
        let chosen = command().args(["--no-fail-fast"]).args(arguments);
        return with_services(chosen).run(root);
    }
    let binaries = side_by_side::run(&with_services(binaries()), root);
    let examples = with_services(examples()).run(root);
    match (binaries, examples) {
        (Err(binaries), Err(examples)) => Err(binaries).context(examples.to_string()),
        (binaries, examples) => binaries.and(examples),
    }
}

/// Provides the servers, or tells each command to do without.
fn with(services: Services) -> Result<impl Fn(Cargo) -> Cargo> {
    if services == Services::Needed {
        services::provide()?;
    }
    Ok(move |cargo: Cargo| match services {
        Services::Needed => cargo,
        Services::Without => cargo.env(services::WITHOUT, "1"),
    })
}

/// What every test command of the workspace begins with.
fn command() -> Cargo {
    Cargo::new(["test", "--workspace", "--all-features"])
}

/// Builds the test binaries and tells where they are.
fn binaries() -> Cargo {
    command().args(["--no-run", "--message-format=json-render-diagnostics"])
}

/// Runs the documentation examples.
fn examples() -> Cargo {
    command().args(["--doc", "--no-fail-fast"])
}

/// What [`run`] calls without arguments.
#[cfg(test)]
pub(crate) fn commands() -> [Cargo; 2] {
    [binaries(), examples()]
}
