//! Bare prepared statements on a plain table: the least that records the same event and checks its version.

use anyhow::{Context, Result};
use tokio_postgres::{Client, NoTls, Statement, connect};
use uuid::Uuid;

use super::CONNECTIONS;
use crate::event::{self, EVENT_TYPE, Line};
use crate::subject::Subject;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS plain (position bigserial PRIMARY KEY, stream text NOT NULL, \
     version bigint NOT NULL, type text NOT NULL, id uuid NOT NULL, correlation_id text NOT NULL, payload bytea NOT NULL, \
     appended_at timestamptz NOT NULL DEFAULT now(), UNIQUE (stream, version))";
const INSERT: &str = "INSERT INTO plain (stream, version, type, id, correlation_id, payload) VALUES ($1, $2, $3, $4, $5, $6)";
const INSERT_MANY: &str = "INSERT INTO plain (stream, version, type, id, correlation_id, payload) \
     SELECT $1, $2::bigint + n, $3, id, correlation_id, payload \
     FROM unnest($4::uuid[], $5::text[], $6::bytea[]) WITH ORDINALITY e(id, correlation_id, payload, n)";
const PAGE: &str = "SELECT position, stream, version, type, id, correlation_id, payload, appended_at FROM plain \
     WHERE position > $1 ORDER BY position LIMIT $2";
const STREAM: &str = "SELECT position, stream, version, type, id, correlation_id, payload, appended_at FROM plain \
     WHERE stream = $1 ORDER BY version";

/// The table, and connections to it that pipeline.
pub struct Bare {
    connections: Vec<Connection>,
}

struct Connection {
    client: Client,
    insert: Statement,
    insert_many: Statement,
    page: Statement,
    stream: Statement,
}

impl Subject for Bare {
    type Known = ();

    async fn open(url: &str) -> Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let (client, connection) = connect(url, NoTls).await?;
            tokio::spawn(connection);
            client.batch_execute(TABLE).await?;
            connections.push(Connection {
                insert: client.prepare(INSERT).await?,
                insert_many: client.prepare(INSERT_MANY).await?,
                page: client.prepare(PAGE).await?,
                stream: client.prepare(STREAM).await?,
                client,
            });
        }
        Ok(Self { connections })
    }

    async fn append(&self, writer: usize, lines: &[Line], before: u64, (): &mut ()) -> Result<()> {
        let Connection {
            client,
            insert,
            insert_many,
            ..
        } = self.connection(writer)?;
        let first = lines.first().context("no lines")?;
        let stream = first.stream();
        let before = i64::try_from(before)?;
        if let [line] = lines {
            let (id, correlation, payload) =
                (Uuid::now_v7(), line.metadata_value(), line.payload());
            let payload = payload.as_slice();
            client
                .execute(
                    insert,
                    &[
                        &stream,
                        &(before + 1),
                        &EVENT_TYPE,
                        &id,
                        &correlation,
                        &payload,
                    ],
                )
                .await?;
            return Ok(());
        }
        let ids: Vec<Uuid> = lines.iter().map(|_| Uuid::now_v7()).collect();
        let correlations: Vec<String> = lines.iter().map(Line::metadata_value).collect();
        let payloads: Vec<Vec<u8>> = lines.iter().map(|line| line.payload().to_vec()).collect();
        client
            .execute(
                insert_many,
                &[
                    &stream,
                    &before,
                    &EVENT_TYPE,
                    &ids,
                    &correlations,
                    &payloads,
                ],
            )
            .await?;
        Ok(())
    }

    async fn page(&self, after: i64, events: i64) -> Result<(u64, i64)> {
        let Connection { client, page, .. } = self.connection(0)?;
        let rows = client.query(page, &[&after, &events]).await?;
        let last = match rows.last() {
            Some(last) if i64::try_from(rows.len())? == events => last.try_get(0)?,
            _ => 0,
        };
        Ok((seen(&rows)?, last))
    }

    async fn stream(&self, order: u64) -> Result<u64> {
        let Connection { client, stream, .. } = self.connection(0)?;
        let rows = client.query(stream, &[&event::stream(order)]).await?;
        seen(&rows)
    }
}

impl Bare {
    fn connection(&self, writer: usize) -> Result<&Connection> {
        let connection = self.connections.get(writer % self.connections.len());
        connection.context("no connections")
    }
}

/// Takes every column, borrowed where it can be, as any reader does; how many rows there are.
fn seen(rows: &[tokio_postgres::Row]) -> Result<u64> {
    for row in rows {
        let event: (i64, &str, i64, &str, Uuid) = (
            row.try_get(0)?,
            row.try_get(1)?,
            row.try_get(2)?,
            row.try_get(3)?,
            row.try_get(4)?,
        );
        let more: (&str, &[u8], std::time::SystemTime) =
            (row.try_get(5)?, row.try_get(6)?, row.try_get(7)?);
        std::hint::black_box((event, more));
    }
    Ok(rows.len() as u64)
}
