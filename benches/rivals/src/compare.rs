//! The comparison: subjects in turn, round by round, each run in a process of its own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum as _};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::machine::Machine;
use crate::names::Name;
use crate::report::{Latencies, MEASURES, Measure, Results};
use crate::workload::{Figures, Plan, Workload};

/// How much of a failed run's message is shown.
const ERROR_CHARS_MAX: usize = 400;

/// What to compare, and how thoroughly.
#[derive(Debug, Args)]
pub struct Options {
    /// Only this workload (may be repeated)
    #[arg(long, value_enum, value_name = "NAME", ignore_case = true)]
    workload: Vec<Workload>,
    /// Only this subject (may be repeated); without it, all that are durable
    #[arg(long, value_enum, value_name = "NAME")]
    subject: Vec<Name>,
    /// Events of the large stores
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    events: u64,
    /// How often each subject runs each workload; the table shows medians
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long what repeats is repeated
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    seconds: f64,
    /// A smoke run of about a minute: 50,000 events, one round, a fifth of a second
    #[arg(long, conflicts_with_all = ["events", "rounds", "seconds"])]
    quick: bool,
    /// Write every figure of every round to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where the stores go; removed at the end [default: the system's temporary folder]
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// A run in a process of its own.
#[derive(Debug, Args)]
pub struct Run {
    #[arg(long)]
    pub subject: Name,
    #[arg(long)]
    pub workload: String,
    #[arg(long)]
    pub dir: PathBuf,
    #[arg(long)]
    pub events: u64,
    #[arg(long)]
    pub seconds: f64,
    /// Where the figures go: what a subject prints must not mix with them.
    #[arg(long)]
    pub figures: PathBuf,
}

struct Comparison {
    subjects: Vec<Name>,
    workloads: Vec<Workload>,
    events: u64,
    rounds: u32,
    seconds: f64,
    dir: PathBuf,
    results: Results,
    failures: Vec<String>,
}

/// Compares, and prints the table.
pub fn compare(options: &Options) -> Result<()> {
    let above = options.dir.clone().unwrap_or_else(env::temp_dir);
    fs::create_dir_all(&above)?;
    let machine = Machine::of(&above)?;
    let mut comparison = Comparison::new(
        options,
        above.join(format!("annals-rivals-{}", std::process::id())),
    );
    let head = comparison.head(&machine, &above);
    println!("{head}");
    let result = comparison.run();
    fs::remove_dir_all(&comparison.dir)?;
    result?;
    comparison.print();
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&comparison.json(&machine))?;
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

impl Comparison {
    fn new(options: &Options, dir: PathBuf) -> Self {
        let (events, rounds, seconds) = if options.quick {
            (50_000, 1, 0.2)
        } else {
            (options.events, options.rounds, options.seconds)
        };
        let subjects = if options.subject.is_empty() {
            Name::durable()
        } else {
            Name::in_order(&options.subject)
        };
        let workloads = Workload::value_variants().iter().copied();
        let chosen = |workload: &Workload| {
            *workload != Workload::FillTagged
                && (options.workload.is_empty() || options.workload.contains(workload))
        };
        Self {
            subjects,
            workloads: workloads.filter(chosen).collect(),
            // Ten events a stream, all streams alike.
            events: events / 10 * 10,
            rounds,
            seconds,
            dir,
            results: Results::default(),
            failures: Vec::new(),
        }
    }

    fn head(&self, machine: &Machine, above: &Path) -> String {
        format!(
            "{} cores of {}, {} GiB, {} at {}\n{} events in the large stores, {} rounds, {} s a window; \
             ratios above 1 are better",
            machine.cores,
            machine.processor,
            machine.memory_gib,
            machine.file_system,
            above.display(),
            self.events,
            self.rounds,
            self.seconds,
        )
    }

