//! `cargo xtask ci`: everything that a change must pass, each step run even where an earlier failed.

use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::cargo::Cargo;
use crate::services::Services;
use crate::workspace::Workspace;
use crate::{deny, features, smoke, test, tidy};

/// A step, in the order in which they run: what answers soon comes first, and what shares a build
/// stands together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// rustfmt finds nothing to change
    Fmt,
    /// Clippy has no warning
    Clippy,
    /// The house rules hold (`cargo xtask tidy`)
    Tidy,
    /// The documentation builds without a warning
    Docs,
    /// cargo-deny finds nothing in the dependency tree
    Deny,
    /// Every test passes (`cargo xtask test`)
    Tests,
    /// Each published crate builds without features, with each alone and with all
    Features,
    /// The fuzz bodies survive some seconds of random input
    Fuzz,
    /// Every benchmark runs once
    Bench,
}

/// Which steps a person asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// These alone; all, where it is empty.
    pub(crate) only: Vec<Step>,
    /// All but these.
    pub(crate) skip: Vec<Step>,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Passed,
    /// Passed, but part of it could not be checked.
    Noticed(String),
    Failed(String),
}

#[derive(Debug)]
struct Report {
    step: Step,
    outcome: Outcome,
    elapsed: Duration,
}

/// Runs the selected steps, prints the table, and fails where one of them failed.
pub(crate) fn run(workspace: &Workspace, selection: &Selection) -> ExitCode {
    let reports = run_steps(&selection.steps(), |step| step.run(workspace));
    println!("\n{}", Summary(&reports));
    if reports
        .iter()
        .any(|report| matches!(report.outcome, Outcome::Failed(_)))
    {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

impl Selection {
    fn steps(&self) -> Vec<Step> {
        Step::value_variants()
            .iter()
            .copied()
            .filter(|step| self.only.is_empty() || self.only.contains(step))
            .filter(|step| !self.skip.contains(step))
            .collect()
    }
}

impl Step {
    /// A notice, where a part of the step could not be done.
    fn run(self, workspace: &Workspace) -> Result<Option<String>> {
        let root = &workspace.root;
        match self {
            Self::Fmt => Cargo::new(["fmt", "--all", "--check"]).run(root)?,
            Self::Clippy => clippy().run(root)?,
            Self::Tidy => tidy::check(workspace)?,
            Self::Docs => docs().run(root)?,
            Self::Deny => return deny::run(workspace),
            Self::Tests => test::run(workspace, Services::Needed, Vec::new())?,
            Self::Features => run_all(&features::checks(workspace), workspace)?,
            Self::Fuzz => smoke::fuzz(workspace)?,
            Self::Bench => smoke::bench(workspace)?,
        }
        Ok(None)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value();
        f.pad(name.as_ref().map_or("hidden", |value| value.get_name()))
    }
}

/// The table at the end: a line a step, and the reasons below it.
struct Summary<'a>(&'a [Report]);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<10} {:<8} {:>8}", "step", "result", "seconds")?;
        for Report {
            step,
            outcome,
            elapsed,
        } in self.0
        {
            let (result, remark) = match outcome {
                Outcome::Passed => ("passed", ""),
                Outcome::Noticed(notice) => ("passed", notice.as_str()),
                Outcome::Failed(reason) => ("FAILED", reason.as_str()),
            };
            let seconds = elapsed.as_secs_f64();
            let line = format!("{step:<10} {result:<8} {seconds:>8.1}  {remark}");
            writeln!(f, "{}", line.trim_end())?;
        }
        let total: Duration = self.0.iter().map(|report| report.elapsed).sum();
        write!(f, "{:<10} {:<8} {:>8.1}", "total", "", total.as_secs_f64())
    }
}

fn clippy() -> Cargo {
    Cargo::new([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ])
}

