//! `cargo xtask campaign`: generated faults in bulk, and what came of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cargo::Cargo;
use crate::workspace::Workspace;

/// One test target of a campaign, and which of its tests.
#[derive(Debug, Clone, Copy)]
struct Part {
    package: &'static str,
    target: &'static str,
    /// What the names of the tests contain; all tests of the target where there is none.
    filters: &'static [&'static str],
    features: &'static str,
}

/// A campaign of RELIABILITY.md.
#[derive(Debug)]
struct Campaign {
    id: &'static str,
    about: &'static str,
    parts: &'static [Part],
}

const fn of_the_log(filters: &'static [&'static str]) -> Part {
    Part {
        package: "annals-log",
        target: "campaign",
        filters,
        features: "planted,sim",
    }
}

const fn of_the_store(filters: &'static [&'static str]) -> Part {
    Part {
        package: "annals-store-log",
        target: "campaign",
        filters,
        features: "planted",
    }
}

const CAMPAIGNS: [Campaign; 14] = [
    Campaign {
        id: "T1",
        about: "power lost after every operation on the disk",
        parts: &[
            of_the_log(&["crash::"]),
            of_the_store(&["crash::", "creation::a_creation_that_was", "power::"]),
        ],
    },
    Campaign {
        id: "T2",
        about: "every small log, every crash, every image of the disk",
        parts: &[of_the_log(&["exhaustive::"])],
    },
    Campaign {
        id: "T3",
        about: "bytes flipped, files cut, swapped and removed",
        parts: &[
            of_the_log(&["damage::"]),
            of_the_store(&["index::", "mapped::no_flipped"]),
        ],
    },
    Campaign {
        id: "T4",
        about: "an error at every call to the disk, once and for good; full disks",
        parts: &[
            of_the_log(&["faults::"]),
            of_the_store(&[
                "io_errors::",
                "creation::a_creation_that_failed",
                "full_disk::",
            ]),
        ],
    },
    Campaign {
        id: "T5",
        about: "a real writer killed with SIGKILL",
        parts: &[Part {
            package: "annals-tests",
            target: "kill",
            filters: &[],
            features: "",
        }],
    },
    Campaign {
        id: "T9",
        about: "generated operations against a model, with reopening, kills and power losses",
        parts: &[of_the_store(&["generated::", "reopening::"])],
    },
    Campaign {
        id: "T11",
        about: "histories of concurrent clients over a failing disk",
        parts: &[of_the_store(&["histories::", "mapped::a_page"])],
    },
    Campaign {
        id: "T13",
        about: "schedules of group commit",
        parts: &[Part {
            package: "annals-log",
            target: "commit_shuttle",
            filters: &[],
            features: "",
        }],
    },
    Campaign {
        id: "T14",
        about: "random input to whatever reads bytes",
        parts: &[Part {
            package: "annals-tests",
            target: "fuzz",
            filters: &[],
            features: "",
        }],
    },
    Campaign {
        id: "T15",
        about: "a process that projects into SQLite killed with SIGKILL",
        parts: &[Part {
            package: "annals-tests",
            target: "kill_projection",
            filters: &[],
            features: "",
        }],
    },
    Campaign {
        id: "T16",
        about: "a process that appends and optimizes killed with SIGKILL",
        parts: &[Part {
            package: "annals-tests",
            target: "kill_optimizer",
            filters: &[],
            features: "",
        }],
    },
    Campaign {
        id: "T17",
        about: "NATS: servers of a cluster killed and halted under load; the model, histories of several stores",
        parts: &[Part {
            package: "annals-store-nats",
            target: "nats",
            filters: &["cluster::", "model", "histories"],
            features: "",
        }],
    },
    Campaign {
        id: "T18",
        about: "PostgreSQL: the postmaster killed under load; the model, histories of several stores",
        parts: &[Part {
            package: "annals-store-postgres",
            target: "postgres",
            filters: &["killed", "sessions", "model", "histories"],
            features: "",
        }],
    },
    Campaign {
        id: "planted",
        about: "planted bugs, every one of which must be caught",
        parts: &[of_the_log(&["planted::"]), of_the_store(&["planted::"])],
    },
];

