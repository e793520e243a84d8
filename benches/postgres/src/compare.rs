//! The comparison: subjects in turn, round by round, on one server, each run in processes of its own.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use annals_services::{DiskSync, PostgresServer};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum as _};

use crate::machine::Machine;
use crate::names::{Name, Workload, text};
use crate::report::Report;
use crate::run::Figures;
use crate::server::{self, Server};

/// Orders that a process may write to: no two write to the same.
const ORDERS_OF_A_PROCESS: u64 = 1 << 34;

/// What to compare, and how thoroughly.
#[derive(Debug, Args)]
pub struct Options {
    /// Only this workload (may be repeated)
    #[arg(long, value_enum, value_name = "NAME")]
    workload: Vec<Workload>,
    /// Only this subject (may be repeated)
    #[arg(long, value_enum, value_name = "NAME")]
    subject: Vec<Name>,
    /// Events of the logs that are read
    #[arg(long, value_name = "COUNT", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    events: u64,
    /// How often each subject runs each workload; the table shows medians
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long a workload is repeated
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    seconds: f64,
    /// A smoke run: few events, one round, a fifth of a second
    #[arg(long, conflicts_with_all = ["events", "rounds", "seconds"])]
    quick: bool,
}

struct Comparison {
    url: String,
    /// The server's processes, where they are on this machine.
    server: Option<Server>,
    folder: PathBuf,
    subjects: Vec<Name>,
    workloads: Vec<Workload>,
    events: u64,
    seconds: f64,
    processes: u64,
}

