//! The aggregates of the tests.

use std::sync::Arc;

use annals_aggregate::Repository;
use annals_codec::JsonCodec;
use annals_core::{Aggregate, Clock, EventStore, Ids, Refusal, Timestamp, UuidIds};
use annals_macros::Event;
use annals_store_memory::MemoryStore;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "account")]
pub(crate) enum AccountEvent {
    Opened {
        #[event(tag = "customer")]
        owner: String,
    },
    Deposited {
        amount: u64,
    },
    Withdrawn {
        amount: u64,
    },
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Account {
    pub(crate) owner: Option<String>,
    pub(crate) balance: u64,
}

#[derive(Debug, PartialEq)]
pub(crate) enum AccountError {
    AlreadyOpen,
    Overflow,
    Overdraft { balance: u64 },
}

impl Account {
    pub(crate) fn open(&self, owner: &str) -> Result<AccountEvent, AccountError> {
        match self.owner {
            Some(_) => Err(AccountError::AlreadyOpen),
            None => Ok(AccountEvent::Opened {
                owner: owner.to_owned(),
            }),
        }
    }

    pub(crate) fn deposit(&self, amount: u64) -> Result<AccountEvent, AccountError> {
        let balance = self.balance.checked_add(amount);
        balance.ok_or(AccountError::Overflow)?;
        Ok(AccountEvent::Deposited { amount })
    }

    pub(crate) fn withdraw(&self, amount: u64) -> Result<AccountEvent, AccountError> {
        let balance = self.balance;
        let left = balance.checked_sub(amount);
        left.ok_or(AccountError::Overdraft { balance })?;
        Ok(AccountEvent::Withdrawn { amount })
    }

    /// Withdraws all there is.
    pub(crate) fn empty(&self) -> Option<AccountEvent> {
        let amount = self.balance;
        (amount > 0).then_some(AccountEvent::Withdrawn { amount })
    }
}

impl Aggregate for Account {
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) -> Result<(), Refusal> {
        let balance = match event {
            AccountEvent::Opened { owner } => {
                self.owner = Some(owner.clone());
                Some(self.balance)
            }
            AccountEvent::Deposited { amount } => self.balance.checked_add(*amount),
            AccountEvent::Withdrawn { amount } => self.balance.checked_sub(*amount),
        };
        self.balance = balance.ok_or(Refusal::new("the balance leaves its range"))?;
        Ok(())
    }
}

/// An aggregate of another type: a journal of transfers.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "journal")]
pub(crate) enum JournalEvent {
    Noted { text: String },
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Journal(pub(crate) Vec<String>);

impl Aggregate for Journal {
    type Event = JournalEvent;

    fn apply(&mut self, event: &JournalEvent) -> Result<(), Refusal> {
        let JournalEvent::Noted { text } = event;
        self.0.push(text.clone());
        Ok(())
    }
}

/// A clock that stands still.
#[derive(Debug)]
pub(crate) struct Noon;

impl Noon {
    pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
}

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Self::NOW
    }
}

pub(crate) fn accounts(store: &Arc<impl EventStore + 'static>) -> Repository<Account> {
    let ids: Arc<dyn Ids> = Arc::new(UuidIds::default());
    Repository::new(store.clone(), JsonCodec)
        .with_clock(Arc::new(Noon))
        .with_ids(ids)
}

pub(crate) fn journals(store: &Arc<impl EventStore + 'static>) -> Repository<Journal> {
    Repository::new(store.clone(), JsonCodec)
}

pub(crate) fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new())
}
