//! The bank: what can be done with accounts by their numbers.

use std::sync::Arc;
use std::time::Duration;

use annals::{
    CommandError, CommutingPairs, Context, Error, EventStore, JsonCodec, Lease, Repository,
    RetryPolicy, Version, explain,
};

use crate::account::{Account, AccountError};

/// What a command of the bank gives: the balance afterwards, in cents.
pub type Answer = Result<u64, CommandError<AccountError>>;

/// A bank over any event store. Cheap to clone: every teller has one.
#[derive(Clone, Debug)]
pub struct Bank {
    accounts: Repository<Account>,
}

impl Bank {
    // ANCHOR: resolver
    /// The bank whose history is in this store.
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self {
            accounts: Repository::new(store, JsonCodec).with_resolver(CommutingPairs::declared()),
        }
    }
    // ANCHOR_END: resolver

    // ANCHOR: policy
    /// The same bank for tellers who have a second for each customer.
    ///
    /// # Errors
    /// None, as the policy is right.
    pub fn in_a_hurry(self) -> Result<Self, Error> {
        let mut policy = RetryPolicy::DEFAULT;
        policy.attempts_max = 50;
        policy.backoff_max = Duration::from_millis(20);
        policy.deadline = Some(Duration::from_secs(1));
        let accounts = self.accounts.with_retry_policy(policy)?;
        Ok(Self { accounts })
    }
    // ANCHOR_END: policy

    /// The same bank with at most this many attempts for each command.
    #[must_use]
    pub fn with_attempts_max(self, attempts_max: u32) -> Self {
        let accounts = self.accounts.with_attempts_max(attempts_max);
        Self { accounts }
    }

    // ANCHOR: fence
    /// Pays interest into an account, as the one process that holds the lease for it.
    ///
    /// # Errors
    /// [`CommandError::FenceBroken`] when another process holds the lease by now; the account's refusal, or
    /// the store's error.
    pub async fn pay_interest(&self, number: &str, cents: u64, lease: &Lease) -> Answer {
        let context = Context::new().with_fence(lease.fence().clone());
        let paid = self
            .accounts
            .execute_with(&context, number, |account| account.deposit(cents))
            .await?;
        Ok(paid.state.balance())
    }
    // ANCHOR_END: fence

    // ANCHOR: explain
    /// One line for the log about a command that lost against others.
    ///
    /// # Errors
    /// As the store has it.
    pub async fn who_was_first(
        &self,
        error: &CommandError<AccountError>,
    ) -> Result<Option<String>, Error> {
        let Some(conflict) = error.store().and_then(Error::conflict) else {
            return Ok(None);
        };
        let explained = explain(self.accounts.store(), conflict).await?;
        Ok(Some(explained.to_string()))
    }
    // ANCHOR_END: explain

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
