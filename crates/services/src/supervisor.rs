//! A process that ends a server when its own standard input ends, which it does when whoever holds the other end
//! is gone, however that happened.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::account::Account;

/// A running script: it has said `ready`, and ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Supervisor {
    child: Child,
    input: Option<ChildStdin>,
}

impl Supervisor {
    /// Starts a shell script with these arguments, as this account, in a process group of its own so that no key
    /// press reaches it, and waits until it says `ready`.
    pub(crate) fn start(
        script: &str,
        arguments: &[&str],
        account: Option<Account>,
    ) -> Result<Self> {
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "supervisor"])
            .args(arguments)
            .env("LC_ALL", "C")
            // What these say is meant for other servers and clients.
            .env_remove("PGDATA")
            .env_remove("PGHOST")
            .env_remove("PGOPTIONS")
            .env_remove("PGPORT")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(Account { user, group }) = account {
            command.uid(user).gid(group);
        }
        let mut child = command.spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        if line.trim() == "ready" {
            let input = child.stdin.take();
            return Ok(Self { child, input });
        }
        let mut said = String::new();
        if let Some(mut errors) = child.stderr.take() {
            errors.read_to_string(&mut said)?;
        }
        child.wait()?;
        Err(Error::other(format!(
            "the server did not start: {line}{said}"
        )))
    }

    /// Sends the script a line.
    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        match &mut self.input {
            Some(input) => writeln!(input, "{line}"),
            None => Ok(()),
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.input = None;
        // Nothing can be done about a script that can't be waited for.
        drop(self.child.wait());
    }
}
