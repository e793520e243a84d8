//! The bank: what can be done with accounts by their numbers.

use std::sync::Arc;

use annals::{CommandError, Context, Error, EventStore, JsonCodec, Repository, Version};

use crate::account::{Account, AccountError};

/// What a command of the bank gives: the balance afterwards, in cents.
pub type Answer = Result<u64, CommandError<AccountError>>;

/// A bank over any event store. Cheap to clone: every teller has one.
#[derive(Clone, Debug)]
pub struct Bank {
    accounts: Repository<Account>,
}

impl Bank {
    /// The bank whose history is in this store.
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self {
            accounts: Repository::new(store, JsonCodec),
        }
    }

    /// Opens an account.
    ///
    /// # Errors
    /// The account's refusal, or the store's error.
    pub async fn open(&self, number: &str, owner: &str) -> Answer {
        let opened = self
            .accounts
            .execute(number, |account| account.open(owner))
            .await?;
        Ok(opened.state.balance())
    }

    /// Puts money in.
    ///
    /// # Errors
    /// The account's refusal, or the store's error.
    pub async fn deposit(&self, number: &str, cents: u64) -> Answer {
        let deposited = self
            .accounts
            .execute(number, |account| account.deposit(cents))
            .await?;
        Ok(deposited.state.balance())
    }

    /// Takes money out.
    ///
    /// # Errors
    /// The account's refusal, or the store's error.
    pub async fn withdraw(&self, number: &str, cents: u64) -> Answer {
        let withdrawn = self
            .accounts
            .execute(number, |account| account.withdraw(cents))
            .await?;
        Ok(withdrawn.state.balance())
    }

    /// Moves money: both accounts change in one append, or neither does. Gives the balance of the
    /// account that it leaves.
    ///
    /// # Errors
    /// The refusal of one of the accounts, or the store's error.
    pub async fn transfer(&self, from: &str, to: &str, cents: u64) -> Answer {
        let (paid, _) = self
            .accounts
            .execute_both(
                &Context::new(),
                from,
                (&self.accounts, to),
                |payer, payee| Ok((payer.withdraw(cents)?, payee.deposit(cents)?)),
            )
            .await?;
        Ok(paid.state.balance())
    }

    /// The balance as it was after the account's event of this version, in cents.
    ///
    /// # Errors
    /// The store's error.
    pub async fn balance_at(&self, number: &str, version: Version) -> Result<u64, Error> {
        Ok(self
            .accounts
            .load_at(number, version)
            .await?
            .state()
            .balance())
    }

    /// The balance as it is, in cents.
    ///
    /// # Errors
    /// The store's error.
    pub async fn balance(&self, number: &str) -> Result<u64, Error> {
        self.balance_at(number, Version::MAX).await
    }
}
