//! Test binaries, several at once: many wait for a disk, a server or a clock, and cargo runs one after the other.

use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cargo_metadata::{Artifact, Message};

use crate::cargo::Cargo;

/// How many of the binaries that took longest are named at the end.
const LONGEST: usize = 10;

/// A test binary that cargo has built.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Binary {
    /// The package's name.
    package: String,
    /// The package's version.
    version: String,
    /// The package's folder, in which its tests run.
    folder: PathBuf,
    /// What cargo calls the target, as options of `cargo test`.
    target: String,
    executable: PathBuf,
}

/// A binary that has run.
#[derive(Debug)]
struct Run {
    name: String,
    passed: bool,
    elapsed: Duration,
}

/// Builds what `build` says, a `cargo test` that runs nothing, runs every binary of it, and shows what each wrote when it has
/// ended. One failure does not hide another.
///
/// # Errors
/// A build that fails, and the binaries that failed, by name.
pub(crate) fn run(build: &Cargo, root: &Path) -> Result<()> {
    let binaries = build_all(build, root)?;
    let slots = thread::available_parallelism().map_or(1, NonZero::get);
    let runs = in_slots(&binaries, slots, |binary| {
        let (run, output) = binary.run(build);
        show(&run, &output);
        run
    });
    println!("\n{}", Longest(&runs));
    let failed: Vec<&str> = runs
        .iter()
        .filter(|run| !run.passed)
        .map(|run| run.name.as_str())
        .collect();
    if !failed.is_empty() {
        bail!(
            "{} of {} test binaries failed; each again by `cargo test` with {}",
            failed.len(),
            runs.len(),
            failed.join(", with ")
        );
    }
    Ok(())
}

fn build_all(build: &Cargo, root: &Path) -> Result<Vec<Binary>> {
    let mut child = build.spawn(root)?;
    let messages = child.stdout.take().context("cargo's output is not piped")?;
    let mut binaries = Vec::new();
    for message in Message::parse_stream(BufReader::new(messages)) {
        match message.context("what cargo says of its build can't be read")? {
            Message::CompilerArtifact(artifact) => binaries.extend(Binary::of(artifact)),
            Message::TextLine(line) => println!("{line}"),
            _ => {}
        }
    }
    build.judge(child.wait()?)?;
    Ok(binaries)
}