/// Compares, and prints the tables. The server is that of `ANNALS_TEST_POSTGRES_URL`, with nothing in it, or one of its
/// own that syncs to the disk.
pub fn compare(options: &Options) -> Result<()> {
    let own = match env::var("ANNALS_TEST_POSTGRES_URL") {
        Ok(_) => None,
        Err(_) => Some(PostgresServer::start(DiskSync::On)?),
    };
    let url = own.as_ref().map_or_else(
        || env::var("ANNALS_TEST_POSTGRES_URL"),
        |server| Ok(server.url()),
    )?;
    let folder = env::temp_dir().join(format!("annals-postgres-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let result = compare_on(url, own.is_some(), folder.clone(), options);
    fs::remove_dir_all(folder)?;
    result
}

fn compare_on(url: String, is_own: bool, folder: PathBuf, options: &Options) -> Result<()> {
    let machine = Machine::of(&env::temp_dir())?;
    let server = server::described(&url)?;
    let (events, rounds, seconds) = if options.quick {
        (1_000, 1, 0.2)
    } else {
        (options.events, options.rounds, options.seconds)
    };
    println!(
        "{server}, on {} cores of {}, {} GiB, {}; load {} before\n{rounds} rounds of {seconds} s; {events} events in the logs that \
         are read",
        machine.cores,
        machine.processor,
        machine.memory_gib,
        machine.file_system,
        load()?
    );
    let major = server
        .split(['.', ' '])
        .find_map(|word| word.parse().ok())
        .unwrap_or(0);
    let mut comparison = Comparison {
        server: is_own.then(|| Server::at(&url)).transpose()?,
        url,
        folder,
        subjects: chosen(&options.subject, Name::value_variants())
            .into_iter()
            .filter(|name| major >= name.major_min())
            .collect(),
        workloads: chosen(&options.workload, &Workload::MEASURED),
        events: events / 10 * 10,
        seconds,
        processes: 0,
    };
    let report = comparison.run(rounds)?;
    print!("{report}");
    for subject in &comparison.subjects {
        println!("{}: {}", text(*subject), subject.note());
    }
    println!("load {} after", load()?);
    Ok(())
}

/// Those that were asked for, in the usual order; all where none was.
fn chosen<T: Copy + PartialEq>(asked: &[T], all: &[T]) -> Vec<T> {
    let all = all.iter().copied();
    all.filter(|one| asked.is_empty() || asked.contains(one))
        .collect()
}

impl Comparison {
    fn run(&mut self, rounds: u32) -> Result<Report> {
        let mut report = Report::default();
        let workloads = self.workloads.clone();
        if workloads.iter().any(|workload| workload.reads()) {
            for subject in [Name::Annals, Name::Bare] {
                if self.subjects.contains(&subject) {
                    self.run_one(subject, Workload::Fill)?;
                }
            }
        }
        for round in 0..rounds {
            for workload in &workloads {
                for subject in self.in_turn(round) {
                    if subject.runs(*workload) {
                        let figures = self.run_one(subject, *workload)?;
                        eprintln!(
                            "round {round}: {} {}: {:.0}/s",
                            text(*workload),
                            text(subject),
                            figures.rate()
                        );
                        report.add(*workload, subject, figures);
                    }
                }
            }
        }
        Ok(report)
    }

    /// The subjects, another one first each round, so that nobody always follows the same neighbour.
    fn in_turn(&self, round: u32) -> Vec<Name> {
        let mut subjects = self.subjects.clone();
        let shift = round as usize % subjects.len().max(1);
        subjects.rotate_left(shift);
        subjects
    }

    /// Runs a workload: the processes get ready one after the other, then work at the same time.
    fn run_one(&mut self, subject: Name, workload: Workload) -> Result<Figures> {
        let writers = if workload == Workload::Fill {
            64
        } else {
            workload.writers()
        };
        let count = subject.processes();
        let mut processes = Vec::new();
        for _ in 0..count {
            processes.push(self.start(subject, workload, writers / count)?);
        }
        let before = self.server.as_ref().map(Server::cpu).transpose()?;
        for (child, _) in &mut processes {
            let mut input = child.stdin.take().context("no way to say go")?;
            input.write_all(b"go\n")?;
        }
        let mut all = Figures::default();
        for (child, figures) in processes {
            finish(child).with_context(|| format!("{} {}", text(workload), text(subject)))?;
            let figures: Figures = serde_json::from_slice(&fs::read(figures)?)?;
            all.add(figures);
        }
        if let (Some(server), Some(before)) = (&self.server, before) {
            all.server_cpu = server.cpu()?.saturating_sub(before).as_secs_f64();
        }
        Ok(all)
    }

    /// Starts a process and waits until it is ready; it, and the file of its figures.
    fn start(
        &mut self,
        subject: Name,
        workload: Workload,
        writers: usize,
    ) -> Result<(Child, PathBuf)> {
        self.processes += 1;
        let figures = self.folder.join(format!("{}.json", self.processes));
        // What is filled begins at the first order; what is written later lies far beyond.
        let first = if workload == Workload::Fill {
            0
        } else {
            self.processes * ORDERS_OF_A_PROCESS
        };
        let mut child = Command::new(env::current_exe()?)
            .arg("run")
            .args(["--subject", &text(subject), "--workload", &text(workload)])
            .args(["--url", &self.url, "--writers", &writers.to_string()])
            .args(["--first", &first.to_string()])
            .args(["--events", &self.events.to_string()])
            .args(["--seconds", &self.seconds.to_string()])
            .arg("--figures")
            .arg(&figures)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        if line.trim() != "ready" {
            finish(child)?;
            bail!("{} did not get ready", text(subject));
        }
        Ok((child, figures))
    }
}

/// Waits for a process; what it said where it failed.
fn finish(mut child: Child) -> Result<()> {
    let mut said = String::new();
    if let Some(errors) = &mut child.stderr {
        errors.read_to_string(&mut said)?;
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{} ({status})", said.trim());
    }
    Ok(())
}

/// The load of the machine over the last minute.
fn load() -> Result<String> {
    let loads = fs::read_to_string("/proc/loadavg")?;
    let load = loads.split(' ').next();
    Ok(load.unwrap_or_default().to_owned())
}
