//! A bank on annals: accounts as aggregates, transfers over two of them in one atomic append, tellers
//! who race.

pub mod account;
pub mod bank;

pub use account::{Account, AccountError, AccountEvent, euros};
pub use bank::{Answer, Bank};
