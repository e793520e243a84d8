//! The connection that appends, and what becomes of a call whose connection was lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::{Client, Row, Statement};

use super::Parameters;
use crate::store::Shared;

/// The pause between two attempts at something that the server is not ready for.
const PAUSE: Duration = Duration::from_millis(50);

/// Why the server can't be reached.
pub(super) type Trouble = Arc<tokio_postgres::Error>;

/// A connection of the writer, with the call prepared.
#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    append: Statement,
    backend: Backend,
}

/// A process of the server, told from a later one of the same number by when it began: in seconds since 1970, which
/// look the same in every session, whatever its time zone.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    process: i32,
    began: String,
}

impl Session {
    pub(super) async fn open(shared: &Shared) -> Result<Self, tokio_postgres::Error> {
        let (client, _) = shared.connector.connect(None).await?;
        let append = client.prepare(&shared.statements.append).await?;
        let backend = client
            .query_one(
                "SELECT pid, extract(epoch FROM backend_start)::text FROM pg_stat_activity WHERE pid = pg_backend_pid()",
                &[],
            )
            .await?;
        let backend = Backend {
            process: backend.try_get(0)?,
            began: backend.try_get(1)?,
        };
        Ok(Self {
            client,
            append,
            backend,
        })
    }

    pub(super) fn backend(&self) -> &Backend {
        &self.backend
    }

    pub(super) async fn append(
        &self,
        parameters: &Parameters<'_>,
    ) -> Result<Row, tokio_postgres::Error> {
        self.client
            .query_one(&self.append, &parameters.values())
            .await
    }

    /// Waits until a process of the server that a call was sent to is gone, and ends it where it is not: whatever it
    /// had not committed by then never will be.
    pub(super) async fn bury(&self, lost: &Backend) -> Result<(), tokio_postgres::Error> {
        loop {
            let still = self
                .client
                .query_opt(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE pid = $1 AND extract(epoch FROM backend_start)::text = $2",
                    &[&lost.process, &lost.began],
                )
                .await?;
            if still.is_none() {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
    }
}

/// Opens a session, again and again where the server can't be reached; why it could not be the last time is noted.
pub(super) async fn reopen(shared: &Shared, trouble: &mut Option<Trouble>) -> Session {
    loop {
        match Session::open(shared).await {
            Ok(session) => return session,
            Err(error) => {
                tracing::debug!(%error, "PostgreSQL can't be reached to append");
                *trouble = Some(Arc::new(error));
                sleep(PAUSE).await;
            }
        }
    }
}