    fn run(&mut self) -> Result<()> {
        let runs = u64::from(self.rounds) * (self.workloads.len() * self.subjects.len()) as u64;
        let bar = ProgressBar::new(runs).with_style(ProgressStyle::with_template(
            "{bar:30} {pos}/{len}  {msg}  {elapsed_precise}, {eta} left",
        )?);
        for round in 0..self.rounds {
            for workload in self.workloads.clone() {
                for subject in self.in_turn(round) {
                    bar.set_message(format!("{workload:?} {}", subject.text()));
                    if subject.runs(workload) {
                        self.run_one(subject, workload)?;
                    }
                    bar.inc(1);
                }
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// The subjects, another one first each round, so that nobody always follows the same neighbour.
    fn in_turn(&self, round: u32) -> Vec<Name> {
        let mut subjects = self.subjects.clone();
        let shift = round as usize % subjects.len().max(1);
        subjects.rotate_left(shift);
        subjects
    }

    fn run_one(&mut self, subject: Name, workload: Workload) -> Result<()> {
        let plan = self.plan(subject);
        let needed = match workload {
            Workload::W5 | Workload::W7 | Workload::W9 | Workload::W2L => {
                Some((plan.large(), Workload::W4))
            }
            Workload::W10 => Some((plan.tagged(), Workload::FillTagged)),
            _ => None,
        };
        if let Some((store, fill)) = needed
            && subject.is_durable()
            && !store.exists()
        {
            self.child(subject, fill)?;
        }
        if let Some(figures) = self.child(subject, workload)? {
            for (key, figure) in figures {
                self.results.add(subject.text(), workload, key, figure);
            }
        }
        Ok(())
    }

    /// Runs a workload in a process of its own; none when it failed, which is noted.
    fn child(&mut self, subject: Name, workload: Workload) -> Result<Option<Figures>> {
        let plan = self.plan(subject);
        fs::create_dir_all(&plan.dir)?;
        let figures = plan.dir.join("figures.json");
        // What the subject before has left to write would be paid for by this one.
        rustix::fs::syncfs(fs::File::open(&plan.dir)?)?;
        let output = Command::new(env::current_exe()?)
            .arg("run")
            .args(["--subject", subject.text()])
            .args(["--workload", &format!("{workload:?}")])
            .arg("--dir")
            .arg(&plan.dir)
            .args(["--events", &self.events.to_string()])
            .args(["--seconds", &self.seconds.to_string()])
            .arg("--figures")
            .arg(&figures)
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            let error: String = error.trim().chars().take(ERROR_CHARS_MAX).collect();
            let error = error.replace('\n', " ");
            let failure = format!(
                "{} {workload:?}: {error} ({})",
                subject.text(),
                output.status
            );
            self.failures.push(failure);
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&fs::read(figures)?)?))
    }

    fn plan(&self, subject: Name) -> Plan {
        Plan {
            dir: self.dir.join(subject.text()),
            events: self.events,
            time: std::time::Duration::from_secs_f64(self.seconds),
        }
    }

    fn print(&self) {
        let names: Vec<_> = self.subjects.iter().map(|subject| subject.text()).collect();
        println!("{}", self.results.table(&names));
        for subject in &self.subjects {
            println!("{}: {}", subject.text(), subject.note());
        }
        for failure in &self.failures {
            println!("failed: {failure}");
        }
    }

    fn ratios(&self, measure: &Measure, subject: &'static str) -> Value {
        let ratio = |to| {
            (
                str::to_owned(to),
                json!(self.results.ratio(measure, subject, to)),
            )
        };
        measure.against().map(ratio).into_iter().collect()
    }

    fn json(&self, machine: &Machine) -> Value {
        let measures = MEASURES
            .iter()
            .filter(|of| self.workloads.contains(&of.workload));
        let measures = measures.map(|measure| {
            let subjects = self.subjects.iter().filter_map(|subject| {
                let name = subject.text();
                let of = |key: &str| self.results.summary(name, measure.workload, key);
                let summary = of(measure.key)?;
                let latency = |percentile: &str| {
                    let key = format!("{}.{percentile}", measure.key);
                    (measure.latencies == Latencies::Shown).then(|| of(&key).map(|of| of.median))
                };
                let value = json!({
                    "median": summary.median, "min": summary.min, "max": summary.max,
                    "rounds": self.results.rounds(name, measure.workload, measure.key),
                    "cpu_us": of(&format!("{}.cpu", measure.key)).map(|of| of.median),
                    "p50_us": latency("p50"), "p99_us": latency("p99"),
                    "to": self.ratios(measure, name),
                });
                Some((name.to_owned(), value))
            });
            json!({
                "workload": format!("{:?}", measure.workload), "key": measure.key,
                "title": measure.title, "unit": measure.unit,
                "better": format!("{:?}", measure.better).to_lowercase(),
                "subjects": subjects.collect::<serde_json::Map<_, _>>(),
            })
        });
        json!({
            "machine": {
                "processor": machine.processor, "cores": machine.cores,
                "memory_gib": machine.memory_gib, "file_system": machine.file_system,
            },
            "events": self.events, "rounds": self.rounds, "seconds": self.seconds,
            "measures": measures.collect::<Vec<_>>(),
            "failures": self.failures,
        })
    }
}

impl Run {
    /// Runs one workload on one subject in this process, and writes its figures.
    pub fn run(&self) -> Result<()> {
        let plan = Plan {
            dir: self.dir.clone(),
            events: self.events,
            time: std::time::Duration::from_secs_f64(self.seconds),
        };
        let workloads = Workload::value_variants().iter().copied();
        let workload = workloads
            .chain([Workload::FillTagged])
            .find(|workload| format!("{workload:?}") == self.workload);
        let Some(workload) = workload else {
            bail!("there is no workload {}", self.workload);
        };
        let figures = self.subject.run(workload, &plan)?;
        fs::write(&self.figures, serde_json::to_vec(&figures)?)?;
        Ok(())
    }
}
