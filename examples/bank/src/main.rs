//! The story of the README, told as it happens.

use std::io::{self, Write};
use std::sync::Arc;

use annals::{EventStoreExt, MemoryStore, ReadRequest, Version};
use anyhow::Result;
use bank::{Bank, euros};

#[tokio::main]
async fn main() -> Result<()> {
    match tell(&mut io::stdout().lock()).await {
        // Whoever listens has heard enough, as `head` has.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        told => told,
    }
}

async fn tell(out: &mut impl Write) -> Result<()> {
    let store = Arc::new(MemoryStore::new());
    let bank = Bank::new(store.clone());

    bank.open("1", "Ada").await?;
    bank.open("2", "Ben").await?;
    let balance = bank.deposit("1", 10_000).await?;
    writeln!(out, "Ada puts in 100.00 and has {}", euros(balance))?;
    let balance = bank.transfer("1", "2", 3_000).await?;
    writeln!(out, "Ada pays Ben 30.00 and has {}", euros(balance))?;
    if let Err(refused) = bank.withdraw("2", 9_900).await {
        writeln!(out, "Ben asks for 99.00: refused, {refused}")?;
    }

    // Both tellers see 70.00. One is first; the other's append meets a conflict, so it looks again.
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
