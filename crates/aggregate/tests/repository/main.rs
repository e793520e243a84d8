//! Repositories, deciders and transactions over the memory store, and over one that misbehaves on cue.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod account;
mod commands;
mod concurrency;
mod context;
mod decider;
mod decoded;
mod deletions;
mod fold_all;
mod idempotence;
mod loaded;
mod pairs;
mod retries;
mod scripted;
mod transactions;
