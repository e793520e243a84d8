//! A store of several partitions: how it is opened, how it is read, and what is built on it.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod book;
mod opening;
mod projecting;
mod reading;
mod support;
