//! Time travel over the memory store and the embedded one.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod as_of;
mod bisect;
mod cart;
mod diff;
mod fork;
mod laws;
mod play;
mod what_if;