/// How much of a campaign to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// How many times the size of a run of CI.
    pub(crate) scale: u64,
    /// The one seed to run.
    pub(crate) seed: Option<u64>,
}

/// The campaigns by name.
pub(crate) fn list() {
    for campaign in &CAMPAIGNS {
        println!("{:<8} {}", campaign.id, campaign.about);
    }
}

/// Runs a campaign in release, and prints what was done as a row for RELIABILITY.md.
pub(crate) fn run(workspace: &Workspace, id: &str, size: Size) -> Result<ExitCode> {
    let campaign = CAMPAIGNS
        .iter()
        .find(|campaign| campaign.id.eq_ignore_ascii_case(id));
    let Some(campaign) = campaign else {
        bail!("there is no campaign {id}; `cargo xtask campaign --list` names them");
    };
    let commit = commit(workspace)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "a binary that tells how long it took"
    )]
    let start = Instant::now();
    let (mut passed, mut counts) = (true, BTreeMap::new());
    for part in campaign.parts {
        let (status, output) = part.call(size).output(&workspace.root)?;
        passed &= status.success();
        add(&mut counts, &output);
    }
    let seconds = start.elapsed().as_secs();
    let violations = if passed { "0" } else { "see above" };
    let Size { scale, .. } = size;
    let done = text_of(&counts);
    println!("\n| campaign | scale | done | violations | seconds | commit |");
    println!("|---|---|---|---|---|---|");
    println!(
        "| {} | {scale} | {done} | {violations} | {seconds} | {commit} |",
        campaign.id
    );
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Part {
    fn call(&self, size: Size) -> Cargo {
        let mut call = Cargo::new([
            "test",
            "--release",
            "-p",
            self.package,
            "--test",
            self.target,
        ])
        .env("ANNALS_CAMPAIGN_SCALE", size.scale.to_string())
        .env("ANNALS_FUZZ_SECONDS", (10 * size.scale).to_string());
        if !self.features.is_empty() {
            call = call.args(["--features", self.features]);
        }
        if let Some(seed) = size.seed {
            call = call.env("ANNALS_SEED", seed.to_string());
        }
        call.args(["--"])
            .args(self.filters.iter().copied())
            .args(["--nocapture"])
    }
}

/// Adds up what the lines `<name>: {"<state>": <times>, ...}` tell.
fn add(counts: &mut BTreeMap<String, u64>, output: &str) {
    let entries = output
        .lines()
        .filter_map(|line| line.split_once(": {")?.1.strip_suffix('}'))
        .flat_map(|entries| entries.split(", "));
    for entry in entries {
        let named = entry
            .strip_prefix('"')
            .and_then(|entry| entry.split_once("\": "));
        if let Some((state, Ok(times))) = named.map(|(state, times)| (state, times.parse::<u64>()))
        {
            *counts.entry(state.to_owned()).or_default() += times;
        }
    }
}

fn text_of(counts: &BTreeMap<String, u64>) -> String {
    let mut text = String::new();
    for (state, times) in counts {
        let separator = if text.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(text, "{separator}{state}: {times}");
    }
    text
}

/// The commit of the tree, marked where files differ from it.
fn commit(workspace: &Workspace) -> Result<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=10"])
        .current_dir(&workspace.root)
        .output()
        .context("`git` could not be started")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_names_the_tests_and_the_size() {
        let [campaign, ..] = &CAMPAIGNS;
        let calls: Vec<String> = campaign
            .parts
            .iter()
            .map(|part| {
                part.call(Size {
                    scale: 3,
                    seed: Some(7),
                })
                .to_string()
            })
            .collect();
        assert_eq!(
            calls[0],
            "ANNALS_CAMPAIGN_SCALE=3 ANNALS_FUZZ_SECONDS=30 ANNALS_SEED=7 cargo test --release -p annals-log --test campaign \
             --features planted,sim -- crash:: --nocapture"
        );
    }

    #[test]
    fn counts_are_added_up() {
        let mut counts = BTreeMap::new();
        let output = "running 2 tests\ncampaign T1 a: {\"crash points\": 12, \"seeds\": 2}\n\
                      crash, unsynced: {\"crash points\": 30}\nok: {1}\n";
        add(&mut counts, output);
        assert_eq!(text_of(&counts), "crash points: 42, seeds: 2");
    }
}
