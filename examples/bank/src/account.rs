//! An account: what can happen to it, what it is, and what it lets people do.

use annals::{Aggregate, Event, Refusal};
use serde::{Deserialize, Serialize};
use thiserror::Error;

// ANCHOR: events
/// What happens to an account. Amounts are in cents.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event(category = "account")]
pub enum AccountEvent {
    /// Somebody has an account.
    Opened {
        /// Whose it is; the tag finds all accounts of a person.
        #[event(tag)]
        owner: String,
    },
    /// Money came in.
    #[event(commutes_with("deposited", "withdrawn"))]
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
// ANCHOR_END: events

/// An account as its events make it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    owner: Option<String>,
    balance: u64,
}

/// Why the bank says no.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AccountError {
    /// There is an account already.
    #[error("the account is open already")]
    AlreadyOpen,
    /// There is no account.
    #[error("the account is not open")]
    NotOpen,
    /// More than there is.
    #[error("{} wanted, {} there", euros(*wanted), euros(*balance))]
    Overdraft {
        /// What the withdrawal asked for, in cents.
        wanted: u64,
        /// What the account has, in cents.
        balance: u64,
    },
    /// More than an account can hold.
    #[error("the account can't hold that much")]
    TooMuch,
}

impl Account {
    /// Opens the account.
    ///
    /// # Errors
    /// [`AccountError::AlreadyOpen`].
    pub fn open(&self, owner: &str) -> Result<AccountEvent, AccountError> {
        match self.owner {
            Some(_) => Err(AccountError::AlreadyOpen),
            None => Ok(AccountEvent::Opened {
                owner: owner.to_owned(),
            }),
        }
    }

    /// Puts money in.
    ///
    /// # Errors
    /// [`AccountError::NotOpen`], [`AccountError::TooMuch`].
    pub fn deposit(&self, cents: u64) -> Result<AccountEvent, AccountError> {
        self.owner.as_ref().ok_or(AccountError::NotOpen)?;
        self.balance
            .checked_add(cents)
            .ok_or(AccountError::TooMuch)?;
        Ok(AccountEvent::Deposited { cents })
    }

    /// Takes money out.
    ///
    /// # Errors
    /// [`AccountError::NotOpen`], [`AccountError::Overdraft`].
    pub fn withdraw(&self, cents: u64) -> Result<AccountEvent, AccountError> {
        self.owner.as_ref().ok_or(AccountError::NotOpen)?;
        if cents > self.balance {
            return Err(AccountError::Overdraft {
                wanted: cents,
                balance: self.balance,
            });
        }
        Ok(AccountEvent::Withdrawn { cents })
    }

    /// What is on it, in cents.
    pub fn balance(&self) -> u64 {
        self.balance
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
            AccountEvent::Deposited { cents } => self.balance.checked_add(*cents),
            AccountEvent::Withdrawn { cents } => self.balance.checked_sub(*cents),
        };
        self.balance = balance.ok_or(Refusal::new("the balance leaves its range"))?;
        Ok(())
    }
}

/// An amount of cents as people read it.
///
/// ```
/// assert_eq!(bank::euros(3_005), "30.05");
/// ```
pub fn euros(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}
