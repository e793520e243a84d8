//! The story of the README, told as it happens.

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::sync::Arc;

use annals::{EventStoreExt, MemoryStore, ReadRequest, Version};
use anyhow::Result;
use bank::Bank;

#[tokio::main]
async fn main() -> Result<()> {
    let store = Arc::new(MemoryStore::new());
    let bank = Bank::new(store.clone());

    bank.open("1", "Ada").await?;
    bank.open("2", "Ben").await?;
    println!(
        "Ada puts in 100.00 and has {}",
        euros(bank.deposit("1", 10_000).await?)
    );
    println!(
        "Ada pays Ben 30.00 and has {}",
        euros(bank.transfer("1", "2", 3_000).await?)
    );
    if let Err(refused) = bank.withdraw("2", 9_900).await {
        println!("Ben asks for 99.00: refused, {refused} (in cents)");
    }

    // Both tellers see 70.00. One is first; the other's append meets a conflict, so it looks again.
    let tellers = [bank.clone(), bank.clone()]
        .map(|teller| tokio::spawn(async move { teller.withdraw("1", 5_000).await }));
    for (number, teller) in tellers.into_iter().enumerate() {
        let answer = match teller.await? {
            Ok(balance) => format!("pays out 50.00 of Ada's, {} left", euros(balance)),
            Err(refused) => format!("refuses 50.00 of Ada's: {refused} (in cents)"),
        };
        println!("teller {number} {answer}");
    }

    for version in (1..=4).map(Version::new) {
        let balance = bank.balance_at("1", version).await?;
        println!("Ada's account at version {version}: {}", euros(balance));
    }
    println!("the whole history:");
    for event in store.collect(ReadRequest::all()).await? {
        let payload = String::from_utf8_lossy(event.payload());
        println!(
            "{:>3}  {}  {:<9}  {payload}",
            event.position(),
            event.stream(),
            event.event_type()
        );
    }
    Ok(())
}

fn euros(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}