/// Does the work for each, so many at once, in their order; gives what came of each, in the order in which they ended.
fn in_slots<T: Sync, R: Send>(items: &[T], slots: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let queue = Mutex::new(items.iter());
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let next = || queue.lock().map_or(None, |mut queue| queue.next());
    thread::scope(|scope| {
        for _ in 0..slots {
            scope.spawn(|| {
                while let Some(item) = next() {
                    let result = work(item);
                    if let Ok(mut done) = done.lock() {
                        done.push(result);
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_default()
}

/// As cargo shows it, with the time at the end; all at once, so that nothing stands between.
fn show(run: &Run, output: &str) {
    let mut out = io::stdout().lock();
    let result = if run.passed { "passed" } else { "FAILED" };
    let seconds = run.elapsed.as_secs_f64();
    let shown = writeln!(
        out,
        "\n     Ran {}: {result} in {seconds:.1} s\n{}",
        run.name,
        output.trim_end()
    );
    // Whoever closed our output has seen enough; the exit code still tells.
    shown.and_then(|()| out.flush()).ok();
}

impl Binary {
    /// The binary of an artifact, if it is one with tests.
    fn of(artifact: Artifact) -> Option<Self> {
        let executable = artifact.executable.filter(|_| artifact.profile.test)?;
        let kind = artifact.target.kind.first()?.to_string();
        let target = match kind.as_str() {
            "bin" | "test" | "example" | "bench" => format!("--{kind} {}", artifact.target.name),
            _ => "--lib".to_owned(),
        };
        let (package, version) = package_of(&artifact.package_id.repr)?;
        Some(Self {
            package,
            version,
            folder: artifact.manifest_path.parent()?.into(),
            target,
            executable: executable.into(),
        })
    }

    fn run(&self, build: &Cargo) -> (Run, String) {
        #[expect(
            clippy::disallowed_methods,
            reason = "a binary that tells how long a test took"
        )]
        let start = Instant::now();
        let (passed, output) = match self.status(build) {
            Ok((status, output)) => (status.success(), with_signal(output, status)),
            Err(error) => (
                false,
                format!("{} can't be run: {error}", self.executable.display()),
            ),
        };
        let run = Run {
            name: format!("`-p {} {}`", self.package, self.target),
            passed,
            elapsed: start.elapsed(),
        };
        (run, output)
    }

    fn status(&self, build: &Cargo) -> io::Result<(ExitStatus, String)> {
        let (mut reader, writer) = io::pipe()?;
        let mut command = Command::new(&self.executable);
        command
            .current_dir(&self.folder)
            .envs(build.variables())
            .env("CARGO_MANIFEST_DIR", &self.folder)
            .env("CARGO_MANIFEST_PATH", self.folder.join("Cargo.toml"))
            .env("CARGO_PKG_NAME", &self.package)
            .env("CARGO_PKG_VERSION", &self.version)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let mut child = command.spawn()?;
        // It holds our ends of the pipe, without which the output has no end.
        drop(command);
        let mut output = Vec::new();
        reader.read_to_end(&mut output)?;
        Ok((child.wait()?, String::from_utf8_lossy(&output).into_owned()))
    }
}

/// What was written, and what ended the process if it was not its own exit.
fn with_signal(output: String, status: ExitStatus) -> String {
    match status.code() {
        Some(_) => output,
        None => format!("{output}\n{status}"),
    }
}

/// Name and version in `path+file:///work/crates/core#annals-core@0.1.0`, where the name may be that of the folder.
fn package_of(id: &str) -> Option<(String, String)> {
    let (path, fragment) = id.split_once('#')?;
    let (name, version) = match fragment.split_once('@') {
        Some((name, version)) => (name, version),
        None => (path.rsplit('/').next()?, fragment),
    };
    Some((name.to_owned(), version.to_owned()))
}

/// What took longest, and all together.
struct Longest<'a>(&'a [Run]);

impl fmt::Display for Longest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<&Run> = self.0.iter().collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.elapsed));
        let total: Duration = runs.iter().map(|run| run.elapsed).sum();
        write!(
            f,
            "{} test binaries, {:.1} s one after the other; the longest:",
            runs.len(),
            total.as_secs_f64()
        )?;
        for run in runs.iter().take(LONGEST) {
            write!(f, "\n{:>8.1} s  {}", run.elapsed.as_secs_f64(), run.name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn binary(script: &str) -> (tempfile::TempDir, Binary) {
        let folder = tempfile::tempdir().expect("a folder");
        let executable = folder.path().join("test.sh");
        std::fs::write(&executable, format!("#!/bin/sh\n{script}\n")).expect("a script");
        let chmod = Command::new("chmod").arg("+x").arg(&executable).status();
        assert!(chmod.is_ok_and(|status| status.success()));
        let binary = Binary {
            package: "annals-core".into(),
            version: "0.1.0".into(),
            folder: folder.path().into(),
            target: "--lib".into(),
            executable,
        };
        (folder, binary)
    }

    #[cfg(unix)]
    #[test]
    fn a_binary_runs_in_its_folder_as_cargo_runs_it_and_all_that_it_writes_is_kept() {
        let (folder, binary) = binary("echo $CARGO_PKG_NAME $WITH; pwd >&2; exit 3");
        let (run, output) = binary.run(&Cargo::new(["test"]).env("WITH", "it"));
        let folder = folder.path().canonicalize().expect("it is there");
        assert_eq!(output, format!("annals-core it\n{}\n", folder.display()));
        assert!(!run.passed);
        assert_eq!(run.name, "`-p annals-core --lib`");
    }

    #[cfg(unix)]
    #[test]
    fn a_binary_that_a_signal_ended_has_failed_and_says_so() {
        let (_folder, binary) = binary("echo begun; kill -9 $$");
        let (run, output) = binary.run(&Cargo::new(["test"]).env("WITH", "it"));
        assert!(!run.passed);
        assert!(output.starts_with("begun\n\nsignal: 9"), "{output}");
    }

    #[test]
    fn a_binary_that_is_gone_has_failed() {
        let (folder, binary) = binary("");
        drop(folder);
        let (run, output) = binary.run(&Cargo::new(["test"]).env("WITH", "it"));
        assert!(!run.passed);
        assert!(output.contains("can't be run"), "{output}");
    }

    #[test]
    fn so_many_run_at_once_and_each_once() {
        let together = Barrier::new(2);
        let mut seen = in_slots(&[1, 2, 3, 4], 2, |&item| {
            together.wait();
            item
        });
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3, 4]);
    }

    #[test]
    fn a_package_is_named_by_its_id() {
        let check = |id, name: &str| {
            assert_eq!(package_of(id), Some((name.to_owned(), "0.1.0".to_owned())));
        };
        check(
            "path+file:///work/crates/core#annals-core@0.1.0",
            "annals-core",
        );
        check("path+file:///work/xtask#0.1.0", "xtask");
    }

    #[test]
    fn the_longest_come_first() {
        let runs = [("short", 500), ("long", 61_000)].map(|(name, milliseconds)| Run {
            name: name.into(),
            passed: true,
            elapsed: Duration::from_millis(milliseconds),
        });
        let expected = "\
2 test binaries, 61.5 s one after the other; the longest:
    61.0 s  long
     0.5 s  short";
        assert_eq!(Longest(&runs).to_string(), expected);
    }
}
