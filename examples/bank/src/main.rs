//! The program `bank`; see the library.

use std::io::{self, Write};
use std::sync::Arc;

use annals::{AnyStore, EventStoreExt, ReadRequest, StoreAddress, Version};
use anyhow::Result;
use bank::{AccountError, Bank, euros};
use clap::Parser;

#[tokio::main]
async fn main() -> Result<()> {
    let Options { store } = Options::parse();
    // Without a directory there is one for the time of the story.
    let scratch = tempfile::tempdir()?;
    let address = match store {
        Some(text) => text.parse()?,
        None => StoreAddress::Log(scratch.path().join("store")),
    };
    match tell(address, &mut io::stdout().lock()).await {
        // Whoever listens has heard enough, as `head` has.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        told => told,
    }
}

/// Tells the story of the README, as it happens.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Keep the accounts here: in a directory, in PostgreSQL at `postgres://user@host/database`, or on NATS JetStream at
    /// `nats://host:4222/<log>`. It is created when it is missing; they are there again the next time, and the story goes on with what is on them. In
    /// `memory:`, they are not.
    // It is parsed later, as a complaint about an argument would repeat it, with its password.
    #[arg(long, value_name = "STORE")]
    store: Option<String>,
}

async fn tell(address: StoreAddress, out: &mut impl Write) -> Result<()> {
    let store = Arc::new(AnyStore::at(address).open_or_create().await?);
    let bank = Bank::new(store.clone());

    for (number, owner) in [("1", "Ada"), ("2", "Ben")] {
        match bank.open(number, owner).await {
            Err(refused) if refused.refused() == Some(&AccountError::AlreadyOpen) => {
                let balance = euros(bank.balance(number).await?);
                writeln!(out, "{owner} comes back and has {balance}")?;
            }
            opened => drop(opened?),
        }
    }
    let balance = bank.deposit("1", 10_000).await?;
    writeln!(out, "Ada puts in 100.00 and has {}", euros(balance))?;
    let balance = bank.transfer("1", "2", 3_000).await?;
    writeln!(out, "Ada pays Ben 30.00 and has {}", euros(balance))?;
    if let Err(refused) = bank.withdraw("2", 999_900).await {
        writeln!(out, "Ben asks for 9999.00: refused, {refused}")?;
    }

    // Both tellers see what is there. One is first; the other's append meets a conflict, so it looks again.
    let tellers = [bank.clone(), bank.clone()]
        .map(|teller| tokio::spawn(async move { teller.withdraw("1", 5_000).await }));
    for (number, teller) in tellers.into_iter().enumerate() {
        let answer = match teller.await? {
            Ok(balance) => format!("pays out 50.00 of Ada's, {} left", euros(balance)),
            Err(refused) => format!("refuses 50.00 of Ada's: {refused}"),
        };
        writeln!(out, "teller {number} {answer}")?;
    }

    for version in (1..=4).map(Version::new) {
        let balance = bank.balance_at("1", version).await?;
        let balance = euros(balance);
        writeln!(out, "Ada's account at version {version}: {balance}")?;
    }
    writeln!(out, "the whole history:")?;
    for event in store.collect(ReadRequest::all()).await? {
        let payload = String::from_utf8_lossy(event.payload());
        writeln!(
            out,
            "{:>3}  {}  {:<9}  {payload}",
            event.position(),
            event.stream(),
            event.event_type()
        )?;
    }
    Ok(())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
