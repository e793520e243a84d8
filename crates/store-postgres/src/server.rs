//! What a server says of itself, for whoever looks after it.

use std::sync::Arc;

use annals_core::Error;
use tokio_postgres::Row;

use crate::error::of_statement;
use crate::store::{PostgresStore, Shared};

/// What a server says of itself, as far as the role of the store may ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerReport {
    /// Its version, as `15.6`.
    pub version: String,
    /// Whether what is committed is synced to the disk; without it a loss of power may damage the database.
    pub fsync: bool,
    /// Whether pages that a loss of power tears are restored.
    pub full_page_writes: bool,
    /// What `synchronous_commit` is for sessions that say nothing of it. The store's own raise it from `off` to `on`.
    pub synchronous_commit: String,
    /// Its replicas, without whoever takes a backup. How they are is told only to roles that have `pg_monitor`.
    pub replicas: Vec<ReplicaReport>,
    /// How many bytes the log takes, its indexes included.
    pub log_bytes: u64,
    /// How many bytes all of the database takes.
    pub database_bytes: u64,
    /// How many bytes of the write-ahead log are kept for replicas that are not connected, and grow until they are.
    pub unused_slot_bytes: u64,
    /// Whether archiving the write-ahead log fails, so that it piles up.
    pub archiving_fails: bool,
}

/// A replica, as its server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaReport {
    /// The name of its application.
    pub name: String,
    /// Whether it is one that commits wait for, unless `synchronous_commit` is `local`; else it may lack the newest
    /// events. `None` where the role may not know.
    pub is_synchronous: Option<bool>,
    /// How many bytes of the write-ahead log it is behind; `None` where that can't be told.
    pub lag_bytes: Option<u64>,
}

impl ReplicaReport {
    /// A replica of this name.
    pub fn new(name: &str, is_synchronous: Option<bool>, lag_bytes: Option<u64>) -> Self {
        Self {
            name: name.to_owned(),
            is_synchronous,
            lag_bytes,
        }
    }
}

impl PostgresStore {
    /// Asks the server what bears on durability, and what fills its disk. How much room is left on that, SQL can't tell.
    ///
    /// # Errors
    /// Those of a read.
    pub async fn server(&self) -> Result<ServerReport, Error> {
        let ask = |shared: Arc<Shared>| async move { shared.server().await };
        let report = self.shared.aside(ask).await;
        report.map_err(|error| error.during("ask the server"))
    }
}

impl Shared {
    async fn server(&self) -> Result<ServerReport, Error> {
        let client = self.client().await?;
        let settings = client
            .query_one(
                "SELECT current_setting('server_version'), current_setting('fsync') = 'on', \
                 current_setting('full_page_writes') = 'on', \
                 (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'), \
                 (SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c \
                 JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r'), \
                 pg_database_size(current_database()), \
                 (SELECT coalesce(sum(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0)::bigint \
                 FROM pg_replication_slots WHERE NOT active), \
                 (SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) \
                 FROM pg_stat_archiver)",
                &[&self.settings.schema],
            )
            .await
            .map_err(of_statement)?;
        let replicas = client
            .query(
                "SELECT coalesce(application_name, ''), sync_state IN ('sync', 'quorum'), \
                 pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn)::bigint FROM pg_stat_replication \
                 WHERE state IS DISTINCT FROM 'backup' AND application_name IS DISTINCT FROM 'pg_basebackup' \
                 ORDER BY application_name",
                &[],
            )
            .await
            .map_err(of_statement)?;
        let mut report = report_of(&settings).map_err(of_statement)?;
        for row in &replicas {
            report.replicas.push(replica_of(row).map_err(of_statement)?);
        }
        Ok(report)
    }
}

fn report_of(row: &Row) -> Result<ServerReport, tokio_postgres::Error> {
    Ok(ServerReport {
        version: row.try_get(0)?,
        fsync: row.try_get(1)?,
        full_page_writes: row.try_get(2)?,
        synchronous_commit: row.try_get::<_, Option<String>>(3)?.unwrap_or_default(),
        replicas: Vec::new(),
        log_bytes: bytes(row.try_get(4)?),
        database_bytes: bytes(row.try_get(5)?),
        unused_slot_bytes: bytes(row.try_get(6)?),
        archiving_fails: row.try_get(7)?,
    })
}

fn replica_of(row: &Row) -> Result<ReplicaReport, tokio_postgres::Error> {
    Ok(ReplicaReport {
        name: row.try_get(0)?,
        is_synchronous: row.try_get(1)?,
        lag_bytes: row.try_get::<_, Option<i64>>(2)?.map(bytes),
    })
}

fn bytes(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
