//! An account that trusts its commands: `apply` refuses nothing, so that a wrong command shows in the log.

use annals_core::{Aggregate, Refusal};
use annals_macros::Event;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "account")]
pub(crate) enum AccountEvent {
    #[event(commutes_with("deposited", "withdrawn"))]
    Deposited {
        amount: i64,
    },
    Withdrawn {
        amount: i64,
    },
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Account {
    pub(crate) balance: i64,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Overdraft;

impl Account {
    /// Deposits what is positive, and withdraws what is negative.
    pub(crate) fn change(&self, amount: i64) -> Result<AccountEvent, Overdraft> {
        if amount >= 0 {
            return Ok(AccountEvent::Deposited { amount });
        }
        let covered = self.balance + amount >= 0;
        let withdrawn = AccountEvent::Withdrawn { amount: -amount };
        covered.then_some(withdrawn).ok_or(Overdraft)
    }
}

impl Aggregate for Account {
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) -> Result<(), Refusal> {
        match event {
            AccountEvent::Deposited { amount } => self.balance += amount,
            AccountEvent::Withdrawn { amount } => self.balance -= amount,
        }
        Ok(())
    }
}
