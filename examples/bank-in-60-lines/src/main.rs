//! A bank in sixty lines: events on disk, typed rejections, a balance, a read model.
#![expect(clippy::print_stdout, reason = "a program for people")]

use annals::prelude::*;

#[derive(Event, serde::Serialize, serde::Deserialize)]
#[event(category = "account")]
enum AccountEvent {
    Opened { owner: String },
    Deposited { cents: u32 },
    Withdrawn { cents: u32 },
}

fn cents_of(event: &AccountEvent) -> i64 {
    match event {
        AccountEvent::Opened { .. } => 0,
        AccountEvent::Deposited { cents } => i64::from(*cents),
        AccountEvent::Withdrawn { cents } => -i64::from(*cents),
    }
}

/// The balance in cents, once the account is open.
#[derive(Default)]
struct Account(Option<i64>);

impl Aggregate for Account {
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) -> Result<(), Refusal> {
        *self.0.get_or_insert(0) += cents_of(event);
        Ok(())
    }
}

#[derive(Debug)]
enum Rejected {
    AlreadyOpen,
    NotOpen,
    Overdraft,
}

impl Account {
    fn open(&self, owner: String) -> Result<AccountEvent, Rejected> {
        require(self.0.is_none(), Rejected::AlreadyOpen)?;
        Ok(AccountEvent::Opened { owner })
    }

    fn deposit(&self, cents: u32) -> Result<AccountEvent, Rejected> {
        self.0.ok_or(Rejected::NotOpen)?;
        Ok(AccountEvent::Deposited { cents })
    }

    fn withdraw(&self, cents: u32) -> Result<AccountEvent, Rejected> {
        let balance = self.0.ok_or(Rejected::NotOpen)?;
        require(balance >= i64::from(cents), Rejected::Overdraft)?;
        Ok(AccountEvent::Withdrawn { cents })
    }
}

#[tokio::main]
async fn main() -> Result<(), CommandError<Rejected>> {
    let store = std::sync::Arc::new(LogStore::builder("bank.store").open_or_create()?);
    let bank = Repository::<Account>::new(store, JsonCodec);
    bank.execute("ada", |ada| ada.open("Ada".into())).await?;
    bank.execute("ada", |ada| ada.deposit(100)).await?;
    bank.execute("ada", |ada| ada.withdraw(30)).await?;
    let ada = bank.load("ada").await?.into_state();
    let total = bank.fold_all(0, |sum, entry| sum + cents_of(&entry.event));
    println!("Ada has {} of {} cents", ada.0.unwrap_or(0), total.await?);
    Ok(())
}
