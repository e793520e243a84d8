//! A small aggregate: an account with a balance.

use annals_core::{Aggregate, Refusal};
use annals_macros::Event;
use serde::{Deserialize, Serialize};

/// What happens to an account, in cents.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event(category = "account")]
pub enum AccountEvent {
    /// Money came in.
    Deposited {
        /// How much.
        cents: u64,
    },
    /// Money went out.
    Withdrawn {
        /// How much.
        cents: u64,
    },
}

/// The balance of an account, in cents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// What is on it.
    pub balance: u64,
}

impl Aggregate for Account {
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) -> Result<(), Refusal> {
        let balance = match event {
            AccountEvent::Deposited { cents } => self.balance.checked_add(*cents),
            AccountEvent::Withdrawn { cents } => self.balance.checked_sub(*cents),
        };
        self.balance = balance.ok_or(Refusal::new("the balance leaves its range"))?;
        Ok(())
    }
}

/// Deposits and withdrawals in turn that keep the balance above zero.
pub fn movements(count: u64) -> Vec<AccountEvent> {
    (0..count)
        .map(|number| match number % 2 {
            0 => AccountEvent::Deposited { cents: number + 10 },
            _ => AccountEvent::Withdrawn { cents: number },
        })
        .collect()
}
