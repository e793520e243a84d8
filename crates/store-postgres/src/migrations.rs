//! The versions of the schema: plain SQL files, each run once, under a lock.

use annals_core::{Durability, Error, ErrorKind};
use tokio_postgres::{Client, GenericClient, IsolationLevel};

use crate::connection::Connector;
use crate::error::of_statement;
use crate::sql::quoted;
use tokio_postgres::error::SqlState;

/// A step of the schema: its name, and what runs with the log's schema first on the search path, and `pg_temp` last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number, from 1 without gaps: the version of the schema after it.
    pub version: i32,
    /// What its file is called.
    pub name: &'static str,
    /// What it runs.
    pub sql: &'static str,
}

/// All of them, in order. To be read, or run by hand by someone who also keeps `schema_migrations`.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "0001_log",
        sql: include_str!("migrations/0001_log.sql"),
    },
    Migration {
        version: 2,
        name: "0002_append",
        sql: include_str!("migrations/0002_append.sql"),
    },
    Migration {
        version: 3,
        name: "0003_auxiliary",
        sql: include_str!("migrations/0003_auxiliary.sql"),
    },
    Migration {
        version: 4,
        name: "0004_append_again",
        sql: include_str!("migrations/0004_append_again.sql"),
    },
];

/// What the owner of a schema grants to the role of an application, as SQL with `annals_app` for the role and `annals`
/// for the schema.
pub const ROLES: &str = include_str!("roles.sql");

/// The advisory lock that migrations of every log take: any number that others are unlikely to have.
const LOCK: i64 = 0x616e_6e61_6c73;

/// The oldest server, as `server_version_num` has it.
const SERVER_MIN: i32 = 140_000;

/// What was learned of the server while the schema was looked at.
pub(crate) struct Found {
    pub(crate) durability: Durability,
}

/// Looks whether a log of this build's version is there.
pub(crate) async fn check(connector: &Connector, schema: &str) -> Result<Found, Error> {
    let (client, _) = connector.connect(None).await.map_err(of_statement)?;
    let found = server(&client).await?;
    let version = version_of(&client, schema).await?;
    check_version(version, schema)?;
    if version < newest() {
        let message = match version {
            0 => "no log is in this schema; make one by `migrate` or `open_or_create`",
            _ => {
                "the log is of an older version; bring it to this one by `migrate` or `open_or_create`"
            }
        };
        return Err(Error::new(ErrorKind::Invalid, message)
            .with("schema", schema)
            .with("version", version)
            .with("expected", newest()));
    }
    Ok(found)
}

/// Makes the log, or brings it to this build's version.
pub(crate) async fn migrate(connector: &Connector, schema: &str) -> Result<Found, Error> {
    let (mut client, _) = connector.connect(None).await.map_err(of_statement)?;
    let found = server(&client).await?;
    // Most often there is nothing to do, and then nothing to lock.
    if version_of(&client, schema).await? != newest() {
        migrate_with(&mut client, schema).await?;
    }
    Ok(found)
}

async fn migrate_with(client: &mut Client, schema: &str) -> Result<(), Error> {
    let builder = client
        .build_transaction()
        .isolation_level(IsolationLevel::ReadCommitted);
    let transaction = builder.start().await.map_err(of_statement)?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await
        .map_err(of_statement)?;
    let version = version_of(&transaction, schema).await?;
    check_version(version, schema)?;
    let mut script = String::new();
    if version == 0 {
        let exists = transaction
            .query_opt("SELECT FROM pg_namespace WHERE nspname = $1", &[&schema])
            .await
            .map_err(of_statement)?;
        if exists.is_none() {
            script = create_schema(schema);
        }
    }
    script.push_str(&steps_after(version, schema));
    transaction.batch_execute(&script).await.map_err(|error| {
        if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
            let message = "the role may not make or change the log's schema; let its owner do it once, by `migrate` or by \
                what `annals schema postgres` prints";
            return Error::new(ErrorKind::Invalid, message)
                .with("schema", schema)
                .caused_by(error);
        }
        of_statement(error)
    })?;
    transaction.commit().await.map_err(of_statement)
}

