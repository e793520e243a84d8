//! The story of four orders, told as it happens: `order-fulfilment [--store DIR] [--metrics ADDRESS]`.
//!
//! With a directory the orders are there again the next time, and the story goes on with further ones. With an address
//! the shop answers `/metrics` and `/health` there, during the story and after it, until the input ends.

use std::env;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annals::{EventStoreExt, LogStore, ParkedCause, ReadRequest};
use anyhow::{Result, bail};
use futures_executor::block_on;
use futures_util::TryStreamExt;
use futures_util::future::join;
use order_fulfilment::fulfilment::PAYMENT_TERM;
use order_fulfilment::payment::PaymentService;
use order_fulfilment::shop::Shop;
use order_fulfilment::story_time::StoryTime;
use order_fulfilment::versions::{FIRST, NEXT};
use order_fulfilment::watch::Watch;

fn main() -> Result<()> {
    let Options { kept, metrics } = options(env::args_os().skip(1))?;
    // Without a directory there is one for the time of the story.
    let scratch = tempfile::tempdir()?;
    let directory = kept.unwrap_or_else(|| scratch.path().join("store"));
    match block_on(tell(&directory, metrics, &mut io::stdout().lock())) {
        // Whoever listens has heard enough, as `head` has.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        told => told,
    }
}

/// What was asked for.
#[derive(Default)]
struct Options {
    /// Where the orders are kept, if they are.
    kept: Option<PathBuf>,
    /// Where metrics are asked for, if they are.
    metrics: Option<SocketAddr>,
}

fn options(mut arguments: impl Iterator<Item = OsString>) -> Result<Options> {
    let mut options = Options::default();
    while let Some(option) = arguments.next() {
        let value = arguments.next();
        let address = || value.as_ref()?.to_str()?.parse().ok();
        match (option.to_str(), address()) {
            (Some("--metrics"), Some(address)) => options.metrics = Some(address),
            (Some("--store"), _) if value.is_some() => options.kept = value.map(PathBuf::from),
            _ => bail!("usage: order-fulfilment [--store DIR] [--metrics ADDRESS]"),
        }
    }
    Ok(options)
}

async fn tell(directory: &Path, metrics: Option<SocketAddr>, out: &mut impl Write) -> Result<()> {
    let time = StoryTime::default();
    let clock = Arc::new(time.clone());
    let store = Arc::new(LogStore::builder(directory).clock(clock).open_or_create()?);
    let newest = ReadRequest::all().backward().events_max(1);
    let newest = store.events(newest).try_next().await?;
    let time = match newest {
        Some(newest) => time.not_before(newest.appended_at()),
        None => time,
    };
    let payments = PaymentService::default();
    let watch = metrics.map(|_| Watch::new()).transpose()?;
    let shop = match &watch {
        Some(watch) => {
            let (store, payments) = (Arc::clone(&store), payments.clone());
            Shop::open_watched(store, payments, time.clone(), watch.monitor()).await?
        }
        None => Shop::open(Arc::clone(&store), payments.clone(), time.clone()).await?,
    };
    let endpoint = match watch.zip(metrics) {
        Some((watch, address)) => {
            let endpoint = watch.serve(address, store, shop.processor().clone())?;
            writeln!(out, "metrics are at http://{}/metrics", endpoint.address())?;
            Some(endpoint)
        }
        None => None,
    };
    shop.settled().await?;
    let first = shop.orders()?.by_number.len() + 1;
    let numbers = [0, 1, 2, 3].map(|place| format!("{:03}", first + place));

    fail(&shop, &payments, &numbers, out).await?;
    let head = shop.head().await?;
    time.skip(PAYMENT_TERM);
    shop.settled_after(&head).await?;
    writeln!(out, "three days go by")?;
    show(&shop, out)?;
    let chairs = shop.available("chair").await?;
    writeln!(out, "chairs for further orders: {chairs}")?;
    rebuild(&shop, &numbers, out).await?;
    if endpoint.is_some() {
        writeln!(out, "the metrics are there until the input ends")?;
        out.flush()?;
        io::stdin().read_to_end(&mut Vec::new())?;
    }
    drop(endpoint);
    shop.close().await?;
    Ok(())
}

/// Three orders, while the payment service is down, and what is parked is tried again.
async fn fail(
    shop: &Shop,
    payments: &PaymentService,
    [adas, bens, cleos, _]: &[String; 4],
    out: &mut impl Write,
) -> Result<()> {
    shop.receive("lamp", 3).await?;
    shop.receive("chair", 1).await?;
    writeln!(
        out,
        "3 lamps and a chair come in; the payment service is down"
    )?;
    payments.set_down(true);
    shop.place(adas, "Ada", (2, "lamp"), 9_000).await?;
    shop.place(bens, "Ben", (1, "chair"), 12_000).await?;
    shop.place(cleos, "Cleo", (9, "chair"), 108_000).await?;
    shop.settled().await?;
    show(shop, out)?;
    for parked in shop.parked()? {
        if let ParkedCause::Failed { error, attempts } = &parked.cause {
            let key = &parked.key;
            writeln!(out, "  parked: order {key} after {attempts} tries: {error}")?;
        }
    }
    payments.set_down(false);
    let done = shop.retry_parked().await?;
    writeln!(
        out,
        "the service is back, {done} parked events are done; Ada pays"
    )?;
    shop.settled().await?;
    shop.pay(adas, 9_000).await?;
    shop.settled().await?;
    show(shop, out)?;
    Ok(())
}

/// An order, while the read model is rebuilt; then a look back.
async fn rebuild(shop: &Shop, [.., dans]: &[String; 4], out: &mut impl Write) -> Result<()> {
    writeln!(
        out,
        "the read model is rebuilt while Dan orders a lamp; he pays"
    )?;
    let versions = shop.versions();
    let ordering = shop.place(dans, "Dan", (1, "lamp"), 4_500);
    if let Some(plan) = versions.plan().await? {
        writeln!(out, "  {plan}")?;
        let (applied, ordered) = join(versions.apply(&plan), ordering).await;
        ordered?;
        if let Some(comparison) = applied? {
            writeln!(out, "  {} compared rows differ", comparison.different)?;
        }
    } else {
        writeln!(out, "  the new version is there from an earlier story")?;
        ordering.await?;
    }
    shop.settled().await?;
    shop.pay(dans, 4_500).await?;
    shop.settled().await?;
    show(shop, out)?;
    for (customer, cents) in &shop.orders()?.spent {
        writeln!(out, "  {customer} spent {}.{:02}", cents / 100, cents % 100)?;
    }
    writeln!(out, "the old version is kept, and shown once more")?;
    for version in [FIRST, NEXT] {
        versions.roll_back(version).await?;
        writeln!(out, "  {}", versions.recorded().await?)?;
    }
    Ok(())
}

/// Where the orders stand.
fn show(shop: &Shop, out: &mut impl Write) -> Result<()> {
    for (number, line) in &shop.orders()?.by_number {
        writeln!(out, "  {number}: {line}")?;
    }
    Ok(())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
