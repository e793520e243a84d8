//! A workload on a subject in this process: it opens the subject, waits for a line, works, and writes what it did.

use std::fs;
use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::event::{Line, Tagged};
use crate::names::{Name, Workload};
use crate::subject::Subject;
use crate::subjects::annals::Annals;
use crate::subjects::bare::Bare;
use crate::subjects::cqrs::Cqrs;
use crate::subjects::disintegrate::Disintegrate;

/// Events of a stream, but for appends of more.
const STREAM_EVENTS: u64 = 10;
/// Events of the larger appends.
const APPEND_EVENTS: u64 = 100;
/// Events of a page.
const PAGE_EVENTS: i64 = 1000;

/// A run in a process of its own.
#[derive(Debug, Args)]
pub struct Run {
    #[arg(long, value_enum)]
    pub subject: Name,
    #[arg(long, value_enum)]
    pub workload: Workload,
    #[arg(long)]
    pub url: String,
    #[arg(long)]
    pub writers: usize,
    /// The first order that this run may write to.
    #[arg(long)]
    pub first: u64,
    /// Events of the log that is read.
    #[arg(long)]
    pub events: u64,
    #[arg(long)]
    pub seconds: f64,
    #[arg(long)]
    pub figures: PathBuf,
}

/// What a run did.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// How much: events, or streams where those are read.
    pub count: u64,
    pub seconds: f64,
    /// How long the processor worked for it, in seconds: on all threads of the process, and of the server.
    pub cpu: f64,
    pub server_cpu: f64,
    /// How long each call took, in microseconds.
    pub latencies: Vec<u64>,
}

impl Run {
    /// Runs it, and writes its figures.
    pub fn run(&self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let figures = runtime.block_on(async {
            match self.subject {
                Name::Annals | Name::AnnalsTwo => self.on::<Annals>().await,
                Name::Bare => self.on::<Bare>().await,
                Name::CqrsEs => self.on::<Cqrs>().await,
                Name::Disintegrate => self.on::<Disintegrate>().await,
            }
        })?;
        fs::write(&self.figures, serde_json::to_vec(&figures)?)?;
        Ok(())
    }

    async fn on<S: Subject>(&self) -> Result<Figures> {
        let subject = Arc::new(S::open(&self.url).await?);
        if self.workload != Workload::Fill {
            // Connections are made, statements prepared, caches filled.
            self.work(&subject, Duration::from_millis(200), self.first)
                .await?;
        }
        println!("ready");
        std::io::stdout().flush()?;
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        ensure!(!line.is_empty(), "nobody waits for the figures");
        let first = self.first + u64::from(u32::MAX);
        let before = cpu();
        let time = Duration::from_secs_f64(self.seconds);
        let mut figures = self.work(&subject, time, first).await?;
        figures.cpu = cpu().saturating_sub(before).as_secs_f64();
        Ok(figures)
    }

    async fn work<S: Subject>(
        &self,
        subject: &Arc<S>,
        time: Duration,
        first: u64,
    ) -> Result<Figures> {
        match self.workload {
            Workload::One | Workload::Many => self.write(subject, time, first, 1).await,
            Workload::Hundred => self.write(subject, time, first, APPEND_EVENTS).await,
            Workload::Fill => self.fill(subject).await,
            Workload::CatchUp => {
                let (mut watch, mut after) = (Watch::start(time), 0);
                while watch.goes_on() {
                    let (events, last) = subject.page(after, PAGE_EVENTS).await?;
                    after = last;
                    watch.did(events)?;
                }
                Ok(watch.figures())
            }
            Workload::Streams => {
                let (mut watch, mut number) = (Watch::start(time), 0_u64);
                while watch.goes_on() {
                    // A generator of Knuth's, whose upper bits are good enough.
                    number = number
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let order = (number >> 33) % (self.events / STREAM_EVENTS);
                    let events = subject.stream(order).await?;
                    ensure!(events == STREAM_EVENTS, "order {order} has {events} events");
                    watch.did(1)?;
                }
                Ok(watch.figures())
            }
        }
    }

    /// Every writer appends to orders of its own, one after the other.
    async fn write<S: Subject>(
        &self,
        subject: &Arc<S>,
        time: Duration,
        first: u64,
        events: u64,
    ) -> Result<Figures> {
        let begin = Instant::now();
        let tasks: Vec<_> = (0..self.writers)
            .map(|writer| {
                let (subject, writers) = (Arc::clone(subject), self.writers as u64);
                let place = writer as u64;
                tokio::spawn(async move {
                    let mut known = S::Known::default();
                    let (mut order, mut before) = (first + place, 0);
                    let mut watch = Watch::start(time);
                    while watch.goes_on() {
                        let lines = lines_of(order, before, events);
                        subject.append(writer, &lines, before, &mut known).await?;
                        watch.did(events)?;
                        before += events;
                        if before >= STREAM_EVENTS {
                            (order, before) = (order + writers, 0);
                            known = S::Known::default();
                        }
                    }
                    anyhow::Ok(watch.figures())
                })
            })
            .collect();
        let mut all = Figures::default();
        for task in tasks {
            let figures = task.await.context("a writer panicked")??;
            all.count += figures.count;
            all.latencies.extend(figures.latencies);
        }
        all.seconds = begin.elapsed().as_secs_f64();
        Ok(all)
    }

    /// Fills a log with orders of ten lines, which lie scattered.
    async fn fill<S: Subject>(&self, subject: &Arc<S>) -> Result<Figures> {
        let orders = self.events / STREAM_EVENTS;
        for before in 0..STREAM_EVENTS {
            let mut tasks = Vec::new();
            for writer in 0..self.writers {
                let (subject, writers) = (Arc::clone(subject), self.writers);
                tasks.push(tokio::spawn(async move {
                    for order in (writer as u64..orders).step_by(writers) {
                        let lines = lines_of(order, before, 1);
                        let mut known = S::Known::default();
                        subject.append(writer, &lines, before, &mut known).await?;
                    }
                    anyhow::Ok(())
                }));
            }
            for task in tasks {
                task.await.context("a writer panicked")??;
            }
        }
        Ok(Figures::default())
    }
}

/// Lines of an order that has so many.
fn lines_of(order: u64, before: u64, count: u64) -> Vec<Line> {
    let numbers = before..before + count;
    let line = |number| Line {
        order,
        number,
        tagged: Tagged::No,
    };
    numbers.map(line).collect()
}

/// How long the processor has worked for this process.
fn cpu() -> Duration {
    let worked = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(worked).unwrap_or_default()
}

/// Tells how long to go on, and notes what was done.
struct Watch {
    begin: Instant,
    last: Instant,
    time: Duration,
    figures: Figures,
}

impl Watch {
    fn start(time: Duration) -> Self {
        let begin = Instant::now();
        Self {
            begin,
            last: begin,
            time,
            figures: Figures::default(),
        }
    }

    fn goes_on(&self) -> bool {
        self.last.duration_since(self.begin) < self.time
    }

    /// Notes a call that ended now.
    fn did(&mut self, count: u64) -> Result<()> {
        ensure!(count > 0, "there was nothing to do");
        let now = Instant::now();
        let took = now.duration_since(self.last).as_micros();
        self.figures.latencies.push(u64::try_from(took)?);
        self.figures.count += count;
        self.last = now;
        Ok(())
    }

    fn figures(mut self) -> Figures {
        self.figures.seconds = self.last.duration_since(self.begin).as_secs_f64();
        self.figures
    }
}
