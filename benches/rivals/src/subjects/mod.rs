//! The subjects, one a file.

pub mod annals;
pub mod fjall;
pub mod limit;
pub mod redb;
pub mod sqlite;
pub mod tephra;
pub mod umadb;

use crate::event;

/// The key of an event of a stream in a key-value store: versions in order behind the stream's name.
fn stream_key(order: u64, version: u64) -> Vec<u8> {
    let mut key = stream_prefix(order);
    key.extend_from_slice(&version.to_be_bytes());
    key
}

/// What the keys of a stream begin with; no name of a stream has a zero byte.
fn stream_prefix(order: u64) -> Vec<u8> {
    let mut key = event::stream(order).into_bytes();
    key.push(0);
    key
}

/// The version in a key of [`stream_key`].
fn version_of(key: &[u8]) -> u64 {
    key.last_chunk()
        .map_or(0, |version| u64::from_be_bytes(*version))
}
