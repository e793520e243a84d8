//! A place of its own for each test, with a store of which every byte is known.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The program.
pub(crate) const ANNALS: &str = env!("CARGO_BIN_EXE_annals");

/// The export that the store is made of.
pub(crate) const SHOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/shop.ndjson");

/// A directory with a store `shop` in it, which commands find by themselves.
pub(crate) struct Place {
    directory: TempDir,
}

/// What a command did.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// All of it, as it is kept in a file.
    pub(crate) fn told(&self, line: &str) -> String {
        let mut text = format!("$ {line}\n{}", self.out);
        if !self.err.is_empty() {
            text.push_str("--- standard error\n");
            text.push_str(&self.err);
        }
        if self.code != 0 {
            text.push_str(&format!("--- exit code {}\n", self.code));
        }
        text
    }
}

impl Place {
    /// An empty place.
    pub(crate) fn empty() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// A place with the store.
    pub(crate) fn shop() -> Self {
        let place = Self::empty();
        let made = place.run(&["import", SHOP]);
        assert_eq!(made.code, 0, "{}", made.err);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The program with all that a command finds here.
    pub(crate) fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let bin = Path::new(ANNALS).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        command
            .current_dir(self.directory.path())
            .env("ANNALS_STORE", "shop")
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("TZ", "UTC")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs `annals` with these arguments.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.program(ANNALS);
        command.args(arguments);
        ran(&mut command)
    }

    /// Runs a line in a shell, in which a failure before a pipe is one.
    pub(crate) fn shell(&self, line: &str) -> Ran {
        let mut command = self.program("bash");
        command.args(["-c", &format!("set -o pipefail; {line}")]);
        ran(&mut command)
    }

    /// What a line prints, which must go well.
    pub(crate) fn ok(&self, line: &str) -> String {
        let ran = self.shell(line);
        assert_eq!(ran.code, 0, "{line}\n{}{}", ran.out, ran.err);
        ran.out
    }

    /// The store as text.
    pub(crate) fn export(&self, store: &str) -> String {
        self.ok(&format!("annals --store {store} export"))
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