/// Warnings are denied to rustdoc alone: the same in `RUSTFLAGS` would rebuild every dependency.
fn docs() -> Cargo {
    Cargo::new(["doc", "--workspace", "--all-features", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings")
}

/// Runs all the commands, and fails with the number of those that failed.
fn run_all(commands: &[Cargo], workspace: &Workspace) -> Result<()> {
    let failed: Vec<String> = commands
        .iter()
        .filter_map(|command| command.run(&workspace.root).err())
        .map(|error| error.to_string())
        .collect();
    if !failed.is_empty() {
        bail!(
            "{} of {}: {}",
            failed.len(),
            commands.len(),
            failed.join("; ")
        );
    }
    Ok(())
}

fn run_steps(steps: &[Step], mut run: impl FnMut(Step) -> Result<Option<String>>) -> Vec<Report> {
    let mut reports = Vec::with_capacity(steps.len());
    for &step in steps {
        println!("\n==> {step}");
        #[expect(
            clippy::disallowed_methods,
            reason = "a binary that tells how long a step took"
        )]
        let start = Instant::now();
        let outcome = match run(step) {
            Ok(None) => Outcome::Passed,
            Ok(Some(notice)) => Outcome::Noticed(notice),
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        if let Outcome::Failed(reason) = &outcome {
            println!("{step} FAILED: {reason}");
        }
        reports.push(Report {
            step,
            outcome,
            elapsed: start.elapsed(),
        });
    }
    reports
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn every_step_runs_unless_asked_otherwise() {
        let all = Selection::default().steps();
        assert_eq!(all, Step::value_variants());

        let only = Selection {
            only: vec![Step::Tests, Step::Fmt],
            ..Selection::default()
        };
        assert_eq!(only.steps(), [Step::Fmt, Step::Tests]);

        let skip = Selection {
            skip: vec![Step::Tests],
            ..Selection::default()
        };
        assert_eq!(skip.steps().len(), all.len() - 1);
        assert!(!skip.steps().contains(&Step::Tests));
    }

    #[test]
    fn a_failure_hides_no_other() {
        let reports = run_steps(&[Step::Fmt, Step::Deny, Step::Tests], |step| match step {
            Step::Fmt => Err(anyhow!("2 files differ")),
            Step::Deny => Ok(Some("half of it".into())),
            _ => Ok(None),
        });
        let outcomes: Vec<_> = reports
            .iter()
            .map(|report| report.outcome.clone())
            .collect();
        let expected = [
            Outcome::Failed("2 files differ".into()),
            Outcome::Noticed("half of it".into()),
            Outcome::Passed,
        ];
        assert_eq!(outcomes, expected);
    }

    #[test]
    fn the_table_tells_result_time_and_reason() {
        let reports = [
            (Step::Fmt, Outcome::Failed("2 files differ".into()), 500),
            (Step::Deny, Outcome::Noticed("half of it".into()), 12_000),
            (Step::Tests, Outcome::Passed, 61_240),
        ]
        .map(|(step, outcome, milliseconds)| Report {
            step,
            outcome,
            elapsed: Duration::from_millis(milliseconds),
        });
        let expected = "\
step       result    seconds
fmt        FAILED        0.5  2 files differ
deny       passed       12.0  half of it
tests      passed       61.2
total                   73.7";
        assert_eq!(Summary(&reports).to_string(), expected);
    }

    fn commands() -> impl Iterator<Item = Cargo> {
        [clippy(), docs()].into_iter().chain(test::commands())
    }

    #[test]
    fn every_step_on_the_workspace_selects_the_same_features() {
        for command in commands() {
            let command = command.to_string();
            assert!(command.contains(" --workspace "), "{command}");
            assert!(command.contains(" --all-features "), "{command}");
        }
    }

    #[test]
    fn no_step_changes_the_flags_of_the_compiler() {
        for command in commands() {
            assert!(!command.to_string().contains("RUSTFLAGS"), "{command}");
        }
    }
}
