//! disintegrate-postgres: appends under the condition that the order's stream is as it was.

use anyhow::Result;
use disintegrate::serde::json::Json;
use disintegrate::{Event, EventStore as _, query};
use disintegrate_postgres::{Error, PgEventStore};
use serde::{Deserialize, Serialize};

use super::pool;
use crate::event::{Line, OrderLine};
use crate::subject::Subject;

/// The store, on tables that it makes itself.
pub struct Disintegrate {
    store: PgEventStore<OrderEvent, Json<OrderEvent>>,
}

#[derive(Clone, Debug, Event, Serialize, Deserialize)]
enum OrderEvent {
    LineAdded {
        #[id]
        order_id: String,
        correlation_id: String,
        line: OrderLine,
    },
}

impl Subject for Disintegrate {
    /// The id of the last event of the stream.
    type Known = i64;

    async fn open(url: &str) -> Result<Self> {
        Ok(Self {
            store: PgEventStore::try_new(pool(url).await?, Json::default()).await?,
        })
    }

    async fn append(&self, _: usize, lines: &[Line], _: u64, known: &mut i64) -> Result<()> {
        let events = lines.iter().map(|line| {
            Ok(OrderEvent::LineAdded {
                order_id: line.stream(),
                correlation_id: line.metadata_value(),
                line: serde_json::from_slice(&line.payload())?,
            })
        });
        let events = events.collect::<Result<Vec<_>>>()?;
        let Some(order) = lines.first().map(Line::stream) else {
            return Ok(());
        };
        loop {
            let stream = query!(OrderEvent; order_id == order.clone());
            match self.store.append(events.clone(), stream, *known).await {
                Ok(recorded) => {
                    *known = recorded
                        .last()
                        .map_or(*known, disintegrate::PersistedEvent::id);
                    return Ok(());
                }
                Err(Error::Concurrency) => {}
                Err(Error::Database(sqlx::Error::Database(error)))
                    if error.code().as_deref() == Some("40001") => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
