//! cargo-deny: licences, sources, bans and advisories of the dependency tree (`deny.toml`).
//!
//! It is not part of Rust, so the pinned version is installed under the target folder where the
//! machine has none. Only the advisory database lives on a git host; a machine that cannot reach the
//! host checks all the rest and says so.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cargo::Cargo;
use crate::workspace::Workspace;

const VERSION: &str = "0.20.2";
/// How long the advisory database may take to arrive.
const FETCH_TIMEOUT: Duration = Duration::from_mins(2);

/// Checks the dependency tree; returns a notice where the advisories could not be checked.
pub(crate) fn run(workspace: &Workspace) -> Result<Option<String>> {
    let program = find_or_install(workspace)?;
    // Who depends on each crate with several versions fills thousands of lines; it is asked for where something is refused.
    let brief = [
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ];
    if check(&program, &workspace.root, &brief).is_err() {
        check(
            &program,
            &workspace.root,
            &["check", "bans", "licenses", "sources"],
        )?;
    }
    match fetch_advisories(&program, &workspace.root) {
        Ok(()) => {
            check(
                &program,
                &workspace.root,
                &["check", "--disable-fetch", "advisories"],
            )?;
            Ok(None)
        }
        Err(reason) => {
            println!("the advisory database could not be fetched: {reason:#}");
            Ok(Some(
                "advisories were NOT checked: their database could not be fetched".into(),
            ))
        }
    }
}

fn find_or_install(workspace: &Workspace) -> Result<PathBuf> {
    let tools = workspace.target.join("tools");
    let ours = tools.join("bin").join("cargo-deny");
    for program in [PathBuf::from("cargo-deny"), ours.clone()] {
        if version(&program).as_deref() == Some(VERSION) {
            return Ok(program);
        }
    }
    println!(
        "cargo-deny {VERSION} is not here; installing it into {}",
        tools.display()
    );
    let root = tools
        .to_str()
        .context("the target folder's path is not UTF-8")?;
    // Debug profile, no debug information: it runs for seconds, so building it fast counts.
    Cargo::new([
        "install",
        "cargo-deny",
        "--version",
        VERSION,
        "--locked",
        "--debug",
        "--root",
    ])
    .args([root])
    .env("CARGO_PROFILE_DEV_DEBUG", "0")
    .run(&workspace.root)?;
    Ok(ours)
}

/// The version that a cargo-deny says it has; none where there is no such program.
fn version(program: &Path) -> Option<String> {
    let output = Command::new(program)
        .arg("--version")
        .stderr(Stdio::null())
        .output()
        .ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_version(output: &str) -> Option<String> {
    output.trim().strip_prefix("cargo-deny ").map(str::to_owned)
}

fn check(program: &Path, root: &Path, arguments: &[&str]) -> Result<()> {
    let line = format!("cargo deny {}", arguments.join(" "));
    println!("$ {line}");
    let status = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .status()
        .with_context(|| format!("`{line}` could not be started"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

fn fetch_advisories(program: &Path, root: &Path) -> Result<()> {
    println!("$ cargo deny fetch db");
    let mut command = Command::new(program);
    // Without a prompt: git would otherwise wait for a password that nobody types.
    command
        .args(["fetch", "db"])
        .current_dir(root)
        .env("GIT_TERMINAL_PROMPT", "0");
    finish_within(command, FETCH_TIMEOUT)
}

/// Runs a command and kills it when it takes longer than `timeout`; its error output becomes the
/// error.
fn finish_within(mut command: Command, timeout: Duration) -> Result<()> {
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stderr = child
        .stderr
        .take()
        .context("the error output was not captured")?;
    let (sender, receiver) = mpsc::channel();
    // Detached on purpose: a grandchild may hold the pipe open after the kill.
    thread::spawn(move || {
        let mut text = Vec::new();
        let ended = stderr.read_to_end(&mut text);
        // The receiver is gone once the time is up, and then nobody wants the text.
        sender
            .send(ended.map(|_| String::from_utf8_lossy(&text).trim().to_owned()))
            .ok();
    });
    let Ok(text) = receiver.recv_timeout(timeout) else {
        child.kill()?;
        child.wait()?;
        bail!("no answer within {} s", timeout.as_secs());
    };
    if child.wait()?.success() {
        return Ok(());
    }
    bail!("{}", text?);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_output() {
        assert_eq!(
            parse_version("cargo-deny 0.20.2\n").as_deref(),
            Some("0.20.2")
        );
        assert_eq!(parse_version("something else"), None);
    }

    #[test]
    fn a_program_that_is_not_there_has_no_version() {
        assert_eq!(version(Path::new("cargo-deny-that-nobody-installed")), None);
    }

    #[cfg(unix)]
    mod on_unix {
        use super::*;

        fn check(script: &str, timeout: Duration, expected: Result<(), &str>) {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            let result = finish_within(command, timeout).map_err(|error| error.to_string());
            assert_eq!(result, expected.map_err(str::to_owned));
        }

        #[test]
        fn a_command_is_waited_for_but_not_for_ever() {
            let long = Duration::from_mins(1);
            check("exit 0", long, Ok(()));
            check(
                "echo no route to host >&2; exit 1",
                long,
                Err("no route to host"),
            );
            check(
                "exec sleep 3600",
                Duration::ZERO,
                Err("no answer within 0 s"),
            );
        }
    }
}
