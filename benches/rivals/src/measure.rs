//! How a run is measured: windows of time, latencies, memory, bytes on disk, the page cache.

use std::fs::{self, File};
use std::future::Future;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use rustix::fs::Advice;
use rustix::time::ClockId;

use crate::subject::Concurrency;

/// The threads of the runtime that carries tasks: the cores of the machine that the targets name.
const RUNTIME_THREADS: usize = 2;

/// What happened in a window of time.
#[derive(Debug)]
pub struct Window {
    /// How often.
    pub count: u64,
    /// How long it took in all.
    pub elapsed: Duration,
    /// How long the processor worked for it, on all threads of this process.
    pub cpu: Duration,
    /// How long each took, in nanoseconds.
    pub latencies: Histogram<u64>,
}

impl Window {
    /// How often a second, each worth `weight`.
    pub fn rate(&self, weight: u64) -> f64 {
        as_f64(self.count * weight) / self.elapsed.as_secs_f64()
    }

    /// The work of the processor for each, in microseconds, when each is worth `weight`.
    pub fn cpu_us(&self, weight: u64) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / as_f64(self.count * weight)
    }

    /// The latency that this share of them keeps within, in microseconds.
    pub fn percentile_us(&self, percent: f64) -> f64 {
        as_f64(self.latencies.value_at_percentile(percent)) / 1e3
    }
}

/// The moment.
#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures time, and this is where"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// How long the processor has worked for this process.
pub fn cpu() -> Duration {
    let worked = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(worked).unwrap_or_default()
}

/// Does it again and again for a while, and after some that do not count; `act` is told how often
/// before.
pub fn repeat(time: Duration, mut act: impl FnMut(u64) -> Result<()>) -> Result<Window> {
    const WARM_UP: u64 = 20;
    let warm = now();
    let mut before = 0;
    while before < WARM_UP && warm.elapsed() < time {
        act(before)?;
        before += 1;
    }
    let mut latencies = histogram()?;
    let cpu_before = cpu();
    let begin = now();
    let mut last = begin;
    let mut count = 0;
    while last.duration_since(begin) < time || count == 0 {
        act(before + count)?;
        let done = now();
        record(&mut latencies, done.duration_since(last));
        last = done;
        count += 1;
    }
    Ok(Window {
        count,
        elapsed: last.duration_since(begin),
        cpu: cpu().saturating_sub(cpu_before),
        latencies,
    })
}

/// Runs `actors` at a time, each doing it again and again for a while; `act` is told which actor and how
/// often before.
pub fn repeat_concurrently<F>(
    concurrency: Concurrency,
    actors: usize,
    time: Duration,
    act: impl Fn(u64, u64) -> F + Clone + Send + 'static,
) -> Result<Window>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let cpu_before = cpu();
    let begin = now();
    let parts = concurrently(concurrency, actors, |actor| {
        let act = act.clone();
        async move {
            let mut latencies = histogram()?;
            let mut count = 0;
            let mut last = begin;
            while last.duration_since(begin) < time {
                act(actor, count).await?;
                let done = now();
                record(&mut latencies, done.duration_since(last));
                last = done;
                count += 1;
            }
            Ok((count, latencies))
        }
    })?;
    let mut window = Window {
        count: 0,
        elapsed: begin.elapsed(),
        cpu: cpu().saturating_sub(cpu_before),
        latencies: histogram()?,
    };
    for (count, latencies) in parts {
        window.count += count;
        window.latencies.add(latencies)?;
    }
    Ok(window)
}

/// Runs `actors` at a time to their ends: as tasks on a runtime, or as threads.
pub fn concurrently<T, F>(
    concurrency: Concurrency,
    actors: usize,
    act: impl Fn(u64) -> F,
) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let futures: Vec<F> = (0..u64::try_from(actors)?).map(act).collect();
    match concurrency {
        Concurrency::Threads => {
            let threads = futures.into_iter();
            let threads: Vec<_> = threads
                .map(|future| thread::spawn(move || pollster::block_on(future)))
                .collect();
            let results = threads.into_iter().map(thread::JoinHandle::join);
            results
                .map(|result| result.unwrap_or_else(|_| bail!("an actor panicked")))
                .collect()
        }
        Concurrency::Tasks => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(RUNTIME_THREADS)
                .build()?;
            runtime.block_on(async {
                let tasks: Vec<_> = futures.into_iter().map(tokio::spawn).collect();
                let mut results = Vec::with_capacity(tasks.len());
                for task in tasks {
                    results.push(task.await.context("an actor panicked")??);
                }
                Ok(results)
            })
        }
    }
}

/// The memory of this process, in MiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident now, mapped file pages included.
    pub resident: f64,
    /// Resident now and not of a file.
    pub anonymous: f64,
    /// The most that was ever resident.
    pub peak: f64,
}

/// The memory of this process now.
pub fn memory() -> Result<Memory> {
    let status = fs::read_to_string("/proc/self/status").context("no /proc/self/status")?;
    let field = |name: &str| -> Result<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib: Option<u32> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        Ok(f64::from(kib.with_context(|| format!("/proc/self/status has no {name}"))?) / 1024.0)
    };
    Ok(Memory {
        resident: field("VmRSS:")?,
        anonymous: field("RssAnon:")?,
        peak: field("VmHWM:")?,
    })
}

/// The bytes that the files of a folder take up on the disk.
pub fn bytes_on_disk(dir: &Path) -> Result<u64> {
    const BLOCK_BYTES: u64 = 512;
    let blocks = files(dir)?
        .into_iter()
        .map(|file| Ok(fs::metadata(file)?.blocks()));
    Ok(blocks.sum::<Result<u64>>()? * BLOCK_BYTES)
}

/// Brings the files of a folder into the page cache.
pub fn warm(dir: &Path) -> Result<()> {
    let mut buffer = vec![0; 1 << 20];
    for file in files(dir)? {
        let mut file = match File::open(file) {
            // A store that is open may tidy up meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            file => file?,
        };
        while file.read(&mut buffer)? > 0 {}
    }
    Ok(())
}

/// Drops the files of a folder from the page cache; they must not be mapped.
pub fn cool(dir: &Path) -> Result<()> {
    for file in files(dir)? {
        let file = File::open(file)?;
        file.sync_all()?;
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}

/// A count as a number to divide.
#[expect(
    clippy::cast_precision_loss,
    reason = "a figure is read to three digits"
)]
pub fn as_f64(count: u64) -> f64 {
    count as f64
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(self::files(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

fn histogram() -> Result<Histogram<u64>> {
    const LONGEST_NANOS: u64 = 60_000_000_000;
    Ok(Histogram::new_with_bounds(1, LONGEST_NANOS, 3)?)
}

fn record(latencies: &mut Histogram<u64>, latency: Duration) {
    let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
    latencies.saturating_record(nanos);
}
