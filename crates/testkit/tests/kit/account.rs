//! An account of money, as an application would write it.

use annals_core::{Aggregate, Refusal};
use annals_macros::Event;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "account")]
pub(crate) enum AccountEvent {
    Opened {
        #[event(tag)]
        owner: String,
    },
    #[event(version = 2, commutes_with("deposited", "withdrawn"))]
    Deposited {
        cents: u64,
    },
    Withdrawn {
        cents: u64,
    },
    Closed,
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Account {
    pub(crate) owner: Option<String>,
    pub(crate) cents: u64,
}

#[derive(Debug, PartialEq)]
pub(crate) enum AccountError {
    NotOpen,
    Overdraft { cents: u64 },
}

impl Aggregate for Account {
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) -> Result<(), Refusal> {
        if self.owner.is_none() && !matches!(event, AccountEvent::Opened { .. }) {
            return Err(Refusal::new("the account is not open"));
        }
        match event {
            AccountEvent::Opened { owner } => self.owner = Some(owner.clone()),
            AccountEvent::Deposited { cents } => self.cents += cents,
            AccountEvent::Withdrawn { cents } => {
                let left = self.cents.checked_sub(*cents);
                self.cents = left.ok_or(Refusal::new("the balance is below zero"))?;
            }
            AccountEvent::Closed => self.owner = None,
        }
        Ok(())
    }
}

impl Account {
    pub(crate) fn withdraw(&self, cents: u64) -> Result<Vec<AccountEvent>, AccountError> {
        match self.cents.checked_sub(cents) {
            _ if self.owner.is_none() => Err(AccountError::NotOpen),
            None => Err(AccountError::Overdraft {
                cents: cents - self.cents,
            }),
            Some(_) if cents == 0 => Ok(vec![]),
            Some(_) => Ok(vec![AccountEvent::Withdrawn { cents }]),
        }
    }

    /// Pays out the rest, and closes.
    pub(crate) fn close(&self) -> Result<Vec<AccountEvent>, AccountError> {
        let mut events = self.withdraw(self.cents)?;
        events.push(AccountEvent::Closed);
        Ok(events)
    }
}

pub(crate) fn opened() -> AccountEvent {
    AccountEvent::Opened {
        owner: "Ada".to_owned(),
    }
}

pub(crate) fn deposited(cents: u64) -> AccountEvent {
    AccountEvent::Deposited { cents }
}

pub(crate) fn withdrawn(cents: u64) -> AccountEvent {
    AccountEvent::Withdrawn { cents }
}
