//! A workload on a subject in this process: it opens the subject, waits for a line, works, and writes what it did.

use std::fs;
use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
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
        self.work(&subject, Duration::from_secs_f64(self.seconds), first)
            .await
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
                let mut after = 0;
                repeat(time, async || {
                    let (events, last) = subject.page(after, PAGE_EVENTS).await?;
                    after = last;
                    Ok(events)
                })
                .await
            }
            Workload::Streams => {
                let mut number: u64 = 0;
                repeat(time, async || {
                    number = number
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let order = (number >> 33) % (self.events / STREAM_EVENTS);
                    let events = subject.stream(order).await?;
                    ensure!(events == STREAM_EVENTS, "order {order} has {events} events");
                    Ok(1)
                })
                .await
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
        let begin = now();
        let tasks: Vec<_> = (0..self.writers)
            .map(|writer| {
                let (subject, writers) = (Arc::clone(subject), self.writers as u64);
                let place = writer as u64;
                tokio::spawn(async move {
                    let mut known = S::Known::default();
                    let (mut order, mut before) = (first + place, 0);
                    repeat(time, async || {
                        let lines = lines_of(order, before, events);
                        subject.append(writer, &lines, before, &mut known).await?;
                        before += events;
                        if before >= STREAM_EVENTS {
                            (order, before) = (order + writers, 0);
                            known = S::Known::default();
                        }
                        Ok(events)
                    })
                    .await
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

/// Does it again and again for a while; it tells how much it did.
async fn repeat(time: Duration, mut act: impl AsyncFnMut() -> Result<u64>) -> Result<Figures> {
    let mut figures = Figures::default();
    let begin = now();
    let mut last = begin;
    while last.duration_since(begin) < time {
        let did = act().await?;
        if did == 0 {
            bail!("there was nothing to do");
        }
        figures.count += did;
        let done = now();
        let took = done.duration_since(last).as_micros();
        figures.latencies.push(u64::try_from(took)?);
        last = done;
    }
    figures.seconds = last.duration_since(begin).as_secs_f64();
    Ok(figures)
}

fn now() -> Instant {
    Instant::now()
}
