//! A call of cargo, shown before it runs.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

/// A command line of cargo: its arguments and the environment variables that it adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cargo {
    arguments: Vec<OsString>,
    variables: Vec<(&'static str, String)>,
}

impl Cargo {
    /// `cargo` with these arguments, the subcommand first.
    pub(crate) fn new<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self {
            arguments: arguments.into_iter().map(Into::into).collect(),
            variables: Vec::new(),
        }
    }

    /// Adds arguments at the end.
    pub(crate) fn args<A: Into<OsString>>(
        mut self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable for this call alone.
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Shows the command line, runs it in `directory` and waits; a failure of the command is an
    /// `Ok` with its status.
    pub(crate) fn status(&self, directory: &Path) -> Result<ExitStatus> {
        println!("$ {self}");
        self.command(directory)
            .status()
            .with_context(|| format!("`{self}` could not be started"))
    }

    /// Like [`status`](Self::status), and gives what the command wrote, which is shown line by line.
    pub(crate) fn output(&self, directory: &Path) -> Result<(ExitStatus, String)> {
        let mut child = self.spawn(directory)?;
        let mut written = String::new();
        let lines = child
            .stdout
            .take()
            .into_iter()
            .flat_map(|output| BufReader::new(output).lines());
        for line in lines {
            let line = line.with_context(|| format!("what `{self}` writes can't be read"))?;
            println!("{line}");
            written.push_str(&line);
            written.push('\n');
        }
        let status = child
            .wait()
            .with_context(|| format!("`{self}` can't be waited for"))?;
        Ok((status, written))
    }

    /// Shows the command line and starts it in `directory`, with its standard output for the caller to read.
    pub(crate) fn spawn(&self, directory: &Path) -> Result<Child> {
        println!("$ {self}");
        self.command(directory)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("`{self}` could not be started"))
    }

    /// The environment variables that it adds.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
    }

    /// Like [`status`](Self::status), but a failure of the command is an error.
    pub(crate) fn run(&self, directory: &Path) -> Result<()> {
        self.judge(self.status(directory)?)
    }

    /// An error that names the command, if it failed.
    pub(crate) fn judge(&self, status: ExitStatus) -> Result<()> {
        if !status.success() {
            bail!("`{self}` failed ({status})");
        }
        Ok(())
    }

    fn command(&self, directory: &Path) -> Command {
        let mut command = Command::new(program());
        command.args(&self.arguments).current_dir(directory);
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command
    }
}

impl fmt::Display for Cargo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.variables {
            write!(f, "{name}={} ", quoted(OsStr::new(value)))?;
        }
        f.write_str("cargo")?;
        self.arguments
            .iter()
            .try_for_each(|argument| write!(f, " {}", quoted(argument)))
    }
}

/// The cargo that runs us, so that the whole of a run uses one toolchain.
fn program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A word as a shell would take it; enough for the words that we use.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=/.,:@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_shown_as_it_can_be_typed() {
        let call = Cargo::new(["test", "--bench"])
            .args(["*"])
            .env("FLAGS", "-D warnings");
        assert_eq!(
            call.to_string(),
            "FLAGS='-D warnings' cargo test --bench '*'"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_failing_command_is_an_error_that_names_it() {
        use std::os::unix::process::ExitStatusExt;

        let call = Cargo::new(["test"]);
        let judge = |raw| {
            call.judge(ExitStatus::from_raw(raw))
                .map_err(|error| error.to_string())
        };
        assert_eq!(judge(0), Ok(()));
        assert_eq!(
            judge(101 << 8),
            Err("`cargo test` failed (exit status: 101)".to_owned())
        );
    }
}