/// All that makes a log in this schema, as SQL to be read, or to be run by whoever owns the schema (`psql --file`): in
/// one transaction, under the lock that migrations take. It is for a database that has no such log yet.
///
/// ```
/// let script = annals_store_postgres::migration_script("shop");
/// assert!(script.starts_with("BEGIN;\n"));
/// assert!(script.contains("CREATE SCHEMA \"shop\";\n"));
/// ```
pub fn migration_script(schema: &str) -> String {
    format!(
        "BEGIN;\nSELECT pg_advisory_xact_lock({LOCK});\n{}{}COMMIT;\n",
        create_schema(schema),
        steps_after(0, schema)
    )
}

fn create_schema(schema: &str) -> String {
    format!("CREATE SCHEMA {};\n", quoted(schema))
}

/// What brings the log in a schema from this version to the newest.
fn steps_after(version: i32, schema: &str) -> String {
    // Else tables of the session would come first, in the functions too, which keep this path.
    let mut script = format!("SET LOCAL search_path TO {}, pg_temp;\n", quoted(schema));
    if version == 0 {
        script.push_str(
            "CREATE TABLE schema_migrations (version integer PRIMARY KEY, name text NOT NULL, \
             applied_at timestamptz NOT NULL DEFAULT now());\n",
        );
    }
    for migration in MIGRATIONS
        .iter()
        .filter(|migration| migration.version > version)
    {
        script.push_str(migration.sql);
        script.push_str("\nINSERT INTO schema_migrations (version, name) VALUES (");
        script.push_str(&migration.version.to_string());
        script.push_str(", '");
        script.push_str(migration.name);
        script.push_str("');\n");
    }
    script
}

fn newest() -> i32 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// Refuses what a later build made.
fn check_version(version: i32, schema: &str) -> Result<(), Error> {
    if version <= newest() {
        return Ok(());
    }
    let message = "the log is of a newer version than this build knows; take a newer annals";
    Err(Error::new(ErrorKind::Invalid, message)
        .with("schema", schema)
        .with("version", version)
        .with("known", newest()))
}

/// The version of the log in this schema; 0 where there is none.
async fn version_of(client: &(impl GenericClient + Sync), schema: &str) -> Result<i32, Error> {
    let table = format!("{}.schema_migrations", quoted(schema));
    // From the tables of the catalog: a look-up by name may be answered from before the lock was had.
    let exists: bool = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1 AND c.relname = 'schema_migrations')",
            &[&schema],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(of_statement)?;
    if !exists {
        return Ok(0);
    }
    let newest = format!("SELECT coalesce(max(version), 0) FROM {table}");
    let row = client.query_one(&newest, &[]).await;
    row.and_then(|row| row.try_get(0)).map_err(of_statement)
}

/// Refuses a server that won't do, and tells what its settings promise.
async fn server(client: &Client) -> Result<Found, Error> {
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), \
             current_setting('server_encoding'), current_setting('fsync') = 'on' \
             AND current_setting('full_page_writes') = 'on'",
            &[],
        )
        .await
        .map_err(of_statement)?;
    let version: i32 = row.try_get(0).map_err(of_statement)?;
    let is_replica: bool = row.try_get(1).map_err(of_statement)?;
    let encoding: &str = row.try_get(2).map_err(of_statement)?;
    let is_synced: bool = row.try_get(3).map_err(of_statement)?;
    let message = match () {
        () if version < SERVER_MIN => "the server is older than PostgreSQL 14; take a newer one",
        () if is_replica => "the server is a replica, which takes no appends; name the primary",
        () if encoding != "UTF8" => "the database is not in UTF8; make one that is",
        () => {
            let durability = if is_synced {
                Durability::Synced
            } else {
                tracing::warn!(
                    "fsync or full_page_writes is off: a loss of power may lose what was acknowledged"
                );
                Durability::Process
            };
            return Ok(Found { durability });
        }
    };
    Err(Error::new(ErrorKind::Unavailable, message)
        .with("server_version_num", version)
        .with("encoding", encoding))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_gaps() {
        for (version, migration) in (1..).zip(MIGRATIONS) {
            assert_eq!(migration.version, version);
            assert!(migration.name.starts_with(&format!("{version:04}_")));
        }
        assert!(check_version(newest(), "a").is_ok());
        let refused = check_version(newest() + 1, "a").unwrap_err().to_string();
        assert!(refused.contains("newer version"), "{refused}");
    }
}
