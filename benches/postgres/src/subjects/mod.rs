//! The subjects, one a file.

pub mod annals;
pub mod bare;
pub mod cqrs;
pub mod disintegrate;

use anyhow::Result;
use sqlx::postgres::{PgPool, PgPoolOptions};

/// The connections that a subject shares which keeps one for the whole of an append.
pub const CONNECTIONS: u32 = 16;

/// A pool of sqlx, all of whose connections are made, and taken without a round trip.
async fn pool(url: &str) -> Result<PgPool> {
    let options = PgPoolOptions::new()
        .min_connections(CONNECTIONS)
        .max_connections(CONNECTIONS)
        .test_before_acquire(false);
    Ok(options.connect(url).await?)
}
