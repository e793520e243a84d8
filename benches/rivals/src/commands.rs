//! The workloads of frameworks, C1, C64 and L10, each once for all: commands on orders, and loads of them.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use crate::event::{Line, OrderLine, Tagged};
use crate::measure::{self, Window};
use crate::subject::Concurrency;
use crate::workload::{Figures, Plan, Workload, rate, renew, scrambled};

/// Concurrent writers of C64.
const WRITERS: usize = 64;
/// Commands on an order, one after the other, before its writer goes on to the next.
const ORDER_LINES: u64 = 10;
/// Orders that are loaded in L10.
const ORDERS: u64 = 1_000;

/// Something that executes commands on aggregates over a store, durably.
///
/// The aggregate is an order, which counts its lines and adds up their prices; the command adds a line, and is
/// rejected where the order has [`LINES_MAX`] of them.
pub trait Framework: Sized + Send + Sync + 'static {
    /// Opens it over the store in this folder, and creates that if there is none.
    fn open(dir: &Path) -> Result<Self>;

    /// Executes the command: loads the order, decides, records; durable when it returns.
    fn add_line(&self, order: u64, line: OrderLine) -> impl Future<Output = Result<()>> + Send;

    /// Loads the order and gives how many lines it has.
    fn lines(&self, order: u64) -> impl Future<Output = Result<u64>> + Send;

    /// Closes it in order.
    fn close(self) -> Result<()>;
}

/// More lines than an order takes.
pub const LINES_MAX: u64 = 1_000;

/// Runs a workload on a framework, in this process.
pub fn run<F: Framework>(workload: Workload, plan: &Plan) -> Result<Figures> {
    match workload {
        Workload::C1 => commands::<F>(plan, 1),
        Workload::C64 => commands::<F>(plan, WRITERS),
        Workload::L10 => loads::<F>(plan),
        _ => bail!("{workload:?} is a workload of stores"),
    }
}

/// Writers add lines, each to orders of its own.
fn commands<F: Framework>(plan: &Plan, writers: usize) -> Result<Figures> {
    let framework = open::<F>(&scratch(plan)?)?;
    let window = repeat(&framework, plan, writers, move |framework, actor, count| {
        let order = count / ORDER_LINES * WRITERS as u64 + actor;
        let line = line(order, count);
        async move { framework.add_line(order, line?).await }
    })?;
    close(framework)?;
    Ok(rate("rate", &window, 1))
}

/// One reader loads orders of ten lines.
fn loads<F: Framework>(plan: &Plan) -> Result<Figures> {
    let dir = scratch(plan)?;
    let framework = open::<F>(&dir)?;
    measure::concurrently(Concurrency::Tasks, WRITERS, |writer| {
        let framework = Arc::clone(&framework);
        async move {
            for order in (writer..ORDERS).step_by(WRITERS) {
                for number in 0..ORDER_LINES {
                    framework.add_line(order, line(order, number)?).await?;
                }
            }
            Ok(())
        }
    })?;
    close(framework)?;
    let framework = open::<F>(&dir)?;
    let window = repeat(&framework, plan, 1, |framework, _, count| async move {
        let lines = framework.lines(scrambled(count) % ORDERS).await?;
        ensure!(lines == ORDER_LINES, "an order has {lines} lines");
        Ok(())
    })?;
    close(framework)?;
    Ok(rate("rate", &window, 1))
}

fn repeat<F: Framework, T>(
    framework: &Arc<F>,
    plan: &Plan,
    actors: usize,
    act: impl Fn(Arc<F>, u64, u64) -> T + Clone + Send + 'static,
) -> Result<Window>
where
    T: Future<Output = Result<()>> + Send + 'static,
{
    let framework = Arc::clone(framework);
    let act = move |actor, count| act(Arc::clone(&framework), actor, count);
    measure::repeat_concurrently(Concurrency::Tasks, actors, plan.time, act)
}

/// The line that stores record too, as a value.
fn line(order: u64, number: u64) -> Result<OrderLine> {
    let line = Line {
        order,
        number,
        tagged: Tagged::No,
    };
    Ok(serde_json::from_slice(&line.payload())?)
}

fn scratch(plan: &Plan) -> Result<std::path::PathBuf> {
    let dir = plan.dir.join("scratch");
    renew(&dir)?;
    Ok(dir)
}

fn open<F: Framework>(dir: &Path) -> Result<Arc<F>> {
    fs::create_dir_all(dir)?;
    let framework = F::open(dir).with_context(|| format!("cannot open {}", dir.display()))?;
    Ok(Arc::new(framework))
}

fn close<F: Framework>(framework: Arc<F>) -> Result<()> {
    let framework = Arc::into_inner(framework).context("the framework is in use at its end")?;
    framework.close()
}
