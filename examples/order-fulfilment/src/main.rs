//! The program `order-fulfilment`; see the library.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use annals::{AnyStore, EventStoreExt, ParkedCause, ReadRequest, StoreAddress};
use anyhow::{Result, bail};
use clap::Parser;
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
    let Options { store, metrics } = Options::parse();
    // Without a directory there is one for the time of the story.
    let scratch = tempfile::tempdir()?;
    let address = match store {
        Some(text) => text.parse()?,
        None => StoreAddress::Log(scratch.path().join("store")),
    };
    // A store on PostgreSQL or NATS works on it; the others need none.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let _entered = runtime.enter();
    match block_on(tell(address, metrics, &mut io::stdout().lock())) {
        // Whoever listens has heard enough, as `head` has.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        told => told,
    }
}

/// Tells the story of four orders, as it happens.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Keep the orders here: in a directory, in PostgreSQL at `postgres://user@host/database`, or on NATS JetStream at
    /// `nats://host:4222/<log>`. It is created when it is missing; they are there again the next time, and the story goes on with further ones. In
    /// `memory:`, they are not.
    // It is parsed later, as a complaint about an argument would repeat it, with its password.
    #[arg(long, value_name = "STORE")]
    store: Option<String>,
    /// Answer `/metrics` and `/health` at this address, such as 127.0.0.1:9000, until the input ends.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
}

async fn tell(
    address: StoreAddress,
    metrics: Option<SocketAddr>,
    out: &mut impl Write,
) -> Result<()> {
    let time = StoryTime::default();
    let clock = Arc::new(time.clone());
    let store = AnyStore::at(address).clock(clock);
    let store = Arc::new(store.open_or_create().await?);
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
            let AnyStore::Log(log) = &*store else {
                bail!("metrics are of the embedded store; name a directory with --store DIR");
            };
            let endpoint = watch.serve(address, Arc::clone(log), shop.processor().clone())?;
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
    let mut all_parked = shop.parked()?;
    // Orders fail side by side.
    all_parked.sort_by(|a, b| a.key.cmp(&b.key));
    for parked in &all_parked {
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
